"""Signals that ask a training to stop, noted instead of died of."""

import signal
from collections.abc import Callable
from types import FrameType

STOPPING = signal.SIGTERM, signal.SIGINT, signal.SIGHUP


class Signals:
    """Within its block what asks to stop is noted, and passed on, instead of ending the process.

    Attributes:
        received: the number of the last one; 0 while none came.
    """

    def __init__(self, pass_on: Callable[[int], None] | None = None):
        self.received, self.pass_on = 0, pass_on

    def __enter__(self) -> "Signals":
        self.before = {number: signal.signal(number, self._note) for number in STOPPING}
        return self

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
        if self.pass_on:
            self.pass_on(number)

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
