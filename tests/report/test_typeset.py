"""Tables as files: csv, markdown, LaTeX and text."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from restage.evaluate.tables import group_table
from restage.report import typeset
from tests.evaluate.made_up import ORDER, STATISTICS, make

COLUMNS = ["first_stage", "backbone", "recipe", "dataset", "measure", "value", "seeds", "std"]
COLUMNS += ["ci_low", "ci_high", "p_value"]


@pytest.fixture(scope="module")
def table():
    return group_table(make(), ORDER, STATISTICS, seed=1)


@pytest.fixture
def csv(table, tmp_path):
    typeset.write_csv(table.drop(columns="significant"), tmp_path / "tables/t.csv")
    return tmp_path / "tables/t.csv"


def test_csv_is_tidy_and_comes_back(table, csv):
    lines = csv.read_text("utf-8").splitlines()
    assert lines[0].split(",") == COLUMNS
    assert re.fullmatch(r"qld,-,-,dl19,nDCG@10,0\.\d{6},0,,0\.\d{6},0\.\d{6},", lines[1])
    assert re.fullmatch(r".*,2,0\.\d{6},0\.\d{6},0\.\d{6},\d(\.\d+)?e-\d\d", lines[-1])
    back = typeset.read_csv(csv)
    pd.testing.assert_frame_equal(back, table[COLUMNS], atol=1e-6, rtol=5e-3, check_dtype=False)


def test_rates_are_not_rounded_away(tmp_path):
    table = pd.DataFrame({"recipe": ["CL-KD"], "learning_rate": [6e-12], "value": [0.5]})
    typeset.write_csv(table, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "recipe,learning_rate,value\nCL-KD,6e-12,0.500000\n"
    pd.testing.assert_frame_equal(typeset.read_csv(tmp_path / "t.csv"), table)


def test_names_that_look_like_numbers_come_back(tmp_path):
    order = ORDER._replace(first_stages=("007",), measures={"NA": ("AP",)})
    table = group_table(make(order), order, STATISTICS, seed=1)
    typeset.write_csv(table.drop(columns="significant"), tmp_path / "t.csv")
    back = typeset.read_csv(tmp_path / "t.csv")
    assert set(back["first_stage"]) == {"007"} and set(back["dataset"]) == {"NA"}


def test_markdown_marks_the_best_and_the_significant(table):
    blocks = typeset.markdown(table).split("### ")[1:]
    assert [block.split("\n")[0] for block in blocks] == ["qld", "bm_25"]
    for block in blocks:
        lines = [line for line in block.splitlines() if line.startswith("|")]
        heads = [head.strip() for head in lines[0].split("|")[1:-1]]
        assert heads[:3] == ["backbone", "recipe", "dl19 nDCG@10"] and len(heads) == 5
        cells = np.array([[c.strip() for c in line.split("|")[1:-1]] for line in lines[2:]])
        assert [tuple(row) for row in cells[:, :2]] == [("-", "-"), *ORDER.models]
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
    table = group_table(make(spread=0, gain=0), ORDER, STATISTICS, seed=1)
    assert typeset.markdown(table).count("**0.300") == len(table)


def test_latex_is_escaped_and_each_row_has_all_columns(table):
    tex = typeset.latex(table)
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
    measures = ("AP", "nDCG@1", "nDCG@5", "nDCG@10", "RR@10")
    order = ORDER._replace(measures={"dl19": measures, "dl&20": measures})
    table = group_table(make(order), order, STATISTICS, seed=1)
    assert typeset.latex(table).count(r"\begin{tabular}{lllrrrrr}") == 2


def test_terminal_table_is_the_same_from_the_file(table, csv):
    text = typeset.terminal_table(typeset.read_csv(csv))
    assert text == typeset.terminal_table(table)
    assert text.index("qld, then") < text.index("bm_25, then")
    assert text.count("p(nDCG@10)") == 2 and f"{table['value'].iloc[0]:.3f}" in text


def test_a_table_is_printed_from_the_command_line(table, csv):
    command = [sys.executable, "-m", "restage.report.typeset", str(csv)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert typeset.terminal_table(table) in ran.stdout
    assert f"everything else: {csv.parents[1]}/" in ran.stdout


def test_first_stages_alone_are_set(tmp_path):
    order = ORDER._replace(models=())
    table = group_table(make(order), order, STATISTICS, seed=1)
    typeset.write_csv(table.drop(columns="significant"), tmp_path / "t.csv")
    assert typeset.terminal_table(typeset.read_csv(tmp_path / "t.csv")).count("qld") == 1
    assert typeset.markdown(table).count("### ") == 2
    assert typeset.latex(table).count(r"\begin{tabular}") == 1


def test_a_table_without_rows_has_its_header(tmp_path):
    typeset.write_csv(pd.DataFrame(columns=["recipe", "against", "p_value"]), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "recipe,against,p_value\n"
    assert typeset.read_csv(tmp_path / "t.csv").empty


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex with booktabs")
def test_latex_compiles(table, tmp_path):
    typeset.write_text(tmp_path / "t.tex", typeset.latex(table))
    document = r"\documentclass{article}\usepackage{booktabs}\begin{document}" + "\n"
    Path(tmp_path / "main.tex").write_text(document + r"\input{t.tex}\end{document}" + "\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout[-2000:]
    assert (tmp_path / "main.pdf").stat().st_size > 10_000


def test_reasons_are_told_with_what_they_cost():
    columns = ["rule", "why", "outputs", "pairs", "gpu_hours"]
    rows = [("finetune", "rate: 1 -> 2", 2, 3_000_000, 0.25), ("score", "after finetune", 1, 0, 0)]
    text = typeset.reasons_text(pd.DataFrame(rows, columns=columns))
    lines = [re.split(r"  +", line.strip()) for line in text.splitlines()]
    assert lines[0] == ["rule", "why", "outputs", "pairs", "gpu hours"]
    assert lines[2] == ["finetune", "rate: 1 -> 2", "2", "3,000,000", "0.250"]
    assert lines[3][:3] == ["score", "after finetune", "1"]
    assert typeset.reasons_text(pd.DataFrame(columns=columns)) == "Nothing is to be done."


def test_other_code_is_told_by_rule_commit_and_module():
    one, other = SimpleNamespace(rule="score", commit="abc"), SimpleNamespace(rule="x", commit="d")
    modules = {
        "a": ["score.py", "restage.files"],
        "b": ["score.py", "restage.files"],
        "c": ["x.py"],
    }
    text = typeset.other_code_text({"a": one, "b": one, "c": other, "d": other}, modules)
    lines = [re.split(r"  +", line.strip()) for line in text.splitlines()]
    assert lines[2:4] == [["score", "abc", "score.py, restage.files", "2"], ["x", "d", "x.py", "1"]]
    assert "`snakemake accept`" in text and "`snakemake reject`" in text
    none = typeset.other_code_text({"d": other}, {})
    assert none == "Every output was made by the code as it is."
