"""Ranked lists as a cross-encoder ranks others: a teacher to distil."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

from restage.errors import InputError
from restage.files import complete
from restage.grid.machine import missing_model
from restage.grid.settings import Checkpoint, Problem, Taught
from restage.ranked_lists.list_format import ListFormat

if TYPE_CHECKING:
    import numpy as np

    from restage.ranked_lists.store import RankedList, RankedLists


@dataclass(frozen=True)
class Teacher(Taught, ListFormat):
    """Lists of the configuration that a model, or a checkpoint of the grid, ranks anew."""

    @classmethod
    def of(cls, settings: Mapping[str, Any], **others: Any) -> Self:
        checkpoint = settings["checkpoint"] and Checkpoint.of(settings["checkpoint"])
        return super().of(settings, checkpoint=checkpoint, **others)

    def problems(self) -> Iterator[Problem]:
        if (self.model is None) == (self.checkpoint is None):
            yield "", "give exactly one of model, checkpoint"
        elif self.model and (message := missing_model(self.model)):
            yield "model", message

    @property
    def taught(self) -> Taught:
        return self

    @property
    def deepest(self) -> int:
        return self.depth

    def read(self, paths: Mapping[str, str], stats: object) -> NoReturn:
        raise TypeError("a teacher's lists are read from no files: rescore makes them")


def rescore(
    source: str | PathLike,
    folder: str | PathLike,
    score: "Callable[[np.ndarray, np.ndarray], AbstractContextManager[np.ndarray]]",
    depth: int,
) -> dict:
    """Write ranked lists anew: the first ``depth`` passages of each list, ordered by ``score``.

    Queries, relevance labels and the split stay; where scores are equal, so does the order.
    Returns what stats.json says.

    Args:
        score: what gives the scores of pairs of query and passage numbers, as a ``Scorer`` does.

    Raises:
        InputError: a score is not finite.
    """
    import numpy as np  # here, as all that is heavy (see restage.ranked_lists)

    from restage.ranked_lists.store import ColumnWriter, RankedLists, Stats, write_split

    splits = [RankedLists(Path(source, name)) for name in ("train", "valid")]
    pairs = zip(*(lists.pairs(depth) for lists in splits), strict=True)
    queries, passages = (np.concatenate(part) for part in pairs)
    with score(queries, passages) as scores, complete(folder) as part:
        if not np.isfinite(scores).all():
            raise InputError(f"{folder}: the model gives scores that are not finite; try fp32")
        part.mkdir()
        with ColumnWriter(part / "columns") as columns:
            for block in _rescored(splits, scores, depth):
                columns.append(block)
        train, kept = len(splits[0]), sum(map(len, splits))
        stats = Stats(lines=len(queries), lists=kept)
        return write_split(part, columns, np.arange(train), np.arange(train, kept), stats)


def _rescored(
    splits: "list[RankedLists]", scores: "np.ndarray", depth: int
) -> "Iterator[dict[str, np.ndarray]]":
    """Columns of some lists at a time; the scores are those of the lists' pairs, in their order."""
    for lists in splits:
        for items in lists.batches():
            block = _ranked_by(scores, items, depth)
            yield block
            scores = scores[len(block["scores"]) :]


def _ranked_by(
    scores: "np.ndarray", items: "list[RankedList]", depth: int
) -> "dict[str, np.ndarray]":
    """Columns of some lists, whose passages' scores ``scores`` opens with."""
    import numpy as np

    sizes = np.array([len(item.passages[:depth]) for item in items])
    passages = np.concatenate([item.passages[:depth] for item in items])
    relevances = np.concatenate([item.relevances[:depth] for item in items])
    owner, scores = np.repeat(np.arange(len(items)), sizes), scores[: len(passages)]
    order = np.lexsort((-scores, owner))  # stable
    relevances = relevances[order]
    return {
        "queries": np.array([item.query for item in items]),
        "sizes": sizes,
        "passages": passages[order],
        "scores": scores[order],
        "relevant": np.flatnonzero(relevances),
        "relevances": relevances[relevances > 0],
    }
