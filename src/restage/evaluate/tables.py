"""The tidy table of a group of datasets, and which of its measures a figure shows."""

import numpy as np
import pandas as pd

from restage.evaluate.statistics import paired_t
from restage.evaluate.values import (
    ALONE,
    CELL,
    Cell,
    Values,
    cells,
    corrected,
    first_stage_of,
    interval,
    over_seeds,
)
from restage.grid.settings import Statistics, TableOrder

NUMBERS = ["value", "seeds", "std", "ci_low", "ci_high", "p_value"]


def group_table(
    values: pd.DataFrame, order: TableOrder, statistics: Statistics, seed: int
) -> pd.DataFrame:
    """Return the tidy table of a group, one row per cell.

    ``value`` is the mean over the judged queries, ``std`` that of the seeds' means, the interval a
    95 % bootstrap over queries, ``p_value`` a paired t-test against the same first stage alone,
    and ``significant``, which is for the marks and not written to the tidy file, says whether it is
    below alpha after correction for the models that share first stage, dataset and measure.

    Args:
        values: as ``values.load`` returns them.
        seed: of the bootstrap; each cell has a generator of its own.

    Raises:
        InputError: a cell has no values, or not those of the same queries as its first stage.
    """
    by_cell = Values(values)
    rows = [
        dict(zip(CELL, cell, strict=True)) | _numbers(by_cell, cell, seed) for cell in cells(order)
    ]
    table = pd.DataFrame(rows, columns=[*CELL, *NUMBERS])
    p_value = corrected(table, "p_value", statistics.correction)
    return table.assign(significant=p_value < statistics.alpha)


def _numbers(by_cell: Values, cell: Cell, seed: int) -> dict[str, float]:
    matrix, alone = by_cell.of(cell), cell[1] == ALONE
    by_query, by_seed = matrix.mean(axis=1), matrix.mean(axis=0)
    return {
        "value": by_query.mean(),
        "seeds": 0 if alone else len(by_seed),
        "std": by_seed.std(ddof=1) if len(by_seed) > 1 else np.nan,
        **interval(by_query, seed, cell),
        "p_value": np.nan
        if alone
        else paired_t(*over_seeds(*by_cell.pair(cell, first_stage_of(cell)))),
    }


def main_measures(table: pd.DataFrame) -> pd.DataFrame:
    """Return the measure of each dataset that figures show: nDCG@10 or else its first one."""
    cells = table[["dataset", "measure"]].drop_duplicates()
    first = cells.assign(other=cells["measure"] != "nDCG@10").sort_values("other", kind="stable")
    return first.drop_duplicates("dataset")[["dataset", "measure"]]
