"""Tables: one per group of datasets, and the comparisons of recipes behind them.

python -m restage.tables results/tables/in_domain.csv     # print a table
"""

import os
import sys
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from tabulate import tabulate

from restage.errors import InputError
from restage.files import complete
from restage.measures import read_measures
from restage.statistics import bootstrap_interval, correct, paired_t, tost, verdict

RUN = ["first_stage", "backbone", "recipe"]
CELL = [*RUN, "dataset", "measure"]
NUMBERS = ["value", "seeds", "std", "ci_low", "ci_high", "p_value"]
ALONE = "-"
TEX_COLUMNS = 8
TEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
)


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
    """Values per query, their means over seeds, by cell."""

    def __init__(self, values: pd.DataFrame):
        by_query = values.groupby([*CELL, "query_id"])["value"].mean()
        self.by_cell = {
            cell: part.droplevel(CELL).sort_index() for cell, part in by_query.groupby(CELL)
        }
        self.by_seed = values.groupby([*CELL, "seed"])["value"].mean()

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

    def seeds(self, cell: tuple) -> np.ndarray:
        return self.by_seed.loc[cell].to_numpy()


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
        vector, seeds = found.of(cell), found.seeds(cell)
        interval = bootstrap_interval(vector, [seed, zlib.crc32("/".join(cell).encode())])
        alone = cell[1] == ALONE
        rows.append(
            dict(zip(CELL, cell, strict=True))
            | {
                "value": vector.mean(),
                "seeds": 0 if alone else len(seeds),
                "std": seeds.std(ddof=1) if len(seeds) > 1 else np.nan,
                **dict(zip(["ci_low", "ci_high"], interval, strict=True)),
                "p_value": np.nan if alone else paired_t(*found.pair(cell, _alone(cell))),
            }
        )
    table = pd.DataFrame(rows, columns=[*CELL, *NUMBERS])
    corrected = _corrected(table, "p_value", statistics["correction"])
    return table.assign(significant=corrected < statistics["alpha"])


def _alone(cell: tuple) -> tuple:
    return (cell[0], ALONE, ALONE, *cell[3:])


def _corrected(table: pd.DataFrame, column: str, method: str) -> pd.Series:
    """Correct within each first stage, dataset and measure: for the models that share the cell."""
    family = ["first_stage", "dataset", "measure", *(["against"] if "against" in table else [])]
    return table.groupby(family)[column].transform(lambda p: correct(p, method))


def significance_table(values: pd.DataFrame, order: Mapping, statistics: Mapping) -> pd.DataFrame:
    """Return the paired t-tests of every model against its first stage and the baseline recipe.

    One family, for the corrections, are the models that are compared with the same thing
    (``against``) in the same first stage, dataset and measure. ``difference`` is the model's mean
    minus the other's; ``significant`` goes by the configured correction and alpha.
    """
    rows = []
    for cell, against, mine, other in _comparisons(values, order, statistics):
        tested = {"difference": (mine - other).mean(), "p_value": paired_t(mine, other)}
        rows.append(dict(zip(CELL, cell, strict=True)) | {"against": against} | tested)
    table = pd.DataFrame(rows, columns=[*CELL, "against", "difference", "p_value"])
    for method in ("bonferroni", "holm"):
        table[f"p_{method}"] = _corrected(table, "p_value", method)
    corrected = _corrected(table, "p_value", statistics["correction"])
    return table.assign(significant=corrected < statistics["alpha"])


def equivalence_table(values: pd.DataFrame, order: Mapping, statistics: Mapping) -> pd.DataFrame:
    """Return whether each recipe is on par with the baseline recipe of the same backbone.

    ``p_tost`` is that of the two one-sided tests with the configured margin. The verdict goes by
    both p-values after the configured correction, in the families of ``significance_table``; the
    columns have them before.
    """
    margin, method, rows = statistics["equivalence_margin"], statistics["correction"], []
    for cell, against, mine, other in _comparisons(values, order, statistics):
        if against != "first_stage":
            tested = {"difference": (mine - other).mean(), "p_value": paired_t(mine, other)}
            tested["p_tost"] = tost(mine, other, margin)
            rows.append(dict(zip(CELL, cell, strict=True)) | {"against": against} | tested)
    table = pd.DataFrame(rows, columns=[*CELL, "against", "difference", "p_value", "p_tost"])
    p_value, p_tost = (_corrected(table, column, method) for column in ("p_value", "p_tost"))
    said = zip(p_value, table["difference"], p_tost, strict=True)
    return table.assign(verdict=[verdict(*tests, statistics["alpha"]) for tests in said])


def _comparisons(values: pd.DataFrame, order: Mapping, statistics: Mapping):
    """Yield (cell, against, its values, the other's values) of every comparison."""
    found, models = _Values(values), [tuple(model) for model in order["models"]]
    baseline = statistics["baseline_recipe"] or next((recipe for _, recipe in models), None)
    for cell in _cells(order):
        if cell[1] == ALONE:
            continue
        yield cell, "first_stage", *found.pair(cell, _alone(cell))
        if cell[2] != baseline and (cell[1], baseline) in models:
            yield cell, baseline, *found.pair(cell, (*cell[:2], baseline, *cell[3:]))


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
    )[[*CELL, "published", "value", "difference", "within_interval"]]


# --- writing --------------------------------------------------------------------------------


def write_csv(table: pd.DataFrame, path: str) -> None:
    """Write a tidy table: p-values with 3 significant digits, other numbers with 6 decimals."""
    p_values = {
        name: table[name].map("{:.3g}".format, na_action="ignore")
        for name in table.columns
        if name.startswith("p_")
    }
    with complete(path) as part:
        table.assign(**p_values).to_csv(
            part, index=False, float_format="%.6f", lineterminator="\n", encoding="utf-8"
        )


def read_csv(path: str | os.PathLike) -> pd.DataFrame:
    """Read a group's tidy table; names are text, whatever they look like."""
    return pd.read_csv(
        path,
        dtype=dict.fromkeys(CELL, str),
        keep_default_na=False,
        na_values=dict.fromkeys(NUMBERS, ""),
    )


def write_group_table(table: pd.DataFrame, csv: str, md: str, tex: str) -> None:
    """Write a group's table three times: tidy, to be read, and to be included in a paper."""
    write_csv(table.drop(columns="significant"), csv)
    for path, text in ((md, _markdown(table)), (tex, _latex(table))):
        with complete(path) as part:
            part.write_text(text, encoding="utf-8")


NOTE = (
    "Bold: best of the column. †: differs significantly from the first stage alone. "
    "±: standard deviation over seeds."
)


def _markdown(table: pd.DataFrame) -> str:
    blocks = []
    for first_stage, block in table.groupby("first_stage", sort=False):
        wide = _wide(block, "**{}**", "†")
        wide.columns = [f"{dataset} {measure}" for dataset, measure in wide.columns]
        text = wide.reset_index().to_markdown(index=False, disable_numparse=True)
        blocks.append(f"### {first_stage}\n\n{text}\n")
    return "\n".join([*blocks, NOTE + "\n"])


def _latex(table: pd.DataFrame) -> str:
    """Tabulars of at most ``TEX_COLUMNS`` columns (more for one dataset alone), to be \\input."""
    note = NOTE.replace("†", r"$\dagger$").replace("±", r"$\pm$")
    parts = ["% needs booktabs", f"% {note}"]
    for datasets in _packed(table):
        part = table[table["dataset"].isin(datasets)]
        columns = part[["dataset", "measure"]].drop_duplicates()
        heads = [
            rf"\multicolumn{{{count}}}{{c}}{{{dataset.translate(TEX)}}}"
            for dataset, count in columns.groupby("dataset", sort=False).size().items()
        ]
        measures = [measure.translate(TEX) for measure in columns["measure"]]
        blocks = [_tex_rows(block) for _, block in part.groupby("first_stage", sort=False)]
        parts += [
            rf"\begin{{tabular}}{{lll{'r' * len(columns)}}}",
            r"\toprule",
            _tex_row(["", "", "", *heads]),
            _tex_row(["First stage", "Backbone", "Recipe", *measures]),
            r"\midrule",
            "\n\\midrule\n".join(blocks),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    return "\n".join(parts) + "\n"


def _tex_rows(block: pd.DataFrame) -> str:
    """The rows of one first stage, which is named in the first of them."""
    wide = _wide(block, r"\textbf{{{}}}", r"$^\dagger$", r" $\pm$ ")
    names = [block["first_stage"].iloc[0], *[""] * (len(wide) - 1)]
    rows = []
    for first_stage, (model, cells) in zip(names, wide.iterrows(), strict=True):
        rows.append(_tex_row([*(name.translate(TEX) for name in (first_stage, *model)), *cells]))
    return "\n".join(rows)


def _tex_row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _packed(table: pd.DataFrame) -> list[list[str]]:
    """Datasets together as long as their columns fit."""
    packs, width = [], TEX_COLUMNS + 1
    for dataset, measures in table.groupby("dataset", sort=False)["measure"].unique().items():
        if width + len(measures) > TEX_COLUMNS:
            packs, width = [*packs, []], 0
        packs[-1].append(dataset)
        width += len(measures)
    return packs


def _wide(block: pd.DataFrame, bold: str, mark: str, spread: str = " ± ") -> pd.DataFrame:
    """One row per model, one column per dataset and measure, values as text."""
    best = block.groupby(["dataset", "measure"])["value"].transform("max").map("{:.3f}".format)
    text = [
        (bold if f"{row.value:.3f}" == top else "{}").format(_number(row, spread))
        + (mark if row.significant else "")
        for row, top in zip(block.itertuples(), best, strict=True)
    ]
    wide = block.assign(text=text).pivot(
        index=["backbone", "recipe"], columns=["dataset", "measure"], values="text"
    )
    rows = block[["backbone", "recipe"]].drop_duplicates()
    columns = block[["dataset", "measure"]].drop_duplicates()
    return wide.loc[
        list(rows.itertuples(index=False, name=None)),
        list(columns.itertuples(index=False, name=None)),
    ]


def _number(row, spread: str) -> str:
    return f"{row.value:.3f}" + ("" if np.isnan(row.std) else f"{spread}{row.std:.3f}")


def terminal_table(table: pd.DataFrame) -> str:
    """Return the table as text: a block per first stage, with p-values of first measures."""
    blocks = []
    tested = table.groupby("dataset", sort=False)["measure"].first()
    for first_stage, block in table.groupby("first_stage", sort=False):
        wide = _wide(block.assign(significant=False), "{}", "")
        for dataset, measure in tested.items():
            cells = block[(block["dataset"] == dataset) & (block["measure"] == measure)]
            values = cells.set_index(["backbone", "recipe"])["p_value"]
            text = values.map(lambda p: "" if np.isnan(p) else f"{p:.1e}")
            wide[dataset, f"p({measure})"] = text
        wide = wide[list(dict.fromkeys(dataset for dataset, _ in wide.columns))]
        wide.columns = [f"{dataset}\n{measure}" for dataset, measure in wide.columns]
        align = ["left", "left", *["right"] * wide.shape[1]]
        text = tabulate(
            wide.reset_index(), "keys", showindex=False, colalign=align, disable_numparse=True
        )
        blocks.append(f"{first_stage}, then re-ranked by\n{text}")
    return "\n\n".join([*blocks, "p: two-sided paired t-test against the first stage alone"])


if __name__ == "__main__":
    path = Path(sys.argv[1])
    print(f"\n{terminal_table(read_csv(path))}\n\nTables and everything else: {path.parents[1]}/")
