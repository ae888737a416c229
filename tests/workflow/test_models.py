"""Models are inputs by content: what was made with one is made again where it is replaced."""

import json
import os
import shutil
import subprocess

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests.workflow.runs import (
    ENVIRONMENT,
    make,
    planned,
    read_config,
    snakemake_command,
    write_config,
)


@pytest.fixture
def folder(small_grid, tmp_path):
    """The small grid with a folder of its own as its model, which one recipe and an engine use."""
    folder = small_grid(tmp_path)
    tiny = (folder / "tiny").resolve()
    (folder / "tiny").unlink()
    shutil.copytree(tiny, folder / "tiny")
    dense = {"engine": "dense", "model": "./tiny", "pooling": "cls", "depth": 10}
    config = read_config(folder) | {"first_stages": {"dense": dense}, "recipes": ["CL"]}
    config["ranked_lists"]["bm25"]["first_stage"] = "dense"
    write_config(folder, config)
    return folder


TARGETS = ["out/models/tiny/CL/42", "out/first_stage/dense/test.run.gz", "out/ranked_lists/given"]


def test_what_a_replaced_model_made_is_made_again(folder):
    make(folder, *TARGETS)
    assert planned(folder, *TARGETS) == {}

    torch.manual_seed(5)
    model = AutoModelForSequenceClassification.from_pretrained(folder / "tiny")
    model.classifier.reset_parameters()
    model.save_pretrained(folder / "tiny")
    again = {"finetune": 1, "index": 1, "retrieve": 1, "mine": 1, "ranked_lists": 1}
    assert planned(folder, *TARGETS) == again | {"teacher_lists": 1}
    make(folder, *TARGETS)

    tokenizer = AutoTokenizer.from_pretrained(folder / "tiny")
    tokenizer.add_tokens(["xyzzy"])
    tokenizer.save_pretrained(folder / "tiny")
    assert planned(folder, *TARGETS)["token_store"] == 2


def test_a_model_of_the_hub_stays_at_its_first_revision(folder, hub_model):
    old, new = "a" * 40, "b" * 40
    config = read_config(folder)
    config["backbones"]["tiny"]["model"] = config["first_stages"]["dense"]["model"] = "org/tiny"
    write_config(folder, config)
    hub_model("org/tiny", old)
    targets = TARGETS[:2]
    assert planned(folder, *targets)["pin"] == 1
    make(folder, *targets)
    assert f"org/tiny@{old}" in (folder / "out/models/tiny/CL/42/README.md").read_text()
    weights = hub_model("org/tiny", new)
    model = AutoModelForSequenceClassification.from_pretrained(weights)
    model.classifier.reset_parameters()
    model.save_pretrained(weights)
    assert planned(folder, *targets) == {}

    pinned = "out/stores/models/org--tiny.json"
    command = [*snakemake_command(folder), "--forcerun", pinned, "--", *targets]
    subprocess.run(command, cwd=folder, env=os.environ | ENVIRONMENT, check=True)
    assert json.loads((folder / pinned).read_text())["revision"] == new
    assert f"org/tiny@{new}" in (folder / "out/models/tiny/CL/42/README.md").read_text()
