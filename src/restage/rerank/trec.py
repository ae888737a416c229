"""Runs of the workflow's own, ``query Q0 passage rank score tag``, as measuring reads them.

Plain Python, for jobs whose work is done sooner than pandas is imported. What others wrote comes
this way only after ``runs.read_run`` has read it and ``runs.write_run`` has written it anew.
"""

import os

from restage.errors import InputError
from restage.files import read_text

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
