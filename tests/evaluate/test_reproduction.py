"""Reproduction: what was published stands beside what was measured."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from restage.evaluate.reproduction import reproduction_table
from restage.evaluate.tables import group_table
from restage.evaluate.values import CELL, cells
from restage.grid.settings import TableOrder
from tests.evaluate.made_up import ORDER, STATISTICS, make

ROOT = Path(__file__).parents[2]


def test_reproduction_joins_what_both_have():
    order = ORDER._replace(first_stages=("bm25",))
    table = group_table(make(order), order, STATISTICS, seed=1)
    inside = table["value"].iloc[0] + 1e-4
    published = pd.DataFrame(
        [("-", "-", "bm25", "dl19", inside, 0.9, 0.1), ("electra", "CL", "x", "dl19", 1, 1, 1)],
        columns=["backbone", "recipe", "first_stage", "dataset", "nDCG@10", "AP", "RR@10"],
    )
    found = reproduction_table(table, published)
    assert list(found["measure"]) == ["nDCG@10", "AP(rel=2)"]
    assert list(found["published"]) == [inside, 0.9]
    assert found["difference"].iloc[0] == pytest.approx(-1e-4)
    assert list(found["within_interval"]) == [True, False]
    empty = reproduction_table(table, published.assign(first_stage="other"))
    assert empty.empty and [*empty.columns] == [*found.columns]


def test_every_published_number_has_its_cell_in_the_paper_s_grid():
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    published = pd.read_csv(ROOT / "workflow/published/in_domain.csv")
    assert len(published) == 3 * 4 * 9
    datasets = config["datasets"].items()
    order = TableOrder(
        first_stages=tuple(config["first_stages"]),
        models=tuple((b, r) for b in config["backbones"] for r in config["recipes"]),
        measures={name: d["measures"] for name, d in datasets if d["group"] == "in_domain"},
    )
    ours = pd.DataFrame(cells(order), columns=CELL).assign(value=0.5, ci_low=0.4, ci_high=0.6)
    joined = reproduction_table(ours, published)
    assert len(joined) == published.size - 4 * len(published)
    assert not joined.duplicated(CELL).any()
    one = joined.set_index(CELL)["published"]
    assert one["bm25", "-", "-", "dl19", "AP(rel=2)"] == 0.3035
    assert one["bm25", "-", "-", "devsmall", "RR@10"] == 0.1855
