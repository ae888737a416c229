"""RankGPT's ranked lists: permutations by a large language model of a first stage's candidates."""

import io
import json
import os
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from restage.compressed import BLOCK_BYTES, decompressed, whole
from restage.errors import InputError
from restage.grid.settings import File
from restage.ranked_lists.list_format import ListFormat

if TYPE_CHECKING:
    from restage.ranked_lists.ingest import Block, Stats


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
        candidates: JSON lines (also inside a zip) with ``query_id`` and ``retrieved_passages``,
            each of these with ``docid`` and ``rank``.
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
def _json_lines_file(path: str | os.PathLike) -> Iterator[io.BufferedIOBase]:
    if Path(path).suffix != ".zip":
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
