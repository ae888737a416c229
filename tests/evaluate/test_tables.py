"""Tables of groups: what stands in them."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from restage.evaluate.tables import group_table, main_measures
from restage.evaluate.values import CELL
from tests.evaluate.made_up import ONE_CELL, ORDER, STATISTICS, make, per_query, pick

COLUMNS = ["first_stage", "backbone", "recipe", "dataset", "measure", "value", "seeds", "std"]
COLUMNS += ["ci_low", "ci_high", "p_value"]


def test_group_table_has_each_cell_in_order():
    table = group_table(make(), ORDER, STATISTICS, seed=1)
    assert [*table.columns] == [*COLUMNS, "significant"]
    cells = list(table[CELL].itertuples(index=False, name=None))
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
    table = group_table(values, ORDER, STATISTICS, seed=1)
    [row] = pick(table, **ONE_CELL, backbone="bert", recipe="KD").itertuples()
    mine = per_query(values, **ONE_CELL, backbone="bert", recipe="KD")
    alone = per_query(values, **ONE_CELL, backbone="-")
    cell = pick(values, **ONE_CELL, backbone="bert", recipe="KD")
    assert row.value == pytest.approx(mine.mean())
    assert row.seeds == seeds
    assert row.std == pytest.approx(cell.groupby("seed")["value"].mean().std(), nan_ok=True)
    assert mine.min() - 1e-9 < row.ci_low <= row.value <= row.ci_high < mine.max() + 1e-9
    assert row.p_value == pytest.approx(stats.ttest_rel(mine, alone).pvalue)
    assert row.significant == (row.p_value * len(ORDER.models) < STATISTICS.alpha)


def test_first_stage_alone_has_no_seeds_and_no_test():
    alone = pick(group_table(make(), ORDER, STATISTICS, seed=1), backbone="-")
    assert (alone["seeds"] == 0).all() and not alone["significant"].any()
    assert alone[["std", "p_value"]].isna().all(axis=None)


def test_the_seed_and_the_cell_key_the_interval():
    values = make()
    one, two, other = (group_table(values, ORDER, STATISTICS, seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, two)
    assert (one["ci_low"] != other["ci_low"]).any()
    fewer = ORDER._replace(models=ORDER.models[2:])
    part = group_table(values, fewer, STATISTICS, seed=1)
    kept = one[one["backbone"] != "electra"].reset_index(drop=True)
    pd.testing.assert_frame_equal(part[COLUMNS], kept[COLUMNS])


def test_one_query_and_identical_runs():
    table = group_table(make(queries=1), ORDER, STATISTICS, seed=1)
    assert table["p_value"].isna().all() and not table["significant"].any()
    same = group_table(make(spread=0, gain=0), ORDER, STATISTICS, seed=1)
    assert (pick(same, backbone="bert")["p_value"] == 1).all()


def test_first_stages_alone_make_a_table():
    order = ORDER._replace(models=())
    assert len(group_table(make(order), order, STATISTICS, seed=1)) == 2 * 3


def test_figures_show_ndcg_or_the_first_measure():
    table = pd.DataFrame(
        [("a", "AP"), ("a", "nDCG@10"), ("b", "RR@10"), ("b", "AP")], columns=["dataset", "measure"]
    )
    main = main_measures(table)
    assert dict(main.itertuples(index=False, name=None)) == {"a": "nDCG@10", "b": "RR@10"}
