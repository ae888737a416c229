"""Runs: rankings per query in TREC format, as frames of query_id, doc_id and score.

Rows of a query stand together, best passage first. trec_eval (and with it ir-measures) ignores the
rank column: it keeps scores in single precision and, where they are equal, ranks the greater
passage id first. Runs are sorted that way when they are written, so that every reader sees the same
ranking.
"""

import gzip
import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from restage.errors import InputError
from restage.files import complete
from restage.trec_rows import line_of, ranked, read_rows

UNFIT = re.compile(r"[ \t\r\n\0]")  # in an id: what separates columns or lines, or ends a text

if TYPE_CHECKING:
    from restage.collections.texts import TextStore


def read_run(path: str | os.PathLike) -> pd.DataFrame:
    """Return a run as trec_eval ranks it, each query's best passage first.

    Queries stand in the order in which they first appear.

    Raises:
        InputError: as ``read_rows`` and ``ranked``, or with file and line: a passage stands twice
            for a query; scores that are all the same, against which ranks name an order.
    """
    rows = pa.Table.from_batches(read_rows(path))
    query = pd.factorize(rows["query"].to_pandas())[0]
    run = rows.to_pandas().rename(columns={"query": "query_id", "passage": "doc_id"})
    if (again := run.duplicated(["query_id", "doc_id"])).any():
        row = int(np.argmax(again))
        raise InputError(
            f"{path}:{line_of(path, row)}: passage {run['doc_id'][row]} stands a second time for "
            f"query {run['query_id'][row]}; mend or remove the line"
        )
    ranked(path, rows, query)  # refuses what contradicts itself
    run = _by_score(run)
    _refuse_scores_that_say_nothing(path, run)
    return run[["query_id", "doc_id", "score"]]


def _refuse_scores_that_say_nothing(path: str | os.PathLike, run: pd.DataFrame) -> None:
    """Refuse a run that is measured by its passages' ids, though its ranks name another order."""
    within = run["query_id"].to_numpy()[1:] == run["query_id"].to_numpy()[:-1]
    equal = np.diff(run["score"].to_numpy(np.float32)) == 0
    if (within & (np.diff(run["rank"]) < 0)).any() and equal[within].all():
        raise InputError(
            f"{path}: each query's scores are all the same, and measures know no ranks; give "
            "scores that fall as ranks rise"
        )


def _cut(run: pd.DataFrame, depth: int) -> pd.DataFrame:
    return run.groupby("query_id", sort=False).head(depth).reset_index(drop=True)


def _by_score(run: pd.DataFrame) -> pd.DataFrame:
    """Best first within each query, equal scores (in single precision) by descending passage id."""
    query, score = pd.factorize(run["query_id"])[0], run["score"].to_numpy(np.float32)
    order = np.lexsort((-score, query))
    alike = (np.diff(query[order]) == 0) & (np.diff(score[order]) == 0)
    tied = np.append(alike, False) | np.append(False, alike)
    place = np.zeros(len(run))  # only of those, since to sort ids takes long
    ids = run["doc_id"].iloc[order[tied]]
    place[order[tied]] = ids.rank(method="first", ascending=False)
    return run.iloc[np.lexsort((place, -score, query))].reset_index(drop=True)


def write_run(path: str | os.PathLike, run: pd.DataFrame, tag: str) -> None:
    """Write a run as gzip: ``query Q0 passage rank score tag``, rank from 1, best score first.

    Scores are rounded to single precision first and written with the 9 digits that keep it; equal
    scores are ordered by descending passage id. So trec_eval's order is the order of the file. The
    same run gives the same bytes.

    Raises:
        InputError: an id has a blank in it: the format cannot carry it.
    """
    for name in ("query_id", "doc_id"):
        if unfit := next(filter(UNFIT.search, run[name].unique()), None):
            raise InputError(
                f"{path}: {name} {unfit!r} has a blank in it, which no run can carry; rename it"
            )
    run = _by_score(run.assign(score=run["score"].to_numpy(np.float32)))
    ranks = run.groupby("query_id", sort=False).cumcount() + 1
    columns = run["query_id"], run["doc_id"], ranks, run["score"]
    lines = [f"{q} Q0 {d} {r} {s:.9g} {tag}\n" for q, d, r, s in zip(*columns, strict=True)]
    with (
        complete(path) as part,
        part.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, fileobj=raw, mtime=0) as file,
    ):
        file.write("".join(lines).encode())


def leave_out_own(run: pd.DataFrame, depth: int) -> pd.DataFrame:
    """Return a run without the passages that have their query's id, cut at ``depth``."""
    return _cut(_without_own(run), depth)


def _without_own(run: pd.DataFrame) -> pd.DataFrame:
    return run[run["query_id"] != run["doc_id"]]


def imported_run(
    path: str | os.PathLike,
    queries: Iterable[str],
    depth: int,
    passages: "TextStore | None" = None,
    own: bool = True,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return a run made elsewhere, cut at ``depth``, and what was left out or is missing.

    Lines of unknown queries, and of passages that the collection ``passages``, if given, does not
    have are left out; without ``own`` so is a passage with the query's id.

    Raises:
        InputError: as ``read_run``, and where no query or no passage of the run is known.
    """
    run, queries = read_run(path), set(queries)
    known = run["query_id"].isin(queries)
    if not known.any():
        raise InputError(
            f"{path}: none of its queries is in the dataset, such as "
            f"{run['query_id'].iloc[0]!r}; is it the run of another dataset?"
        )
    usable = known
    if passages is not None:
        usable = known & (passages.numbers(run["doc_id"].to_numpy(dtype=object)) >= 0)
    if not usable.any():
        raise InputError(
            f"{path}: none of its passages is in the collection, such as "
            f"{run['doc_id'][known].iloc[0]!r}; is it a run over another collection?"
        )
    others = run[usable] if own else _without_own(run[usable])
    kept = _cut(others, depth)
    counts = {
        "lines kept": len(kept),
        "lines of unknown queries": int((~known).sum()),
        "lines of unknown passages": int((known & ~usable).sum()),
        "lines of a query's own passage": int(usable.sum()) - len(others),
        f"lines below the depth of {depth}": len(others) - len(kept),
        "queries without a line": len(queries) - kept["query_id"].nunique(),
    }
    return kept, counts


def union(runs: Iterable[pd.DataFrame], depth: int) -> pd.DataFrame:
    """Return each distinct (query_id, doc_id) of the runs' first ``depth``, sorted by both."""
    pairs = pd.concat([_cut(run, depth)[["query_id", "doc_id"]] for run in runs])
    return pairs.drop_duplicates().sort_values(["query_id", "doc_id"], ignore_index=True)


def rerank(candidates: pd.DataFrame, scores: pd.DataFrame, depth: int) -> pd.DataFrame:
    """Return the first ``depth`` candidates of each query, ranked by their new scores.

    Raises:
        InputError: a candidate has no score.
    """
    pairs = _cut(candidates, depth)[["query_id", "doc_id"]]
    run = pairs.merge(scores, on=["query_id", "doc_id"], how="left", validate="one_to_one")
    if run["score"].isna().any():
        row = run[run["score"].isna()].iloc[0]
        raise InputError(f"query {row.query_id}, passage {row.doc_id}: no score; score them again")
    return _by_score(run)
