"""What held-out lists say of a model while it is trained."""

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from sklearn.metrics import ndcg_score

from restage.finetune.signals import Signals
from restage.finetune.step import ListLoss, broken_lists, share_of
from restage.log import Progress
from restage.ranked_lists.sampling import TrainingList

LISTS_AT_ONCE = 64


class Validation(NamedTuple):
    """Mean loss and nDCG@10 (linear gains) of lists; nan without any.

    ``broken`` are the query numbers of the lists that have none, because the loss, a score or a
    label is not finite.
    """

    loss: float
    ndcg: float
    broken: list[int]


class Stopped(Exception):
    """Somebody asks for an end while a model is measured."""


class _Watch(Progress):
    """Ends what it counts as soon as a signal has come."""

    def __init__(self, signals: Signals):
        super().__init__(None, "pairs")
        self.signals = signals

    def add(self, count: int, note: str = "") -> None:
        if self.signals.received:
            raise Stopped


@torch.no_grad()
def validate(list_loss: ListLoss, lists: Sequence[TrainingList], signals: Signals) -> Validation:
    """Measure a model on held-out lists, each process on its part of them.

    Raises:
        Stopped: one of the processes got a signal: at once, whatever is left to measure.
    """
    if not lists:
        return Validation(math.nan, math.nan, [])
    accelerator = list_loss.accelerator
    list_loss.model.eval()
    mine = share_of(accelerator, lists)
    losses: list[torch.Tensor] = []
    ndcgs: list[float] = []
    with suppress(Stopped):  # until all have been told
        for first in range(0, len(mine), LISTS_AT_ONCE):
            some = mine[first : first + LISTS_AT_ONCE]
            scores = list_loss.scores(some, _Watch(signals))
            losses.append(list_loss.of(scores, some))
            ends = np.cumsum([len(item.passages) for item in some])[:-1]
            scored = np.split(scores.cpu().numpy(), ends)
            ndcgs += [_ndcg(item, own) for item, own in zip(some, scored, strict=True)]
    loss, ndcg, left = _summed(
        accelerator, sum(part.sum().item() for part in losses), sum(ndcgs), len(mine) - len(ndcgs)
    )
    if left:
        raise Stopped
    loss, ndcg = loss / len(lists), ndcg / len(lists)
    if math.isfinite(loss) and math.isfinite(ndcg):
        return Validation(loss, ndcg, [])
    values = np.add([value for part in losses for value in part.tolist()], ndcgs)
    return Validation(loss, ndcg, broken_lists(accelerator, mine, values))


def _summed(accelerator: Accelerator, *values: float) -> list[float]:
    """The sums over the processes."""
    here = torch.tensor(values, dtype=torch.float64, device=accelerator.device)
    return accelerator.reduce(here).tolist()


def _ndcg(item: TrainingList, scores: np.ndarray) -> float:
    if not (np.isfinite(scores).all() and np.isfinite(item.relevances).all()):
        return math.nan
    gains = item.relevances - min(item.relevances.min(), 0)  # scores may be negative
    return ndcg_score(gains[None], scores[None], k=10)
