"""The text store: ids and texts of passages or queries, numbered in their order, memory-mapped."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from restage.errors import InputError
from restage.files import complete
from restage.log import Progress

# Large: counted in 64 bits, for the ids of a collection, or 16,384 texts, may be more than 2 GiB.
TEXT = pa.large_string()
SCHEMA = pa.schema([("id", TEXT), ("text", TEXT)])
ROWS_PER_BATCH = 16384
MOST_PLACES_PER_ID = 8
HALF_PAIR = re.compile("[\ud800-\udfff]")  # that stands for no character, and UTF-8 has not
SMALLEST_BY_DIGITS = np.append(0, 10 ** np.arange(1, 19))


def write_texts(
    folder: str | os.PathLike,
    records: Iterable[tuple[str, str]],
    origin: str | os.PathLike | None = None,
) -> int:
    """Stream (id, text) records into a new text store and return how many there were.

    Args:
        origin: where the records are from, for messages.

    Raises:
        InputError: an id occurs twice, a text is no Unicode, or there is no record at all.
    """
    origin = origin or folder
    with complete(folder) as part:
        part.mkdir()
        parts, integers, progress = [], [], Progress(None, "texts read")
        with pa.ipc.new_file(part / "texts.arrow", SCHEMA) as file:
            for batch in _batches(records, origin):
                file.write_batch(batch)
                parts.append(_hash(batch["id"]))
                integers.append(_integers(batch["id"]))
                progress.add(len(batch))
        if not parts:
            raise InputError(f"{origin}: has no text to store; is it empty?")
        hashes = np.concatenate(parts)
        order = np.argsort(hashes, kind="stable")
        np.save(part / "hashes.npy", hashes[order])
        np.save(part / "order.npy", order)
        numbers = [some for some in integers if some is not None]
        if len(numbers) == len(integers):
            _write_places(part, np.concatenate(numbers))
        _refuse_repeated(origin, TextStore(part))
    return len(hashes)


def _batches(
    records: Iterable[tuple[str, str]], origin: str | os.PathLike
) -> Iterator[pa.RecordBatch]:
    records = iter(records)
    while rows := list(islice(records, ROWS_PER_BATCH)):
        try:
            columns = [pa.array(column, TEXT) for column in zip(*rows, strict=True)]
        except UnicodeEncodeError:
            raise _no_unicode(rows, origin) from None
        yield pa.record_batch(columns, schema=SCHEMA)


def _no_unicode(rows: list[tuple[str, str]], origin: str | os.PathLike) -> InputError:
    text, id = next((text, id) for id, text in rows if HALF_PAIR.search(id + text))
    return InputError(
        f"{origin}: half a surrogate pair in the text of {id!r}, which stands for no character: "
        f"{text[:60]!r}; mend the text"
    )


def _hash(ids: pa.Array) -> np.ndarray:
    return pd.util.hash_array(ids.to_numpy(zero_copy_only=False), categorize=False)


def _integers(ids: pa.Array) -> np.ndarray | None:
    """The ids as numbers, if each is one from 0 on, plainly written, as in MS MARCO."""
    try:
        numbers = pc.cast(ids, pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None
    # A sign, leading zeros or 0x make a text longer than its number is.
    digits = pc.binary_length(ids).to_numpy(zero_copy_only=False)
    return numbers if (numbers >= SMALLEST_BY_DIGITS[np.minimum(digits, 19) - 1]).all() else None


def _write_places(folder: Path, integers: np.ndarray) -> None:
    """Write where each integer id stands, unless most places would be empty.

    -1 is for none; the last place, where all greater integers are looked up, is one of these.
    """
    if integers.max() < MOST_PLACES_PER_ID * len(integers):
        places = np.full(integers.max() + 2, -1, dtype=np.int32)
        places[integers] = np.arange(len(integers))
        np.save(folder / "places.npy", places)


def _refuse_repeated(origin: str | os.PathLike, store: "TextStore") -> None:
    same = np.flatnonzero(store._hashes[1:] == store._hashes[:-1])
    if len(same):
        number = int(store._order[same[0] + 1])
        raise InputError(f"{origin}: id {store.ids([number])[0]!r} occurs twice; ids must differ")


class TextStore:
    """Ids and texts by number (from 0, in the order they were written).

    An id is found by its 64-bit hash in a sorted, memory-mapped column and then compared, so that
    looking up costs no memory in the size of the collection. Ids that are integers are found
    directly, ten times as fast.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        file = pa.memory_map(str(self.folder / "texts.arrow"))
        self._table = pa.ipc.open_file(file).read_all()
        self._hashes = np.load(self.folder / "hashes.npy", mmap_mode="r")
        self._order = np.load(self.folder / "order.npy", mmap_mode="r")
        places = self.folder / "places.npy"
        self._places = np.load(places, mmap_mode="r") if places.exists() else None

    def __len__(self) -> int:
        return len(self._table)

    def ids(self, numbers: Sequence[int] | np.ndarray) -> list[str]:
        """Return the ids of ``numbers``."""
        return self._table["id"].take(pa.array(np.asarray(numbers, dtype=np.int64))).to_pylist()

    def all_ids(self) -> pa.ChunkedArray:
        """Return all ids, memory-mapped."""
        return self._table["id"]

    def batches_of_texts(self) -> Iterator[pa.Array]:
        """Yield all texts, memory-mapped, some at a time."""
        return (batch["text"] for batch in self._table.to_batches(ROWS_PER_BATCH))

    def texts(self, start: int, end: int) -> list[str]:
        """Return the texts with the numbers from ``start`` to before ``end``."""
        return self._table["text"].slice(start, end - start).to_pylist()

    def numbers(self, ids: Sequence[str] | pa.Array) -> np.ndarray:
        """Return the number of each id (int64), -1 for an unknown one."""
        ids = ids if isinstance(ids, pa.Array) else pa.array(ids, type=TEXT)
        if self._places is not None:
            integers = _integers(ids)
            if integers is not None:
                return self._places.take(integers, mode="clip").astype(np.int64)
        return self._by_hash(ids)

    def _by_hash(self, ids: pa.Array) -> np.ndarray:
        place = np.minimum(np.searchsorted(self._hashes, _hash(ids)), len(self) - 1)
        numbers = np.asarray(self._order[place])
        same = pc.equal(self._table["id"].take(pa.array(numbers)), ids)
        return np.where(same.to_numpy(zero_copy_only=False).astype(bool), numbers, -1)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for batch in self._table.to_batches(ROWS_PER_BATCH):
            yield from zip(batch["id"].to_pylist(), batch["text"].to_pylist(), strict=True)
