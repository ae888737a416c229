"""Tables: what stands in them, how it is written, and the comparisons behind them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from restage import tables, typeset
from restage.errors import InputError
from restage.measures import write_measures
from restage.statistics import over_queries_and_seeds, tost

ROOT = Path(__file__).parents[1]
STATISTICS = {
    "test": "paired_t",
    "correction": "bonferroni",
    "alpha": 0.01,
    "equivalence_margin": 0.02,
    "baseline_recipe": "CL",
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
    said = tables.equivalence_table(make(spread=0, gain=0), ORDER, STATISTICS, 1)["verdict"]
    assert set(said) == {"equivalent"}
    assert set(tables.equivalence_table(make(queries=1), ORDER, STATISTICS, 1)["verdict"]) == {
        "undecided"
    }


def test_missing_queries_and_cells_are_told():
    values = make()
    missing = pick(values, **CELL, backbone="bert", recipe="KD", query_id="7").index
    for function in (tables.significance_table, tables.equivalence_table):
        with pytest.raises(InputError, match="query 7: only one of bm_25 bert KD dl&20"):
            function(values.drop(missing), ORDER, STATISTICS, seed=1)
    with pytest.raises(InputError, match="query 7"):
        tables.group_table(values.drop(missing), ORDER, STATISTICS, seed=1)
    with pytest.raises(InputError, match="qld bert KD dl19 nDCG@10: has no values"):
        tables.significance_table(
            values[values["recipe"] != "KD"], ORDER | {"models": [("bert", "KD")]}, STATISTICS, 1
        )


def test_significance_by_its_definitions():
    values = make(gain=0.1)
    table = tables.significance_table(values, ORDER, STATISTICS | {"baseline_recipe": "KD"}, seed=1)
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
    table = tables.significance_table(values, ORDER, statistics, seed=1)
    assert (table["significant"] == (table[column] < 0.2)).all()
    assert 0 < table["significant"].mean() < 1
    marked = tables.group_table(values, ORDER, statistics, seed=1)
    both = table[table["against"] == "first_stage"].merge(marked, on=tables.CELL)
    assert (both["significant_x"] == both["significant_y"]).all()


def test_equivalence_by_its_definitions():
    values = make(spread=0.05, seeds=[1])
    table = tables.equivalence_table(values, ORDER, STATISTICS, seed=1)
    assert len(table) == 2 * 2 * 3 and set(table["against"]) == {"CL"}
    [row] = pick(table, **CELL, backbone="bert").itertuples()
    mine, other = (per_query(values, **CELL, backbone="bert", recipe=r) for r in ("KD", "CL"))
    assert row.p_value == pytest.approx(stats.ttest_rel(mine, other).pvalue)
    assert row.p_tost == pytest.approx(tost(mine, other, 0.02))
    assert row.verdict == "equivalent"
    narrow = tables.equivalence_table(values, ORDER, STATISTICS | {"equivalence_margin": 1e-4}, 1)
    assert set(narrow["verdict"]) == {"undecided"}
    worse = values["value"].where(values["recipe"] != "KD", values["value"] - 0.1)
    said = tables.equivalence_table(values.assign(value=worse), ORDER, STATISTICS, 1)["verdict"]
    assert set(said) == {"worse"}


def test_seeds_are_a_source_of_variance():
    values = make(seeds=(1, 2, 3))
    equivalence = tables.equivalence_table(values, ORDER, STATISTICS, seed=1)
    significance = tables.significance_table(values, ORDER, STATISTICS, seed=1)
    cell = CELL | {"backbone": "bert", "recipe": "KD", "against": "CL"}
    [row], [tested] = (
        pick(equivalence, **cell).itertuples(),
        pick(significance, **cell).itertuples(),
    )
    mine, other = (
        pick(values, **CELL, backbone="bert", recipe=r).pivot(
            index="query_id", columns="seed", values="value"
        )
        for r in ("KD", "CL")
    )
    both = over_queries_and_seeds((mine - other).to_numpy(), 0.02)
    assert (row.p_value, row.p_tost) == pytest.approx(both)
    assert tested.p_query_seed == pytest.approx(row.p_value)
    assert tested.p_value == pytest.approx(
        stats.ttest_rel(mine.mean(axis=1), other.mean(axis=1)).pvalue
    )
    once = tables.significance_table(values[values["seed"] < 2], ORDER, STATISTICS, seed=1)
    assert once["p_query_seed"].isna().all()


def test_a_recipe_is_compared_with_its_previous_stage():
    order = ORDER | {"models": [("bert", r) for r in ("CL", "KD", "CL-KD", "KD-CL", "CL-KD-CL")]}
    table = tables.equivalence_table(make(order), order, STATISTICS, seed=1)
    compared = table[["recipe", "against"]].drop_duplicates().itertuples(index=False, name=None)
    assert set(compared) == {
        ("KD", "CL"),
        ("CL-KD", "CL"),
        ("KD-CL", "CL"),
        ("KD-CL", "KD"),
        ("CL-KD-CL", "CL"),
        ("CL-KD-CL", "CL-KD"),
    }


def test_learning_rates_stand_with_what_they_started_from():
    recipes = ["CL", "KD", "CL-KD9", "CL-KD8", "KD-CL8", "KD-CL9"]
    order = ORDER | {"models": [("bert", recipe) for recipe in recipes]}
    values = make(order)
    sweep = pd.DataFrame(
        [
            ("CL", "KD", 1e-9, "CL-KD9"),
            ("CL", "KD", 1e-8, "CL-KD8"),
            ("KD", "CL", 1e-8, "KD-CL8"),
            ("KD", "CL", 1e-9, "KD-CL9"),
        ],
        columns=["previous", "objective", "learning_rate", "recipe"],
    )
    groups = tables.group_table(values, order, STATISTICS, seed=1)
    equivalence = tables.equivalence_table(values, order, STATISTICS, seed=1)
    table = tables.learning_rate_table(groups, equivalence, sweep)
    assert len(table) == 2 * 3 * 4
    assert list(table["recipe"].head(4)) == ["CL-KD9", "CL-KD8", "KD-CL9", "KD-CL8"]
    [row] = pick(table, **CELL, recipe="KD-CL9").itertuples()
    mine, other = (per_query(values, **CELL, backbone="bert", recipe=r) for r in ("KD-CL9", "KD"))
    assert row.value == pytest.approx(mine.mean())
    assert row.difference == pytest.approx((mine - other).mean())


def test_every_published_number_has_its_cell_in_the_paper_s_grid():
    given = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    published = pd.read_csv(ROOT / "workflow/published/in_domain.csv")
    assert len(published) == 3 * 4 * 9
    in_domain = {n: d for n, d in given["datasets"].items() if d["group"] == "in_domain"}
    order = {
        "first_stages": given["first_stages"],
        "models": [(b, r) for b in given["backbones"] for r in given["recipes"]],
        "datasets": in_domain,
        "measures": {name: dataset["measures"] for name, dataset in in_domain.items()},
    }
    cells = pd.DataFrame(tables._cells(order), columns=tables.CELL)
    ours = cells.assign(value=0.5, ci_low=0.4, ci_high=0.6)
    found = tables.reproduction_table(ours, published)
    assert len(found) == published.size - 4 * len(published)
    assert not found.duplicated(tables.CELL).any()
    one = found.set_index(tables.CELL)["published"]
    assert one["bm25", "-", "-", "dl19", "AP(rel=2)"] == 0.3035
    assert one["bm25", "-", "-", "devsmall", "RR@10"] == 0.1855


def test_figures_show_ndcg_or_the_first_measure():
    table = pd.DataFrame(
        [("a", "AP"), ("a", "nDCG@10"), ("b", "RR@10"), ("b", "AP")], columns=["dataset", "measure"]
    )
    main = tables.main_measures(table)
    assert dict(main.itertuples(index=False, name=None)) == {"a": "nDCG@10", "b": "RR@10"}


def test_a_backbone_without_the_baseline_recipe_is_not_compared_with_it():
    order = ORDER | {"models": [("electra", "CL"), ("electra", "KD"), ("bert", "KD")]}
    table = tables.equivalence_table(make(order), order, STATISTICS, seed=1)
    assert set(table["backbone"]) == {"electra"}


def test_first_stages_alone_make_tables(tmp_path):
    order = ORDER | {"models": []}
    values = make(order)
    table = tables.group_table(values, order, STATISTICS, seed=1)
    assert len(table) == 2 * 3
    files = {kind: str(tmp_path / f"t.{kind}") for kind in ("csv", "md", "tex", "html")}
    typeset.write_group_table(table, **files)
    assert typeset.terminal_table(typeset.read_csv(files["csv"])).count("qld") == 1
    for compare in (tables.significance_table, tables.equivalence_table):
        empty = compare(values, order, STATISTICS, seed=1)
        typeset.write_csv(empty, files["csv"])
        [header] = Path(files["csv"]).read_text().splitlines()
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
