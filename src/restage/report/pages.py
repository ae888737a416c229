"""Tables as HTML pages of the report: self-contained, everything from outside escaped."""

import html
import os

import pandas as pd

from restage.evaluate.tables import main_measures
from restage.grid.layout import PAGES
from restage.grid.settings import Statistics
from restage.report.typeset import NOTE, in_order, read_csv, short, wide

COMPARED = ["backbone", "recipe", "against"]
VERDICTS = ["better", "equivalent", "worse", "undecided"]
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


def csv_page(name: str, csv: str | os.PathLike) -> str:
    """Return the page of a tidy table, one of ``layout.PAGES``: a field filters its rows."""
    rows = read_csv(csv).to_html(index=False, border=0, na_rep="", float_format=short)
    return _page(PAGES[name].title, PAGES[name].note, FILTER + rows)


def group_page(table: pd.DataFrame) -> str:
    """Return the page of a group's table, as ``tables.group_table`` returns it."""
    body = []
    for first_stage, block in table.groupby("first_stage", sort=False):
        cells = wide(block.map(_escaped), "<b>{}</b>", "†")
        cells.columns = [f"{dataset}<br>{measure}" for dataset, measure in cells.columns]
        heading = f"<h2>{html.escape(str(first_stage))}, then re-ranked by</h2>"
        body.append(f"{heading}\n{_html(cells.reset_index())}")
    return _page("Effectiveness by recipe", NOTE, "\n".join(body))


def verdict_page(equivalence: pd.DataFrame, statistics: Statistics) -> str:
    """Return the page that says which recipes are on par, on which datasets and how sure.

    It is about one measure per dataset (``tables.main_measures``).

    Args:
        equivalence: as ``comparisons.equivalence_table`` returns it.
    """
    title = PAGES["verdicts"].title
    if equivalence.empty:
        return _page(title, "There are no two recipes to compare.", "")
    shown = equivalence.merge(main_measures(equivalence)).map(_escaped)
    blocks = shown.groupby("first_stage", sort=False)
    body = [f"<h2>{name}, then re-ranked</h2>\n{_verdicts(block)}" for name, block in blocks]
    counts = f"<h2>Verdicts over first stages and datasets</h2>\n{_html(_counts(shown))}"
    return _page(title, _meaning(statistics), "\n".join([counts, *body]))


def _verdicts(block: pd.DataFrame) -> str:
    """One row per comparison, one column per dataset; below each verdict what it is about."""
    text = [
        f'<span class="{row.verdict}">{row.verdict}</span><br>'
        f"<small>{row.difference:+.3f} [{row.ci_low:+.3f}, {row.ci_high:+.3f}]</small>"
        for row in block.itertuples()
    ]
    block = block.assign(text=text, column=block["dataset"] + "<br>" + block["measure"])
    cells = block.pivot(index=COMPARED, columns="column", values="text")[block["column"].unique()]
    cells = cells.loc[in_order(block, COMPARED)]
    return _html(cells.rename_axis(columns=None).reset_index(), na_rep="")


def _counts(shown: pd.DataFrame) -> pd.DataFrame:
    """In how many cells each recipe is better, worse and so on."""
    counts = shown.groupby(COMPARED, sort=False)["verdict"].value_counts().unstack(fill_value=0)
    counts = counts.reindex(columns=VERDICTS, fill_value=0).loc[in_order(shown, COMPARED)]
    return counts.reset_index().rename_axis(columns=None)


def _meaning(statistics: Statistics) -> str:
    correction = statistics.correction.capitalize().replace("None", "no")
    return (
        "Equivalent: two one-sided tests place the difference within "
        f"±{statistics.equivalence_margin:g}. Better or worse: a two-sided paired t-test tells "
        f"it from 0. Both at level {statistics.alpha:g} with {correction} correction over the "
        "models that are compared with the same recipe. Undecided: neither; more queries or seeds "
        "are needed, it is no sign of being on par. Below each verdict the difference and its 95 % "
        "bootstrap interval over queries."
    )


def _page(title: str, note: str, body: str) -> str:
    return PAGE.format(title=html.escape(title), note=html.escape(note), body=body)


def _html(table: pd.DataFrame, **settings: str) -> str:
    """A table of texts that are HTML already."""
    return table.to_html(index=False, border=0, escape=False, **settings)


def _escaped(value: object) -> object:
    return html.escape(value) if isinstance(value, str) else value
