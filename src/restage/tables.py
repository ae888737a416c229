"""Tables: one per group of datasets, and the comparisons of recipes behind them."""

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from restage.errors import InputError
from restage.measures import read_measures
from restage.statistics import (
    bootstrap_interval,
    correct,
    over_queries_and_seeds,
    paired_t,
    randomisation,
    verdict,
)

RUN = ["first_stage", "backbone", "recipe"]
CELL = [*RUN, "dataset", "measure"]
NUMBERS = ["value", "seeds", "std", "ci_low", "ci_high", "p_value"]
SIGNIFICANCE = ["against", "difference", "p_value", "p_randomisation", "p_query_seed"]
EQUIVALENCE = ["against", "difference", "ci_low", "ci_high", "p_value", "p_tost"]
ALONE = "-"
FIRST_STAGE = "first_stage"  # what a model is compared with, besides recipes


def load(first_stages: Iterable[str], models: Iterable[str]) -> pd.DataFrame:
    """Return the values per query of measure files, with what their paths say of the run.

    Args:
        first_stages: files {first_stage}/{dataset}.parquet.
        models: files {backbone}/{recipe}/{seed}/{first_stage}/{dataset}.parquet.
    """
    frames = [pd.DataFrame(columns=[*CELL, "seed", "query_id", "value"])]
    for path in map(Path, first_stages):
        keys = {"first_stage": path.parts[-2], "backbone": ALONE, "recipe": ALONE, "seed": -1}
        frames.append(read_measures(path).assign(**keys, dataset=path.stem))
    for path in map(Path, models):
        backbone, recipe, seed, first_stage = path.parts[-5:-1]
        keys = {"first_stage": first_stage, "backbone": backbone, "recipe": recipe}
        frames.append(read_measures(path).assign(**keys, seed=int(seed), dataset=path.stem))
    return pd.concat(frames[1:] or frames, ignore_index=True)


def _cells(order: Mapping) -> list[tuple[str, str, str, str, str]]:
    """Every cell of the tables: first stage, backbone, recipe, dataset, measure."""
    return [
        (first_stage, backbone, recipe, dataset, measure)
        for first_stage in order["first_stages"]
        for backbone, recipe in [(ALONE, ALONE), *order["models"]]
        for dataset in order["datasets"]
        for measure in order["measures"][dataset]
    ]


class _Values:
    """Values of each cell: one row per query, one column per seed."""

    def __init__(self, values: pd.DataFrame):
        self.by_cell = {
            cell: part.pivot(index="query_id", columns="seed", values="value")
            for cell, part in values.groupby(CELL)
        }

    def of(self, cell: tuple) -> np.ndarray:
        if cell not in self.by_cell:
            raise InputError(f"{' '.join(cell)}: has no values; measure the run first")
        return self.by_cell[cell].to_numpy()

    def pair(self, cell: tuple, other: tuple) -> tuple[np.ndarray, np.ndarray]:
        a, b = self.of(cell), self.of(other)
        queries = self.by_cell[cell].index.symmetric_difference(self.by_cell[other].index)
        if len(queries):
            raise InputError(
                f"query {queries[0]}: only one of {' '.join(cell)} and {' '.join(other)} has a "
                "value for it; measure both runs with the same qrels"
            )
        return a, b


def group_table(
    values: pd.DataFrame, order: Mapping, statistics: Mapping, seed: int
) -> pd.DataFrame:
    """Return the tidy table of a group, one row per cell.

    ``value`` is the mean over the judged queries, ``std`` that of the seeds' means, the interval a
    95 % bootstrap over queries, ``p_value`` a paired t-test against the same first stage alone,
    and ``significant``, which is for the marks and not written to the tidy file, says whether it is
    below alpha after correction for the models that share first stage, dataset and measure.

    Args:
        values: as ``load`` returns them.
        order: first_stages, models (backbone, recipe), datasets, and measures by dataset.
        statistics: as in the configuration.
        seed: of the bootstrap; each cell has a generator of its own.

    Raises:
        InputError: a cell has no values, or not those of the same queries as its first stage.
    """
    found, rows = _Values(values), []
    for cell in _cells(order):
        matrix, alone = found.of(cell), cell[1] == ALONE
        by_query, by_seed = matrix.mean(axis=1), matrix.mean(axis=0)
        rows.append(
            dict(zip(CELL, cell, strict=True))
            | {
                "value": by_query.mean(),
                "seeds": 0 if alone else len(by_seed),
                "std": by_seed.std(ddof=1) if len(by_seed) > 1 else np.nan,
                **_interval(by_query, seed, cell),
                "p_value": np.nan if alone else paired_t(*_means(found.pair(cell, _alone(cell)))),
            }
        )
    table = pd.DataFrame(rows, columns=[*CELL, *NUMBERS])
    corrected = _corrected(table, "p_value", statistics["correction"])
    return table.assign(significant=corrected < statistics["alpha"])


def _means(pair: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
    """Means over seeds, per query."""
    return [matrix.mean(axis=1) for matrix in pair]


def _key(seed: int, cell: tuple) -> list[int]:
    """What seeds the generator of a cell."""
    return [seed, zlib.crc32("/".join(cell).encode())]


def _interval(by_query: np.ndarray, seed: int, cell: tuple) -> dict[str, float]:
    low, high = bootstrap_interval(by_query, _key(seed, cell))
    return {"ci_low": low, "ci_high": high}


def _alone(cell: tuple) -> tuple:
    return (cell[0], ALONE, ALONE, *cell[3:])


def _corrected(table: pd.DataFrame, column: str, method: str) -> pd.Series:
    """Correct within each first stage, dataset and measure: for the models that share the cell."""
    family = ["first_stage", "dataset", "measure", *(["against"] if "against" in table else [])]
    return table.groupby(family)[column].transform(lambda p: correct(p, method))


def significance_table(
    values: pd.DataFrame, order: Mapping, statistics: Mapping, seed: int
) -> pd.DataFrame:
    """Return the tests of every model against its first stage, the baseline recipe and its own
    previous stage.

    One family, for the corrections, are the models that are compared with the same thing
    (``against``) in the same first stage, dataset and measure. ``difference`` is the model's mean
    minus the other's; ``p_value`` is that of the paired t-test on means over seeds,
    ``p_bonferroni`` and ``p_holm`` its corrections, ``p_randomisation`` that of the randomisation
    test, ``p_query_seed`` that of the test with queries and seeds as sources of variance (empty
    with one seed). ``significant`` goes by ``p_value``, the configured correction and alpha.
    """
    rows = []
    for cell, against, mine, other in _comparisons(values, order, statistics):
        a, b = _means((mine, other))
        rows.append(
            dict(zip(CELL, cell, strict=True))
            | {
                "against": against,
                "difference": (a - b).mean(),
                "p_value": paired_t(a, b),
                "p_randomisation": randomisation(a, b, _key(seed, (*cell, against))),
                "p_query_seed": over_queries_and_seeds(mine - other, 1)[0]
                if mine.shape[1] > 1
                else np.nan,
            }
        )
    table = pd.DataFrame(rows, columns=[*CELL, *SIGNIFICANCE])
    for method in ("bonferroni", "holm"):
        table[f"p_{method}"] = _corrected(table, "p_value", method)
    corrected = _corrected(table, "p_value", statistics["correction"])
    return table.assign(significant=corrected < statistics["alpha"])


def equivalence_table(
    values: pd.DataFrame, order: Mapping, statistics: Mapping, seed: int
) -> pd.DataFrame:
    """Return whether each recipe is on par with the baseline recipe and with its previous stage.

    ``p_tost`` is that of the two one-sided tests with the configured margin, the interval a 95 %
    bootstrap of the difference over queries. The verdict goes by both p-values after the configured
    correction, in the families of ``significance_table``; the columns have them before. With
    several seeds both tests take queries and seeds as sources of variance.
    """
    margin, method, rows = statistics["equivalence_margin"], statistics["correction"], []
    for cell, against, mine, other in _comparisons(values, order, statistics):
        if against == FIRST_STAGE:
            continue
        by_query = (mine - other).mean(axis=1)
        p_value, p_tost = over_queries_and_seeds(mine - other, margin)
        rows.append(
            dict(zip(CELL, cell, strict=True))
            | {"against": against, "difference": by_query.mean()}
            | _interval(by_query, seed, (*cell, against))
            | {"p_value": p_value, "p_tost": p_tost}
        )
    table = pd.DataFrame(rows, columns=[*CELL, *EQUIVALENCE])
    p_value, p_tost = (_corrected(table, column, method) for column in ("p_value", "p_tost"))
    said = zip(p_value, table["difference"], p_tost, strict=True)
    return table.assign(verdict=[verdict(*tests, statistics["alpha"]) for tests in said])


def _comparisons(values: pd.DataFrame, order: Mapping, statistics: Mapping):
    """Yield (cell, against, its values, the other's values) of every comparison."""
    found, models = _Values(values), [tuple(model) for model in order["models"]]
    for cell in _cells(order):
        first_stage, backbone, recipe, *rest = cell
        if backbone == ALONE:
            continue
        yield cell, FIRST_STAGE, *found.pair(cell, _alone(cell))
        previous = recipe.rpartition("-")[0]
        for other in dict.fromkeys([statistics["baseline_recipe"], previous]):
            if other != recipe and (backbone, other) in models:
                pair = found.pair(cell, (first_stage, backbone, other, *rest))
                yield cell, other, *pair


def main_measures(table: pd.DataFrame) -> pd.DataFrame:
    """Return the measure of each dataset that figures show: nDCG@10 or else its first one."""
    cells = table[["dataset", "measure"]].drop_duplicates()
    first = cells.assign(other=cells["measure"] != "nDCG@10").sort_values("other", kind="stable")
    return first.drop_duplicates("dataset")[["dataset", "measure"]]


def learning_rate_table(
    groups: pd.DataFrame, equivalence: pd.DataFrame, sweep: pd.DataFrame
) -> pd.DataFrame:
    """Return what each learning rate of a last stage made of the model it started from.

    Args:
        groups: tables of groups, as ``group_table`` returns them.
        equivalence: as ``equivalence_table`` returns it.
        sweep: previous, objective, learning_rate, recipe: the recipes that differ in nothing but
            the rate of their last stage.

    Returns:
        One row per rate, first stage, backbone, dataset and measure: ``value``, ``difference`` to
        the previous stage with its 95 % interval, the p-values and the verdict.
    """
    compared = equivalence.merge(
        sweep, left_on=["recipe", "against"], right_on=["recipe", "previous"]
    )
    found = compared.merge(groups[[*CELL, "value"]], on=CELL)
    place = ["first_stage", "backbone", "dataset", "measure"]
    keys = [*place, "previous", "objective"]
    order = {key: {name: i for i, name in enumerate(found[key].unique())} for key in keys}
    found = found.sort_values(
        [*keys, "learning_rate"],
        key=lambda column: column.map(order[column.name]) if column.name in order else column,
        ignore_index=True,
    )
    tests = ["difference", "ci_low", "ci_high", "p_value", "p_tost", "verdict"]
    return found[[*keys, "learning_rate", "recipe", "value", *tests]]


def reproduction_table(table: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return what was published beside what was measured, where both have the cell.

    Args:
        table: as ``group_table`` returns it.
        published: one row per backbone, recipe, first stage and dataset, one column per measure,
            named without the level of relevance: ``AP`` stands for AP and AP(rel=2).

    Returns:
        ``difference`` is value minus published; ``within_interval`` says whether the published
        value lies in the measured value's 95 % interval.
    """
    keys = [*RUN, "dataset"]
    long = published.melt(keys, var_name="base", value_name="published").dropna()
    base = table["measure"].str.replace(r"\(rel=\d+\)", "", regex=True)
    found = table.assign(base=base).merge(long, on=[*keys, "base"])
    return found.assign(
        difference=found["value"] - found["published"],
        within_interval=found["published"].between(found["ci_low"], found["ci_high"]),
    )[[*CELL, "published", "value", "ci_low", "ci_high", "difference", "within_interval"]]
