"""Tables as files: tidy csv, and markdown, LaTeX and plain text to be read.

python -m restage.report.typeset results/tables/in_domain.csv     # print a table
"""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from tabulate import tabulate

from restage.evaluate.values import CELL
from restage.files import complete
from restage.grid.manifests import Manifest

TEXT = {
    *CELL,
    "against",
    "previous",
    "objective",
    "recipe",
    "verdict",
    "job",
    "device",
    "what",
    "is",
}
NOTE = (
    "Bold: best of the column. †: differs significantly from the first stage alone. "
    "±: standard deviation over seeds."
)
TEX_COLUMNS = 8
TEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
)


def write_csv(table: pd.DataFrame, path: str | os.PathLike) -> None:
    """Write a tidy table: p-values and rates with 3 significant digits, others with 6 decimals."""
    significant = {
        name: table[name].map("{:.3g}".format, na_action="ignore")
        for name in table.columns
        if name.startswith("p_") or name == "learning_rate"
    }
    with complete(path) as part:
        table.assign(**significant).to_csv(
            part, index=False, float_format="%.6f", lineterminator="\n", encoding="utf-8"
        )


def read_csv(path: str | os.PathLike) -> pd.DataFrame:
    """Read a table that ``write_csv`` wrote; names are text, whatever they look like."""
    names = pd.read_csv(path, nrows=0).columns
    numbers = [name for name in names if name not in TEXT]
    return pd.read_csv(
        path,
        dtype=dict.fromkeys(TEXT.intersection(names), str),
        keep_default_na=False,
        na_values=dict.fromkeys(numbers, ""),
    )


def write_text(path: str | os.PathLike, text: str) -> None:
    with complete(path) as part:
        part.write_text(text, encoding="utf-8")


# --- the table of a group, as ``tables.group_table`` returns it --------------------------------


def wide(block: pd.DataFrame, bold: str, mark: str, spread: str = " ± ") -> pd.DataFrame:
    """Return one row per model, one column per dataset and measure, values as text.

    Args:
        block: a group's table of one first stage.
        bold: a format for the best of a column.
        mark: stands behind what is significant.
        spread: stands between a mean and the standard deviation over seeds.
    """
    best = block.groupby(["dataset", "measure"])["value"].transform("max").map("{:.3f}".format)
    text = [
        (bold if f"{row.value:.3f}" == top else "{}").format(_number(row.value, row.std, spread))
        + (mark if row.significant else "")
        for row, top in zip(block.itertuples(), best, strict=True)
    ]
    rows, columns = ["backbone", "recipe"], ["dataset", "measure"]
    cells = block.assign(text=text).pivot(index=rows, columns=columns, values="text")
    return cells.loc[in_order(block, rows), in_order(block, columns)]


def in_order(table: pd.DataFrame, columns: list[str]) -> list[tuple]:
    """Return the distinct values of columns in the table's order."""
    return list(table[columns].drop_duplicates().itertuples(index=False, name=None))


def _number(mean: float, std: float, spread: str) -> str:
    return f"{mean:.3f}" + ("" if np.isnan(std) else f"{spread}{std:.3f}")


def markdown(table: pd.DataFrame) -> str:
    """Return a group's table as markdown, a part per first stage."""
    parts = []
    for first_stage, block in table.groupby("first_stage", sort=False):
        cells = wide(block, "**{}**", "†")
        cells.columns = [f"{dataset} {measure}" for dataset, measure in cells.columns]
        text = cells.reset_index().to_markdown(index=False, disable_numparse=True)
        parts.append(f"### {first_stage}\n\n{text}\n")
    return "\n".join([*parts, NOTE + "\n"])


def latex(table: pd.DataFrame) -> str:
    """Return tabulars of at most ``TEX_COLUMNS`` columns (more for one dataset alone), to be
    \\input into a document with booktabs.
    """
    note = NOTE.replace("†", r"$\dagger$").replace("±", r"$\pm$")
    parts = (table[table["dataset"].isin(datasets)] for datasets in _packed(table))
    tabulars = "\n\\par\\medskip\n".join(map(_tabular, parts))  # below each other, not beside
    return f"% needs booktabs\n% {note}\n{tabulars}\n"


def _packed(table: pd.DataFrame) -> list[list[str]]:
    """Datasets together as long as their columns fit."""
    packs: list[list[str]] = []
    width = TEX_COLUMNS + 1
    for dataset, measures in table.groupby("dataset", sort=False)["measure"].unique().items():
        if width + len(measures) > TEX_COLUMNS:
            packs, width = [*packs, []], 0
        packs[-1].append(str(dataset))
        width += len(measures)
    return packs


def _tabular(part: pd.DataFrame) -> str:
    columns = part[["dataset", "measure"]].drop_duplicates()
    measures = [measure.translate(TEX) for measure in columns["measure"]]
    blocks = [_tex_rows(block) for _, block in part.groupby("first_stage", sort=False)]
    lines = [
        rf"\begin{{tabular}}{{lll{'r' * len(columns)}}}",
        r"\toprule",
        *_tex_heads(columns.groupby("dataset", sort=False).size()),
        _tex_row(["First stage", "Backbone", "Recipe", *measures]),
        r"\midrule",
        "\n\\midrule\n".join(blocks),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines)


def _tex_heads(counts: pd.Series) -> list[str]:
    """The names of the datasets over their columns (so many each), and the rules below them."""
    sizes = list(zip(counts.index, counts, 3 + counts.cumsum(), strict=True))
    heads = [rf"\multicolumn{{{n}}}{{c}}{{{name.translate(TEX)}}}" for name, n, _ in sizes]
    rules = [rf"\cmidrule(lr){{{end - n + 1}-{end}}}" for _, n, end in sizes]
    return [_tex_row(["", "", "", *heads]), " ".join(rules)]


def _tex_rows(block: pd.DataFrame) -> str:
    """The rows of one first stage, which is named in the first of them."""
    cells = wide(block, r"\textbf{{{}}}", r"$^\dagger$", r" $\pm$ ")
    names = [block["first_stage"].iloc[0], *[""] * (len(cells) - 1)]
    rows = []
    for first_stage, (model, texts) in zip(names, cells.iterrows(), strict=True):
        rows.append(_tex_row([*(name.translate(TEX) for name in (first_stage, *model)), *texts]))
    return "\n".join(rows)


def _tex_row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def terminal_table(table: pd.DataFrame) -> str:
    """Return the table as text: a block per first stage, with p-values of first measures."""
    tested = table.groupby("dataset", sort=False)["measure"].first()
    blocks = [
        f"{first_stage}, then re-ranked by\n{_terminal_block(block, tested)}"
        for first_stage, block in table.groupby("first_stage", sort=False)
    ]
    return "\n\n".join([*blocks, "p: two-sided paired t-test against the first stage alone"])


def _terminal_block(block: pd.DataFrame, tested: pd.Series) -> str:
    cells = wide(block.assign(significant=False), "{}", "")
    for dataset, measure in tested.items():
        tests = block[(block["dataset"] == dataset) & (block["measure"] == measure)]
        p_value = tests.set_index(["backbone", "recipe"])["p_value"]
        text = p_value.map(lambda p: "" if np.isnan(p) else f"{p:.1e}")
        cells[dataset, f"p({measure})"] = text
    cells = cells[list(dict.fromkeys(dataset for dataset, _ in cells.columns))]
    cells.columns = [f"{dataset}\n{measure}" for dataset, measure in cells.columns]
    return _aligned(cells.reset_index(), list(cells.reset_index()), left=2)


def _aligned(rows: pd.DataFrame, heads: list[str], left: int) -> str:
    """A table of texts, its first columns to the left, the others to the right."""
    align = ["left"] * left + ["right"] * (len(heads) - left)
    return tabulate(rows.to_numpy(), heads, colalign=align, disable_numparse=True)


# --- other tables ---------------------------------------------------------------------------------


def short(number: float) -> str:
    """Return a number with as many digits as one reads."""
    if 0 < abs(number) < 0.001:
        return f"{number:.1e}"
    return f"{number:,.3f}" if abs(number) < 1000 else f"{number:,.0f}"


def plan_text(summary: pd.DataFrame, device: str, share: float) -> str:
    """Return a plan's sums, as ``plan.summary`` returns them, as text."""
    whole = "{:,.0f}".format
    formats: dict[str, Callable[[float], str]] = {
        name: whole if name in ("jobs", "done", "pairs", "tokens") else short
        for name in summary.columns[1:]
    }
    rows = summary.assign(**{name: summary[name].map(form) for name, form in formats.items()})
    heads = [name.replace("_", "\n", 1).replace("_", " ") for name in summary.columns]
    return (
        f"{_aligned(rows, heads, left=1)}\n\nHours on one {device} at {share:.0%} of its peak. "
        "Trainings are reckoned to their last step:\nthey may stop earlier."
    )


def reasons_text(reasons: pd.DataFrame) -> str:
    """Return what is to be done and why, as ``plan.reasons`` returns it, as text."""
    if reasons.empty:
        return "Nothing is to be done."
    numbers = {"pairs": "{:,.0f}".format, "gpu_hours": short}
    rows = reasons.assign(**{name: reasons[name].map(form) for name, form in numbers.items()})
    rows = rows[["rule", "why", "outputs", "pairs", "gpu_hours"]]
    return _aligned(rows, [name.replace("_", " ") for name in rows], left=2)


def other_code_text(made: Mapping[str, Manifest], modules: Mapping[str, list[str]]) -> str:
    """Return what other code made, by rule, commit and what differs, as text.

    Args:
        made, modules: manifests of outputs and the modules that differ, by path.
    """
    if not modules:
        return "Every output was made by the code as it is."
    kinds = Counter(
        (made[path].rule, made[path].commit, ", ".join(differing))
        for path, differing in modules.items()
    )
    heads = ["rule", "made at", "what differs", "outputs"]
    rows = pd.DataFrame([(*kind, f"{count:,}") for kind, count in kinds.items()], columns=heads)
    return (
        f"{_aligned(rows, heads, left=3)}\n\n`snakemake accept` lets them stand; "
        "`snakemake reject` has the next run make them again."
    )


def main(path: str) -> None:
    """Print a group's table."""
    print(f"\n{terminal_table(read_csv(path))}\n")
    print(f"Tables and everything else: {Path(path).parents[1]}/")


if __name__ == "__main__":
    main(sys.argv[1])
