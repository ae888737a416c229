"""Measures per query, by ir-measures, and the qrels that they need."""

import os
import re

import ir_measures
import pandas as pd
import pyarrow as pa

from restage.errors import InputError
from restage.files import complete
from restage.runs import read_text

QRELS = ["query_id", "doc_id", "relevance"]
VALUES = ["query_id", "measure", "value"]


def parse_measure(text: str) -> ir_measures.Measure:
    """Return the ir-measures measure that ``text`` names, such as nDCG@10 or AP(rel=2).

    Raises:
        InputError: ir-measures cannot parse it, or knows no way to compute it.
    """
    example = "write it like nDCG@10 or AP(rel=2)"
    try:
        measure = ir_measures.parse_measure(text)
        supported = ir_measures.DefaultPipeline.supports(measure)
    except (ValueError, NameError, TypeError, AssertionError) as error:
        wrong = re.sub("<object object at .*?>", "nothing", str(error))
        raise InputError(f"ir-measures cannot parse {text!r} ({wrong}); {example}") from None
    if not supported:
        raise InputError(
            f"ir-measures cannot compute {text!r} with what is installed; {example}, "
            "or install what provides it"
        )
    return measure


def read_qrels(path: str | os.PathLike) -> pd.DataFrame:
    """Return judgments (query_id, doc_id, relevance) of a TREC qrels file or a BEIR table.

    A TREC line has four columns, a BEIR line three, tab separated, under a header. Either may be
    gzip-compressed.

    Raises:
        InputError: with file and line: a line of another form, or a file without any.
    """
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        parts = line.split()
        if not parts or (number == 1 and parts[0] == "query-id"):
            continue
        try:
            query, *_, passage, relevance = parts
            if len(parts) not in (3, 4):
                raise ValueError
            rows.append((query, passage, int(relevance)))
        except ValueError:
            raise InputError(
                f"{path}:{number}: neither 'query 0 passage relevance' nor "
                f"'query<tab>passage<tab>relevance': {line[:80]!r}; mend the line"
            ) from None
    if not rows:
        raise InputError(f"{path}: has no judgment; give qrels with at least one")
    return pd.DataFrame(rows, columns=QRELS)


def evaluate(run: pd.DataFrame, qrels: pd.DataFrame, measures: list[str]) -> pd.DataFrame:
    """Return query_id, measure and value for each judged query, in the order of ``measures``.

    A judged query without results has what ir-measures gives it, which is 0 for all but exotic
    measures. Queries without judgments are left out.
    """
    parsed = {text: parse_measure(text) for text in measures}
    found = ir_measures.iter_calc(list(set(parsed.values())), qrels, run)
    values = {(metric.query_id, metric.measure): float(metric.value) for metric in found}
    rows = [
        (query, text, values[query, measure])
        for query in sorted(qrels["query_id"].unique())
        for text, measure in parsed.items()
    ]
    return pd.DataFrame(rows, columns=VALUES)


def write_measures(path: str | os.PathLike, values: pd.DataFrame) -> None:
    """Write values per query and measure as Parquet; the same values give the same bytes."""
    with complete(path) as part:
        values.to_parquet(part, index=False)


def read_measures(path: str | os.PathLike) -> pd.DataFrame:
    """Return query_id, measure and value as ``write_measures`` wrote them.

    Raises:
        InputError: the file is no such table.
    """
    try:
        return pd.read_parquet(path, columns=VALUES)
    except (pa.ArrowInvalid, KeyError) as error:
        wrong = str(error).splitlines()[0]
        raise InputError(f"{path}: no measures ({wrong}); remove it to remake it") from None
