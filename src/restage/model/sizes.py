"""The sizes of a model and what a forward pass costs, from its config.json alone."""

import json
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import try_to_load_from_cache

from restage.model.names import model_folder


class Encoder(NamedTuple):
    """The sizes of a transformer encoder."""

    layers: int = 12
    hidden: int = 768
    inner: int = 3072
    vocabulary: int = 30522

    @property
    def parameters(self) -> int:
        layer = 4 * self.hidden**2 + 2 * self.hidden * self.inner
        return self.layers * layer + (self.vocabulary + 512) * self.hidden

    def operations(self, length: float) -> float:
        """Of a forward pass on one input of so many tokens: 2 for each multiply and add."""
        layer = 4 * self.hidden**2 + 2 * self.hidden * self.inner + 2 * self.hidden * length
        return 2.0 * length * self.layers * layer


# What config.json calls them; DistilBERT has names of its own.
NAMES = (
    ("num_hidden_layers", "n_layers"),
    ("hidden_size", "dim"),
    ("intermediate_size", "hidden_dim"),
    ("vocab_size",),
)


def encoder(model: str, num_layers: int | None = None) -> Encoder:
    """Return the sizes of a model on this machine; of any other, those of BERT base."""
    file = _config_file(model)
    if file is None:
        return Encoder()
    config = json.loads(file.read_text())
    layers, *others = (
        next((config[name] for name in names if name in config), default)
        for names, default in zip(NAMES, Encoder(), strict=True)
    )
    return Encoder(num_layers or layers, *others)


def _config_file(model: str) -> Path | None:
    file = Path(model_folder(model), "config.json")
    if file.is_file():
        return file
    cached = try_to_load_from_cache(model, "config.json") if model.count("/") <= 1 else None
    return Path(cached) if isinstance(cached, str) else None
