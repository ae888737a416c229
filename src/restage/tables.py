"""Tables: one per group of datasets, and the comparisons of recipes behind them.

    python -m restage.tables results/tables/in_domain.csv     # print a table
"""

import sys
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from tabulate import tabulate

from restage.files import complete
from restage.statistics import bootstrap_interval, correct, paired_t, tost, verdict

RUN = ["first_stage", "backbone", "recipe"]
CELL = [*RUN, "dataset", "measure"]
ALONE = "-"
TEX_COLUMNS = 8


def load(first_stages: Iterable[str], models: Iterable[str]) -> pd.DataFrame:
    """Return the values per query of measure files, with what their paths say of the run.

    Args:
        first_stages: files {first_stage}/{dataset}.parquet.
        models: files {backbone}/{recipe}/{seed}/{first_stage}/{dataset}.parquet.
    """
    frames = []
    for path in map(Path, first_stages):
        keys = {"first_stage": path.parts[-2], "backbone": ALONE, "recipe": ALONE, "seed": -1}
        frames.append(pd.read_parquet(path).assign(**keys, dataset=path.stem))
    for path in map(Path, models):
        backbone, recipe, seed, first_stage = path.parts[-5:-1]
        keys = {"first_stage": first_stage, "backbone": backbone, "recipe": recipe}
        frames.append(pd.read_parquet(path).assign(**keys, seed=int(seed), dataset=path.stem))
    return pd.concat(frames, ignore_index=True)


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
        return self.by_cell[cell].to_numpy()

    def seeds(self, cell: tuple) -> np.ndarray:
        return self.by_seed.loc[cell].to_numpy()


def group_table(values: pd.DataFrame, order: Mapping, statistics: Mapping, seed: int):
    """Return the tidy table of a group, one row per cell.

    ``value`` is the mean over the judged queries, ``std`` that of the seeds' means, the interval a
    95 % bootstrap over queries, ``p_value`` a paired t-test against the same first stage alone,
    and ``significant`` says whether it is below alpha after correction for the models compared.

    Args:
        values: as ``load`` returns them.
        order: first_stages, models (backbone, recipe), datasets, and measures by dataset.
        statistics: as in the configuration.
        seed: of the bootstrap; each cell has a generator of its own.
    """
    found, rows = _Values(values), []
    for cell in _cells(order):
        vector, seeds = found.of(cell), found.seeds(cell)
        rng = np.random.default_rng([seed, zlib.crc32("/".join(cell).encode())])
        alone = cell[1] == ALONE
        rows.append(
            dict(zip(CELL, cell, strict=True))
            | {
                "value": vector.mean(),
                "seeds": 0 if alone else len(seeds),
                "std": seeds.std(ddof=1) if len(seeds) > 1 else np.nan,
                **dict(zip(["ci_low", "ci_high"], bootstrap_interval(vector, rng), strict=True)),
                "p_value": np.nan if alone else paired_t(vector, found.of(_alone(cell))),
            }
        )
    table = pd.DataFrame(rows, columns=[*CELL, *COLUMNS])
    corrected = _corrected(table, "p_value", statistics["correction"])
    return table.assign(significant=corrected < statistics["alpha"])


COLUMNS = ["value", "seeds", "std", "ci_low", "ci_high", "p_value"]


def _alone(cell: tuple) -> tuple:
    return (cell[0], ALONE, ALONE, *cell[3:])


def _corrected(table: pd.DataFrame, column: str, method: str) -> pd.Series:
    """Correct within each first stage, dataset and measure: for the models that share the cell."""
    family = ["first_stage", "dataset", "measure", *(["against"] if "against" in table else [])]
    return table.groupby(family)[column].transform(lambda p: correct(p, method))


def significance_table(values: pd.DataFrame, order: Mapping, statistics: Mapping) -> pd.DataFrame:
    """Return the paired t-tests of every model against its first stage and the baseline recipe.

    Corrections count the models compared with the same thing in the same cell.
    """
    rows = []
    for cell, against, mine, other in _comparisons(values, order, statistics):
        tested = {"difference": (mine - other).mean(), "p_value": paired_t(mine, other)}
        rows.append(dict(zip(CELL, cell, strict=True)) | {"against": against} | tested)
    table = pd.DataFrame(rows, columns=[*CELL, "against", "difference", "p_value"])
    for method in ("bonferroni", "holm"):
        table[f"p_{method}"] = _corrected(table, "p_value", method)
    chosen = {"none": "p_value"}.get(statistics["correction"], f"p_{statistics['correction']}")
    return table.assign(significant=table[chosen] < statistics["alpha"])


def equivalence_table(values: pd.DataFrame, order: Mapping, statistics: Mapping) -> pd.DataFrame:
    """Return whether each recipe is on par with the baseline recipe of the same backbone."""
    margin, alpha, rows = statistics["equivalence_margin"], statistics["alpha"], []
    for cell, against, mine, other in _comparisons(values, order, statistics):
        if against != "first_stage":
            difference = (mine - other).mean()
            p_value, p_tost = paired_t(mine, other), tost(mine, other, margin)
            said = verdict(difference, p_value, p_tost, alpha)
            tested = {"difference": difference, "p_value": p_value, "p_tost": p_tost}
            rows.append(
                dict(zip(CELL, cell, strict=True)) | {"against": against, **tested, "verdict": said}
            )
    columns = [*CELL, "against", "difference", "p_value", "p_tost", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def _comparisons(values: pd.DataFrame, order: Mapping, statistics: Mapping):
    """Yield (cell, against, its values, the other's values) of every comparison."""
    found = _Values(values)
    recipes = [recipe for _, recipe in order["models"]]
    baseline = statistics["baseline_recipe"] or next(iter(recipes), None)
    for cell in _cells(order):
        if cell[1] == ALONE:
            continue
        yield cell, "first_stage", found.of(cell), found.of(_alone(cell))
        if cell[2] != baseline:
            other = (*cell[:2], baseline, *cell[3:])
            yield cell, baseline, found.of(cell), found.of(other)


# --- writing ----------------------------------------------------------------------------------------


def write_csv(table: pd.DataFrame, path: str) -> None:
    """Write a tidy table with 6 significant digits."""
    with complete(path) as part:
        table.to_csv(part, index=False, float_format="%.6g", lineterminator="\n")


def write_group_table(table: pd.DataFrame, csv: str, md: str, tex: str) -> None:
    """Write a group's table three times: tidy, to be read, and to be included in a paper."""
    write_csv(table.drop(columns="significant"), csv)
    for path, text in ((md, _markdown(table)), (tex, _latex(table))):
        with complete(path) as part:
            part.write_text(text)


NOTE = "Bold: best of the column. †: differs significantly from the first stage alone."


def _markdown(table: pd.DataFrame) -> str:
    blocks = []
    for first_stage, block in table.groupby("first_stage", sort=False):
        wide = _wide(block, "**{}**", "†")
        wide.columns = [f"{dataset} {measure}" for dataset, measure in wide.columns]
        text = wide.reset_index().to_markdown(index=False, disable_numparse=True)
        blocks.append(f"### {first_stage}\n\n{text}\n")
    return "\n".join([*blocks, NOTE + "\n"])


def _latex(table: pd.DataFrame) -> str:
    """Tabulars of at most ``TEX_COLUMNS`` columns, each with all first stages."""
    parts = ["% \\usepackage{booktabs}", "% " + NOTE.replace("†", "dagger")]
    for datasets in _packed(table):
        rows = [
            _wide(block, r"\textbf{{{}}}", r"$^\dagger$").assign(first_stage=first_stage)
            for first_stage, block in table[table["dataset"].isin(datasets)].groupby(
                "first_stage", sort=False
            )
        ]
        wide = pd.concat(rows).set_index("first_stage", append=True)
        wide = wide.reorder_levels(RUN).rename(index=_tex_escape, columns=_tex_escape)
        wide.index.names = [_tex_escape(name).replace(r"\_", " ") for name in wide.index.names]
        wide.columns.names = [None, None]
        style = wide.style
        parts.append(
            style.to_latex(
                hrules=True,
                multicol_align="c",
                multirow_align="t",
                clines="skip-last;index" if len(rows) > 1 else None,
                column_format="lll" + "r" * wide.shape[1],
            )
        )
    return "\n".join(parts)


def _packed(table: pd.DataFrame) -> list[list[str]]:
    """Datasets together as long as their columns fit."""
    packs, width = [], TEX_COLUMNS + 1
    for dataset, measures in table.groupby("dataset", sort=False)["measure"].unique().items():
        if width + len(measures) > TEX_COLUMNS:
            packs, width = [*packs, []], 0
        packs[-1].append(dataset)
        width += len(measures)
    return packs


def _tex_escape(text: str) -> str:
    for character in "_&%#$":
        text = text.replace(character, "\\" + character)
    return text


def _wide(block: pd.DataFrame, bold: str, mark: str) -> pd.DataFrame:
    """One row per model, one column per dataset and measure, values as text."""
    best = block.groupby(["dataset", "measure"])["value"].transform("max").round(3)
    text = [
        (bold.format(_number(row)) if round(row.value, 3) == top else _number(row))
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


def _number(row) -> str:
    return f"{row.value:.3f}" + ("" if np.isnan(row.std) else f" ± {row.std:.3f}")


def terminal_table(table: pd.DataFrame) -> str:
    """Return the table as text: a block per first stage, p-values of each dataset's first measure."""
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
        text = tabulate(wide.reset_index(), "keys", showindex=False, colalign=align)
        blocks.append(f"{first_stage}, then re-ranked by\n{text}")
    return "\n\n".join([*blocks, "p: two-sided paired t-test against the first stage alone"])


if __name__ == "__main__":
    path = Path(sys.argv[1])
    print(f"\n{terminal_table(pd.read_csv(path))}\n\nTables and everything else: {path.parents[1]}/")
