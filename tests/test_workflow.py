"""The workflow itself: real snakemake processes on a small grid, in folders of their own."""

import gzip
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import ir_measures
import numpy as np
import pandas as pd
import pytest
import yaml
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from restage.config import load
from restage.gazetteer import write_gazetteer
from restage.ranked_lists import RankedLists
from restage.runs import read_run
from restage.sampling import VALIDATION
from restage.texts import TextStore
from restage.training import _batches, _sampler

ROOT = Path(__file__).parents[1]
TRECQA = ROOT.parent / "shared/data/trecqa"
RECIPES = ["CL", "KD", "CL-KD", "KD-CL-mined", "distil"]


ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "PYTHONHASHSEED": "random"}


def snakemake_command(folder, cores=2, config="config.yaml"):
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    return [
        *command,
        "--directory",
        str(folder),
        "--cores",
        str(cores),
        "--configfile",
        str(config),
    ]


def snakemake(folder, *targets, dry=False, **options):
    """Run snakemake in ``folder``; returns the finished process, its output as text."""
    command = snakemake_command(folder, **options) + (["--dry-run"] if dry else [])
    return subprocess.run(
        [*command, "--", *targets] if targets else command,
        cwd=folder,
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def make(folder, *targets, **options):
    process = snakemake(folder, *targets, **options)
    assert process.returncode == 0, process.stdout[-3000:]
    return process.stdout


def planned(folder, *targets, **options):
    """How many jobs of each rule a dry run lists."""
    output = make(folder, *targets, dry=True, **options)
    stats = output.partition("Job stats:")[2].partition("total")[0]
    return Counter({rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+) *$", stats, re.M)})


def read_config(folder):
    return yaml.safe_load((folder / "config.yaml").read_text())


def write_config(folder, config):
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


@pytest.fixture(scope="module")
def small_grid(tiny):
    """Write the small grid into a folder: data, and a configuration with every kind of part."""

    def write(folder):
        write_gazetteer(folder / "data", places=18)
        (folder / "tiny").symlink_to(tiny("bert"))
        train = {"path": "data/collection", "split": "train"}
        lists = {"collection": "gazetteer", "queries": train, "qrels": train, "valid_fraction": 0.1}
        taught = {"depth": 6, "max_length": 48}
        loss = {"max_steps": 3, "queries_per_batch": 2, "validate_every": 2, "max_length": 32}
        config = {
            "results": "out",
            "collections": {"gazetteer": {"path": "data/collection"}},
            "datasets": {
                name: {
                    "path": "data/collection",
                    "split": name,
                    "collection": "gazetteer",
                    "group": "small",
                    "measures": ["nDCG@10", "RR@10"],
                }
                for name in ("valid", "test")
            },
            "first_stages": {
                "bm25": {"engine": "pisa", "depth": 10},
                "qld": {"engine": "pisa", "model": "qld", "depth": 10},
            },
            "ranked_lists": {
                "colbert": {"format": "trec_run", "source": {"path": "data/colbert.run"}, **lists},
                "rankgpt": {
                    "format": "rankgpt",
                    "permutations": {"path": "data/rankgpt-permutations.json"},
                    "candidates": {"path": "data/rankgpt-candidates.jsonl.zip"},
                    **lists,
                },
                "bm25": {"format": "first_stage", "first_stage": "bm25", "depth": 20, **lists},
                "given": {"format": "model", "ranked_lists": "bm25", "model": "./tiny", **taught},
                "taught": {
                    "format": "model",
                    "ranked_lists": "given",
                    "checkpoint": {"backbone": "tiny", "recipe": "CL"},
                    **taught,
                },
            },
            "objectives": {
                "CL": {
                    "loss": "localized_contrastive",
                    "ranked_lists": "colbert",
                    "list_size": 4,
                    "sample_depth": 20,
                    **loss,
                },
                "KD": {
                    "loss": "ranknet",
                    "ranked_lists": "rankgpt",
                    "labels": "ranks",
                    "list_size": 5,
                    **loss,
                },
                "mined": {"extends": "CL", "ranked_lists": "bm25"},
                "distil": {"extends": "KD", "ranked_lists": "taught"},
            },
            "backbones": {"tiny": {"model": "./tiny"}},
            "recipes": RECIPES,
            "rerank": {"depth": 10, "max_length": 48},
            "compute": {"threads": 1, "gpus_per_training": 0, "gpus_per_scoring": 0},
        }
        write_config(folder, config)
        return folder

    return write


@pytest.fixture(scope="module")
def grid(small_grid, tmp_path_factory):
    """The small grid, made from end to end."""
    folder = small_grid(tmp_path_factory.mktemp("grid"))
    output = make(folder)
    assert "100%" in output
    return folder


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


def test_a_workflow_killed_while_it_trains_goes_on_from_there(small_grid, tmp_path):
    folder = small_grid(tmp_path)
    config = read_config(folder)
    config["compute"]["save_every_minutes"] = 0
    config["objectives"]["CL"]["max_steps"] = 40
    write_config(folder, config)
    target, log = "out/models/tiny/CL/42", folder / "out/logs/models/tiny/CL/42.log"
    command = [*snakemake_command(folder), "--", target]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | ENVIRONMENT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )
    while not log.exists() or "state saved after step 3" not in log.read_text():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(
        [*snakemake_command(folder), "--unlock"],
        cwd=folder,
        env=os.environ | ENVIRONMENT,
        check=True,
    )
    make(folder, target)
    assert "going on after step" in log.read_text()
    assert (folder / target / "model.safetensors").is_file()


def test_a_recipe_s_intermediate_stages_are_models_too(grid):
    assert (grid / "out/models/tiny/KD-CL/42/model.safetensors").is_file()
    card = (grid / "out/models/tiny/KD-CL-mined/42/README.md").read_text()
    assert "stage 3 of recipe **KD-CL-mined**" in card


def test_first_stages_of_vectors_make_runs(small_grid, tmp_path):
    folder = small_grid(tmp_path)
    config = read_config(folder)
    MultiVectorEncoder(
        modules=[
            Transformer(str(folder / "tiny")),
            MultiVectorMask(),
            Normalize(module_input_name="token_embeddings"),
        ]
    ).save(str(folder / "colbert"))
    config["first_stages"] = {
        "dense": {"engine": "dense", "model": "./tiny", "pooling": "cls", "depth": 10},
        "late": {"engine": "late_interaction", "model": "./colbert", "depth": 10},
    }
    config["ranked_lists"]["bm25"]["first_stage"] = "dense"
    write_config(folder, config)
    targets = [f"out/first_stage/{stage}/test.run.gz" for stage in ("dense", "late")]
    make(folder, *targets, "out/mined/bm25.run.gz")
    queries = set(TextStore(folder / "out/stores/texts/datasets/test").ids(range(3)))
    for target in targets:
        run = read_run(folder / target)
        assert queries <= set(run["query_id"])
        assert set(run.groupby("query_id").size()) == {10}
    assert set(read_run(folder / "out/mined/bm25.run.gz").groupby("query_id").size()) == {20}


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
        for name in ("ranked_lists/colbert", "collections/gazetteer")
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
    assert [path.name for path in stores] == ["colbert"]


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


def test_what_is_up_to_date_is_not_made_again(grid):
    assert "Nothing to be done" in make(grid, dry=True)


def test_a_deleted_run_is_remade_with_what_depends_on_it_and_nothing_else(grid):
    run = grid / "out/runs/tiny/CL-KD/42/qld/test.run.gz"
    before, table = run.read_bytes(), (grid / "out/tables/small.csv").read_bytes()
    run.unlink()
    once = {"rerank": 1, "measure": 1, "group_table": 1, "comparisons": 1, "tables": 1}
    assert planned(grid, "tables") == once
    make(grid, "tables")
    assert run.read_bytes() == before
    assert (grid / "out/tables/small.csv").read_bytes() == table


def test_a_changed_objective_retrains_the_recipes_that_contain_it(grid):
    original, changed = read_config(grid), read_config(grid)
    changed["objectives"]["KD"]["learning_rate"] = 3e-5
    write_config(grid, changed)
    output = make(grid, "models", dry=True)
    write_config(grid, original)
    retrained = set(re.findall(r"^    output: out/models/tiny/(\S+)/42$", output, re.M))
    assert retrained == {"KD", "CL-KD", "KD-CL", "KD-CL-mined", "distil"}


def test_a_deeper_first_stage_searches_the_same_index(grid):
    original, changed = read_config(grid), read_config(grid)
    changed["first_stages"]["bm25"]["depth"] = 12
    write_config(grid, changed)
    output = make(grid, "runs", dry=True)
    write_config(grid, original)
    assert re.search(r"^    output: out/first_stage/bm25/test.run.gz$", output, re.M)
    assert "output: out/indexes" not in output


def test_the_plan_counts_the_pairs_of_the_runs(grid, small_grid, tmp_path, monkeypatch):
    before, output = small_grid(tmp_path), make(grid, "plan")
    assert re.search(r"^score +10 +10 ", output, re.M) and "Nothing to be done" not in output
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
    monkeypatch.chdir(grid)
    config = load(read_config(grid), ROOT / "workflow/schemas/config.schema.yaml")
    for recipe in ("CL", "KD", "CL-KD"):
        objective = config["objectives"][recipe[-2:]]
        lists = grid / "out/ranked_lists" / objective["ranked_lists"]
        train, valid = (_sampler(lists / part, objective, 42) for part in ("train", "valid"))
        batches = _batches(train, objective["queries_per_batch"], 0, objective["max_steps"])
        trained = sum(len(one.passages) for _, _, batch in batches for one in batch)
        validated = 3 * sum(len(valid.sample(i, VALIDATION).passages) for i in valid.usable)
        for plan in plans:
            assert plan.loc[("finetune", f"models/tiny/{recipe}/42"), "pairs"] == trained
        assert made.loc[("validate", f"models/tiny/{recipe}/42"), "pairs"] == validated


def test_a_report_has_every_table_and_figure(grid, tmp_path):
    command = [*snakemake_command(grid), "--report", str(tmp_path / "report.html")]
    subprocess.run(command, cwd=grid, env=os.environ | ENVIRONMENT, check=True)
    page = (tmp_path / "report.html").read_text()
    for name in ("pages/verdicts.html", "pages/small.html", "figures/small_effectiveness.svg"):
        assert f'"out/{name}"' in page
    assert "1. Are the recipes on par?" in page
    assert ", ".join(RECIPES) in page
    # Nothing is fetched when it is opened.
    assert not re.search(r'<(script|link|img)[^>]*(src|href)="http', page)


def test_another_run_from_scratch_gives_the_same_bytes(grid, small_grid, tmp_path):
    again = small_grid(tmp_path)
    make(again, cores=1)  # jobs in another order
    for kind in ("first_stage", "models", "scores", "runs", "measures", "tables", "figures"):
        files = [p for p in (grid / "out" / kind).rglob("*") if p.is_file()]
        assert files
        for file in files:
            other = again / file.relative_to(grid)
            if file.name == "training.csv":  # has the speed in it
                columns = ["pairs_per_second", "tokens_per_second", "memory_mb"]
                tables = [pd.read_csv(path).drop(columns=columns) for path in (file, other)]
                pd.testing.assert_frame_equal(*tables)
            elif not file.name.startswith(".snakemake"):
                assert file.read_bytes() == other.read_bytes(), file


def test_two_gpus_hold_one_job_each_and_neither_idles(small_grid, tmp_path, monkeypatch):
    """With devices that are none: two jobs at a time, never two on one device."""
    folder = small_grid(tmp_path)
    config = read_config(folder)
    config["compute"] |= {"gpus_per_training": 1, "gpus_per_scoring": 1}
    config["recipes"] = ["CL", "KD", "mined"]
    for name in ("CL", "KD"):
        config["objectives"][name]["max_steps"] = 60
    write_config(folder, config)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "fake-0,fake-1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # leases of its own
    command = [*snakemake_command(folder, cores=4), "--resources", "gpu=2", "--", "runs"]
    subprocess.run(command, cwd=folder, env=os.environ | ENVIRONMENT, check=True)
    leases = []
    for log in (folder / "out/logs").rglob("*.log"):
        found = re.findall(r"^(\S+ \S+) (holds|gives back) GPUs (\S+)$", log.read_text(), re.M)
        if found and found[0][2] != "none":
            (begin, _, device), (end, _, other) = found
            assert device == other
            leases.append((device, *map(pd.to_datetime, (begin, end))))
    table = pd.DataFrame(leases, columns=["device", "begin", "end"]).sort_values("begin")
    assert len(table) == 3 + 3 * 2  # trainings, scorings
    assert set(table["device"]) == {"fake-0", "fake-1"}
    for _, held in table.groupby("device"):
        assert (held["end"].iloc[:-1].to_numpy() <= held["begin"].iloc[1:].to_numpy()).all()
    # Two trainings are ready at once; neither waits for the other's device.
    first, second = table.iloc[:2].itertuples()
    assert first.device != second.device and second.begin < first.end


# --- the paper's grid -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    return make(folder, config=ROOT / "config/config.yaml", dry=True, cores=8)


def test_the_paper_s_grid_is_complete(paper):
    for backbone in ("electra", "roberta"):
        for recipe in ("CL", "KD", "CL-KD", "KD-CL"):
            assert f"output: results/models/{backbone}/{recipe}/42\n" in paper
    runs = re.findall(r"^    output: results/runs/(\S+)\.run\.gz$", paper, re.M)
    assert len(set(runs)) == len(runs) == 11 * 4 * 8
    first = re.findall(r"^    output: results/first_stage/(\S+)\.run\.gz$", paper, re.M)
    assert len(set(first)) == len(first) == 11 * 4
    assert {name.split("/")[0] for name in first} == {"bm25", "colbert", "tasb", "contriever"}


def job(output, file):
    """The lines of a dry run about the job that makes ``file``."""
    blocks = re.split(r"\n(?=(?:local)?rule \w+:)", output)
    (block,) = [block for block in blocks if re.search(rf"output: .*\b{file}\b(?![-/])", block)]
    return block


def test_a_second_stage_needs_the_first(paper):
    block = job(paper, "results/models/electra/KD-CL/42")
    inputs = re.search(r"input: (.*)", block)[1].split(", ")
    assert "results/models/electra/KD/42" in inputs
    assert "results/ranked_lists/colbert" in inputs
    first = re.search(r"input: (.*)", job(paper, "results/models/electra/KD/42"))[1]
    assert "results/models" not in first
    assert "results/ranked_lists/rankgpt" in first


def test_jobs_tell_their_resources(paper):
    block = job(paper, "results/models/electra/KD-CL/42")
    assert re.search(r"threads: 4", block)
    assert {"gpu=1", "mem_mb=16000", "runtime=2880"} <= set(re.findall(r"\w+=\w+", block))
    assert "gpu" not in job(paper, "results/runs/electra/KD-CL/42/bm25/dl19.run.gz")


# --- imported runs, real text, mistakes -----------------------------------------------------------


def test_a_run_made_elsewhere_needs_only_qrels(tmp_path):
    qrels, run = [], []
    for query in range(30):
        for passage in range(20):
            if (query * passage) % 7 == 3:
                qrels.append(f"q{query} 0 p{passage} {passage % 3}\n")
            if query % 10 != 9:  # queries without results count as well
                run.append(f"q{query} Q0 p{passage} {passage + 1} {20 - passage} other\n")
    (tmp_path / "x.qrels").write_text("".join(qrels))
    (tmp_path / "x.run").write_text("".join(run))
    measures = ["nDCG@10", "AP(rel=2)", "RR@10"]
    config = {
        "datasets": {"mine": {"qrels": "x.qrels", "measures": measures}},
        "first_stages": {"given": {"engine": "run", "path": "x.run"}},
    }
    write_config(tmp_path, config)
    make(tmp_path)
    tool = [sys.executable, "-m", "ir_measures", "x.qrels", "x.run", *measures]
    printed = subprocess.run(
        [*tool, "-q", "-p", "12"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    expected = {}
    for line in printed.splitlines():
        query, measure, value = line.split("\t")
        expected[query, measure] = float(value)
    found = pd.read_parquet(tmp_path / "results/measures/given/mine.parquet")
    assert len(found) == len(expected) - len(measures)  # which prints the means as well
    for query, measure, value in found.itertuples(index=False):
        assert value == pytest.approx(expected[query, measure], abs=1e-9)
    table = pd.read_csv(tmp_path / "results/tables/results.csv")
    for row in table.itertuples():
        assert row.value == pytest.approx(expected["all", row.measure], abs=1e-6)


def test_a_query_s_own_passage_is_left_out_where_the_dataset_says_so(tmp_path):
    """Queries that are passages of the collection, as arguana's are."""
    texts = {f"a{i}": f"bridge {'stone ' * i}river" for i in range(6)}
    lines = "".join(json.dumps({"_id": i, "text": text}) + "\n" for i, text in texts.items())
    (tmp_path / "data/qrels").mkdir(parents=True)
    for name in ("corpus", "queries"):
        (tmp_path / f"data/{name}.jsonl").write_text(lines)
    judged = "".join(f"{i}\ta0\t1\n" for i in texts)
    (tmp_path / "data/qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    given = [f"{query} Q0 {i} {n} {-n} x\n" for query in texts for n, i in enumerate(texts)]
    for name in ("kept", "left-out"):
        (tmp_path / f"{name}.run").write_text("".join(given))
    source = {"path": "data", "split": "test"}
    mined = {"format": "first_stage", "first_stage": "bm25", "depth": 3, "collection": "mine"}
    config = {
        "collections": {"mine": {"path": "data"}},
        "datasets": {
            "kept": {**source, "collection": "mine"},
            "left-out": {**source, "collection": "mine", "leave_out_own": True},
        },
        "first_stages": {
            "bm25": {"engine": "pisa", "depth": 3},
            "given": {"engine": "run", "path": "{dataset}.run", "depth": 3},
        },
        "ranked_lists": {"mined": {**mined, "queries": source}},
        "rerank": {"depth": 3},
    }
    write_config(tmp_path, config)
    runs = ["first_stage/bm25/kept", "first_stage/given/kept", "mined/mined"]
    runs += ["first_stage/bm25/left-out", "first_stage/given/left-out"]
    make(tmp_path, *(f"results/{run}.run.gz" for run in runs))
    for run in runs:
        found = read_run(tmp_path / f"results/{run}.run.gz")
        assert set(found.groupby("query_id").size()) == {3}, run
        has_own = (found["query_id"] == found["doc_id"]).any()
        assert has_own == (not run.endswith("left-out")), run


@pytest.fixture
def ms_marco(tmp_path, monkeypatch):
    """A home of ir_datasets as if it had downloaded MS MARCO, with a few texts of ours in it."""
    write_gazetteer(tmp_path / "data", places=18)
    home, data = tmp_path / "home/msmarco-passage", tmp_path / "data/collection"
    numbers = {}

    def number(id):
        return str(numbers.setdefault(id, len(numbers)))

    def tsv(source, target):
        rows = [json.loads(line) for line in source.read_text().splitlines()]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(f"{number(row['_id'])}\t{row['text']}\n" for row in rows))

    def qrels(split, target):
        rows = pd.read_csv(data / f"qrels/{split}.tsv", sep="\t", dtype=str).itertuples(index=False)
        target.write_text("".join(f"{number(q)} 0 {number(d)} {r}\n" for q, d, r in rows))

    tsv(data / "corpus.jsonl", home / "collection.tsv")
    (home / "irds_version.txt").write_text("v2")
    for split, name in (("train", "train"), ("test", "dev/small")):
        tsv(data / "queries.jsonl", home / name / "queries.tsv")
        qrels(split, home / name / "qrels")
    run = pd.read_csv(tmp_path / "data/colbert.run", sep=r"\s+", header=None, dtype=str)
    run[0], run[2] = run[0].map(number), run[2].map(number)
    run.to_csv(tmp_path / "colbert.run", sep="\t", header=False, index=False)
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))
    return tmp_path


def test_each_id_of_ir_datasets_is_fetched_once_and_read(ms_marco, server):
    run = (ms_marco / "colbert.run").read_bytes()
    source = {"url": f"{server({'x': run})}/x", "sha256": hashlib.sha256(run).hexdigest()}
    train = {"ir_datasets": "msmarco-passage/train/judged"}
    dataset = {"ir_datasets": "msmarco-passage/dev/small", "collection": "msmarco"}
    config = {
        "collections": {"msmarco": {"ir_datasets": "msmarco-passage"}},
        "datasets": {"devsmall": dataset},
        "first_stages": {"bm25": {"engine": "pisa", "depth": 20}},
        "ranked_lists": {
            "colbert": {
                "format": "trec_run",
                "source": source,
                "collection": "msmarco",
                "queries": train,
                "qrels": train,
                "valid_fraction": 0.1,
            }
        },
        "rerank": {"depth": 20},
    }
    write_config(ms_marco, config)
    assert planned(ms_marco)["fetch"] == 3
    make(ms_marco)
    stats = json.loads((ms_marco / "results/ranked_lists/colbert/stats.json").read_text())
    assert stats["lists"] == stats["kept"] > 50
    assert stats["dropped_passages"] == {"not in the collection": 0, "repeated in its list": 0}
    assert len(RankedLists(ms_marco / "results/ranked_lists/colbert/train").relevant) > 50
    assert pd.read_csv(ms_marco / "results/tables/results.csv")["value"][0] > 0.1
    # A checksum that is written down after the download changes nothing.
    source["sha256"] = "unknown"
    write_config(ms_marco, config)
    assert planned(ms_marco) == {}
    # Another dataset of the collection: what there is already is not made again.
    config["datasets"]["dev"] = dataset | {"ir_datasets": "msmarco-passage/dev/judged"}
    write_config(ms_marco, config)
    jobs = planned(ms_marco)
    assert (jobs["fetch"], jobs["text_store"], jobs["qrels"], jobs["retrieve"]) == (1, 1, 1, 1)
    assert (jobs["index_pisa"], jobs["download"], jobs["ranked_lists_from_run"]) == (0, 0, 0)


def test_a_download_that_fails_is_one_line(tmp_path):
    code = "from restage import log, sources; log.start('log', 'fetch x'); "
    nowhere = {"IR_DATASETS_HOME": str(tmp_path), "IR_DATASETS_DL_TRIES": "1"}
    nowhere |= dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    process = subprocess.run(
        [sys.executable, "-c", code + "sources.fetch('cranfield')"],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if k.lower() != "no_proxy"} | nowhere,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 1
    told = process.stderr.splitlines()[-1]
    assert told.startswith("fetch x: error: cranfield: ir_datasets cannot get its docs (")
    assert told.endswith("see https://ir-datasets.com/cranfield.html, then run again")


@pytest.mark.skipif(not TRECQA.is_dir(), reason="needs ../shared/data/trecqa")
def test_real_text_from_corpus_to_table(tiny, tmp_path):
    (tmp_path / "tiny").symlink_to(tiny("bert"))
    (tmp_path / "trecqa").symlink_to(TRECQA)
    train = {"path": "trecqa", "split": "train"}
    config = {
        "collections": {"trecqa": {"path": "trecqa"}},
        "datasets": {"test": {"path": "trecqa", "split": "test", "collection": "trecqa"}},
        "first_stages": {"bm25": {"engine": "pisa", "depth": 20}},
        "ranked_lists": {
            "mined": {
                "format": "first_stage",
                "first_stage": "bm25",
                "depth": 50,
                "collection": "trecqa",
                "queries": train,
                "qrels": train,
            }
        },
        "objectives": {
            "CL": {
                "loss": "localized_contrastive",
                "ranked_lists": "mined",
                "list_size": 4,
                "queries_per_batch": 2,
                "max_length": 64,
                "max_steps": 3,
            }
        },
        "backbones": {"tiny": {"model": "./tiny"}},
        "recipes": ["CL"],
        "rerank": {"depth": 20, "max_length": 64},
    }
    write_config(tmp_path, config)
    make(tmp_path)
    stats = json.loads((tmp_path / "results/ranked_lists/mined/stats.json").read_text())
    judged = pd.read_csv(TRECQA / "qrels/train.tsv", sep="\t")["query-id"].nunique()
    assert stats["kept"] == stats["train"] + stats["valid"] == judged
    table = pd.read_csv(tmp_path / "results/tables/results.csv")
    assert table["recipe"].tolist() == ["-", "CL"]
    assert table["value"][0] > 0.3  # BM25 finds answers in real text


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"sedes": [1]}, "unknown key 'sedes'; did you mean 'seeds'?"),
        ({"recipes": ["CL", "CL-XX"]}, "recipe 'CL-XX': there is no objective 'XX'"),
        ({"collections": {"gazetteer": {"path": "no/such"}}}, "there is no file no/such/corpus"),
        (
            {"datasets": {"test": {"path": "data/collection", "split": "test"}}},
            "'collection' is missing",
        ),
        (
            {
                "datasets": {
                    "test": {
                        "path": "data/collection",
                        "split": "test",
                        "collection": "gazetteer",
                        "measures": ["nDGC@10"],
                    }
                }
            },
            "cannot parse 'nDGC@10'",
        ),
        ({"rerank": {"depth": 50}}, "provides 10 passages, but rerank.depth asks for 50"),
    ],
)
def test_a_mistake_is_one_clear_line_before_any_job(small_grid, tmp_path, change, expected):
    small_grid(tmp_path)
    write_config(tmp_path, read_config(tmp_path) | change)
    process = snakemake(tmp_path)
    assert process.returncode != 0
    told = [line for line in process.stdout.splitlines() if line.startswith("error: ")]
    (line,) = told
    assert expected in line
    assert re.match(r"error: \S*config\.yaml:\d+: ", line)
    assert "Traceback" not in process.stdout
    assert not (tmp_path / "out").exists()
