"""Cross-encoders: their heads and their layers; and no model's weights run code."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
)

from restage.errors import InputError
from restage.first_stage import plaid, vectors
from restage.model.heads import (
    AFTER_ATTENTION,
    encoder_layers,
    finish_first_token_only,
    keep_layers,
    load_cross_encoder,
    load_model,
)
from tests.conftest import ARCHITECTURES, SMALL, TEXTS


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_finishing_the_first_token_only_changes_no_score_and_no_gradient(name, tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny(name))
    inputs = tokenizer(TEXTS[:6], TEXTS[40:46], padding=True, return_tensors="pt")
    inputs.pop("token_type_ids", None)

    def first(output):
        return output[0] if isinstance(output, tuple) else output

    found, widths = [], []
    for change in (lambda model: None, finish_first_token_only):
        model = load_model(tiny(name)).eval()  # no dropout
        change(model)
        encoder_layers(model)[-1].register_forward_hook(
            lambda _, inputs, output: widths.append(first(output).shape[1])
        )
        scores = model(**inputs).logits[:, 0]
        scores.square().sum().backward()
        gradients = {name: w.grad for name, w in model.named_parameters() if w.grad is not None}
        found.append({"scores": scores.detach(), **gradients})
    assert found[0].keys() == found[1].keys()
    for part in found[0]:
        torch.testing.assert_close(found[1][part], found[0][part], rtol=1e-5, atol=1e-7)
    length = inputs["input_ids"].shape[1]
    assert widths == [length, 1 if model.config.model_type in AFTER_ATTENTION else length]


@pytest.mark.parametrize("name", AFTER_ATTENTION)
def test_every_named_encoder_finishes_the_first_token_only(name):
    config = AutoConfig.for_model(name, **SMALL, vocab_size=50)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    inputs = {
        "input_ids": torch.arange(5, 29).reshape(2, 12),
        "attention_mask": torch.tensor([[1] * 12, [1] * 7 + [0] * 5]),
    }
    expected, widths = model(**inputs).logits, []
    finish_first_token_only(model)
    for module in encoder_layers(model)[-1].modules():
        if type(module).__name__.endswith("LayerNorm"):  # DeBERTa has its own
            module.register_forward_hook(lambda _, inputs, output: widths.append(output.shape[1]))
    torch.testing.assert_close(model(**inputs).logits, expected, rtol=1e-5, atol=1e-7)
    assert widths == [1, 1]


@pytest.mark.parametrize(("count", "kept"), [(1, [5]), (2, [0, 5]), (3, [0, 2, 5]), (6, range(6))])
def test_layers_are_kept_evenly_with_the_first_and_the_last(tiny, count, kept):
    model = load_model(tiny("bert"), num_hidden_layers=6)
    layers = list(model.bert.encoder.layer)
    keep_layers(model, count)
    assert list(model.bert.encoder.layer) == [layers[place] for place in kept]
    assert model.config.num_hidden_layers == count


def test_more_layers_than_there_are_is_told(tiny):
    model = load_model(tiny("bert"), num_hidden_layers=1)
    with pytest.raises(InputError, match="has 1; give that many at most"):
        keep_layers(model, 2)


def test_layers_that_are_no_list_cannot_be_left_out():
    small = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
    config = AutoConfig.for_model("albert", **small, embedding_size=8, vocab_size=50)
    with pytest.raises(InputError, match="a albert has no list of its 12 layers"):
        keep_layers(AutoModelForSequenceClassification.from_config(config), 1)


def test_a_model_that_is_no_cross_encoder_is_told(tiny, tmp_path):
    network = load_model(tiny("bert"))
    network.bert.save_pretrained(tmp_path / "headless")
    BertForSequenceClassification(BertConfig(num_labels=2)).save_pretrained(tmp_path / "two")
    with pytest.raises(InputError, match="headless: has no head; to score pairs, give a"):
        load_cross_encoder(tmp_path / "headless")
    with pytest.raises(InputError, match="two: has 2 outputs"):
        load_cross_encoder(tmp_path / "two")
    network.save_pretrained(tmp_path / "whole")
    assert load_cross_encoder(tmp_path / "whole").num_labels == 1


def pickled_checkpoint(tiny, folder, evil):
    """A checkpoint whose weights are a pickle that runs code."""
    shutil.copytree(tiny("bert"), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    with (folder / "pytorch_model.bin").open("wb") as file:
        pickle.dump(evil, file)
    return str(folder)


def test_a_checkpoint_that_is_a_pickle_is_not_loaded(tiny, tmp_path, evil):
    thing, was_run = evil
    folder = pickled_checkpoint(tiny, tmp_path / "model", thing)
    cpu = torch.device("cpu")
    loads = [
        lambda: load_model(folder),
        lambda: load_cross_encoder(folder),
        lambda: vectors.load_encoder(folder, None, None, cpu),
        lambda: vectors.load_encoder(folder, "cls", None, cpu),
        lambda: plaid.load_encoder(folder, cpu),
    ]
    for load in loads:
        with pytest.raises(InputError, match="has no weights as safetensors"):
            load()
    assert not was_run.exists()
    pickle.loads(pickle.dumps(thing))
    assert was_run.exists()  # which it would be


def test_a_pickle_among_shards_or_in_a_bi_encoder_is_not_loaded(tiny, tmp_path, evil):
    thing, was_run = evil
    sharded = Path(pickled_checkpoint(tiny, tmp_path / "sharded", thing))
    index = {"metadata": {}, "weight_map": {"classifier.bias": "pytorch_model.bin"}}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    dense = tmp_path / "dense"
    shutil.copytree(tiny("bert"), dense)
    modules = [(0, "", "Transformer"), (1, "1_Pooling", "Pooling"), (2, "2_Dense", "Dense")]
    described = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, path, kind in modules
    ]
    (dense / "modules.json").write_text(json.dumps(described))
    (dense / "2_Dense").mkdir()
    with (dense / "2_Dense/pytorch_model.bin").open("wb") as file:
        pickle.dump(thing, file)
    cpu = torch.device("cpu")
    for folder in (sharded, dense):
        for load in (load_model, lambda f: vectors.load_encoder(f, None, None, cpu)):
            with pytest.raises(InputError, match="is no safetensors file and can run code"):
                load(str(folder))
    assert not was_run.exists()
