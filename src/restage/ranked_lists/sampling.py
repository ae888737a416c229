"""Training lists sampled from ranked lists: what a query gets depends on (seed, epoch, query)."""

from typing import NamedTuple

import numpy as np

from restage.ranked_lists.store import RankedList, RankedLists

VALIDATION = 0  # the epoch that validation lists are drawn in; training counts from 1


class TrainingList(NamedTuple):
    """A query number, its passages' numbers (size) and their relevance labels (size)."""

    query: int
    passages: np.ndarray
    relevances: np.ndarray


class ListSampler:
    """Samples training lists of at most ``size`` passages from the first ``depth`` of each list.

    With labels from ``qrels`` a list is one relevant passage at random, then non-relevant ones;
    lists without both among their first ``depth`` are left out. With labels from ``ranks`` or
    ``scores`` it is so many passages in their order, with relevance = max rank - rank + 1 or the
    list's scores.

    Args:
        negatives: ``random`` passages, or those at the ``top``, are taken besides the relevant one
            (with labels from qrels) or at all (with other labels).

    Attributes:
        usable: the lists that can be sampled from (ascending).
    """

    def __init__(
        self,
        lists: RankedLists,
        labels: str,
        size: int,
        depth: int | None,
        seed: int,
        negatives: str = "random",
    ):
        self.lists, self.labels, self.size, self.seed = lists, labels, size, seed
        self.negatives = negatives
        self.depth = depth or int(np.diff(lists.offsets).max(initial=1))
        self.usable = self._usable()

    def _usable(self) -> np.ndarray:
        sizes = np.minimum(np.diff(self.lists.offsets), self.depth)
        if self.labels != "qrels":
            return np.flatnonzero(sizes > 1)
        rows = self.lists.relevant
        owner = np.searchsorted(self.lists.offsets, rows, side="right") - 1
        owner = owner[rows - self.lists.offsets[owner] < self.depth]
        relevant = np.bincount(owner, minlength=len(sizes))
        return np.flatnonzero((relevant > 0) & (relevant < sizes))

    def order(self, epoch: int) -> np.ndarray:
        """Return the usable lists in the order in which an epoch goes through them."""
        return np.random.default_rng([self.seed, epoch]).permutation(self.usable)

    def sample(self, i: int, epoch: int) -> TrainingList:
        """Return what list ``i`` contributes to an epoch."""
        ranked = self.lists[i]
        rng = np.random.default_rng([self.seed, epoch, ranked.query])
        if self.labels == "qrels":
            labels = ranked.relevances[: self.depth]
            positive = rng.choice(np.flatnonzero(labels > 0))
            others = self._chosen(rng, np.flatnonzero(labels == 0), self.size - 1)
            chosen = np.append(positive, others)
            relevances = labels[chosen]
        else:
            places = np.arange(min(len(ranked.passages), self.depth))
            chosen = np.sort(self._chosen(rng, places, self.size))
            relevances = self._graded(ranked, chosen)
        return TrainingList(ranked.query, ranked.passages[chosen], relevances)

    def _graded(self, ranked: RankedList, chosen: np.ndarray) -> np.ndarray:
        if self.labels == "ranks":
            return len(ranked.passages) - chosen
        assert ranked.scores is not None  # a configuration that asks for such labels is refused
        return ranked.scores[chosen]

    def _chosen(self, rng: np.random.Generator, places: np.ndarray, count: int) -> np.ndarray:
        count = min(count, len(places))
        if self.negatives == "top":
            return places[:count]
        return rng.choice(places, count, replace=False)
