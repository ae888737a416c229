"""Ranked lists from the blocks that a format is read as into a column store, split in two."""

import math
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from sklearn.model_selection import train_test_split

from restage.collections.texts import TextStore
from restage.errors import InputError
from restage.files import complete
from restage.log import Progress
from restage.ranked_lists.store import LISTS_PER_BLOCK, ColumnWriter, Stats, write_split

BLOCKS_AHEAD = 3
JUDGMENTS_PER_BLOCK = 1 << 16


class Block(NamedTuple):
    """Whole lists: query ids (lists), their sizes (lists), passage ids and scores (passages)."""

    queries: list[str]
    sizes: np.ndarray
    passages: pa.Array
    scores: np.ndarray | None


def blocks_of(lists: Iterable[tuple[str, Sequence[str]]]) -> Iterator[Block]:
    """Yield blocks of lists without scores, each a query id and its passage ids in rank order."""
    lists = iter(lists)
    while some := list(islice(lists, LISTS_PER_BLOCK)):
        queries, ranked = zip(*some, strict=True)
        passages = pa.array([passage for each in ranked for passage in each], pa.string())
        yield Block(list(queries), np.array([len(each) for each in ranked]), passages, None)


def ingest(
    blocks: Iterable[Block],
    folder: str | os.PathLike,
    *,
    queries: TextStore,
    passages: TextStore,
    qrels: Iterable[tuple[str, str, int]],
    valid_fraction: float,
    split_seed: int,
    stats: Stats,
) -> dict:
    """Write ``folder`` with the column stores train/ and valid/ and with stats.json.

    Lists are grouped by query in order of first appearance; ids become numbers of the text stores;
    each passage gets its query's relevance label (0 without one). The split is that of
    scikit-learn's ``train_test_split`` over the lists in this order, as in the study.

    Dropped and counted: lists of unknown queries, unknown passages, second mentions of a passage
    in a list, and lists that have no passage left. Returns what stats.json says.

    Raises:
        InputError: a query has two lists, or nothing is left to train on.
    """
    with complete(folder) as part:
        part.mkdir()
        labels, seen = _Labels(qrels, queries, passages), np.zeros(len(queries), dtype=bool)
        progress = Progress(None, "passages of ranked lists")
        with ColumnWriter(part / "columns") as columns:
            for block in _read_ahead(iter(blocks)):
                numbered = _numbered(block, queries, passages, labels, stats)
                _refuse_second_lists(folder, numbered["queries"], seen, queries)
                columns.append(numbered)
                progress.add(int(block.sizes.sum()))
        kept = len(columns.sizes())
        if kept < 2:
            raise InputError(
                f"{folder}: {kept} of {stats.lists:,} lists can be used ({stats.losses()}); check "
                "that ids match"
            )
        if math.ceil(valid_fraction * kept) == kept:
            raise InputError(
                f"{folder}: valid_fraction {valid_fraction} of {kept} lists leaves none to train "
                "on; give a smaller one"
            )
        train, valid = np.arange(kept), np.arange(0)
        if valid_fraction:
            train, valid = train_test_split(
                train, test_size=valid_fraction, random_state=split_seed
            )
        return write_split(part, columns, train, valid, stats)


def _read_ahead(blocks: Iterator[Block]) -> Iterator[Block]:
    """Yield the blocks; the next ones are read while the caller works on this one."""
    with ThreadPoolExecutor(1) as reader:
        coming = deque(reader.submit(next, blocks, None) for _ in range(BLOCKS_AHEAD))
        while (block := coming.popleft().result()) is not None:
            coming.append(reader.submit(next, blocks, None))
            yield block


class _Labels:
    """Positive relevance labels by (query number, passage number): a sorted column of keys."""

    def __init__(
        self, qrels: Iterable[tuple[str, str, int]], queries: TextStore, passages: TextStore
    ):
        self.width = len(passages)
        parts = [(np.zeros(0, np.int64), np.zeros(0, np.int8))]
        qrels = iter(qrels)
        while some := list(islice(qrels, JUDGMENTS_PER_BLOCK)):
            query_ids, passage_ids, label = zip(*some, strict=True)
            query, passage = queries.numbers(query_ids), passages.numbers(passage_ids)
            used = (query >= 0) & (passage >= 0) & (np.asarray(label) > 0)
            values = np.minimum(label, 127).astype(np.int8)[used]
            parts.append(((query * self.width + passage)[used], values))
        keys, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(keys, kind="stable")
        self.keys, self.labels = keys[order], labels[order]
        # Most passages are relevant to no query: one look here instead of a search.
        self.relevant = np.zeros(self.width, dtype=bool)
        self.relevant[self.keys % self.width] = True

    def of(
        self, query: np.ndarray, owner: np.ndarray, passage: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return which of the passages are relevant to ``query[owner]``, and their labels."""
        maybe = np.flatnonzero(self.relevant.take(passage))
        keys = query[owner[maybe]] * self.width + passage[maybe]
        place = np.searchsorted(self.keys, keys)
        same = place < len(self.keys)
        same[same] = self.keys[place[same]] == keys[same]
        return maybe[same], self.labels[place[same]]


def _numbered(
    block: Block, queries: TextStore, passages: TextStore, labels: _Labels, stats: Stats
) -> dict[str, np.ndarray]:
    """The block as columns of numbers, without what is unknown or repeated."""
    query, passage = queries.numbers(block.queries), passages.numbers(block.passages)
    stats.dropped["query not among the queries"] += int((query < 0).sum())
    listed = np.repeat(query >= 0, block.sizes)
    known = listed & (passage >= 0)
    stats.dropped_passages["not in the collection"] += int((listed & ~known).sum())
    columns = {"owner": np.repeat(np.arange(len(query)), block.sizes), "passages": passage}
    if block.scores is not None:
        columns["scores"] = block.scores
    columns = _selected(columns, known)
    first = _first_mentions(columns["owner"] * len(passages) + columns["passages"])
    stats.dropped_passages["repeated in its list"] += int((~first).sum())
    columns = _selected(columns, first)
    sizes = np.bincount(columns["owner"], minlength=len(query))
    stats.dropped["no passage left"] += int(((sizes == 0) & (query >= 0)).sum())
    relevant, relevances = labels.of(query, columns.pop("owner"), columns["passages"])
    columns |= {"queries": query[sizes > 0], "sizes": sizes[sizes > 0]}
    return columns | {"relevant": relevant, "relevances": relevances}


def _selected(columns: dict[str, np.ndarray], mask: np.ndarray) -> dict[str, np.ndarray]:
    """The rows where the mask holds; where it always does, as nearly always, without a copy."""
    return columns if mask.all() else {name: column[mask] for name, column in columns.items()}


def _first_mentions(keys: np.ndarray) -> np.ndarray:
    """Whether each key stands there for the first time."""
    first, ordered = np.ones(len(keys), dtype=bool), np.sort(keys)
    if (ordered[1:] == ordered[:-1]).any():  # seldom, and to see that is much faster
        first[:] = False
        first[np.unique(keys, return_index=True)[1]] = True
    return first


def _refuse_second_lists(
    folder: str | os.PathLike, numbers: np.ndarray, seen: np.ndarray, queries: TextStore
) -> None:
    """Mark the queries as seen; none may have been before."""
    for number in numbers:
        if seen[number]:
            raise InputError(
                f"{folder}: query {queries.ids([number])[0]!r} has two lists; the lines of a query "
                "must follow one another, and each query may come once"
            )
        seen[number] = True
