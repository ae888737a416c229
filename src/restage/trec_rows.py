"""The lines of TREC runs, ``query Q0 passage rank score tag``: one reader of all that users give.

First stages and training lists are read by it, so that what the one takes, the other takes. Files
are plain, gzip or zstd. Columns are separated by blanks and tabs, mixed as one likes. Empty lines,
blanks around a line, byte order marks and the line ends of any system are no part of a run. Ranks
are whole numbers, perhaps written as 1.0. All else is refused with its line.

Two columns name an order, and trec_eval knows the scores alone. So the order is that of the scores,
and ranks that contradict it are refused: it may be they that are right, as where scores are
distances. Ranks that say nothing, such as 0 on each line, contradict nothing.
"""

import os
import re
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from restage.compressed import BLOCK_BYTES, decompressed
from restage.errors import InputError

FORM = "'query Q0 passage rank score tag'"
MARK = b"\xef\xbb\xbf"
NUMBER = re.compile(rb"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|inf(inity)?)", re.IGNORECASE)
LARGEST = float(np.finfo(np.float32).max)  # trec_eval keeps scores in single precision
COLUMNS = ["query", "q0", "passage", "rank", "score", "tag"]
TYPES = {"query": pa.string(), "passage": pa.string(), "rank": pa.float64(), "score": pa.float64()}
CONVERSION = pa.csv.ConvertOptions(include_columns=list(TYPES), column_types=TYPES, null_values=[])


def read_rows(path: str | os.PathLike) -> Iterator[pa.RecordBatch]:
    """Stream the lines of a run as columns query, passage, rank and score, block by block.

    Memory is bounded by the block, not by the run.

    Raises:
        InputError: with file and line: a line that is not six columns with a whole rank, a score
            that is finite in single precision and two ids that a run can carry; a file that is
            empty, truncated or not UTF-8.
    """
    before, empty = 0, True
    for buffer, end in _blocks(path):
        rows = _plain(buffer, end)
        lines = buffer[:end].splitlines() if rows is None else []
        if rows is None:
            rows = _tidied(lines)
        if rows is None:
            rows = _line_by_line(path, lines, before)
        before += len(lines) or rows.num_rows
        if rows.num_rows:
            empty = False
            yield rows
    if empty:
        raise InputError(f"{path}: the file is empty; it should be a TREC run")


def ranked(
    path: str | os.PathLike, rows: pa.RecordBatch | pa.Table, owner: np.ndarray, before: int = 0
) -> np.ndarray | None:
    """Return the order of rows by owner, then by score, equal scores by rank; None: it is theirs.

    Args:
        owner: a number per row, equal where the query is.
        before: how many rows of the file come before these.

    Raises:
        InputError: with file and line: ranks name another order than scores.
    """
    rank, score = rows["rank"].to_numpy(), rows["score"].to_numpy().astype(np.float32)
    steps = np.diff(owner)
    wrong = (steps == 0) & ((np.diff(rank) < 0) | (np.diff(score) > 0))
    if not (wrong | (steps < 0)).any():  # nearly always, and to see that is much faster
        return None
    order = np.lexsort((rank, -score, owner))
    falls = (np.diff(owner[order]) == 0) & (np.diff(rank[order]) < 0)
    if falls.any():
        place = int(np.argmax(falls))
        better, worse = order[place : place + 2].tolist()
        raise _at_odds(path, rows, better, worse, before)
    return order


def _at_odds(
    path: str | os.PathLike, rows: pa.RecordBatch | pa.Table, better: int, worse: int, before: int
) -> InputError:
    query, rank, score = (rows[name] for name in ("query", "rank", "score"))
    return InputError(
        f"{path}:{line_of(path, before + better)}: query {query[better]}: rank "
        f"{rank[better].as_py():.15g} has a higher score ({score[better].as_py():.9g}) than rank "
        f"{rank[worse].as_py():.15g} ({score[worse].as_py():.9g}), so that "
        "one column is wrong; number the ranks anew by score, or negate scores that are distances"
    )


def line_of(path: str | os.PathLike, row: int) -> int:
    """Return the number of the line that a row of a file, counted from 0, stands on."""
    lines = (line for buffer, end in _blocks(path) for line in buffer[:end].splitlines())
    filled = (number for number, line in enumerate(lines, start=1) if _stripped(line))
    return next(islice(filled, row, None))


def _blocks(path: str | os.PathLike) -> Iterator[tuple[bytearray, int]]:
    """Blocks of whole lines: what holds them, until the next are asked for, and where they end."""
    buffer, kept = bytearray(BLOCK_BYTES), 0
    with decompressed(path) as file:
        while count := file.readinto(memoryview(buffer)[kept:]):
            full = kept + count
            end = buffer.rfind(b"\n", 0, full) + 1
            if end:
                yield buffer, end
            elif full == len(buffer):  # a line longer than that
                buffer = buffer + bytearray(len(buffer))
            kept = full - end
            buffer[:kept] = buffer[end:full]
    if kept:
        yield buffer, kept


def _plain(buffer: bytearray, end: int) -> pa.RecordBatch | None:
    """The rows of a block that is written plainly, by far the fastest way; None: it is not."""
    text = memoryview(buffer)[:end]
    blanks, tabs, nul, mark = (buffer.find(c, 0, end) >= 0 for c in (b" ", b"\t", b"\0", MARK[:1]))
    if nul or mark or (blanks and (tabs or _has_wide_blanks(text))):
        return None
    return _parsed(text, " " if blanks else "\t")


def _has_wide_blanks(text: memoryview) -> bool:
    """Whether a blank stands beside another one, or begins or ends a line."""
    characters = np.frombuffer(text, np.uint8)
    blank, white = characters == 32, characters <= 32
    return bool((blank[1:] & white[:-1]).any() or (blank[:-1] & white[1:]).any())


def _tidied(lines: list[bytearray]) -> pa.RecordBatch | None:
    """The rows of lines that are right, if not written plainly; None: one may be wrong."""
    text = b"\n".join(filter(None, (b"\t".join(_columns(_stripped(line))) for line in lines)))
    rows = _parsed(text, "\t") if text and b"\0" not in text else None
    ids = (rows["query"], rows["passage"]) if rows else ()
    return None if any(pc.any(pc.match_substring(column, " ")).as_py() for column in ids) else rows


def _parsed(text: bytes | memoryview, delimiter: str) -> pa.RecordBatch | None:
    try:
        (rows,) = pa.csv.read_csv(
            pa.py_buffer(text),
            pa.csv.ReadOptions(column_names=COLUMNS, block_size=len(text) + 1),
            pa.csv.ParseOptions(
                delimiter=delimiter, quote_char=False, double_quote=False, ignore_empty_lines=False
            ),
            CONVERSION,
        ).to_batches()
    except pa.ArrowInvalid:
        return None
    shortest = pc.min(pc.min_element_wise(*map(pc.binary_length, (rows["query"], rows["passage"]))))
    rank, score = rows["rank"].to_numpy(), rows["score"].to_numpy()
    finite = max(rank.max(), -rank.min()) < np.inf and max(score.max(), -score.min()) <= LARGEST
    return rows if shortest.as_py() and finite and (np.trunc(rank) == rank).all() else None


def _line_by_line(path: str | os.PathLike, lines: list[bytearray], before: int) -> pa.RecordBatch:
    rows = []
    for number, line in enumerate(lines, start=before + 1):
        try:
            if filled := _stripped(line):
                rows.append(_row(filled))
        except ValueError as error:
            text = line[:80].decode(errors="replace")
            raise InputError(
                f"{path}:{number}: {error}: {text!r}; mend or remove the line"
            ) from None
    columns = zip(*rows, strict=True) if rows else [()] * len(TYPES)
    arrays = [pa.array(c, t) for c, t in zip(columns, TYPES.values(), strict=True)]
    return pa.record_batch(arrays, names=list(TYPES))


def _stripped(line: bytearray) -> bytes:
    """A line without what is no part of it; empty where there is nothing else."""
    text = bytes(line).removeprefix(MARK).strip(b" ")
    return text if text.strip(b"\t ") else b""


def _columns(line: bytes) -> list[bytes]:
    """A line's columns: tabs separate them if there are five, and else blanks do as well.

    For a tag may have blanks in it; and an id that has is refused, not cut in two.
    """
    columns = [column.strip(b" ") for column in line.split(b"\t")]
    return columns if len(columns) == len(COLUMNS) else line.split()


def _row(line: bytes) -> tuple[str, str, float, float]:
    """A line's query, passage, rank and score; a ValueError says what is wrong with it."""
    columns = _columns(line)
    if len(columns) != len(COLUMNS) or not all(map(NUMBER.fullmatch, columns[3:5])):
        raise ValueError(f"not {FORM}")
    query, _, passage, rank, score, _ = columns
    if float(rank) % 1 != 0:
        raise ValueError("the rank is no whole number")
    if not abs(float(score)) <= LARGEST:
        raise ValueError("the score is no finite number in single precision")
    return _id(query), _id(passage), float(rank), float(score)


def _id(text: bytes) -> str:
    if not text:
        raise ValueError("an id is empty")
    if re.search(rb"[ \0]", text):
        raise ValueError("an id has a blank or a NUL in it, which no run can carry")
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
