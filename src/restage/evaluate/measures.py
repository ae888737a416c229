"""Measures per query, by ir-measures.

A job that measures runs has little to compute: importing pandas would take it longer than all else,
so qrels and runs are dictionaries here, and columns of Parquet are made of buffers, since
``pyarrow.array`` imports pandas. Who reads the values has pandas anyway.
"""

import json
import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import NamedTuple

import ir_measures
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from restage.files import complete
from restage.log import log

TYPES = {"query_id": pa.large_string(), "measure": pa.large_string(), "value": pa.float64()}


class Value(NamedTuple):
    query_id: str
    measure: str
    value: float


def relevance_by_query(path: str | os.PathLike) -> dict[str, dict[str, int]]:
    """Return each judged query's passages with their relevance from a Parquet file of qrels."""
    columns = pq.ParquetFile(path).read(["query_id", "doc_id", "relevance"]).to_pydict()
    qrels: dict[str, dict[str, int]] = {}
    for query, passage, relevance in zip(*columns.values(), strict=True):
        qrels.setdefault(query, {})[passage] = relevance
    return qrels


def evaluate(
    run: Mapping[str, Mapping[str, float]],
    qrels: Mapping[str, Mapping[str, int]],
    measures: Sequence[str],
) -> list[Value]:
    """Return the value of each judged query and measure: by query id, measures in their order.

    A judged query without results has what ir-measures gives it, which is 0 for all but exotic
    measures. Queries without judgments are left out.

    Args:
        run: scores of passages by query.
        qrels: relevance of passages by query.
    """
    parsed = {text: ir_measures.parse_measure(text) for text in measures}
    metrics = ir_measures.iter_calc(list(set(parsed.values())), qrels, run)
    values = {(metric.query_id, metric.measure): float(metric.value) for metric in metrics}
    return [
        Value(query, text, values[query, measure])
        for query in sorted(qrels)
        for text, measure in parsed.items()
    ]


def tell_of_strangers(
    path: str | os.PathLike,
    run: Mapping[str, Mapping[str, float]],
    qrels: Mapping[str, Mapping[str, int]],
) -> None:
    """Say so where no judged passage is in a run: it may be over another collection."""
    if not any(judged.keys() & run.get(query, {}).keys() for query, judged in qrels.items()):
        query, judged = next(iter(qrels.items()))
        log.warning(
            f"{path}: no judged passage is in the run, such as {next(iter(judged))!r} for query "
            f"{query!r}; do its passages have the ids that the qrels have?"
        )


def write_measures(path: str | os.PathLike, values: Sequence[Value]) -> None:
    """Write values per query and measure as Parquet; the same values give the same bytes."""
    queries, measures, numbers = zip(*values, strict=True)
    columns = [_texts(queries), _texts(measures), _numbers(numbers)]
    schema = pa.schema(list(TYPES.items()), {"pandas": _types_for_pandas()})
    with complete(path) as part:
        pq.write_table(pa.Table.from_arrays(columns, schema=schema), part)


def _texts(values: Sequence[str]) -> pa.Array:
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.large_string(), len(values), buffers)


def _numbers(values: Sequence[float]) -> pa.Array:
    buffers = [None, pa.py_buffer(np.array(values, dtype=np.float64))]
    return pa.Array.from_buffers(pa.float64(), len(values), buffers)


def _types_for_pandas() -> str:
    """The note on types that pandas leaves in a Parquet file, as it would write it itself."""
    names = {pa.large_string(): ("object", "str"), pa.float64(): ("float64", "float64")}
    columns = [
        {"name": name, "field_name": name}
        | dict(zip(("pandas_type", "numpy_type"), names[kind], strict=True))
        | {"metadata": None}
        for name, kind in TYPES.items()
    ]
    made_by = {"library": "pyarrow", "version": pa.__version__}
    note = {"index_columns": [], "column_indexes": [], "columns": columns, "attributes": {}}
    return json.dumps(note | {"creator": made_by, "pandas_version": version("pandas")})
