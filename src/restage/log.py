"""What a job tells while it works: lines on the terminal and in its log file."""

import logging
import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from restage.errors import InputError
from restage.files import full_disk

log = logging.getLogger("restage")
FACT = re.compile(r"^\S+ \S+ fact (\w+) (.*)$", re.MULTILINE)  # after the date and the time
started: tuple[str | os.PathLike, str] | None = None  # what ``start`` was called with
begin = time.monotonic()


def start(path: str | os.PathLike, job: str, append: bool = False) -> None:
    """Send this process's messages to the terminal and to ``path``; ``job`` opens each line.

    An ``InputError`` or a full disk ends the process with its one line instead of a traceback.
    """
    global started, begin
    started, begin = (path, job), time.monotonic()
    terminal = logging.StreamHandler()
    terminal.setFormatter(logging.Formatter(f"{job}: %(message)s"))
    terminal.setLevel(logging.INFO)
    logging.basicConfig(level=logging.WARNING, handlers=[terminal])
    log.setLevel(logging.DEBUG)
    sys.excepthook = _report
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if not append:
        Path(path).write_text("")
    file = _LogFile(path)  # appends, so that no process writes over another's lines
    file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.getLogger().addHandler(file)
    fact("device", processor())


class _LogFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """Let the job go on: on a full disk the terminal still has its messages."""


def seconds() -> float:
    """Return how long ago ``start`` was called."""
    return time.monotonic() - begin


def fact(name: str, value: str) -> None:
    """Note something about this job in its log file, for ``facts`` to read: a word and one line."""
    log.debug("fact %s %s", name, value)


def facts(path: str | os.PathLike) -> dict[str, str]:
    """Return what ``fact`` noted in a log file, by name: of each the last, none without a file."""
    try:
        return dict(FACT.findall(Path(path).read_text()))
    except FileNotFoundError:
        return {}


def processor() -> str:
    """Return the name of this machine's processor."""
    try:
        named = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        named = None
    return named[1].strip() if named else platform.machine()


def _report(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    error = full_disk(error) or error
    known = isinstance(error, InputError)
    log.error(f"error: {error}" if known else "failed", exc_info=None if known else error)


@contextmanager
def native_output_to(path: str | os.PathLike) -> Iterator[None]:
    """Append what native code writes to the terminal to a file instead: its own progress bars.

    Our own messages still reach the terminal.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    handlers = [h for h in logging.getLogger().handlers if isinstance(h, logging.StreamHandler)]
    terminals = [handler for handler in handlers if handler.stream is sys.stderr]
    with open(path, "ab") as file, os.fdopen(os.dup(2), "w") as terminal:
        for handler in terminals:
            handler.setStream(terminal)
        for descriptor in kept:
            os.dup2(file.fileno(), descriptor)
        try:
            yield
        finally:
            sys.stdout.flush()
            for handler in terminals:
                handler.setStream(sys.stderr)
            for descriptor, copy in kept.items():
                os.dup2(copy, descriptor)
                os.close(copy)


class Progress:
    """Counts work done and tells every ``seconds`` how far it is and how long it will take."""

    def __init__(self, total: int | None, unit: str, seconds: float = 10):
        self.total, self.unit, self.seconds, self.done = total, unit, seconds, 0
        self.begin = self.reported = time.monotonic()

    def add(self, count: int, note: str = "") -> None:
        self.done += count
        now = time.monotonic()
        if now - self.reported >= self.seconds:
            self.reported = now
            log.info("%s%s", self, note and f", {note}")

    def __str__(self) -> str:
        rate = self.done / max(time.monotonic() - self.begin, 1e-9)
        of = f" of {self.total:,}" if self.total else ""
        left = f", {(self.total - self.done) / rate:,.0f} s left" if self.total and rate else ""
        return f"{self.done:,}{of} {self.unit}, {rate:,.1f}/s{left}"
