"""Measures per query, by ir-measures, and the qrels that they need."""

import gzip
import os
from pathlib import Path

import ir_measures
import pandas as pd

from restage.errors import InputError
from restage.files import complete

QRELS = ["query_id", "doc_id", "relevance"]


def parse_measure(text: str) -> ir_measures.Measure:
    """Return the ir-measures measure that ``text`` names, such as nDCG@10 or AP(rel=2).

    Raises:
        InputError: ir-measures cannot parse it, or knows no way to compute it.
    """
    try:
        measure = ir_measures.parse_measure(text)
    except (ValueError, NameError, TypeError, KeyError) as error:
        raise InputError(
            f"ir-measures cannot parse {text!r} ({error}); write it like nDCG@10 or AP(rel=2)"
        ) from None
    if not ir_measures.DefaultPipeline.supports(measure):
        raise InputError(f"ir-measures cannot compute {text!r}; is a parameter missing?")
    return measure


def read_qrels(path: str | os.PathLike) -> pd.DataFrame:
    """Return judgments (query_id, doc_id, relevance) of a TREC qrels file or a BEIR table.

    A TREC line has four columns, a BEIR line three, tab separated, under a header.

    Raises:
        InputError: with file and line: a line of another form, or a file without any.
    """
    rows, opener = [], gzip.open if Path(path).suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        try:
            for number, line in enumerate(file, start=1):
                parts = line.split("\t") if line.count("\t") == 2 else line.split()
                if number == 1 and parts[0] == "query-id":
                    continue
                rows.append((parts[0], parts[-2], int(parts[-1])))
                if len(parts) not in (3, 4):
                    raise ValueError
        except (ValueError, IndexError, EOFError):
            raise InputError(
                f"{path}:{number}: neither 'query 0 passage relevance' nor "
                f"'query<tab>passage<tab>relevance': {line[:80]!r}; mend the line"
            ) from None
    if not rows:
        raise InputError(f"{path}: has no judgment; give qrels with at least one")
    return pd.DataFrame(rows, columns=QRELS)


def evaluate(run: pd.DataFrame, qrels: pd.DataFrame, measures: list[str]) -> pd.DataFrame:
    """Return query_id, measure and value for each judged query, in the order of ``measures``.

    A judged query without results has value 0.
    """
    parsed = {parse_measure(text): text for text in measures}
    found = ir_measures.iter_calc(list(parsed), qrels, run)
    values = {(metric.query_id, parsed[metric.measure]): metric.value for metric in found}
    rows = [
        (query, measure, float(values.get((query, measure), 0.0)))
        for query in sorted(qrels["query_id"].unique())
        for measure in measures
    ]
    return pd.DataFrame(rows, columns=["query_id", "measure", "value"])


def write_measures(path: str | os.PathLike, values: pd.DataFrame) -> None:
    """Write values per query and measure as Parquet."""
    with complete(path) as part:
        values.to_parquet(part, index=False)
