"""What models cannot do is told from their folders' files alone."""

import json

import pytest

from restage.grid.abilities import Use, inability

MINE = ("backbones", "mine", "model")
TRAINED = Use(MINE, {"rerank.max_length": 64}, True)
TEACHER = Use(MINE, {}, False)
ENCODER = Use(MINE, {}, None)
BERT = {"model_type": "bert", "max_position_embeddings": 512, "num_hidden_layers": 12}
HEADED = BERT | {"architectures": ["BertForSequenceClassification"]}
ROBERTA = {"model_type": "roberta", "max_position_embeddings": 66}


@pytest.fixture
def told(tmp_path):
    """Return what is said of a model with such a config.json and such files."""

    def tell(use, config, files=None):
        for name, content in {"config.json": config, "vocab.txt": "", **(files or {})}.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(json.dumps(content))
        return inability(tmp_path, use)

    return tell


@pytest.mark.parametrize(
    ("use", "config", "expected"),
    [
        (TRAINED, BERT, None),
        (TRAINED, {}, None),
        (TRAINED, BERT | {"max_position_embeddings": 64}, None),
        (
            TRAINED,
            BERT | {"max_position_embeddings": 63},
            "reads 63 tokens at most, and rerank.max",
        ),
        (TRAINED, {"n_positions": 24}, "reads 24 tokens at most"),
        (TRAINED, {"max_position_embeddings": -1}, None),  # XLNet's: as many as may be
        (TRAINED, ROBERTA, None),
        (TRAINED, ROBERTA | {"pad_token_id": 2}, "reads 63 tokens at most"),
        (TRAINED, ROBERTA | {"max_position_embeddings": 65}, "reads 63 tokens at most"),
        (TRAINED, {"max_position_embeddings": 8, "position_biased_input": False}, None),
        (TRAINED, HEADED | {"id2label": {"0": "a"}}, None),
        (TRAINED, HEADED | {"id2label": {"0": "a", "1": "b", "2": "c"}}, "a head of 3 outputs"),
        (TRAINED, HEADED, "a head of 2 outputs"),  # the number that is not written down
        (TEACHER, HEADED | {"id2label": {"0": "a"}}, None),
        (TEACHER, HEADED, "a head of 2 outputs, where one is needed; give a cross-encoder"),
        (TEACHER, BERT | {"architectures": ["BertModel"]}, "has no head; give a cross-encoder"),
        (ENCODER, HEADED, None),
        (Use(MINE, {}, True, 12), BERT, None),
        (Use(MINE, {}, True, 13), BERT, "has 12 layers, and num_layers is 13"),
        (Use(MINE, {}, True, 3), {"n_layers": 2}, "has 2 layers"),
        (Use(MINE, {}, True, 1), BERT | {"model_type": "albert"}, "share their weights"),
        (TRAINED, BERT | {"model_type": "albert"}, None),
        (TRAINED, [], "files that cannot be read"),
        (TRAINED, BERT | {"max_position_embeddings": "many"}, "files that cannot be read"),
    ],
)
def test_what_a_configuration_says_a_model_cannot_do(told, use, config, expected):
    message = told(use, config)
    assert message is None if expected is None else expected in message


def test_a_model_without_its_tokenizer_is_told(told, tmp_path):
    told(ENCODER, BERT)
    (tmp_path / "vocab.txt").unlink()
    assert "has no tokenizer beside its weights" in inability(tmp_path, ENCODER)


INDEX = "model.safetensors.index.json"
DENSE = {"modules.json": [{"path": ""}, {"path": "2_Dense"}]}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({INDEX: {"weight_map": {"a": "one.safetensors", "b": "two.bin"}}}, "weights in two.bin"),
        ({INDEX: {"weight_map": {"a": "one.safetensors"}}}, None),
        ({INDEX: {"weight_map": {"a": "two.bin"}}, "model.safetensors": 0}, None),  # read instead
        ({**DENSE, "2_Dense/pytorch_model.bin": 0}, "weights in 2_Dense/pytorch_model.bin"),
        ({**DENSE, "2_Dense/pytorch_model.bin": 0, "2_Dense/model.safetensors": 0}, None),
        ({"pytorch_model.bin": 0, "model.safetensors": 0}, None),
        ({INDEX: {"weight_map": ["a"]}}, "files that cannot be read"),
        ({"modules.json": [{}]}, "files that cannot be read"),
    ],
)
def test_weights_that_are_pickles_under_another_name(told, files, expected):
    message = told(ENCODER, BERT, files)
    assert message is None if expected is None else expected in message
