"""Tiny trainings, in this process or in others."""

import multiprocessing
import shutil
from dataclasses import replace

import pytest

from restage.finetune.launch import fine_tune_from, write_settings
from restage.finetune.loop import fine_tune
from restage.grid.settings import Backbone
from restage.model.names import load_tokenizer
from restage.ranked_lists.ingest import ingest
from restage.ranked_lists.store import Stats
from restage.ranked_lists.trec_blocks import read_trec_run
from tests.finetune.runs import COMPUTE, OBJECTIVE, PASSAGES, QUERIES


@pytest.fixture(scope="session")
def data(tmp_path_factory, store):
    """Ranked lists of 30 queries over 8 passages; those that speak of fish are relevant."""
    folder = tmp_path_factory.mktemp("data")
    query_texts = store((f"q{i}", text) for i, text in enumerate(QUERIES))
    passage_texts = store((f"p{i}", text) for i, text in enumerate(PASSAGES))
    lines = [f"q{q} 0 p{4 * q + r} {r} {9 - r} x\n" for q in range(30) for r in range(8)]
    (folder / "a.run").write_text("".join(lines))
    ingest(
        read_trec_run(folder / "a.run", stats := Stats()),
        folder / "lists",
        queries=query_texts,
        passages=passage_texts,
        qrels=[
            (f"q{q}", f"p{i}", 1)
            for q in range(25)
            for i, text in enumerate(PASSAGES)
            if "fish" in text
        ],
        valid_fraction=0.2,
        split_seed=1,
        stats=stats,
    )
    return folder, query_texts, passage_texts


@pytest.fixture
def lists(data, tmp_path):
    """A copy of the lists, to spoil."""
    return shutil.copytree(data[0] / "lists", tmp_path / "lists")


@pytest.fixture(scope="session")
def arguments(data, tiny, token_store, tmp_path_factory):
    """The arguments of ``fine_tune`` for a tiny backbone: an architecture's name, or a folder."""

    def make(
        backbone="bert",
        *,
        num_layers=None,
        start=None,
        seed=1,
        lists=None,
        compute=COMPUTE,
        output=None,
        **objective,
    ):
        model = str(backbone) if "/" in str(backbone) else tiny(backbone)
        tokenizer = load_tokenizer(model)
        output = output or tmp_path_factory.mktemp("model") / "m"
        return {
            "start": start,
            "output": output,
            "name": "tiny/CL/1",
            "recipe": "CL",
            "backbone": Backbone(model, num_layers),
            "objective": replace(OBJECTIVE, **objective),
            "lists": lists or data[0] / "lists",
            "queries": token_store(QUERIES, tokenizer).folder,
            "passages": token_store(PASSAGES, tokenizer).folder,
            "seed": seed,
            "compute": compute,
            "state": output.parent / "state",
            "events": output.parent / "events",
        }

    return make


@pytest.fixture(scope="session")
def train(arguments):
    """Fine-tune a tiny backbone and return the checkpoint's folder."""

    def run(*backbone, **settings):
        asked = arguments(*backbone, **settings)
        fine_tune(**asked)
        return asked["output"]

    return run


@pytest.fixture(scope="session")
def processes():
    """How to start other processes, which then have imported what a training needs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["restage.finetune.launch"])
    return context


@pytest.fixture
def job(arguments, processes, tmp_path):
    """Start a training in a process of its own; one more time goes on from its state."""
    asked = {}

    def start(**settings):
        if not asked:
            asked.update(arguments(**settings))
        write_settings(tmp_path / "job.json", tmp_path / "log", "job", **asked)
        process = processes.Process(target=fine_tune_from, args=(tmp_path / "job.json",))
        process.start()
        process.log, process.output = tmp_path / "log", asked["output"]
        return process

    return start
