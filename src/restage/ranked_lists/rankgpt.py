"""RankGPT's ranked lists: permutations by a large language model of a first stage's candidates."""

import io
import json
import os
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from restage.compressed import BLOCK_BYTES, ZIP, begins, decompressed, whole
from restage.errors import InputError
from restage.grid.settings import File
from restage.ranked_lists.list_format import ListFormat

if TYPE_CHECKING:
    from restage.ranked_lists.ingest import Block, Stats

BRACKETED = re.compile(r"\[ *([0-9]{1,9}) *\]")
BARE = re.compile(r"(?<![\w.])([0-9]{1,9})(?![\w.]*\w)")
FORM = "'query_id' and 'retrieved_passages' of 'docid' and different 'rank' from 1 (not from 0)"


@dataclass(frozen=True)
class RankGPT(ListFormat):
    """Two files that belong together; a permutation that is ``invalid`` is dropped or repaired."""

    has_scores: ClassVar[bool] = False

    permutations: File
    candidates: File
    invalid: str = "drop"

    @classmethod
    def of(cls, settings: Mapping[str, Any], **others: Any) -> Self:
        files = {name: File.of(settings[name]) for name in ("permutations", "candidates")}
        return super().of(settings, **files, **others)

    @property
    def files(self) -> Mapping[str, File]:
        return {"permutations": self.permutations, "candidates": self.candidates}

    def read(self, paths: Mapping[str, str], stats: "Stats") -> "Iterator[Block]":
        return read_rankgpt(paths["permutations"], paths["candidates"], self.invalid, stats)


def read_rankgpt(
    permutations: str | os.PathLike, candidates: str | os.PathLike, invalid: str, stats: "Stats"
) -> "Iterator[Block]":
    """Stream RankGPT's lists: permutation i, a string like ``[2] > [1]``, orders candidates i.

    Args:
        permutations: a JSON list of strings.
        candidates: JSON lines with ``query_id`` and ``retrieved_passages``, each of these with
            ``docid`` and ``rank``, from 1, as permutations count. Both files may be gzip or zstd,
            this one in a zip.
        invalid: ``drop`` or ``repair`` a list that ``parse_permutation`` does not read.

    Raises:
        InputError: files that are not of this form, or of unequal numbers of entries.
    """
    from restage.ranked_lists.ingest import blocks_of  # heavy: numpy, pyarrow

    return blocks_of(_ordered(permutations, candidates, invalid, stats))


def _ordered(
    permutations: str | os.PathLike, candidates: str | os.PathLike, invalid: str, stats: "Stats"
) -> Iterator[tuple[str, list[str]]]:
    """Yield (query id, passage ids in their new order)."""
    orders = _load_permutations(permutations)
    for number, (query, passages) in enumerate(_candidates(candidates), start=1):
        stats.lists = stats.lines = number
        if number > len(orders):
            raise InputError(
                f"{permutations}: {len(orders)} permutations, but {candidates} has more "
                "candidates; give the two files that belong together"
            )
        order = _order(orders[number - 1], passages, invalid, stats)
        if order is None:
            stats.dropped["malformed permutation"] += 1
        else:
            yield query, [passages[rank] for rank in order]
    if stats.lists != len(orders):
        raise InputError(
            f"{permutations}: {len(orders)} permutations, but {candidates} has "
            f"{stats.lists} lists of candidates; give the two files that belong together"
        )


def _order(text: str, known: Collection[int], invalid: str, stats: "Stats") -> list[int] | None:
    order = parse_permutation(text, known)
    if order is None and invalid == "repair":
        order = repair_permutation(text, known)
        stats.repaired += order is not None
    return order


def parse_permutation(text: str, known: Collection[int]) -> list[int] | None:
    """Return the candidate ranks in the order of ``text``, or None where it is not valid.

    Valid is, as in the study, exactly as many integers as candidates once brackets are removed and
    the text is split at `` > ``, each of them a known candidate rank. A repeated entry keeps its
    first place.
    """
    entries = text.replace("[", "").replace("]", "").strip().split(" > ")
    order = _integers(entries)
    valid = len(order) == len(entries) == len(known) and all(rank in known for rank in order)
    return list(dict.fromkeys(order)) if valid else None


def repair_permutation(text: str, known: Collection[int]) -> list[int] | None:
    """Return the entries that can be read, in their order, then the missing candidates in theirs.

    Entries are numbers with a ``>`` between one and the next, in brackets if there are such.
    Without two of them there is no order (a refusal in prose): None. Of several orders in one text
    the longest comes first.
    """
    chains = list(_chains(BRACKETED, text)) or list(_chains(BARE, text))
    chains.sort(key=len, reverse=True)  # stable
    order = [rank for chain in chains for rank in chain if rank in known]
    order = list(dict.fromkeys(order))
    return list(dict.fromkeys([*order, *sorted(known)])) if len(order) > 1 else None


def _chains(kind: re.Pattern[str], text: str) -> Iterator[list[int]]:
    """The numbers between which the text has a ``>``, chain by chain; one alone is none."""
    chain: list[int] = []
    for number, following in pairwise([*kind.finditer(text), None]):
        assert number is not None  # as only the last is
        chain.append(int(number[1]))
        if not following or ">" not in text[number.end() : following.start()]:
            if len(chain) > 1:
                yield chain
            chain = []


def _integers(entries: list[str]) -> list[int]:
    entries = [entry.strip() for entry in entries]
    return [int(entry) for entry in entries if re.fullmatch("[0-9]{1,9}", entry)]


def _load_permutations(path: str | os.PathLike) -> list[str]:
    with decompressed(path) as file:
        data = file.read()
    try:
        orders = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}); fetch it again") from None
    if not isinstance(orders, list) or not all(isinstance(order, str) for order in orders):
        raise InputError(f"{path}: not a JSON list of strings; give RankGPT's permutations")
    return orders


def _candidates(path: str | os.PathLike) -> Iterator[tuple[str, dict[int, str]]]:
    """Yield (query id, {rank: passage id}) of each JSON line."""
    with _json_lines_file(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
                listed = entry["retrieved_passages"]
                passages = {_rank(p["rank"]): _id(p["docid"]) for p in listed}
                query = _id(entry["query_id"])
                if len(passages) < len(listed):
                    raise ValueError("two of equal rank")
            except (ValueError, KeyError, TypeError, RecursionError):
                raise InputError(
                    f"{path}:{number}: not an object with {FORM}: {line[:60]!r}; mend or remove "
                    "the line"
                ) from None
            yield query, passages


def _rank(value: object) -> int:
    """A rank; a ValueError unless it is a whole number from 1, also as text."""
    rank = int(value) if isinstance(value, str) else value
    if isinstance(rank, bool) or not isinstance(rank, int | float) or rank < 1 or rank % 1 != 0:
        raise ValueError("no rank")
    return int(rank)


def _id(value: object) -> str:
    """An id, which may be a number; a ValueError unless it is one, and text that can be stored."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("no id")
    return str(value).encode().decode()  # of half a surrogate pair there is no UTF-8


@contextmanager
def _json_lines_file(path: str | os.PathLike) -> Iterator[io.BufferedIOBase]:
    with whole(path):
        zipped = begins(path, ZIP)
    if not zipped:
        with decompressed(path) as file:
            yield file
        return
    with whole(path), zipfile.ZipFile(path) as archive:
        members = [name for name in archive.namelist() if name.endswith(".jsonl")]
        members = [name for name in members if not name.startswith("__MACOSX/")]
        if len(members) != 1:
            raise InputError(f"{path}: has {len(members)} .jsonl members, not one; take one")
        with archive.open(members[0]) as member:
            yield io.BufferedReader(cast(zipfile.ZipExtFile, member), BLOCK_BYTES)
