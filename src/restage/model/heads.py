"""Cross-encoders: how they are loaded, which layers they have and which tokens they finish."""

import os
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from restage.errors import InputError
from restage.model.names import model_folder, weights_of

# Encoders whose head reads the first token alone: what comes after the attention in their layers.
AFTER_ATTENTION = {
    "bert": "attention.output",
    "camembert": "attention.output",
    "deberta": "attention.output",
    "deberta-v2": "attention.output",
    "distilbert": "sa_layer_norm",
    "electra": "attention.output",
    "roberta": "attention.output",
    "xlm-roberta": "attention.output",
}


def load_model(model: str | os.PathLike, **settings: Any) -> PreTrainedModel:
    """Load a cross-encoder in float32: one output on a sequence-classification head.

    Args:
        settings: of the model's configuration, instead of its own.
    """
    return _load(model, **settings)


def _load(model: str | os.PathLike, **options: Any) -> Any:
    folder = model_folder(str(model))
    with weights_of(str(model)) as safe:
        return AutoModelForSequenceClassification.from_pretrained(
            folder,
            num_labels=1,
            dtype=torch.float32,
            trust_remote_code=False,
            **safe,
            **options,
        )


def load_cross_encoder(
    model: str | os.PathLike, device: torch.device | str = "cpu"
) -> PreTrainedModel:
    """Load a cross-encoder that has been trained to give one score, to score with.

    Raises:
        InputError: it has another number of outputs, or no head.
    """
    outputs = AutoConfig.from_pretrained(model_folder(str(model))).num_labels
    if outputs == 1:
        network, report = _load(model, output_loading_info=True)
        if not report["missing_keys"]:
            finish_first_token_only(network)
            return network.to(device).eval()
    what = f"has {outputs} outputs" if outputs != 1 else "has no head"
    raise InputError(f"{model}: {what}; to score pairs, give a cross-encoder with one output")


def encoder_layers(model: PreTrainedModel) -> torch.nn.ModuleList:
    """Return the layers of a model's encoder, first to last."""
    count = model.config.num_hidden_layers
    for module in model.base_model.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return module
    raise InputError(
        f"num_layers: a {model.config.model_type} has no list of its {count} layers, of which some "
        "could be left out; take num_layers out"
    )


def finish_first_token_only(model: PreTrainedModel) -> None:
    """Have the last layer compute what follows its attention for the first token and no others.

    The head reads nothing else, so scores and gradients stay what they are, without most of that
    layer's work: an eighth of all of MiniLM's six layers, a sixteenth of ELECTRA base's twelve.
    Encoders of which that is not known (``AFTER_ATTENTION``) stay as they are.
    """
    place = AFTER_ATTENTION.get(model.config.model_type)
    if place and not getattr(model.config, "conv_kernel_size", 0):  # DeBERTa's, over all tokens
        after = encoder_layers(model)[-1].get_submodule(place)
        after.register_forward_pre_hook(lambda _, inputs: tuple(x[:, :1] for x in inputs))


def keep_layers(model: PreTrainedModel, count: int) -> None:
    """Keep ``count`` evenly spaced layers of the encoder, the first and the last among them.

    The last layer gathers the input at the token that the head reads, and the first is the one
    that knows the embeddings: without either a short training does not get off the ground. Of one
    layer, the last is kept.

    Raises:
        InputError: the encoder has fewer layers.
    """
    have = model.config.num_hidden_layers
    if count > have:
        raise InputError(f"num_layers {count}: the backbone has {have}; give that many at most")
    kept = np.linspace(have - 1, 0, count).round().astype(int).tolist()[::-1]
    layers = encoder_layers(model)
    for place in reversed(range(have)):
        if place not in kept:
            del layers[place]
    model.config.num_hidden_layers = count
    if getattr(model.config, "layer_types", None):
        model.config.layer_types = [model.config.layer_types[place] for place in kept]
