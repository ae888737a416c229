"""What held-out lists say of a model while it is trained."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from sklearn.metrics import ndcg_score

from restage.finetune.step import ListLoss, broken_lists, share_of
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


@torch.no_grad()
def validate(list_loss: ListLoss, lists: Sequence[TrainingList]) -> Validation:
    """Measure a model on held-out lists, each process on its part of them."""
    if not lists:
        return Validation(math.nan, math.nan, [])
    accelerator, losses, ndcgs = list_loss.accelerator, [], []
    list_loss.model.eval()
    mine = share_of(accelerator, lists)
    for first in range(0, len(mine), LISTS_AT_ONCE):
        some = mine[first : first + LISTS_AT_ONCE]
        scores = list_loss.scores(some)
        losses.append(list_loss.of(scores, some))
        ends = np.cumsum([len(item.passages) for item in some])[:-1]
        scored = np.split(scores.cpu().numpy(), ends)
        ndcgs += [_ndcg(item, own) for item, own in zip(some, scored, strict=True)]
    sums = torch.tensor(
        [sum(part.sum().item() for part in losses), sum(ndcgs)],
        dtype=torch.float64,
        device=accelerator.device,
    )
    loss, ndcg = (accelerator.reduce(sums) / len(lists)).tolist()
    if math.isfinite(loss) and math.isfinite(ndcg):
        return Validation(loss, ndcg, [])
    values = np.add([value for part in losses for value in part.tolist()], ndcgs)
    return Validation(loss, ndcg, broken_lists(accelerator, mine, values))


def _ndcg(item: TrainingList, scores: np.ndarray) -> float:
    if not (np.isfinite(scores).all() and np.isfinite(item.relevances).all()):
        return math.nan
    gains = item.relevances - min(item.relevances.min(), 0)  # scores may be negative
    return ndcg_score(gains[None], scores[None], k=10)
