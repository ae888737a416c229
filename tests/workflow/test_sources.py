"""Collections, datasets and runs of every source, and first stages of every kind."""

import hashlib
import json
import os
import subprocess
import sys

import pandas as pd
import pytest
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

from restage.collections.texts import TextStore
from restage.demo.gazetteer import write_gazetteer
from restage.ranked_lists.store import RankedLists
from restage.rerank.runs import read_run
from tests.workflow.runs import ROOT, make, planned, read_config, write_config

TRECQA = ROOT.parent / "shared/data/trecqa"


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
    assert (jobs["index"], jobs["download"], jobs["ranked_lists"]) == (0, 0, 0)


def test_a_download_that_fails_is_one_line(tmp_path):
    code = "from restage import log; log.start('log', 'fetch x'); "
    code += "from restage.collections import sources; "
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
