"""TREC runs of any size, block by block as whole lists."""

import os
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from restage.ranked_lists.ingest import Block, Stats
from restage.trec_rows import ranked, read_rows


def read_trec_run(path: str | os.PathLike, stats: Stats) -> Iterator[Block]:
    """Stream a TREC run as blocks of whole lists, each with its best passage first.

    Lines of a query must follow one another. Memory is bounded by the block, not by the run.

    Raises:
        InputError: as ``read_rows`` and ``ranked``.
    """
    rest = None  # the last list so far, which may go on in the next block
    for rows in read_rows(path):
        stats.lines += rows.num_rows
        starts = _list_starts(rows)
        if rest and rest["query"][0] == rows["query"][0]:
            end = starts[1] if len(starts) > 1 else rows.num_rows
            rest = pa.concat_batches([rest, rows.slice(0, end)])
            rows, starts = rows.slice(end), starts[1:] - end
        if not rows.num_rows:
            continue
        before = stats.lines - rows.num_rows
        if rest:
            yield _whole_lists(path, rest, np.zeros(1, np.int64), before - rest.num_rows, stats)
        if starts[-1]:
            yield _whole_lists(path, rows.slice(0, starts[-1]), starts[:-1], before, stats)
        rest = rows.slice(starts[-1])
    assert rest is not None  # an empty file is refused
    yield _whole_lists(path, rest, np.zeros(1, np.int64), stats.lines - rest.num_rows, stats)


def _list_starts(rows: pa.RecordBatch) -> np.ndarray:
    query = rows["query"]
    begins = pc.not_equal(query.slice(1), query.slice(0, len(query) - 1))
    return np.flatnonzero(np.append(True, begins.to_numpy(zero_copy_only=False)))


def _whole_lists(
    path: str | os.PathLike, rows: pa.RecordBatch, starts: np.ndarray, before: int, stats: Stats
) -> Block:
    stats.lists += len(starts)
    sizes = np.diff(starts, append=rows.num_rows)
    order = ranked(path, rows, np.repeat(np.arange(len(starts)), sizes), before)
    if order is not None:
        rows = rows.take(pa.array(order))
    return Block(
        rows["query"].take(pa.array(starts)).to_pylist(),
        sizes,
        rows["passage"],
        rows["score"].to_numpy().astype(np.float32),
    )
