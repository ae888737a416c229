"""Comparisons of models: significance, equivalence, and what a learning rate makes of a stage."""

from dataclasses import replace

import pandas as pd
import pytest
from scipy import stats

from restage.evaluate.comparisons import equivalence_table, learning_rate_table, significance_table
from restage.evaluate.statistics import over_queries_and_seeds, tost
from restage.evaluate.tables import group_table
from restage.evaluate.values import CELL
from tests.evaluate.made_up import ONE_CELL, ORDER, STATISTICS, make, per_query, pick


def test_significance_by_its_definitions():
    values = make(gain=0.1)
    table = significance_table(values, ORDER, replace(STATISTICS, baseline_recipe="KD"), seed=1)
    assert set(table["against"]) == {"first_stage", "KD"}
    assert len(pick(table, against="KD")) == 2 * 2 * 3  # both backbones' CL
    [row] = pick(table, **ONE_CELL, backbone="bert", recipe="CL", against="KD").itertuples()
    mine, other = (per_query(values, **ONE_CELL, backbone="bert", recipe=r) for r in ("CL", "KD"))
    assert row.difference == pytest.approx((mine - other).mean())
    assert row.p_value == pytest.approx(stats.ttest_rel(mine, other).pvalue)

    family = pick(table, **ONE_CELL, against="first_stage")
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
    statistics = replace(STATISTICS, correction=correction, alpha=0.2)
    values = make(gain=0.06)
    table = significance_table(values, ORDER, statistics, seed=1)
    assert (table["significant"] == (table[column] < 0.2)).all()
    assert 0 < table["significant"].mean() < 1
    marked = group_table(values, ORDER, statistics, seed=1)
    both = table[table["against"] == "first_stage"].merge(marked, on=CELL)
    assert (both["significant_x"] == both["significant_y"]).all()


def test_equivalence_by_its_definitions():
    values = make(spread=0.05, seeds=[1])
    table = equivalence_table(values, ORDER, STATISTICS, seed=1)
    assert len(table) == 2 * 2 * 3 and set(table["against"]) == {"CL"}
    [row] = pick(table, **ONE_CELL, backbone="bert").itertuples()
    mine, other = (per_query(values, **ONE_CELL, backbone="bert", recipe=r) for r in ("KD", "CL"))
    assert row.p_value == pytest.approx(stats.ttest_rel(mine, other).pvalue)
    assert row.p_tost == pytest.approx(tost(mine, other, 0.02))
    assert row.verdict == "equivalent"
    narrow = equivalence_table(values, ORDER, replace(STATISTICS, equivalence_margin=1e-4), 1)
    assert set(narrow["verdict"]) == {"undecided"}
    worse = values["value"].where(values["recipe"] != "KD", values["value"] - 0.1)
    said = equivalence_table(values.assign(value=worse), ORDER, STATISTICS, 1)["verdict"]
    assert set(said) == {"worse"}


def test_seeds_are_a_source_of_variance():
    values = make(seeds=(1, 2, 3))
    equivalence = equivalence_table(values, ORDER, STATISTICS, seed=1)
    significance = significance_table(values, ORDER, STATISTICS, seed=1)
    cell = ONE_CELL | {"backbone": "bert", "recipe": "KD", "against": "CL"}
    [row], [tested] = (
        pick(equivalence, **cell).itertuples(),
        pick(significance, **cell).itertuples(),
    )
    mine, other = (
        pick(values, **ONE_CELL, backbone="bert", recipe=r).pivot(
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
    once = significance_table(values[values["seed"] < 2], ORDER, STATISTICS, seed=1)
    assert once["p_query_seed"].isna().all()


def test_one_query_and_identical_runs():
    said = equivalence_table(make(spread=0, gain=0), ORDER, STATISTICS, seed=1)["verdict"]
    assert set(said) == {"equivalent"}
    said = equivalence_table(make(queries=1), ORDER, STATISTICS, seed=1)["verdict"]
    assert set(said) == {"undecided"}


def test_a_recipe_is_compared_with_its_previous_stage():
    recipes = ("CL", "KD", "CL-KD", "KD-CL", "CL-KD-CL")
    order = ORDER._replace(models=tuple(("bert", recipe) for recipe in recipes))
    table = equivalence_table(make(order), order, STATISTICS, seed=1)
    compared = table[["recipe", "against"]].drop_duplicates().itertuples(index=False, name=None)
    assert set(compared) == {
        ("KD", "CL"),
        ("CL-KD", "CL"),
        ("KD-CL", "CL"),
        ("KD-CL", "KD"),
        ("CL-KD-CL", "CL"),
        ("CL-KD-CL", "CL-KD"),
    }


def test_a_backbone_without_the_baseline_recipe_is_not_compared_with_it():
    order = ORDER._replace(models=(("electra", "CL"), ("electra", "KD"), ("bert", "KD")))
    table = equivalence_table(make(order), order, STATISTICS, seed=1)
    assert set(table["backbone"]) == {"electra"}


@pytest.mark.parametrize("compare", [significance_table, equivalence_table])
def test_first_stages_alone_are_not_compared(compare):
    order = ORDER._replace(models=())
    table = compare(make(order), order, STATISTICS, seed=1)
    assert table.empty
    assert list(table.columns[:7]) == [*CELL, "against", "difference"]


def test_learning_rates_stand_with_what_they_started_from():
    recipes = ["CL", "KD", "CL-KD9", "CL-KD8", "KD-CL8", "KD-CL9"]
    order = ORDER._replace(models=tuple(("bert", recipe) for recipe in recipes))
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
    groups = group_table(values, order, STATISTICS, seed=1)
    equivalence = equivalence_table(values, order, STATISTICS, seed=1)
    table = learning_rate_table(groups, equivalence, sweep)
    assert len(table) == 2 * 3 * 4
    assert list(table["recipe"].head(4)) == ["CL-KD9", "CL-KD8", "KD-CL9", "KD-CL8"]
    [row] = pick(table, **ONE_CELL, recipe="KD-CL9").itertuples()
    mine, other = (
        per_query(values, **ONE_CELL, backbone="bert", recipe=r) for r in ("KD-CL9", "KD")
    )
    assert row.value == pytest.approx(mine.mean())
    assert row.difference == pytest.approx((mine - other).mean())
