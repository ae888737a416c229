"""What a model is called, and how its tokenizer and its weights are loaded without running code."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from restage.errors import InputError
from restage.grid.abilities import pickles
from restage.grid.machine import REVISION, local_folder, missing_model

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

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
        InputError: the model has no safetensors, or damaged ones, or code of its own.
    """
    from safetensors import SafetensorError  # here, for a folder's name needs it not

    if message := pickles(Path(model_folder(model))):
        raise InputError(f"{model}: {message}")
    try:
        with _without_code(model):
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


@contextmanager
def _without_code(model: str) -> Iterator[None]:
    """Say it in one line where a library finds no code of its own for a model."""
    try:
        yield
    except ValueError as error:
        said = " ".join(str(error).split())
        if "trust_remote_code" in said:
            said = "has code of its own (auto_map), which is never run here"
        elif "does not recognize this architecture" in said:
            said = "is of an architecture that the installed transformers does not know"
        else:
            raise
        raise InputError(f"{model}: {said}; give a model that transformers knows") from None


def load_tokenizer(model: str) -> "PreTrainedTokenizerBase":
    """Load the fast tokenizer of a cross-encoder, or of what is to be one (see ``model_folder``).

    It is loaded before anything is computed with the model, so what goes wrong between the two
    goes wrong here.

    Raises:
        InputError: the model needs code of its own or is no encoder with a head, or its tokenizer
            is missing, slow, without padding, or has more tokens than the model.
    """
    from transformers import AutoConfig, AutoTokenizer  # here, for a folder's name needs them not

    folder = model_folder(model)
    with _without_code(model):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, trust_remote_code=False)
    if message := _mismatch(config, tokenizer):
        raise InputError(f"{model}: {message}")
    return tokenizer


def _mismatch(config: "PreTrainedConfig", tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """What of a model and its tokenizer does not fit a cross-encoder, or each other."""
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        return f"transformers has no classification head for a {config.model_type}; give an encoder"
    vocabulary = tokenizer.get_vocab()
    # Where there are no files of a tokenizer, transformers makes one that knows no words.
    if vocabulary.keys() <= set(tokenizer.all_special_tokens):
        return "has no tokenizer beside its weights; save_pretrained it there"
    if not tokenizer.is_fast:
        return "has no fast tokenizer (tokenizer.json); convert it with transformers and save it"
    if tokenizer.pad_token_id is None or getattr(config, "pad_token_id", None) is None:
        return (
            "has no pad token in its tokenizer or no pad_token_id in its config.json; set both to "
            "one token and save them"
        )
    last, size = max(vocabulary.values()), getattr(config, "vocab_size", None)
    if size is not None and last >= size:
        return (
            f"its tokenizer has tokens up to {last}, but its vocab_size is {size}; mend one of them"
        )
    return None
