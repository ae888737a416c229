"""The column store of ranked lists: written as a stream and split, read memory-mapped."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, ClassVar, NamedTuple, Self

import numpy as np

from restage.log import log

LISTS_PER_BLOCK = 512


@dataclass
class Stats:
    """What was read and what became of it; ``dropped`` counts lists, and passages of kept lists."""

    lines: int = 0
    lists: int = 0
    repaired: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    dropped_passages: Counter[str] = field(default_factory=Counter)

    def losses(self) -> str:
        """Say what was repaired and dropped, and why."""
        parts = [f"{self.repaired:,} repaired"] if self.repaired else []
        for what, counts in (("lists", self.dropped), ("passages", self.dropped_passages)):
            if told := ", ".join(f"{count:,} {why}" for why, count in counts.items() if count):
                parts.append(f"{what} dropped: {told}")
        return "; ".join(parts) or "none dropped"


class ColumnWriter:
    """Columns on their way into the split: appended to plain files, then dealt out list by list.

    Written and read as streams, not mapped: a mapped file counts as memory, and a full disk ends
    a process that writes to one without a word.
    """

    TYPES: ClassVar[dict[str, type[np.generic]]] = {
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

    def __enter__(self) -> Self:
        self.files = {name: (self.folder / name).open("wb") for name in self.TYPES}
        return self

    def __exit__(self, *_: object) -> None:
        for file in self.files.values():
            file.close()

    def append(self, columns: dict[str, np.ndarray]) -> None:
        """Append whole lists: columns named as ``TYPES``, scores only where there are any.

        ``relevant`` has the rows, from 0, of the passages that are, ``relevances`` their labels.
        """
        columns = columns | {"relevant": columns["relevant"] + self.rows}
        self.rows += len(columns["passages"])
        for name, values in columns.items():
            self.files[name].write(np.ascontiguousarray(values, self.TYPES[name]).data)

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
                _write_header(file, self.TYPES[name], int(sizes[owners == i].sum()))
            source = stack.enter_context((self.folder / name).open("rb"))
            for first in range(0, len(sizes), LISTS_PER_BLOCK):
                some = slice(first, first + LISTS_PER_BLOCK)
                owner = np.repeat(owners[some], sizes[some])
                values = np.fromfile(source, self.TYPES[name], len(owner))
                for i, file in enumerate(files):
                    file.write(values[owner == i])

    def remove(self) -> None:
        """Remove the plain files."""
        for file in self.folder.iterdir():
            file.unlink()
        self.folder.rmdir()


def _write_header(file: BinaryIO, kind: type[np.generic], length: int) -> None:
    """Open an .npy file of one dimension."""
    descr = np.lib.format.dtype_to_descr(np.dtype(kind))
    header = {"descr": descr, "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(file, header)


def _offsets(sizes: np.ndarray) -> np.ndarray:
    """Where each list begins, and last where all end."""
    return np.concatenate([[0], np.cumsum(sizes)])


def write_split(
    folder: Path, columns: ColumnWriter, train: np.ndarray, valid: np.ndarray, stats: Stats
) -> dict:
    """Write the lists with these numbers to train/ and valid/, and stats.json; return what it says.

    The columns are removed.
    """
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
    kept = f"{len(train):,} to train on, {len(valid):,} to validate on"
    log.info("%s lists: %s; %s", f"{stats.lists:,}", kept, stats.losses())
    return result


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

    def batches(self) -> Iterator[list[RankedList]]:
        """Yield all lists in their order, some at a time."""
        for first in range(0, len(self), LISTS_PER_BLOCK):
            yield [self[i] for i in range(first, min(first + LISTS_PER_BLOCK, len(self)))]

    def pairs(self, depth: int) -> tuple[np.ndarray, np.ndarray]:
        """Return query and passage numbers of each list's first ``depth`` passages (pairs)."""
        sizes = np.minimum(np.diff(self.offsets), depth)
        places = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        chosen = np.repeat(self.offsets[:-1], sizes) + places
        return np.repeat(self.queries, sizes), self.passages[chosen]
