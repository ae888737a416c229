"""Tables: what stands in them, how it is written, and the comparisons behind them."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from restage import tables
from restage.errors import InputError
from restage.measures import write_measures
from restage.statistics import tost

STATISTICS = {
    "test": "paired_t",
    "correction": "bonferroni",
    "alpha": 0.01,
    "equivalence_margin": 0.02,
    "baseline_recipe": None,
}
ORDER = {
    "first_stages": ["qld", "bm_25"],
    "models": [("electra", "CL"), ("electra", "KD"), ("bert", "CL"), ("bert", "KD")],
    "datasets": ["dl19", "dl&20"],
    "measures": {"dl19": ["nDCG@10", "AP(rel=2)"], "dl&20": ["AP(rel=2)"]},
}
COLUMNS = ["first_stage", "backbone", "recipe", "dataset", "measure", "value", "seeds", "std"]
COLUMNS += ["ci_low", "ci_high", "p_value"]


def make(order=ORDER, queries=20, seeds=(1, 2), spread=1.0, gain=0.3):
    """Values of every cell; models stand ``gain`` above their first stage."""
    rng, rows = np.random.default_rng(0), []
    for first_stage, *model, dataset, measure in tables._cells(order):
        alone = model[0] == "-"
        for seed in (-1,) if alone else seeds:
            for query in range(queries):
                value = 0.3 + (0 if alone else gain) + spread * rng.uniform(-0.3, 0.3)
                rows.append((first_stage, *model, seed, dataset, str(query), measure, value))
    names = ["first_stage", "backbone", "recipe", "seed", "dataset", "query_id", "measure", "value"]
    return pd.DataFrame(rows, columns=names).sample(frac=1, random_state=0)


def pick(frame, **keys):
    return frame[np.logical_and.reduce([frame[k] == v for k, v in keys.items()])]


def per_query(values, **keys):
    return pick(values, **keys).groupby("query_id")["value"].mean().sort_index()


CELL = {"first_stage": "bm_25", "dataset": "dl&20", "measure": "AP(rel=2)"}


def test_group_table_has_each_cell_in_order():
    table = tables.group_table(make(), ORDER, STATISTICS, seed=1)
    assert [*table.columns] == [*COLUMNS, "significant"]
    cells = list(table[tables.CELL].itertuples(index=False, name=None))
    assert len(cells) == 2 * 5 * 3
    assert cells[:3] == [
        ("qld", "-", "-", "dl19", "nDCG@10"),
        ("qld", "-", "-", "dl19", "AP(rel=2)"),
        ("qld", "-", "-", "dl&20", "AP(rel=2)"),
    ]
    assert cells[-1] == ("bm_25", "bert", "KD", "dl&20", "AP(rel=2)")


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 3), st.integers(2, 12), st.floats(0.01, 1))
def test_group_table_by_its_definitions(seeds, queries, spread):
    values = make(seeds=range(seeds), queries=queries, spread=spread)
    table = tables.group_table(values, ORDER, STATISTICS, seed=1)
    [row] = pick(table, **CELL, backbone="bert", recipe="KD").itertuples()
    mine = per_query(values, **CELL, backbone="bert", recipe="KD")
    alone = per_query(values, **CELL, backbone="-")
    cell = pick(values, **CELL, backbone="bert", recipe="KD")
    assert row.value == pytest.approx(mine.mean())
    assert row.seeds == seeds
    assert row.std == pytest.approx(cell.groupby("seed")["value"].mean().std(), nan_ok=True)
    assert mine.min() - 1e-9 < row.ci_low <= row.value <= row.ci_high < mine.max() + 1e-9
    assert row.p_value == pytest.approx(stats.ttest_rel(mine, alone).pvalue)
    assert row.significant == (row.p_value * len(ORDER["models"]) < STATISTICS["alpha"])


def test_first_stage_alone_has_no_seeds_and_no_test():
    alone = pick(tables.group_table(make(), ORDER, STATISTICS, seed=1), backbone="-")
    assert (alone["seeds"] == 0).all() and not alone["significant"].any()
    assert alone[["std", "p_value"]].isna().all(axis=None)


def test_the_seed_and_the_cell_key_the_interval():
    values = make()
    one, two, other = (tables.group_table(values, ORDER, STATISTICS, seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, two)
    assert (one["ci_low"] != other["ci_low"]).any()
    fewer = ORDER | {"models": ORDER["models"][2:]}
    part = tables.group_table(values, fewer, STATISTICS, seed=1)
    kept = one[one["backbone"] != "electra"].reset_index(drop=True)
    pd.testing.assert_frame_equal(part[COLUMNS], kept[COLUMNS])


def test_one_query_and_identical_runs():
    table = tables.group_table(make(queries=1), ORDER, STATISTICS, seed=1)
    assert table["p_value"].isna().all() and not table["significant"].any()
    same = tables.group_table(make(spread=0, gain=0), ORDER, STATISTICS, seed=1)
    assert (pick(same, backbone="bert")["p_value"] == 1).all()
    said = tables.equivalence_table(make(spread=0, gain=0), ORDER, STATISTICS)["verdict"]
    assert set(said) == {"equivalent"}
    assert set(tables.equivalence_table(make(queries=1), ORDER, STATISTICS)["verdict"]) == {
        "undecided"
    }


def test_missing_queries_and_cells_are_told():
    values = make()
    missing = pick(values, **CELL, backbone="bert", recipe="KD", query_id="7").index
    for function in (tables.significance_table, tables.equivalence_table):
        with pytest.raises(InputError, match="query 7: only one of bm_25 bert KD dl&20"):
            function(values.drop(missing), ORDER, STATISTICS)
    with pytest.raises(InputError, match="query 7"):
        tables.group_table(values.drop(missing), ORDER, STATISTICS, seed=1)
    with pytest.raises(InputError, match="qld bert KD dl19 nDCG@10: has no values"):
        tables.significance_table(
            values[values["recipe"] != "KD"], ORDER | {"models": [("bert", "KD")]}, STATISTICS
        )


def test_significance_by_its_definitions():
    values = make(gain=0.1)
    table = tables.significance_table(values, ORDER, STATISTICS | {"baseline_recipe": "KD"})
    assert set(table["against"]) == {"first_stage", "KD"}
    assert len(pick(table, against="KD")) == 2 * 2 * 3  # both backbones' CL
    [row] = pick(table, **CELL, backbone="bert", recipe="CL", against="KD").itertuples()
    mine, other = (per_query(values, **CELL, backbone="bert", recipe=r) for r in ("CL", "KD"))
    assert row.difference == pytest.approx((mine - other).mean())
    assert row.p_value == pytest.approx(stats.ttest_rel(mine, other).pvalue)

    family = pick(table, **CELL, against="first_stage")
    assert list(family["p_bonferroni"]) == pytest.approx(
        list((family["p_value"] * 4).clip(upper=1))
    )
    ordered = family.sort_values("p_value")
    holm = (ordered["p_value"] * [4, 3, 2, 1]).cummax().clip(upper=1)
    assert list(ordered["p_holm"]) == pytest.approx(list(holm))


@pytest.mark.parametrize(
    "correction, column", [("none", "p_value"), ("bonferroni", "p_bonferroni"), ("holm", "p_holm")]
)
def test_the_configured_correction_decides(correction, column):
    statistics = STATISTICS | {"correction": correction, "alpha": 0.2}
    values = make(gain=0.06)
    table = tables.significance_table(values, ORDER, statistics)
    assert (table["significant"] == (table[column] < 0.2)).all()
    assert 0 < table["significant"].mean() < 1
    marked = tables.group_table(values, ORDER, statistics, seed=1)
    both = table[table["against"] == "first_stage"].merge(marked, on=tables.CELL)
    assert (both["significant_x"] == both["significant_y"]).all()


def test_equivalence_by_its_definitions():
    values = make(spread=0.05)
    table = tables.equivalence_table(values, ORDER, STATISTICS)
    assert len(table) == 2 * 2 * 3 and set(table["against"]) == {"CL"}
    [row] = pick(table, **CELL, backbone="bert").itertuples()
    mine, other = (per_query(values, **CELL, backbone="bert", recipe=r) for r in ("KD", "CL"))
    assert row.p_value == pytest.approx(stats.ttest_rel(mine, other).pvalue)
    assert row.p_tost == pytest.approx(tost(mine, other, 0.02))
    assert row.verdict == "equivalent"
    narrow = tables.equivalence_table(values, ORDER, STATISTICS | {"equivalence_margin": 1e-4})
    assert set(narrow["verdict"]) == {"undecided"}
    worse = values["value"].where(values["recipe"] != "KD", values["value"] - 0.1)
    said = tables.equivalence_table(values.assign(value=worse), ORDER, STATISTICS)["verdict"]
    assert set(said) == {"worse"}


def test_a_backbone_without_the_baseline_recipe_is_not_compared_with_it():
    order = ORDER | {"models": [("electra", "CL"), ("electra", "KD"), ("bert", "KD")]}
    table = tables.equivalence_table(make(order), order, STATISTICS)
    assert set(table["backbone"]) == {"electra"}


def test_first_stages_alone_make_tables(tmp_path):
    order = ORDER | {"models": []}
    values = make(order)
    table = tables.group_table(values, order, STATISTICS, seed=1)
    assert len(table) == 2 * 3
    files = [str(tmp_path / f"t.{kind}") for kind in ("csv", "md", "tex")]
    tables.write_group_table(table, *files)
    assert tables.terminal_table(tables.read_csv(files[0])).count("qld") == 1
    for compare in (tables.significance_table, tables.equivalence_table):
        empty = compare(values, order, STATISTICS)
        tables.write_csv(empty, files[0])
        [header] = Path(files[0]).read_text().splitlines()
        assert header.startswith("first_stage,backbone,recipe,dataset,measure,against,difference")


def test_loads_what_the_paths_say(tmp_path):
    values = pd.DataFrame({"query_id": ["1"], "measure": ["AP"], "value": [0.5]})
    paths = [tmp_path / "bm25/dl19.parquet", tmp_path / "electra/CL-KD/42/bm25/dl.19.parquet"]
    for path in paths:
        write_measures(path, values)
    loaded = tables.load(paths[:1], paths[1:])
    keys = ["first_stage", "backbone", "recipe", "seed", "dataset", "query_id", "measure", "value"]
    assert loaded[keys].to_numpy().tolist() == [
        ["bm25", "-", "-", -1, "dl19", "1", "AP", 0.5],
        ["bm25", "electra", "CL-KD", 42, "dl.19", "1", "AP", 0.5],
    ]
    assert tables.load([], []).empty


# --- writing --------------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path):
    values = make()
    table = tables.group_table(values, ORDER, STATISTICS, seed=1)
    paths = {kind: str(tmp_path / f"t.{kind}") for kind in ("csv", "md", "tex")}
    tables.write_group_table(table, **paths)
    return table, {kind: Path(path).read_text("utf-8") for kind, path in paths.items()}


def test_csv_is_tidy_and_comes_back(written, tmp_path):
    table, text = written
    lines = text["csv"].splitlines()
    assert lines[0].split(",") == COLUMNS
    assert re.fullmatch(r"qld,-,-,dl19,nDCG@10,0\.\d{6},0,,0\.\d{6},0\.\d{6},", lines[1])
    assert re.fullmatch(r".*,2,0\.\d{6},0\.\d{6},0\.\d{6},\d(\.\d+)?e-\d\d", lines[-1])
    back = tables.read_csv(tmp_path / "t.csv")
    pd.testing.assert_frame_equal(back, table[COLUMNS], atol=1e-6, rtol=5e-3, check_dtype=False)


def test_names_that_look_like_numbers_come_back(tmp_path):
    order = ORDER | {"first_stages": ["007"], "datasets": ["NA"], "measures": {"NA": ["AP"]}}
    table = tables.group_table(make(order), order, STATISTICS, seed=1)
    tables.write_csv(table.drop(columns="significant"), tmp_path / "t.csv")
    back = tables.read_csv(tmp_path / "t.csv")
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
    assert tables._markdown(table).count("**0.300") == len(table)


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
    assert tables._latex(table).count(r"\begin{tabular}{lllrrrrr}") == 2


def test_terminal_table_is_the_same_from_the_file(written, tmp_path):
    table = written[0]
    text = tables.terminal_table(tables.read_csv(tmp_path / "t.csv"))
    assert text == tables.terminal_table(table)
    assert text.index("qld, then") < text.index("bm_25, then")
    assert text.count("p(nDCG@10)") == 2 and f"{table['value'].iloc[0]:.3f}" in text


def test_reproduction_joins_what_both_have():
    order = ORDER | {"first_stages": ["bm25"], "datasets": ["dl19", "dl&20"]}
    table = tables.group_table(make(order), order, STATISTICS, seed=1)
    inside = table["value"].iloc[0] + 1e-4
    published = pd.DataFrame(
        [("-", "-", "bm25", "dl19", inside, 0.9, 0.1), ("electra", "CL", "x", "dl19", 1, 1, 1)],
        columns=["backbone", "recipe", "first_stage", "dataset", "nDCG@10", "AP", "RR@10"],
    )
    found = tables.reproduction_table(table, published)
    assert list(found["measure"]) == ["nDCG@10", "AP(rel=2)"]
    assert list(found["published"]) == [inside, 0.9]
    assert found["difference"].iloc[0] == pytest.approx(-1e-4)
    assert list(found["within_interval"]) == [True, False]
    empty = tables.reproduction_table(table, published.assign(first_stage="other"))
    assert empty.empty and [*empty.columns] == [*found.columns]
