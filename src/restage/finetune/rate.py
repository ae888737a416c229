"""The learning rate: a function of the step, and of nothing that happened before."""

import math
from collections.abc import Callable

from restage.grid.settings import Objective


def learning_rate(objective: Objective, step: int, steps: int) -> float:
    """The rate that step ``step`` of ``steps`` (from 1) is made with.

    Over the warm-up it rises linearly from 0, then follows the objective's schedule. The arithmetic
    is that of transformers' ``get_scheduler``, to the last bit.
    """
    done, warmup = step - 1, objective.warmup_steps
    if done < warmup:
        return objective.learning_rate * (done / warmup)
    schedule = SCHEDULES[objective.schedule]
    return objective.learning_rate * schedule(done - warmup, steps - warmup)


def constant(done: int, steps: int) -> float:
    return 1.0


def linear(done: int, steps: int) -> float:
    """From 1 to 0 in a line."""
    return max(0.0, (steps - done) / steps)


def cosine(done: int, steps: int) -> float:
    """From 1 to 0 in half a wave."""
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * (done / steps))))


# The part of the rate that is left after ``done`` of so many ``steps`` behind the warm-up.
SCHEDULES: dict[str, Callable[[int, int], float]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
}
