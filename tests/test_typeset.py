"""Tables as files: csv, markdown, LaTeX, pages and text."""

import io
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_tables import COLUMNS, ORDER, STATISTICS, make, pick

from restage import tables, typeset


@pytest.fixture
def written(tmp_path):
    values = make()
    table = tables.group_table(values, ORDER, STATISTICS, seed=1)
    paths = {kind: str(tmp_path / f"t.{kind}") for kind in ("csv", "md", "tex")}
    typeset.write_group_table(table, **paths)
    return table, {kind: Path(path).read_text("utf-8") for kind, path in paths.items()}


def test_csv_is_tidy_and_comes_back(written, tmp_path):
    table, text = written
    lines = text["csv"].splitlines()
    assert lines[0].split(",") == COLUMNS
    assert re.fullmatch(r"qld,-,-,dl19,nDCG@10,0\.\d{6},0,,0\.\d{6},0\.\d{6},", lines[1])
    assert re.fullmatch(r".*,2,0\.\d{6},0\.\d{6},0\.\d{6},\d(\.\d+)?e-\d\d", lines[-1])
    back = typeset.read_csv(tmp_path / "t.csv")
    pd.testing.assert_frame_equal(back, table[COLUMNS], atol=1e-6, rtol=5e-3, check_dtype=False)


def test_rates_are_not_rounded_away(tmp_path):
    table = pd.DataFrame({"recipe": ["CL-KD"], "learning_rate": [6e-12], "value": [0.5]})
    typeset.write_csv(table, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "recipe,learning_rate,value\nCL-KD,6e-12,0.500000\n"
    pd.testing.assert_frame_equal(typeset.read_csv(tmp_path / "t.csv"), table)


def test_names_that_look_like_numbers_come_back(tmp_path):
    order = ORDER | {"first_stages": ["007"], "datasets": ["NA"], "measures": {"NA": ["AP"]}}
    table = tables.group_table(make(order), order, STATISTICS, seed=1)
    typeset.write_csv(table.drop(columns="significant"), tmp_path / "t.csv")
    back = typeset.read_csv(tmp_path / "t.csv")
    assert set(back["first_stage"]) == {"007"} and set(back["dataset"]) == {"NA"}


def test_markdown_marks_the_best_and_the_significant(written):
    table, text = written
    blocks = text["md"].split("### ")[1:]
    assert [block.split("\n")[0] for block in blocks] == ["qld", "bm_25"]
    for block in blocks:
        lines = [line for line in block.splitlines() if line.startswith("|")]
        heads = [head.strip() for head in lines[0].split("|")[1:-1]]
        assert heads[:3] == ["backbone", "recipe", "dl19 nDCG@10"] and len(heads) == 5
        cells = np.array([[c.strip() for c in line.split("|")[1:-1]] for line in lines[2:]])
        assert [tuple(row) for row in cells[:, :2]] == [("-", "-"), *ORDER["models"]]
        part = table[table["first_stage"] == block.split("\n")[0]]
        shape = (5, 3)
        means = part["value"].to_numpy().reshape(shape)
        significant = part["significant"].to_numpy().reshape(shape)
        assert significant.any()
        for row, column in np.ndindex(shape):
            cell = cells[row, column + 2]
            assert f"{means[row, column]:.3f}" in cell
            assert cell.startswith("**") == (row == means[:, column].argmax())
            assert cell.endswith("†") == significant[row, column]


def test_ties_are_all_bold():
    table = tables.group_table(make(spread=0, gain=0), ORDER, STATISTICS, seed=1)
    assert typeset._markdown(table).count("**0.300") == len(table)


def test_latex_is_escaped_and_each_row_has_all_columns(written):
    tex = written[1]["tex"]
    assert r"bm\_25" in tex and "bm_25" not in tex
    assert r"\multicolumn{2}{c}{dl19} & \multicolumn{1}{c}{dl\&20} \\" in tex
    assert r"\begin{tabular}{lllrrr}" in tex and tex.isascii()
    rows = [line for line in tex.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert len(rows) == 1 + 2 * 5
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {5}
    assert sum(line == r"\midrule" for line in tex.splitlines()) == 2
    assert tex.count("{") == tex.count("}")
    assert r"\textbf{" in tex and r"$^\dagger$" in tex


def test_latex_splits_what_is_too_wide():
    measures = ["AP", "nDCG@1", "nDCG@5", "nDCG@10", "RR@10"]
    order = ORDER | {"measures": {"dl19": measures, "dl&20": measures}}
    table = tables.group_table(make(order), order, STATISTICS, seed=1)
    assert typeset._latex(table).count(r"\begin{tabular}{lllrrrrr}") == 2


def test_terminal_table_is_the_same_from_the_file(written, tmp_path):
    table = written[0]
    text = typeset.terminal_table(typeset.read_csv(tmp_path / "t.csv"))
    assert text == typeset.terminal_table(table)
    assert text.index("qld, then") < text.index("bm_25, then")
    assert text.count("p(nDCG@10)") == 2 and f"{table['value'].iloc[0]:.3f}" in text


def test_pages_escape_what_they_are_given():
    order = ORDER | {"datasets": ["<b>"], "measures": {"<b>": ["AP"]}}
    values = make(order)
    page = typeset._group_page(tables.group_table(values, order, STATISTICS, seed=1))
    assert "&lt;b&gt;<br>AP" in page and "<th><b>" not in page
    equivalence = tables.equivalence_table(values, order, STATISTICS, seed=1)
    page = typeset.verdict_page(equivalence, STATISTICS)
    assert "&lt;b&gt;<br>AP" in page
    assert page.count('<span class="undecided">') == len(equivalence)


def test_the_page_of_verdicts_counts_and_shows_them():
    values = make(spread=0.05, seeds=[1])
    equivalence = tables.equivalence_table(values, ORDER, STATISTICS, seed=1)
    page = typeset.verdict_page(equivalence, STATISTICS)
    main = equivalence.merge(tables.main_measures(equivalence))
    assert page.count('<span class="equivalent">') == (main["verdict"] == "equivalent").sum() > 0
    [counts] = pd.read_html(io.StringIO(page.partition("<h2>qld")[0]))
    assert counts[["better", "equivalent", "worse", "undecided"]].to_numpy().sum() == len(main)
    [row] = pick(main, first_stage="qld", backbone="bert", dataset="dl19").itertuples()
    assert f"{row.difference:+.3f} [{row.ci_low:+.3f}, {row.ci_high:+.3f}]" in page
    assert "±0.02" in page and "Bonferroni" in page
    nothing = typeset.verdict_page(equivalence.iloc[:0], STATISTICS)
    assert "Which recipes are on par" in nothing


def test_a_csv_s_page_has_all_rows_and_a_filter(tmp_path):
    table = tables.significance_table(make(), ORDER, STATISTICS, seed=1)
    typeset.write_csv(table, tmp_path / "significance.csv")
    page = typeset.csv_page("significance", tmp_path / "significance.csv")
    assert page.count("<tr>") + page.count("<tr ") == len(table) + 1 and "<input" in page


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex with booktabs")
@pytest.mark.usefixtures("written")
def test_latex_compiles(tmp_path):
    document = r"\documentclass{article}\usepackage{booktabs}\begin{document}" + "\n"
    (tmp_path / "main.tex").write_text(document + r"\input{t.tex}\end{document}" + "\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout[-2000:]
    assert (tmp_path / "main.pdf").stat().st_size > 10_000
