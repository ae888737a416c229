"""The small grid from end to end: every file of the contract, and what they say of each other."""

import gzip
import json
import re

import ir_measures
import numpy as np
import pandas as pd
import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from restage.collections.texts import TextStore
from restage.grid.settings import Source
from restage.ranked_lists.sampling import VALIDATION, ListSampler
from restage.ranked_lists.store import RankedLists
from restage.rerank.runs import read_run
from tests.workflow import warm
from tests.workflow.runs import (
    RECIPES,
    ROOT,
    make,
    planned,
    read_config,
    snakemake,
    write_config,
)

TRAIN = Source(path="data/collection", split="train").folder  # of the lists' queries


def expected_files():
    stages = [f"{s}/{d}" for s in ("bm25", "qld") for d in ("valid", "test")]
    yield from (f"first_stage/{name}.run.gz" for name in stages)
    yield from (f"measures/{name}.parquet" for name in stages)
    for lists in ("colbert", "rankgpt", "bm25", "given", "taught"):
        for part in ("train/offsets.npy", "valid/passages.npy", "stats.json"):
            yield f"ranked_lists/{lists}/{part}"
    for recipe in RECIPES:
        for file in ("model.safetensors", "config.json", "tokenizer.json", "README.md"):
            yield f"models/tiny/{recipe}/42/{file}"
        yield f"models/tiny/{recipe}/42/training.csv"
        yield from (f"scores/tiny/{recipe}/42/{d}.parquet" for d in ("valid", "test"))
        yield from (f"runs/tiny/{recipe}/42/{name}.run.gz" for name in stages)
        yield from (f"measures/tiny/{recipe}/42/{name}.parquet" for name in stages)
    yield from (f"tables/small.{kind}" for kind in ("csv", "md", "tex"))
    yield from (f"tables/{name}.csv" for name in ("significance", "equivalence"))
    yield from (f"provenance/{name}.csv" for name in ("runtimes", "provenance"))
    for name in ("small_effectiveness", "small_differences", "small_queries", "training"):
        yield from (f"figures/{name}.{kind}" for kind in ("svg", "pdf"))
    pages = "small", "verdicts", "significance", "equivalence", "runtimes", "provenance"
    yield from (f"pages/{name}.html" for name in pages)


def test_every_file_of_the_contract_is_there(grid):
    missing = [name for name in expected_files() if not (grid / "out" / name).is_file()]
    assert missing == []
    leftovers = [path for path in (grid / "out").rglob("*.part*")]
    leftovers += [path for path in (grid / "out/states").rglob("*") if path.is_file()]
    assert leftovers == []
    assert list((grid / "out/tensorboard/tiny/KD-CL/42").iterdir())


def test_a_recipe_s_intermediate_stages_are_models_too(grid):
    assert (grid / "out/models/tiny/KD-CL/42/model.safetensors").is_file()
    card = (grid / "out/models/tiny/KD-CL-mined/42/README.md").read_text()
    assert "stage 3 of recipe **KD-CL-mined**" in card


def test_stats_count_lists(grid):
    colbert = json.loads((grid / "out/ranked_lists/colbert/stats.json").read_text())
    assert colbert["lines"] == 50 * colbert["lists"]
    assert colbert["train"] + colbert["valid"] == colbert["kept"] == colbert["lists"]
    rankgpt = json.loads((grid / "out/ranked_lists/rankgpt/stats.json").read_text())
    assert rankgpt["lists"] - rankgpt["kept"] == rankgpt["dropped"]["malformed permutation"] > 0


def test_a_teacher_s_lists_are_in_the_order_of_its_scores(grid):
    tokenizer = AutoTokenizer.from_pretrained(grid / "tiny")
    model = AutoModelForSequenceClassification.from_pretrained(grid / "tiny").eval()
    texts = [
        TextStore(grid / "out/stores/texts" / name)
        for name in (f"ranked_lists/{TRAIN}", "collections/gazetteer")
    ]
    mined, given = (
        RankedLists(grid / f"out/ranked_lists/{name}/train") for name in ("bm25", "given")
    )
    assert given.queries.tolist() == mined.queries.tolist()
    for i in range(5):
        assert set(given[i].passages) == set(mined[i].passages[:6])
        (query,) = texts[0].texts(given[i].query, given[i].query + 1)
        for passage, score in zip(given[i].passages, given[i].scores, strict=True):
            (text,) = texts[1].texts(passage, passage + 1)
            cut = {"truncation": True, "max_length": 48, "return_tensors": "pt"}
            inputs = tokenizer(query, text, **cut)
            assert model(**inputs).logits.item() == pytest.approx(score, abs=1e-5)
        assert (np.diff(given[i].scores) <= 0).all()


def test_queries_that_several_lists_share_are_stored_once(grid):
    stores = (grid / "out/stores/texts/ranked_lists").glob("[!.]*")
    assert [path.name for path in stores] == [TRAIN]


def test_each_distinct_pair_is_scored_once_and_runs_are_cut_from_the_scores(grid):
    stages = {s: read_run(grid / f"out/first_stage/{s}/test.run.gz") for s in ("bm25", "qld")}
    scores = pd.read_parquet(grid / "out/scores/tiny/CL/42/test.parquet")
    pairs = pd.concat(stages.values())[["query_id", "doc_id"]].drop_duplicates()
    assert not scores.duplicated(["query_id", "doc_id"]).any()
    assert len(scores) == len(pairs.merge(scores)) < sum(map(len, stages.values()))
    for name, candidates in stages.items():
        run = read_run(grid / f"out/runs/tiny/CL/42/{name}/test.run.gz")
        both = run.merge(candidates[["query_id", "doc_id"]]).merge(
            scores, on=["query_id", "doc_id"], suffixes=("", "_scored")
        )
        assert len(both) == len(run) == len(candidates)
        assert both["score"].to_numpy() == pytest.approx(both["score_scored"].to_numpy(), abs=1e-6)


def test_measures_equal_those_of_ir_measures_on_the_same_files(grid, tmp_path):
    rows = pd.read_csv(grid / "data/collection/qrels/test.tsv", sep="\t").itertuples(index=False)
    qrels = [ir_measures.Qrel(q, d, r) for q, d, r in rows]
    for name in ("first_stage/bm25", "runs/tiny/KD-CL-mined/42/qld"):
        plain = tmp_path / "plain.run"
        plain.write_bytes(gzip.decompress((grid / f"out/{name}/test.run.gz").read_bytes()))
        measures = [ir_measures.nDCG @ 10, ir_measures.RR @ 10]
        run = ir_measures.read_trec_run(str(plain))
        expected = {
            (m.query_id, str(m.measure)): m.value
            for m in ir_measures.iter_calc(measures, qrels, run)
        }
        file = name.replace("first_stage", "measures").replace("runs", "measures")
        found = pd.read_parquet(grid / f"out/{file}/test.parquet")
        assert len(found) == len(expected)
        for query, measure, value in found.itertuples(index=False):
            assert value == pytest.approx(expected[query, measure], abs=1e-9)


def test_a_deleted_run_is_remade_with_what_depends_on_it_and_nothing_else(grid):
    run = grid / "out/runs/tiny/CL-KD/42/qld/test.run.gz"
    before, table = run.read_bytes(), (grid / "out/tables/small.csv").read_bytes()
    run.unlink()
    once = {"rerank": 1, "measure": 1, "group_table": 1, "comparisons": 1, "tables": 1}
    assert planned(grid, "tables") == once
    make(grid, "tables")
    assert run.read_bytes() == before
    assert (grid / "out/tables/small.csv").read_bytes() == table


def test_deleted_measures_are_made_again(grid):
    measures = grid / "out/measures/tiny/CL/42/bm25/test.parquet"
    before = measures.read_bytes()
    measures.unlink()
    once = {"measure": 1, "group_table": 1, "comparisons": 1, "tables": 1}
    assert planned(grid, "tables") == once
    make(grid, "tables")
    assert measures.read_bytes() == before


def test_the_plan_counts_the_pairs_of_the_runs(grid, small_grid, tmp_path):
    before, output = small_grid(tmp_path), make(grid, "plan")
    assert re.search(r"^score +8 +8 ", output, re.M) and "Nothing to be done" not in output
    make(before, "plan")
    plans = [
        pd.read_csv(folder / "out/tables/plan.csv", index_col=["rule", "job"]).sort_index()
        for folder in (grid, before)
    ]
    (grid / "out/tables/plan.csv").unlink()  # of its moment, unlike the other tables
    made, planned = plans
    assert made["done"].all() and not planned["done"].any()
    assert set(made.index) == set(planned.index)
    assert (made["pairs"] <= planned["pairs"]).all()
    for recipe in RECIPES:
        for dataset in ("valid", "test"):
            place = f"tiny/{recipe}/42"
            scores = pd.read_parquet(grid / f"out/scores/{place}/{dataset}.parquet")
            assert made.loc[("score", f"scores/{place}/{dataset}.parquet"), "pairs"] == len(scores)
            for stage in ("bm25", "qld"):
                run = f"runs/{place}/{stage}/{dataset}.run.gz"
                assert made.loc[("rerank", run), "pairs"] == len(read_run(grid / "out" / run))
    objectives = read_config(grid)["objectives"]
    for recipe in ("CL", "KD", "CL-KD"):
        objective = objectives[recipe[-2:]]
        drawn = {}
        for part in ("train", "valid"):
            lists = RankedLists(grid / "out/ranked_lists" / objective["ranked_lists"] / part)
            labels, depth = objective.get("labels", "qrels"), objective.get("sample_depth")
            sampler = ListSampler(lists, labels, objective["list_size"], depth, seed=42)
            drawn[part] = [len(sampler.sample(i, VALIDATION).passages) for i in sampler.usable]
        # Three steps of two lists are less than an epoch; there are three validations.
        assert len(drawn["train"]) >= 6 and len(set(drawn["train"])) == 1
        for plan in plans:
            pairs = plan.loc[("finetune", f"models/tiny/{recipe}/42"), "pairs"]
            assert pairs == 6 * drawn["train"][0]
        pairs = made.loc[("validate", f"models/tiny/{recipe}/42"), "pairs"]
        assert pairs == 3 * sum(drawn["valid"])


def test_a_report_has_every_table_and_figure(grid, tmp_path):
    make(grid, options=["--report", str(tmp_path / "report.html")])
    page = (tmp_path / "report.html").read_text()
    for name in ("pages/verdicts.html", "pages/small.html", "figures/small_effectiveness.svg"):
        assert f'"out/{name}"' in page
    assert "1. Are the recipes on par?" in page
    assert ", ".join(RECIPES) in page
    # Nothing is fetched when it is opened.
    assert not re.search(r'<(script|link|img)[^>]*(src|href)="http', page)


def files_in(folder, *kinds):
    """Every file in some folders that does not say when it was made."""
    files = (file for kind in kinds for file in (folder / "out" / kind).rglob("*"))
    return [file for file in files if file.is_file() and file.name[0] != "."]


def test_a_model_from_scratch_and_all_that_comes_of_it_are_the_same_bytes(
    grid, small_grid, tmp_path
):
    again = small_grid(tmp_path)
    config = read_config(again) | {"recipes": ["CL-KD"]}
    write_config(again, config | {"datasets": {"test": config["datasets"]["test"]}})
    measures = [f"out/measures/{run}/test.parquet" for run in ("bm25", "tiny/CL-KD/42/bm25")]
    # Jobs in another order, in processes with another hash seed.
    make(again, "runs", *measures, cores=1, python=warm.start())
    files = files_in(again, "first_stage", "models", "scores", "runs", "measures")
    assert len(files) > 20
    for file in files:
        other = grid / file.relative_to(again)
        if file.name == "training.csv":  # has the speed in it
            columns = ["pairs_per_second", "tokens_per_second", "memory_mb"]
            tables = [pd.read_csv(path).drop(columns=columns) for path in (file, other)]
            pd.testing.assert_frame_equal(*tables)
        else:
            assert file.read_bytes() == other.read_bytes(), file


def test_tables_and_figures_made_again_are_the_same_bytes(grid):
    files = files_in(grid, "tables", "figures")
    before = {file: file.read_bytes() for file in files}
    assert len(before) > 10
    for file in files:
        file.unlink()
    make(grid)
    assert {file: file.read_bytes() for file in files} == before


SECOND = """
configfile: "config.yaml"

module restage:
    snakefile:
        "{snakefile}"
    config:
        config

use rule * from restage as restage_*

rule count:
    default_target: True
    input:
        "out/tables/small.csv",
        "out/tables/own.csv",
    output:
        "lines.txt",
    shell:
        "wc -l {{input}} > {{output}}"
"""


def test_another_workflow_takes_this_one_as_a_module(grid, small_grid, tmp_path):
    second = small_grid(tmp_path)
    config = read_config(second) | {"recipes": ["CL"]}
    config["backbones"]["own"] = {"model": "./tiny", "num_layers": 1}
    config["datasets"]["mine"] = config["datasets"]["test"] | {"group": "own"}
    write_config(second, config)
    (second / "Snakefile").write_text(SECOND.format(snakefile=ROOT / "Snakefile"))
    make(second, snakefile=second / "Snakefile", config=None)
    assert "out/tables/own.csv" in (second / "lines.txt").read_text()

    ours, theirs = (pd.read_csv(f / "out/tables/small.csv") for f in (grid, second))
    assert set(theirs["backbone"]) == {"-", "tiny", "own"}
    both = [
        table[(table["backbone"] != "own") & table["recipe"].isin(["-", "CL"])]
        for table in (ours, theirs)
    ]
    pd.testing.assert_frame_equal(*(t.reset_index(drop=True) for t in both), check_exact=True)


def test_a_mistake_in_a_module_s_configuration_is_one_line(tmp_path):
    (tmp_path / "config.yaml").write_text("recipes: [CL]\n")
    (tmp_path / "Snakefile").write_text(SECOND.format(snakefile=ROOT / "Snakefile"))
    done = snakemake(tmp_path, snakefile=tmp_path / "Snakefile", config=None)
    assert done.returncode != 0
    assert "config.yaml:1: recipes.0: recipe 'CL': there is no objective 'CL'" in done.stdout
    assert "Traceback" not in done.stdout
