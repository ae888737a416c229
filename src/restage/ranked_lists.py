"""Ranked lists: read from TREC runs and RankGPT files, kept as memory-mapped integer columns."""

import gzip
import io
import json
import os
import re
import zipfile
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from sklearn.model_selection import train_test_split

from restage.errors import InputError
from restage.files import complete
from restage.log import Progress
from restage.runs import LARGEST
from restage.texts import TextStore

BLOCK_BYTES = 1 << 23
BLOCKS_AHEAD = 3
LINE_BYTES = 1 << 12  # of a first line, to see what separates its columns
LISTS_PER_BLOCK = 512
RUN_COLUMNS = ["query", "q0", "passage", "rank", "score", "tag"]


@dataclass
class Stats:
    """What was read and what became of it; ``dropped`` counts lists, and passages of kept lists."""

    lines: int = 0
    lists: int = 0
    repaired: int = 0
    dropped: Counter = field(default_factory=Counter)
    dropped_passages: Counter = field(default_factory=Counter)


class Block(NamedTuple):
    """Whole lists: query ids (lists), their sizes (lists), passage ids and scores (passages)."""

    queries: list[str]
    sizes: np.ndarray
    passages: pa.Array
    scores: np.ndarray | None


# --- TREC runs -----------------------------------------------------------------------------------


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
    with _decompressed(path) as file:
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


@contextmanager
def _decompressed(path: str | os.PathLike) -> Iterator[BinaryIO]:
    opener = {".gz": gzip.open, ".zst": lambda p: pa.input_stream(p, compression="zstd")}
    try:
        with opener.get(Path(path).suffix, lambda p: open(p, "rb"))(str(path)) as file:
            yield file
    except (EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read to its end ({error}); fetch it again") from None


def _parse(path: str | os.PathLike, block: memoryview, lines_before: int) -> pa.RecordBatch:
    delimiter = "\t" if b"\t" in bytes(block[:LINE_BYTES]).split(b"\n", 1)[0] else " "
    if delimiter == " ":
        block = re.sub(rb" +", b" ", block)
    try:
        (rows,) = pa.csv.read_csv(
            pa.py_buffer(block),
            pa.csv.ReadOptions(column_names=RUN_COLUMNS, block_size=len(block) + 1),
            pa.csv.ParseOptions(
                delimiter=delimiter, quote_char=False, double_quote=False, ignore_empty_lines=False
            ),
            pa.csv.ConvertOptions(
                include_columns=["query", "passage", "rank", "score"],
                column_types={
                    "query": pa.string(),
                    "passage": pa.string(),
                    "rank": pa.int32(),
                    "score": pa.float32(),
                },
                null_values=[],
            ),
        ).to_batches()
    except pa.ArrowInvalid as error:
        raise _bad_line(path, block, delimiter, lines_before) or InputError(
            f"{path}: {error}"
        ) from None
    shortest = pc.min(pc.min_element_wise(*map(pc.binary_length, (rows["query"], rows["passage"]))))
    if shortest.as_py() == 0 or not np.isfinite(rows["score"]).all():
        raise _bad_line(path, block, delimiter, lines_before)
    return rows


def _bad_line(path, block: memoryview, delimiter: str, lines_before: int) -> InputError | None:
    """Find the line that the block parser stumbled over."""
    for number, line in enumerate(bytes(block).splitlines(), start=lines_before + 1):
        try:
            query, _, passage, rank, score, _ = line.decode().split(delimiter)
            int(rank)
            if not (query and passage):
                wrong = "an id is empty"
            elif abs(float(score)) <= LARGEST:
                continue
            else:
                wrong = "the score is not finite in single precision"
        except UnicodeDecodeError:
            wrong = "not UTF-8"
        except ValueError:
            wrong = "not 'query Q0 passage rank score tag'"
        return InputError(f"{path}:{number}: {wrong}: {line[:80]!r}; mend or remove the line")
    return None


def _list_starts(rows: pa.RecordBatch) -> np.ndarray:
    query = rows["query"]
    begins = pc.not_equal(query.slice(1), query.slice(0, len(query) - 1))
    return np.flatnonzero(np.append(True, begins.to_numpy(zero_copy_only=False)))


def _whole_lists(
    path, rows: pa.RecordBatch, starts: np.ndarray, lines_before: int, stats: Stats
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


# --- RankGPT -------------------------------------------------------------------------------------


def read_rankgpt(
    permutations: str | os.PathLike, candidates: str | os.PathLike, invalid: str, stats: Stats
) -> Iterator[Block]:
    """Stream RankGPT's lists: permutation i, a string like ``[2] > [1]``, orders candidates i.

    Args:
        permutations: a JSON list of strings.
        candidates: JSON lines (also inside a zip) with ``query_id`` and ``retrieved_passages``,
            each of these with ``docid`` and ``rank``.
        invalid: ``drop`` or ``repair`` a list that ``parse_permutation`` does not read.

    Raises:
        InputError: files that are not of this form, or of unequal numbers of entries.
    """
    orders = _load_permutations(permutations)
    lists = _ordered(orders, _candidates(candidates), invalid, stats, permutations, candidates)
    while some := list(islice(lists, LISTS_PER_BLOCK)):
        queries, ordered = zip(*some, strict=True)
        passages = pa.array([passage for order in ordered for passage in order], pa.string())
        yield Block(list(queries), np.array([len(order) for order in ordered]), passages, None)


def _ordered(orders, candidates, invalid, stats, permutations_path, candidates_path):
    for number, (query, passages) in enumerate(candidates, start=1):
        stats.lists = stats.lines = number
        if number > len(orders):
            raise InputError(
                f"{permutations_path}: {len(orders)} permutations, but {candidates_path} has more "
                "candidates; give the two files that belong together"
            )
        text = orders[number - 1]
        order = parse_permutation(text, passages)
        if order is None and invalid == "repair":
            order = repair_permutation(text, passages)
            stats.repaired += order is not None
        if order is None:
            stats.dropped["malformed permutation"] += 1
        else:
            yield query, [passages[rank] for rank in order]
    if stats.lists != len(orders):
        raise InputError(
            f"{permutations_path}: {len(orders)} permutations, but {candidates_path} has "
            f"{stats.lists} lists of candidates; give the two files that belong together"
        )


def parse_permutation(text: str, known: Iterable[int]) -> list[int] | None:
    """Return the candidate ranks in the order of ``text``, or None where it is not valid.

    Valid is, as in the study, exactly as many integers as candidates once brackets are removed and
    the text is split at `` > ``, each of them a known candidate rank. A repeated entry keeps its
    first place.
    """
    entries = text.replace("[", "").replace("]", "").strip().split(" > ")
    order = _integers(entries)
    valid = len(order) == len(entries) == len(known) and all(rank in known for rank in order)
    return list(dict.fromkeys(order)) if valid else None


def repair_permutation(text: str, known: Iterable[int]) -> list[int] | None:
    """Return the entries that can be read, in their order, then the missing candidates in theirs.

    Fewer than two entries are not an order (a refusal in prose): None.
    """
    entries = [entry.strip(" []().,;\n") for entry in text.split(">")]
    order = [rank for rank in dict.fromkeys(_integers(entries)) if rank in known]
    return list(dict.fromkeys([*order, *sorted(known)])) if len(order) > 1 else None


def _integers(entries: list[str]) -> list[int]:
    entries = [entry.strip() for entry in entries]
    return [int(entry) for entry in entries if entry.isascii() and entry.isdecimal()]


def _load_permutations(path: str | os.PathLike) -> list[str]:
    try:
        orders = json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); fetch it again") from None
    if not isinstance(orders, list) or not all(isinstance(order, str) for order in orders):
        raise InputError(f"{path}: not a JSON list of strings; give RankGPT's permutations")
    return orders


def _candidates(path: str | os.PathLike) -> Iterator[tuple[str, dict[int, str]]]:
    """Yield (query id, {rank: passage id}) of each JSON line."""
    with _json_lines_file(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                entry = json.loads(line)
                listed = entry["retrieved_passages"]
                passages = {int(p["rank"]): str(p["docid"]) for p in listed}
                query = str(entry["query_id"])
                if len(passages) < len(listed):
                    raise ValueError("two of equal rank")
            except (ValueError, KeyError, TypeError):
                raise InputError(
                    f"{path}:{number}: not an object with 'query_id' and 'retrieved_passages' of "
                    f"'docid' and different 'rank': {line[:60]!r}; mend or remove the line"
                ) from None
            yield query, passages


@contextmanager
def _json_lines_file(path: str | os.PathLike) -> Iterator[BinaryIO]:
    if Path(path).suffix != ".zip":
        with _decompressed(path) as file:
            yield file
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if name.endswith(".jsonl")]
            members = [name for name in members if not name.startswith("__MACOSX/")]
            if len(members) != 1:
                raise InputError(f"{path}: has {len(members)} .jsonl members, not one; take one")
            with archive.open(members[0]) as file:
                yield io.BufferedReader(file, BLOCK_BYTES)
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read to its end ({error}); fetch it again") from None


# --- the column store ----------------------------------------------------------------------------


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
    in a list, and lists that have no passage left.

    Raises:
        InputError: a query has two lists, or nothing is left to train on.
    """
    with complete(folder) as part:
        part.mkdir()
        labels, seen = _Labels(qrels, queries, passages), np.zeros(len(queries), dtype=bool)
        progress = Progress(None, "passages of ranked lists")
        with _Columns(part / "columns") as columns:
            for block in _read_ahead(iter(blocks)):
                numbered = _numbered(block, queries, passages, labels, stats)
                _refuse_second_lists(folder, numbered["queries"], seen, queries)
                columns.append(numbered)
                progress.add(int(block.sizes.sum()))
        kept = len(columns.sizes())
        if kept < 2:
            raise InputError(f"{folder}: {kept} usable lists; check that ids match")
        train, valid = np.arange(kept), np.arange(0)
        if valid_fraction:
            train, valid = train_test_split(
                train, test_size=valid_fraction, random_state=split_seed
            )
        return _finish(part, columns, train, valid, stats)


def _finish(
    folder: Path, columns: "_Columns", train: np.ndarray, valid: np.ndarray, stats: Stats
) -> dict:
    """Deal the columns out to train/ and valid/, and write and return stats.json."""
    columns.split({folder / "train": train, folder / "valid": valid})
    columns.remove()
    result = {
        "lines": stats.lines,
        "lists": stats.lists,
        "kept": len(train) + len(valid),
        "train": len(train),
        "valid": len(valid),
        "repaired": stats.repaired,
        "dropped": dict(sorted(stats.dropped.items())),
        "dropped_passages": dict(sorted(stats.dropped_passages.items())),
    }
    (folder / "stats.json").write_text(json.dumps(result, indent=2) + "\n")
    return result


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
        keys, labels, qrels = [np.zeros(0, np.int64)], [np.zeros(0, np.int8)], iter(qrels)
        while some := list(islice(qrels, 1 << 16)):
            query, passage, label = zip(*some, strict=True)
            query, passage = queries.numbers(query), passages.numbers(passage)
            used = (query >= 0) & (passage >= 0) & (np.asarray(label) > 0)
            keys.append((query * self.width + passage)[used])
            labels.append(np.minimum(label, 127).astype(np.int8)[used])
        keys, labels = np.concatenate(keys), np.concatenate(labels)
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


def _first_mentions(keys: np.ndarray) -> np.ndarray:
    """Whether each key stands there for the first time."""
    first, ordered = np.ones(len(keys), dtype=bool), np.sort(keys)
    if (ordered[1:] == ordered[:-1]).any():  # seldom, and to find it out is much faster
        first[:] = False
        first[np.unique(keys, return_index=True)[1]] = True
    return first


class _Columns:
    """Columns on their way into the split: appended to plain files, then dealt out list by list.

    Written and read as streams, not mapped: a mapped file counts as memory, and a full disk ends
    a process that writes to one without a word.
    """

    TYPES = {  # noqa: RUF012
        "queries": np.int64,
        "sizes": np.int64,
        "passages": np.uint32,
        "scores": np.float32,
        "relevant": np.int64,
        "relevances": np.int8,
    }

    def __init__(self, folder: Path):
        self.folder, self.rows = folder, 0
        folder.mkdir()

    def __enter__(self) -> "_Columns":
        self.files = {name: (self.folder / name).open("wb") for name in self.TYPES}
        return self

    def __exit__(self, *_) -> None:
        for file in self.files.values():
            file.close()

    def append(self, columns: dict[str, np.ndarray]) -> None:
        columns = columns | {"relevant": columns["relevant"] + self.rows}
        self.rows += len(columns["passages"])
        for name, values in columns.items():
            self.files[name].write(np.ascontiguousarray(values, self.TYPES[name]))

    def _read(self, name: str) -> np.ndarray:
        return np.fromfile(self.folder / name, self.TYPES[name])

    def sizes(self) -> np.ndarray:
        """Return the passages of each list."""
        return self._read("sizes")

    def split(self, parts: dict[Path, np.ndarray]) -> None:
        """Write column stores, each of the lists that are named for it, in their old order."""
        owners = np.empty(len(self.sizes()), dtype=np.int8)
        for i, lists in enumerate(parts.values()):
            owners[lists] = i
        for i, folder in enumerate(parts):
            folder.mkdir()
            self._write_lists(folder, owners == i)
        for name in ("passages", "scores"):
            if (self.folder / name).stat().st_size:
                self._deal(name, [folder / f"{name}.npy" for folder in parts], owners)

    def _write_lists(self, folder: Path, mine: np.ndarray) -> None:
        """Write all but the long columns."""
        sizes, rows = self.sizes(), self._read("relevant")
        starts, offsets = _offsets(sizes), _offsets(sizes * mine)
        owner = np.searchsorted(starts, rows, side="right") - 1
        # Behind a list that is not mine the next one begins where that one would have.
        np.save(folder / "offsets.npy", np.append(offsets[:-1][mine], offsets[-1]))
        np.save(folder / "queries.npy", self._read("queries")[mine])
        np.save(folder / "relevant.npy", (rows - starts[owner] + offsets[owner])[mine[owner]])
        np.save(folder / "relevances.npy", self._read("relevances")[mine[owner]])

    def _deal(self, name: str, targets: list[Path], owners: np.ndarray) -> None:
        """Copy a long column, block by block, each list to the target that owns it."""
        sizes = self.sizes()
        with ExitStack() as stack:
            files = [stack.enter_context(target.open("wb")) for target in targets]
            for i, file in enumerate(files):
                descr = np.lib.format.dtype_to_descr(np.dtype(self.TYPES[name]))
                shape = (int(sizes[owners == i].sum()),)
                header = {"descr": descr, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            source = stack.enter_context((self.folder / name).open("rb"))
            for first in range(0, len(sizes), LISTS_PER_BLOCK):
                some = slice(first, first + LISTS_PER_BLOCK)
                owner = np.repeat(owners[some], sizes[some])
                values = np.fromfile(source, self.TYPES[name], len(owner))
                for i, file in enumerate(files):
                    file.write(values[owner == i])

    def remove(self) -> None:
        for file in self.folder.iterdir():
            file.unlink()
        self.folder.rmdir()


def _offsets(sizes: np.ndarray) -> np.ndarray:
    """Where each list begins, and last where all end."""
    return np.concatenate([[0], np.cumsum(sizes)])


class RankedList(NamedTuple):
    """One query's list, in rank order: its number, and per passage number, score and label."""

    query: int
    passages: np.ndarray
    scores: np.ndarray | None
    relevances: np.ndarray


class RankedLists:
    """A column store of ranked lists, memory-mapped: ``lists[i]`` is a ``RankedList``."""

    def __init__(self, folder: str | os.PathLike):
        folder = Path(folder)
        self.queries = np.load(folder / "queries.npy", mmap_mode="r")
        self.offsets = np.load(folder / "offsets.npy", mmap_mode="r")
        self.passages = np.load(folder / "passages.npy", mmap_mode="r")
        # Of the few rows that are relevant: which they are, and their labels.
        self.relevant = np.load(folder / "relevant.npy")
        self.relevances = np.load(folder / "relevances.npy")
        scores = folder / "scores.npy"
        self.scores = np.load(scores, mmap_mode="r") if scores.exists() else None

    def __len__(self) -> int:
        return len(self.queries)

    def __getitem__(self, i: int) -> RankedList:
        start, end = self.offsets[i], self.offsets[i + 1]
        relevances = np.zeros(end - start, dtype=np.int8)
        some = slice(*np.searchsorted(self.relevant, (start, end)))
        relevances[self.relevant[some] - start] = self.relevances[some]
        scores = None if self.scores is None else self.scores[start:end]
        return RankedList(int(self.queries[i]), self.passages[start:end], scores, relevances)


# --- lists by a teacher ------------------------------------------------------------------------


def rescore(
    source: str | os.PathLike,
    folder: str | os.PathLike,
    score: Callable[[np.ndarray, np.ndarray], AbstractContextManager[np.ndarray]],
    depth: int,
) -> dict:
    """Write ranked lists anew: the first ``depth`` passages of each list, ordered by ``score``.

    Queries, relevance labels and the split stay; where scores are equal, so does the order.

    Args:
        score: what gives the scores of pairs of query and passage numbers, as a ``Scorer`` does.

    Raises:
        InputError: a score is not finite.
    """
    splits = [RankedLists(Path(source, name)) for name in ("train", "valid")]
    queries, passages = (
        np.concatenate(part) for part in zip(*map(_pairs, splits, [depth] * 2), strict=True)
    )
    with score(queries, passages) as scores, complete(folder) as part:
        if not np.isfinite(scores).all():
            raise InputError(f"{folder}: the model gives scores that are not finite; try fp32")
        part.mkdir()
        with _Columns(part / "columns") as columns:
            for lists in splits:
                for first in range(0, len(lists), LISTS_PER_BLOCK):
                    some = range(first, min(first + LISTS_PER_BLOCK, len(lists)))
                    block = _rescored([lists[i] for i in some], scores, depth)
                    columns.append(block)
                    scores = scores[len(block["scores"]) :]
        train, kept = len(splits[0]), len(columns.sizes())
        stats = Stats(lines=len(queries), lists=kept)
        return _finish(part, columns, np.arange(train), np.arange(train, kept), stats)


def _pairs(lists: RankedLists, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Query and passage numbers of each list's first ``depth`` passages, list after list."""
    sizes = np.minimum(np.diff(lists.offsets), depth)
    places = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    chosen = np.repeat(lists.offsets[:-1], sizes) + places
    return np.repeat(lists.queries, sizes), lists.passages[chosen]


def _rescored(items: list[RankedList], scores: np.ndarray, depth: int) -> dict[str, np.ndarray]:
    """Columns of some lists, whose passages' scores ``scores`` opens with."""
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
