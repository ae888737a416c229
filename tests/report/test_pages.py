"""Pages of the report: all rows, the verdicts counted and shown, everything escaped."""

import io

import pandas as pd

from restage.evaluate.comparisons import equivalence_table, significance_table
from restage.evaluate.tables import group_table, main_measures
from restage.grid.layout import PAGES
from restage.report import pages, typeset
from tests.evaluate.made_up import ORDER, STATISTICS, make, pick


def test_pages_escape_what_they_are_given():
    order = ORDER._replace(measures={"<b>": ("AP",)})
    values = make(order)
    page = pages.group_page(group_table(values, order, STATISTICS, seed=1))
    assert "&lt;b&gt;<br>AP" in page and "<th><b>" not in page
    equivalence = equivalence_table(values, order, STATISTICS, seed=1)
    page = pages.verdict_page(equivalence, STATISTICS)
    assert "&lt;b&gt;<br>AP" in page
    assert page.count('<span class="undecided">') == len(equivalence)


def test_first_stages_alone_make_a_page():
    order = ORDER._replace(models=())
    page = pages.group_page(group_table(make(order), order, STATISTICS, seed=1))
    [alone] = pd.read_html(io.StringIO(page.partition("<h2>bm_25")[0]))
    assert alone[["backbone", "recipe"]].to_numpy().tolist() == [["-", "-"]]


def test_the_page_of_verdicts_counts_and_shows_them():
    values = make(spread=0.05, seeds=[1])
    equivalence = equivalence_table(values, ORDER, STATISTICS, seed=1)
    page = pages.verdict_page(equivalence, STATISTICS)
    main = equivalence.merge(main_measures(equivalence))
    assert page.count('<span class="equivalent">') == (main["verdict"] == "equivalent").sum() > 0
    [counts] = pd.read_html(io.StringIO(page.partition("<h2>qld")[0]))
    assert counts[["better", "equivalent", "worse", "undecided"]].to_numpy().sum() == len(main)
    [row] = pick(main, first_stage="qld", backbone="bert", dataset="dl19").itertuples()
    assert f"{row.difference:+.3f} [{row.ci_low:+.3f}, {row.ci_high:+.3f}]" in page
    assert "±0.02" in page and "Bonferroni" in page
    nothing = pages.verdict_page(equivalence.iloc[:0], STATISTICS)
    assert "Which recipes are on par" in nothing


def test_a_csv_s_page_has_all_rows_and_a_filter(tmp_path):
    table = significance_table(make(), ORDER, STATISTICS, seed=1)
    typeset.write_csv(table, tmp_path / "significance.csv")
    page = pages.csv_page("significance", tmp_path / "significance.csv")
    assert page.count("<tr>") + page.count("<tr ") == len(table) + 1 and "<input" in page
    about = PAGES["significance"]
    assert f"<h1>{about.title}</h1>\n<p>{about.note}</p>" in page
