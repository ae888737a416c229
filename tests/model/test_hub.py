"""Models of the hub stay at the revision that was there when they were first used."""

import json
import logging

import pytest

from restage.errors import InputError
from restage.grid.abilities import Use
from restage.grid.settings import Backbone
from restage.model.hub import at_revision, pin, pinned
from restage.model.names import load_tokenizer, model_folder

OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def file(hub_model, tmp_path):
    """What pins a model to a revision of which the cache has a newer one by now."""
    hub_model("org/old", OLD)
    pin("org/old", tmp_path / "pinned.json")
    hub_model("org/old", NEW)
    return tmp_path / "pinned.json"


def test_a_model_is_loaded_as_it_was_when_it_was_pinned(file, tiny):
    expected = {"model": "org/old", "revision": OLD, "main": OLD}
    assert json.loads(file.read_text()) == expected
    model = at_revision("org/old", file)
    assert model == f"org/old@{OLD}"
    assert model_folder(model).endswith(f"snapshots/{OLD}")
    assert load_tokenizer(model).get_vocab() == load_tokenizer(tiny("bert")).get_vocab()
    assert pinned(Backbone("org/old", 1), file) == Backbone(model, 1)
    assert pinned(Backbone("./here"), None) == Backbone("./here")


@pytest.mark.parametrize("now", [OLD, NEW, None])
def test_a_revision_that_moved_is_told_in_one_line(file, now, server, monkeypatch, caplog):
    about = {"id": "org/old", "sha": now, "siblings": []}
    files = {"api/models/org/old": json.dumps(about).encode()} if now else {}
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server(files))
    with caplog.at_level(logging.INFO):
        assert at_revision("org/old", file) == f"org/old@{OLD}"
    told = [record.getMessage() for record in caplog.records if record.name == "restage"]
    assert len(told) == (now == NEW)
    assert all(part in line for line in told for part in (OLD, NEW, f"--forcerun {file}"))
    assert len(server.requests) == 1


def test_a_model_that_cannot_do_what_it_is_to_do_is_told_once_it_is_here(hub_model, tmp_path):
    hub_model("org/short", OLD)
    use = Use(("backbones", "b", "model"), {"rerank.max_length": 81}, True)
    with pytest.raises(InputError, match="org/short: reads 80 tokens at most, and rerank"):
        pin("org/short", tmp_path / "pinned.json", [use])
    assert not (tmp_path / "pinned.json").exists()


def test_a_model_that_is_neither_on_the_hub_nor_in_its_cache_is_one_line(hub_model, tmp_path):
    with pytest.raises(InputError, match="org/none: cannot be had from the hub") as error:
        pin("org/none", tmp_path / "pinned.json")
    assert len(str(error.value).splitlines()) == 1
    assert not (tmp_path / "pinned.json").exists()
