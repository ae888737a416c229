"""Tables as files: tidy csv, and markdown, LaTeX, HTML and plain text to be read.

python -m restage.typeset results/tables/in_domain.csv     # print a table
"""

import html
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from tabulate import tabulate

from restage.files import complete
from restage.tables import CELL, main_measures

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
TEX_COLUMNS = 8
TEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
)


def write_csv(table: pd.DataFrame, path: str) -> None:
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


def write_group_table(table: pd.DataFrame, csv: str, **others: str) -> None:
    """Write a group's table, as ``tables.group_table`` returns it, as tidy csv and to be read.

    Args:
        others: paths by format: md, tex (to be included in a paper), html.
    """
    write_csv(table.drop(columns="significant"), csv)
    layouts = {"md": _markdown, "tex": _latex, "html": _group_page}
    for kind, path in others.items():
        write_text(path, layouts[kind](table))


def write_text(path: str, text: str) -> None:
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
        counts = columns.groupby("dataset", sort=False).size()
        heads = [
            rf"\multicolumn{{{count}}}{{c}}{{{dataset.translate(TEX)}}}"
            for dataset, count in counts.items()
        ]
        ends = 3 + counts.cumsum()
        rules = [
            rf"\cmidrule(lr){{{end - count + 1}-{end}}}"
            for count, end in zip(counts, ends, strict=True)
        ]
        measures = [measure.translate(TEX) for measure in columns["measure"]]
        blocks = [_tex_rows(block) for _, block in part.groupby("first_stage", sort=False)]
        parts += [
            *([r"\par\medskip"] if len(parts) > 2 else []),  # below each other, not beside
            rf"\begin{{tabular}}{{lll{'r' * len(columns)}}}",
            r"\toprule",
            _tex_row(["", "", "", *heads]),
            " ".join(rules),
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


# --- pages ----------------------------------------------------------------------------------------

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
  body {{ font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem; color: #222; background: #fff }}
  table {{ border-collapse: collapse; margin: 0 0 1.5rem }}
  th, td {{ padding: .25rem .7rem; text-align: left; vertical-align: top; white-space: nowrap }}
  td {{ font-variant-numeric: tabular-nums }}
  thead th {{ border-bottom: 1px solid #222; position: sticky; top: 0; background: #fff }}
  tbody tr:nth-child(even) {{ background: #f5f5f5 }}
  .better {{ color: #0072b2 }} .worse {{ color: #b34700 }} .equivalent {{ color: #00704f }}
  .undecided, small, p {{ color: #555 }} p {{ max-width: 60rem }}
  input {{ font: inherit; padding: .2rem .5rem; width: 20rem; margin-bottom: 1rem }}
</style>
<h1>{title}</h1>
<p>{note}</p>
{body}
</html>
"""
# Rows that have every word that was typed.
FILTER = """<input placeholder="Show rows with …" oninput="
  const words = this.value.toLowerCase().split(' ');
  for (const row of document.querySelectorAll('tbody tr'))
    row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word));
">
"""


def _page(title: str, note: str, body: str) -> str:
    return PAGE.format(title=html.escape(title), note=html.escape(note), body=body)


def _short(number: float) -> str:
    """A number with as many digits as one reads."""
    small = 0 < abs(number) < 0.001
    return (
        f"{number:.1e}" if small else f"{number:,.3f}" if abs(number) < 1000 else f"{number:,.0f}"
    )


def _group_page(table: pd.DataFrame) -> str:
    body = []
    for first_stage, block in table.groupby("first_stage", sort=False):
        wide = _wide(block.map(_escaped), "<b>{}</b>", "†")
        wide.columns = [f"{dataset}<br>{measure}" for dataset, measure in wide.columns]
        text = wide.reset_index().to_html(index=False, border=0, escape=False)
        body.append(f"<h2>{html.escape(first_stage)}, then re-ranked by</h2>\n{text}")
    return _page("Effectiveness by recipe", NOTE, "\n".join(body))


def _escaped(value: object) -> object:
    return html.escape(value) if isinstance(value, str) else value


def verdict_page(equivalence: pd.DataFrame, statistics: Mapping) -> str:
    """Return the page that says which recipes are on par, on which datasets and how sure.

    It is about one measure per dataset (``tables.main_measures``).
    """
    if equivalence.empty:
        return _page("Which recipes are on par", "There are no two recipes to compare.", "")
    shown = equivalence.merge(main_measures(equivalence)).map(_escaped)
    text = shown["verdict"].map('<span class="{0}">{0}</span><br>'.format) + [
        f"<small>{row.difference:+.3f} [{row.ci_low:+.3f}, {row.ci_high:+.3f}]</small>"
        for row in shown.itertuples()
    ]
    columns = shown["dataset"] + "<br>" + shown["measure"]
    shown = shown.assign(text=text, column=columns)
    rows, body = ["backbone", "recipe", "against"], [_counts(shown)]
    for first_stage, block in shown.groupby("first_stage", sort=False):
        wide = block.pivot(index=rows, columns="column", values="text")[block["column"].unique()]
        wide = wide.loc[list(block[rows].drop_duplicates().itertuples(index=False, name=None))]
        wide.columns.name = None
        table = wide.reset_index().to_html(index=False, border=0, escape=False, na_rep="")
        body.append(f"<h2>{first_stage}, then re-ranked</h2>\n{table}")
    correction = statistics["correction"].capitalize().replace("None", "no")
    note = (
        "Equivalent: two one-sided tests place the difference within "
        f"±{statistics['equivalence_margin']:g}. Better or worse: a two-sided paired t-test tells "
        f"it from 0. Both at level {statistics['alpha']:g} with {correction} correction over the "
        "models that are compared with the same recipe. Undecided: neither; more queries or seeds "
        "are needed, it is no sign of being on par. Below each verdict the difference and its 95 % "
        "bootstrap interval over queries."
    )
    return _page("Which recipes are on par", note, "\n".join(body))


def _counts(shown: pd.DataFrame) -> str:
    """In how many cells each recipe is better, worse and so on."""
    verdicts = ["better", "equivalent", "worse", "undecided"]
    keys = ["backbone", "recipe", "against"]
    counts = shown.groupby(keys, sort=False)["verdict"].value_counts().unstack(fill_value=0)
    counts = counts.reindex(columns=verdicts, fill_value=0)
    counts = counts.loc[list(dict.fromkeys(shown[keys].itertuples(index=False, name=None)))]
    table = (
        counts.reset_index().rename_axis(columns=None).to_html(index=False, border=0, escape=False)
    )
    return f"<h2>Verdicts over first stages and datasets</h2>\n{table}"


PAGES = {
    "equivalence": (
        "Equivalence",
        "Each recipe against the baseline recipe and its previous stage.",
    ),
    "learning_rate": ("Learning rate", "What each rate of a last stage makes of the stage before."),
    "provenance": ("Provenance", "What made these results."),
    "reproduction": ("Reproduction", "What the study published, beside what was measured here."),
    "runtimes": ("Runtimes", "Seconds, memory and device of each job, as it last ran."),
    "significance": ("Significance", "Each model against its first stage and other recipes."),
}


def csv_page(name: str, csv: str) -> str:
    """Return a tidy table's page, with a field that filters its rows."""
    title, note = PAGES[name]
    body = read_csv(csv).to_html(index=False, border=0, na_rep="", float_format=_short)
    return _page(title, note, FILTER + body)


def plan_text(summary: pd.DataFrame, device: str, share: float) -> str:
    """Return a plan's sums, as ``plan.summary`` returns them, as text."""
    whole = ["jobs", "done", "pairs", "tokens"]
    numbers = {name: summary[name].map("{:,.0f}".format) for name in whole}
    rest = [name for name in summary.columns[1:] if name not in whole]
    numbers |= {name: summary[name].map(_short) for name in rest}
    heads = [name.replace("_", "\n", 1).replace("_", " ") for name in summary.columns]
    rows = summary.assign(**numbers).to_numpy()
    align = ["left", *["right"] * (len(heads) - 1)]
    table = tabulate(rows, heads, colalign=align, disable_numparse=True)
    return (
        f"{table}\n\nHours on one {device} at {share:.0%} of its peak. Trainings are reckoned to "
        "their last step:\nthey may stop earlier."
    )


if __name__ == "__main__":
    path = Path(sys.argv[1])
    print(f"\n{terminal_table(read_csv(path))}\n\nTables and everything else: {path.parents[1]}/")
