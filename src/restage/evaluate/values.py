"""Values per query of all runs, and the cells of the tables that they belong to."""

import os
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from restage.errors import InputError
from restage.evaluate.statistics import bootstrap_interval, correct
from restage.grid.layout import FIRST_STAGE_MEASURES, MEASURES
from restage.grid.settings import TableOrder

VALUES = ["query_id", "measure", "value"]
CELL = ["first_stage", "backbone", "recipe", "dataset", "measure"]
ALONE = "-"  # backbone and recipe of the first stage alone

Cell = tuple[str, ...]  # first stage, backbone, recipe, dataset, measure


def read_measures(path: str | os.PathLike) -> pd.DataFrame:
    """Return query_id, measure and value as ``measures.write_measures`` wrote them.

    Raises:
        InputError: the file is no such table.
    """
    try:
        return pd.read_parquet(path, columns=VALUES)
    except (pa.ArrowInvalid, KeyError) as error:
        wrong = str(error).splitlines()[0]
        raise InputError(f"{path}: no measures ({wrong}); remove it to remake it") from None


def load(first_stages: Iterable[str | Path], models: Iterable[str | Path]) -> pd.DataFrame:
    """Return the values per query of measure files, with what their paths say of the run.

    Args:
        first_stages: files at ``layout.FIRST_STAGE_MEASURES``; their seed is -1.
        models: files at ``layout.MEASURES``.
    """
    alone = {"backbone": ALONE, "recipe": ALONE, "seed": -1}
    runs = [(path, FIRST_STAGE_MEASURES.parse(path) | alone) for path in first_stages]
    for path in models:
        model = MEASURES.parse(path)
        runs.append((path, model | {"seed": int(model["seed"])}))
    if not runs:
        return pd.DataFrame(columns=[*CELL, "seed", "query_id", "value"])
    return pd.concat([read_measures(path).assign(**run) for path, run in runs], ignore_index=True)


def cells(order: TableOrder) -> list[Cell]:
    """Return every cell of a table, in its order."""
    return [
        (first_stage, backbone, recipe, dataset, measure)
        for first_stage in order.first_stages
        for backbone, recipe in [(ALONE, ALONE), *order.models]
        for dataset, measures in order.measures.items()
        for measure in measures
    ]


class Values:
    """Values of each cell, shape (queries, seeds).

    Args:
        values: as ``load`` returns them.
    """

    def __init__(self, values: pd.DataFrame):
        self.by_cell = {
            cell: part.pivot(index="query_id", columns="seed", values="value")
            for cell, part in values.groupby(CELL)
        }

    def of(self, cell: Cell) -> np.ndarray:
        """Return the values of a cell.

        Raises:
            InputError: it has none.
        """
        if cell not in self.by_cell:
            raise InputError(f"{' '.join(cell)}: has no values; measure the run first")
        return self.by_cell[cell].to_numpy()

    def pair(self, cell: Cell, other: Cell) -> tuple[np.ndarray, np.ndarray]:
        """Return the values of two cells, of the same queries in the same order.

        Raises:
            InputError: one has none, or not those of the other's queries.
        """
        a, b = self.of(cell), self.of(other)
        queries = self.by_cell[cell].index.symmetric_difference(self.by_cell[other].index)
        if len(queries):
            raise InputError(
                f"query {queries[0]}: only one of {' '.join(cell)} and {' '.join(other)} has a "
                "value for it; measure both runs with the same qrels"
            )
        return a, b


def first_stage_of(cell: Cell) -> Cell:
    """Return the cell of the same first stage alone."""
    return (cell[0], ALONE, ALONE, *cell[3:])


def over_seeds(*matrices: np.ndarray) -> list[np.ndarray]:
    """Return means over seeds, shape (queries,), of values of shape (queries, seeds)."""
    return [matrix.mean(axis=1) for matrix in matrices]


def key(seed: int, cell: Cell) -> list[int]:
    """Return what seeds the random generator of a cell, each its own."""
    return [seed, zlib.crc32("/".join(cell).encode())]


def interval(by_query: np.ndarray, seed: int, cell: Cell) -> dict[str, float]:
    """Return the 95 % bootstrap interval of a cell's mean as the columns of a table."""
    low, high = bootstrap_interval(by_query, key(seed, cell))
    return {"ci_low": low, "ci_high": high}


def corrected(table: pd.DataFrame, column: str, method: str) -> pd.Series:
    """Return p-values corrected within each first stage, dataset and measure.

    One family are the models that share such a cell, and are compared with the same thing where
    the table says with what (``against``).
    """
    family = ["first_stage", "dataset", "measure", *(["against"] if "against" in table else [])]
    return table.groupby(family)[column].transform(lambda p: correct(p, method))
