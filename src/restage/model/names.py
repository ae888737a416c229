"""What a model is called, and how its tokenizer and its weights are loaded without running code."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from restage.errors import InputError
from restage.grid.machine import REVISION, local_folder, missing_model

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# How the names of files end that are read of a model: no pickles, and no prose.
READ = [".json", ".safetensors", ".txt", ".model", ".spm", ".bpe", ".tiktoken", ".metadata"]
MODULES = "[0-9]*_*/**/*"  # in the folders of sentence-transformers, such as 1_Pooling


def model_folder(model: str) -> str:
    """Return what Hugging Face loads for ``model``: a folder, or the hub name as it is.

    A hub name with a revision (``org/name@COMMIT``) is the folder of that one, downloaded.

    Raises:
        InputError: it should be on this machine, or on the hub, and is not.
    """
    if message := missing_model(model):
        raise InputError(f"{model}: {message}")
    if folder := local_folder(model):
        return str(folder)
    name, _, revision = model.partition(REVISION)
    return str(snapshot(name, revision)) if revision else name


@cache
def snapshot(name: str, revision: str) -> Path:
    """Return the folder of a revision of a hub model, with those of its files that are read.

    Raises:
        InputError: the hub does not have it, or cannot be reached and it is not in the cache.
    """
    from huggingface_hub import snapshot_download  # here, for a folder's name needs no hub

    try:
        return Path(
            snapshot_download(
                name, revision=revision, allow_patterns=[f"*{ending}" for ending in READ]
            )
        )
    except Exception as error:  # of the hub, of the network
        said = " ".join(str(error).split())
        raise InputError(
            f"{name}: cannot be had from the hub, nor from its cache on this machine ({said}); "
            "mend its name or the network, or give a folder"
        ) from None


def model_files(model: str) -> dict[str, str]:
    """Return the files of a model on this machine that may be read of it, by names in its folder.

    Of the hub's there are none.
    """
    folder = local_folder(model)
    if not folder:
        return {}
    files = sorted([*folder.glob("*"), *folder.glob(MODULES)])
    return {
        file.relative_to(folder).as_posix(): str(file)
        for file in files
        if file.suffix in READ and not file.name.startswith(".") and file.is_file()
    }


def tokenizer_files(model: str) -> dict[str, str]:
    """Return those of a model's files that its tokenizer may depend on: all but the weights."""
    files = model_files(model).items()
    return {name: file for name, file in files if "/" not in name and "safetensors" not in name}


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
