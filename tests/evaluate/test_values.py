"""Values per query: read with what their paths say, and missed where there are none."""

import pandas as pd
import pytest

from restage.errors import InputError
from restage.evaluate.comparisons import equivalence_table, significance_table
from restage.evaluate.measures import Value, write_measures
from restage.evaluate.tables import group_table
from restage.evaluate.values import load, read_measures
from restage.grid.layout import FIRST_STAGE_MEASURES, MEASURES, Roots
from tests.evaluate.made_up import ONE_CELL, ORDER, STATISTICS, make, pick


def test_loads_what_the_paths_say(tmp_path):
    roots = Roots.of(str(tmp_path), None)
    alone = FIRST_STAGE_MEASURES.at(roots, first_stage="bm25", dataset="dl19")
    model = {"backbone": "electra", "recipe": "CL-KD", "seed": 42}
    reranked = MEASURES.at(roots, **model, first_stage="bm25", dataset="dl.19")
    for path in (alone, reranked):
        write_measures(path, [Value("1", "AP", 0.5)])
    loaded = load([alone], [str(reranked)])
    keys = ["first_stage", "backbone", "recipe", "seed", "dataset", "query_id", "measure", "value"]
    assert loaded[keys].to_numpy().tolist() == [
        ["bm25", "-", "-", -1, "dl19", "1", "AP", 0.5],
        ["bm25", "electra", "CL-KD", 42, "dl.19", "1", "AP", 0.5],
    ]
    assert load([], []).empty and set(load([], [])) == set(loaded)


def test_refuses_another_table(tmp_path):
    (tmp_path / "text").write_text("no table")
    pd.DataFrame({"query_id": ["1"]}).to_parquet(tmp_path / "other")
    for name in ("text", "other"):
        with pytest.raises(InputError, match="no measures"):
            read_measures(tmp_path / name)


def test_missing_queries_and_cells_are_told():
    values = make()
    missing = pick(values, **ONE_CELL, backbone="bert", recipe="KD", query_id="7").index
    for function in (significance_table, equivalence_table):
        with pytest.raises(InputError, match="query 7: only one of bm_25 bert KD dl&20"):
            function(values.drop(missing), ORDER, STATISTICS, seed=1)
    with pytest.raises(InputError, match="query 7"):
        group_table(values.drop(missing), ORDER, STATISTICS, seed=1)
    with pytest.raises(InputError, match="qld bert KD dl19 nDCG@10: has no values"):
        significance_table(
            values[values["recipe"] != "KD"],
            ORDER._replace(models=(("bert", "KD"),)),
            STATISTICS,
            1,
        )
