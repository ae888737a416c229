"""Whether the files of a PISA index are whole: PISA itself says nothing when a disk is full.

All but the lexicons are numbers of 32 bits. ``fwd`` has 1, the number of documents, and of each the
number of its terms and those; ``inv.docs`` the same two, and of each term the number of its
documents and those; ``inv.freqs`` the like of how often a term occurs; ``inv.sizes`` the number of
documents and the length of each.
"""

from pathlib import Path

import numpy as np

from restage.errors import InputError


def check(folder: Path, passages: int, name: Path) -> None:
    """See that an index that was just made is of so many passages, and all there.

    Raises:
        InputError: it is not; ``name`` is what the index is to be called.
    """
    try:
        whole = _is_whole(folder, passages)
    except (OSError, ValueError, IndexError):  # a file that is cut within a number, or empty
        whole = False
    if not whole:
        raise InputError(
            f"{name}: PISA has left an index that is not whole, as it does where a disk is full; "
            "make room on the disk and run again"
        )


def _is_whole(folder: Path, passages: int) -> bool:
    documents, counts, lengths, forward = (
        np.memmap(folder / file, np.uint32, "r")
        for file in ("inv.docs", "inv.freqs", "inv.sizes", "fwd")
    )
    tokens, terms = int(lengths[1:].sum(dtype=np.int64)), _lines(folder / "fwd.terms")
    occurrences = int(counts.sum(dtype=np.int64)) - (len(counts) - terms)
    return (
        int(documents[1]) == int(lengths[0]) == len(lengths) - 1 == passages
        and _lines(folder / "fwd.documents") == passages
        and len(forward) == 2 + passages + tokens
        and _lists(documents[2:]) == _lists(counts) == terms
        and len(documents) - 2 == len(counts)
        and occurrences == tokens
        and _has_all(folder / "fwd.doclex", folder / "fwd.documents", passages)
        and _has_all(folder / "fwd.termlex", folder / "fwd.terms", terms)
    )


def _lists(numbers: np.ndarray) -> int | None:
    """How many lists there are, each behind its length; None: the last one is cut."""
    at, count = 0, 0
    while at < len(numbers):
        at, count = at + 1 + int(numbers[at]), count + 1
    return count if at == len(numbers) else None


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n")


def _has_all(lexicon: Path, text: Path, lines: int) -> bool:
    """Whether a lexicon is as long as the lines of a text and their places make it."""
    return lexicon.stat().st_size == text.stat().st_size - lines + 8 * (lines + 2)
