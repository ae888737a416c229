"""The TREC format of a run, line by line: ``query Q0 passage rank score tag``.

Plain Python, for jobs whose work is done sooner than pandas is imported.
"""

import os

import numpy as np

from restage.errors import InputError
from restage.files import read_text

LARGEST = float(np.finfo(np.float32).max)
FORM = "'query Q0 passage rank score tag'"


def scores_by_query(path: str | os.PathLike) -> dict[str, dict[str, float]]:
    """Return each query's passages with their scores, as ``runs.write_run`` wrote them.

    Raises:
        InputError: the file is no such run.
    """
    scores: dict[str, dict[str, float]] = {}
    for number, line in enumerate(read_text(path).removesuffix("\n").split("\n"), start=1):
        try:
            query, _, passage, _, score, _ = line.split(" ")
            scores.setdefault(query, {})[passage] = float(score)
        except ValueError:
            raise InputError(f"{path}:{number}: not {FORM}; remove the file to remake it") from None
    return scores


def bad_line(path: str | os.PathLike, text: str) -> InputError:
    """Say which line of a run is the first that ``runs.read_run`` cannot take."""
    seen: set[tuple[str, str]] = set()
    for number, line in enumerate(text.split("\n"), start=1):
        wrong = _wrong_with(line.split(), seen) if line.strip() else None
        if wrong:
            return InputError(f"{path}:{number}: {wrong}: {line[:80]!r}; mend or remove the line")
    return InputError(f"{path}: not a TREC run; each line is {FORM}")


def _wrong_with(parts: list[str], seen: set[tuple[str, str]]) -> str | None:
    try:
        query, _, passage, rank, score, _ = parts
        if float(rank) % 1 != 0:
            return "the rank is no whole number"
        if not abs(float(score)) <= LARGEST:
            return "the score is no finite number in single precision"
    except ValueError:
        return f"not {FORM}"
    if (query, passage) in seen:
        return f"passage {passage} stands a second time for query {query}"
    seen.add((query, passage))
    return None
