"""Models compared: with their first stage, the baseline recipe and their own previous stage."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from restage.evaluate.statistics import over_queries_and_seeds, paired_t, randomisation, verdict
from restage.evaluate.values import (
    ALONE,
    CELL,
    Cell,
    Values,
    cells,
    corrected,
    first_stage_of,
    interval,
    key,
    over_seeds,
)
from restage.grid.recipes import Recipe
from restage.grid.settings import Statistics, TableOrder

FIRST_STAGE = "first_stage"  # what a model is compared with, besides recipes
SIGNIFICANCE = ["against", "difference", "p_value", "p_randomisation", "p_query_seed"]
EQUIVALENCE = ["against", "difference", "ci_low", "ci_high", "p_value", "p_tost"]


def significance_table(
    values: pd.DataFrame, order: TableOrder, statistics: Statistics, seed: int
) -> pd.DataFrame:
    """Return the tests of every model against its first stage, the baseline recipe and its own
    previous stage.

    One family, for the corrections, are the models that are compared with the same thing
    (``against``) in the same first stage, dataset and measure. ``difference`` is the model's mean
    minus the other's; ``p_value`` is that of the paired t-test on means over seeds,
    ``p_bonferroni`` and ``p_holm`` its corrections, ``p_randomisation`` that of the randomisation
    test, ``p_query_seed`` that of the test with queries and seeds as sources of variance (empty
    with one seed). ``significant`` goes by ``p_value``, the configured correction and alpha.

    Args:
        values: as ``values.load`` returns them.
        seed: of the randomisation test; each comparison has a generator of its own.

    Raises:
        InputError: a cell has no values, or not those of the queries of what it is compared with.
    """
    rows = []
    for cell, against, mine, other in _comparisons(values, order, statistics):
        a, b = over_seeds(mine, other)
        several = mine.shape[1] > 1
        tests = {
            "against": against,
            "difference": (a - b).mean(),
            "p_value": paired_t(a, b),
            "p_randomisation": randomisation(a, b, key(seed, (*cell, against))),
            "p_query_seed": over_queries_and_seeds(mine - other, 1)[0] if several else np.nan,
        }
        rows.append(dict(zip(CELL, cell, strict=True)) | tests)
    table = pd.DataFrame(rows, columns=[*CELL, *SIGNIFICANCE])
    for method in ("bonferroni", "holm"):
        table[f"p_{method}"] = corrected(table, "p_value", method)
    p_value = corrected(table, "p_value", statistics.correction)
    return table.assign(significant=p_value < statistics.alpha)


def equivalence_table(
    values: pd.DataFrame, order: TableOrder, statistics: Statistics, seed: int
) -> pd.DataFrame:
    """Return whether each recipe is on par with the baseline recipe and with its previous stage.

    ``p_tost`` is that of the two one-sided tests with the configured margin, the interval a 95 %
    bootstrap of the difference over queries. The verdict goes by both p-values after the configured
    correction, in the families of ``significance_table``; the columns have them before. With
    several seeds both tests take queries and seeds as sources of variance.

    Args:
        values: as ``values.load`` returns them.
        seed: of the bootstrap; each comparison has a generator of its own.

    Raises:
        InputError: a cell has no values, or not those of the queries of what it is compared with.
    """
    rows = []
    for cell, against, mine, other in _comparisons(values, order, statistics):
        if against == FIRST_STAGE:
            continue
        [by_query] = over_seeds(mine - other)
        p_value, p_tost = over_queries_and_seeds(mine - other, statistics.equivalence_margin)
        rows.append(
            dict(zip(CELL, cell, strict=True))
            | {"against": against, "difference": by_query.mean()}
            | interval(by_query, seed, (*cell, against))
            | {"p_value": p_value, "p_tost": p_tost}
        )
    table = pd.DataFrame(rows, columns=[*CELL, *EQUIVALENCE])
    p_value, p_tost = (
        corrected(table, column, statistics.correction) for column in ("p_value", "p_tost")
    )
    tests = zip(p_value, table["difference"], p_tost, strict=True)
    return table.assign(verdict=[verdict(*each, statistics.alpha) for each in tests])


def _comparisons(
    values: pd.DataFrame, order: TableOrder, statistics: Statistics
) -> Iterator[tuple[Cell, str, np.ndarray, np.ndarray]]:
    """Yield (cell, against, its values, the other's values) of every comparison."""
    by_cell = Values(values)
    for cell in cells(order):
        first_stage, backbone, recipe, *rest = cell
        if backbone == ALONE:
            continue
        yield cell, FIRST_STAGE, *by_cell.pair(cell, first_stage_of(cell))
        previous = Recipe.of(recipe).previous
        others = [statistics.baseline_recipe, str(previous) if previous else None]
        for other in dict.fromkeys(others):
            if other and other != recipe and (backbone, other) in order.models:
                pair = by_cell.pair(cell, (first_stage, backbone, other, *rest))
                yield cell, other, *pair


def learning_rate_table(
    groups: pd.DataFrame, equivalence: pd.DataFrame, sweep: pd.DataFrame
) -> pd.DataFrame:
    """Return what each learning rate of a last stage made of the model it started from.

    Args:
        groups: tables of groups, as ``tables.group_table`` returns them.
        equivalence: as ``equivalence_table`` returns it.
        sweep: previous, objective, learning_rate, recipe: the recipes that differ in nothing but
            the rate of their last stage.

    Returns:
        One row per rate, first stage, backbone, dataset and measure: ``value``, ``difference`` to
        the previous stage with its 95 % interval, the p-values and the verdict.
    """
    stages = {"left_on": ["recipe", "against"], "right_on": ["recipe", "previous"]}
    compared = equivalence.merge(sweep, **stages).merge(groups[[*CELL, "value"]], on=CELL)
    keys = ["first_stage", "backbone", "dataset", "measure", "previous", "objective"]
    places = {name: {each: i for i, each in enumerate(compared[name].unique())} for name in keys}
    compared = compared.sort_values(
        [*keys, "learning_rate"],
        key=lambda column: column.map(places[column.name]) if column.name in places else column,
        ignore_index=True,
    )
    tests = ["difference", "ci_low", "ci_high", "p_value", "p_tost", "verdict"]
    return compared[[*keys, "learning_rate", "recipe", "value", *tests]]
