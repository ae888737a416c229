"""Runs: rankings per query in TREC format, as frames of query_id, doc_id and score.

Rows of a query stand together, best passage first. trec_eval (and with it ir-measures) ignores the
rank column: it keeps scores in single precision and, where they are equal, ranks the greater
passage id first. Runs are sorted that way when they are written, so that every reader sees the same
ranking.
"""

import csv
import gzip
import io
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from restage.errors import InputError
from restage.files import complete, read_text
from restage.rerank.trec import LARGEST, bad_line

if TYPE_CHECKING:
    from restage.collections.texts import TextStore

COLUMNS = ["query_id", "q0", "doc_id", "rank", "score", "tag", "excess"]


def read_run(path: str | os.PathLike) -> pd.DataFrame:
    """Return a run (plain or .gz, blank or tab separated), sorted by rank within each query.

    Ranks may start anywhere; queries stand in the order in which they first appear.

    Raises:
        InputError: with the file, and the line where there is one: a malformed line, a rank that is
            no whole number, a score that is no finite number in single precision (which is what
            trec_eval keeps), a passage twice for a query, scores that rise with the rank, a file
            that is empty, truncated or not UTF-8.
    """
    text = read_text(path)
    if not text.strip():
        raise InputError(f"{path}: the run is empty; give one with at least one line")
    try:
        run = pd.read_csv(
            io.StringIO(text),
            sep=r"\s+",
            names=COLUMNS,
            header=None,
            index_col=False,
            dtype=dict.fromkeys(COLUMNS, str) | {"rank": np.int64, "score": np.float64},
            na_filter=False,
            quoting=csv.QUOTE_NONE,
        )
    except (ValueError, OverflowError):  # pandas' ParserError is a ValueError
        raise bad_line(path, text) from None
    wrong = (run["tag"] == "") | (run["excess"] != "") | ~run["score"].abs().le(LARGEST)
    if wrong.any() or run.duplicated(["query_id", "doc_id"]).any():
        raise bad_line(path, text)
    return _by_rank(path, run)


def _by_rank(path: str | os.PathLike, run: pd.DataFrame) -> pd.DataFrame:
    query = pd.factorize(run["query_id"])[0]
    order = np.lexsort((run["rank"], query))
    run = run[["query_id", "doc_id", "score"]].iloc[order].reset_index(drop=True)
    steps = np.diff(run["score"])[np.diff(query[order]) == 0]
    if (steps > 0).any() and not (steps < 0).any():
        raise InputError(
            f"{path}: scores rise with the rank in every query; give a run with the best first"
        )
    return run


def _cut(run: pd.DataFrame, depth: int) -> pd.DataFrame:
    return run.groupby("query_id", sort=False).head(depth).reset_index(drop=True)


def _by_score(run: pd.DataFrame) -> pd.DataFrame:
    """Best first within each query, equal scores by descending passage id."""
    query = pd.factorize(run["query_id"])[0]
    place = run["doc_id"].rank(method="first", ascending=False)
    return run.iloc[np.lexsort((place, -run["score"], query))].reset_index(drop=True)


def write_run(path: str | os.PathLike, run: pd.DataFrame, tag: str) -> None:
    """Write a run as gzip: ``query Q0 passage rank score tag``, rank from 1, best score first.

    Scores are rounded to single precision first and written with the 9 digits that keep it; equal
    scores are ordered by descending passage id. So trec_eval's order is the order of the file. The
    same run gives the same bytes.
    """
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
    return _cut(run[run["query_id"] != run["doc_id"]], depth)


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
    kept = _cut(run[usable], depth) if own else leave_out_own(run[usable], depth)
    counts = {
        "lines kept": len(kept),
        "lines of unknown queries": int((~known).sum()),
        "lines of unknown passages": int((known & ~usable).sum()),
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
