"""Models are inputs by content: what was made with one is made again where it is replaced."""

import shutil

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests.workflow.runs import make, planned, read_config, write_config


@pytest.fixture
def folder(small_grid, tmp_path):
    """The small grid with a folder of its own as its model, which one recipe and an engine use."""
    folder = small_grid(tmp_path)
    tiny = (folder / "tiny").resolve()
    (folder / "tiny").unlink()
    shutil.copytree(tiny, folder / "tiny")
    dense = {"engine": "dense", "model": "./tiny", "pooling": "cls", "depth": 10}
    write_config(
        folder, read_config(folder) | {"first_stages": {"dense": dense}, "recipes": ["CL"]}
    )
    return folder


TARGETS = ["out/models/tiny/CL/42", "out/first_stage/dense/test.run.gz", "out/ranked_lists/given"]


def test_what_a_replaced_model_made_is_made_again(folder):
    config = read_config(folder)
    config["ranked_lists"]["bm25"]["first_stage"] = "dense"
    write_config(folder, config)
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
