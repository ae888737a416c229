"""TREC runs of any size, parsed block by block into whole lists."""

import os
import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from restage.errors import InputError
from restage.ranked_lists.compressed import BLOCK_BYTES, decompressed
from restage.ranked_lists.ingest import Block, Stats

LINE_BYTES = 1 << 12  # of a first line, to see what separates its columns
LARGEST = float(np.finfo(np.float32).max)
COLUMNS = ["query", "q0", "passage", "rank", "score", "tag"]
CONVERSION = pa.csv.ConvertOptions(
    include_columns=["query", "passage", "rank", "score"],
    column_types={
        "query": pa.string(),
        "passage": pa.string(),
        "rank": pa.int32(),
        "score": pa.float32(),
    },
    null_values=[],
)


def read_trec_run(path: str | os.PathLike, stats: Stats) -> Iterator[Block]:
    """Stream a TREC run (plain, .gz or .zst; tab or blank separated) as blocks of whole lists.

    Lines of a query must follow one another, their ranks ascending. Memory is bounded by the
    block, not by the run.

    Raises:
        InputError: with file and line: a line that is not six columns with an integer rank, a
            finite score and two ids, ranks that do not ascend, a file that is empty, truncated or
            not UTF-8.
    """
    rest = None  # the last list so far, which may go on in the next block
    for block in _byte_blocks(path):
        rows = _parse(path, block, stats.lines)
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
    if rest is None:
        raise InputError(f"{path}: the file is empty; it should be a TREC run")
    yield _whole_lists(path, rest, np.zeros(1, np.int64), stats.lines - rest.num_rows, stats)


def _byte_blocks(path: str | os.PathLike) -> Iterator[memoryview]:
    """Blocks of whole lines, each to be used up before the next is asked for."""
    buffer, kept = bytearray(BLOCK_BYTES), 0
    with decompressed(path) as file:
        while count := file.readinto(memoryview(buffer)[kept:]):
            full = kept + count
            end = buffer.rfind(b"\n", 0, full) + 1
            if end:
                yield memoryview(buffer)[:end]
            elif full == len(buffer):  # a line longer than that
                buffer = buffer + bytearray(len(buffer))
            kept = full - end
            buffer[:kept] = buffer[end:full]
    if buffer[:kept].strip():
        yield memoryview(buffer)[:kept]


def _parse(path: str | os.PathLike, block: memoryview, lines_before: int) -> pa.RecordBatch:
    delimiter = "\t" if b"\t" in bytes(block[:LINE_BYTES]).split(b"\n", 1)[0] else " "
    text = re.sub(rb" +", b" ", block) if delimiter == " " else block
    try:
        (rows,) = pa.csv.read_csv(
            pa.py_buffer(text),
            pa.csv.ReadOptions(column_names=COLUMNS, block_size=len(text) + 1),
            pa.csv.ParseOptions(
                delimiter=delimiter, quote_char=False, double_quote=False, ignore_empty_lines=False
            ),
            CONVERSION,
        ).to_batches()
    except pa.ArrowInvalid as error:
        raise _bad_line(path, text, delimiter, lines_before, str(error)) from None
    shortest = pc.min(pc.min_element_wise(*map(pc.binary_length, (rows["query"], rows["passage"]))))
    if shortest.as_py() == 0 or not np.isfinite(rows["score"]).all():
        raise _bad_line(path, text, delimiter, lines_before, "an id or a score is none")
    return rows


def _bad_line(
    path: str | os.PathLike,
    text: bytes | memoryview,
    delimiter: str,
    lines_before: int,
    otherwise: str,
) -> InputError:
    """Say which line the block parser stumbled over; ``otherwise`` if each seems right."""
    for number, line in enumerate(bytes(text).splitlines(), start=lines_before + 1):
        if wrong := _wrong_with(line, delimiter):
            return InputError(f"{path}:{number}: {wrong}: {line[:80]!r}; mend or remove the line")
    return InputError(f"{path}: {otherwise}")


def _wrong_with(line: bytes, delimiter: str) -> str | None:
    try:
        query, _, passage, rank, score, _ = line.decode().split(delimiter)
        int(rank)
        if not (query and passage):
            return "an id is empty"
        if not abs(float(score)) <= LARGEST:
            return "the score is not finite in single precision"
    except UnicodeDecodeError:
        return "not UTF-8"
    except ValueError:
        return "not 'query Q0 passage rank score tag'"
    return None


def _list_starts(rows: pa.RecordBatch) -> np.ndarray:
    query = rows["query"]
    begins = pc.not_equal(query.slice(1), query.slice(0, len(query) - 1))
    return np.flatnonzero(np.append(True, begins.to_numpy(zero_copy_only=False)))


def _whole_lists(
    path: str | os.PathLike,
    rows: pa.RecordBatch,
    starts: np.ndarray,
    lines_before: int,
    stats: Stats,
) -> Block:
    ranks = rows["rank"].to_numpy()
    falls = np.diff(ranks) <= 0
    falls[starts[1:] - 1] = False
    if falls.any():
        place = int(np.argmax(falls))
        raise InputError(
            f"{path}:{lines_before + place + 2}: query {rows['query'][place]}: rank "
            f"{ranks[place + 1]} after rank {ranks[place]}; sort each list by rank"
        )
    stats.lists += len(starts)
    return Block(
        rows["query"].take(pa.array(starts)).to_pylist(),
        np.diff(starts, append=rows.num_rows),
        rows["passage"],
        rows["score"].to_numpy(),
    )
