"""Models of the hub: pinned to the revision that was there when they were first used."""

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import HfApi, is_offline_mode

from restage.errors import InputError
from restage.files import complete
from restage.grid.abilities import Use, inability
from restage.log import log
from restage.model.names import snapshot

WEIGHTS = "*.safetensors"
Pinned = TypeVar("Pinned")


def pin(model: str, path: str | os.PathLike, uses: Iterable[Use] = ()) -> None:
    """Download a model of the hub, and write which revision of it that is: model, revision, main.

    Without network it is the one in the hub's cache on this machine. Weights that are no
    safetensors on the branch main are those that Hugging Face converts: the revision is then that
    of the conversion, which is on top of main.

    Args:
        uses: what is to be done with it.

    Raises:
        InputError: the hub has no such model, or there is neither network nor a cache; or the
            model cannot do what is to be done with it.
    """
    main = folder = snapshot(model, "main")
    if not any(main.rglob(WEIGHTS)) and not is_offline_mode():
        folder = snapshot(model, _converted(model))
    for message in filter(None, (inability(folder, use) for use in uses)):
        raise InputError(f"{model}: {message}")
    pinned = {"model": model, "revision": folder.name, "main": main.name}
    log.info("%s at revision %s", model, folder.name)
    with complete(path) as part:
        part.write_text(json.dumps(pinned, indent=1) + "\n")


def _converted(model: str) -> str:
    """The branch of a model with the weights that Hugging Face's own converter made of it."""
    from transformers.safetensors_conversion import get_conversion_pr_reference

    try:
        return get_conversion_pr_reference(HfApi(), model)
    except Exception as error:  # of the hub, of the network, of the converter
        said = " ".join(str(error).split())
        raise InputError(
            f"{model}: has no weights as safetensors, and cannot be converted ({said}); where you "
            "trust it, load it with transformers, save_pretrained it into a folder and give that"
        ) from None


def at_revision(model: str, file: str | os.PathLike | None) -> str:
    """Return a model as it is loaded: with the revision that it is pinned to in a file, if in any.

    Says where the hub has another one by now.
    """
    if not file:
        return model
    pinned = json.loads(Path(file).read_text())
    now = _main(model)
    if now and now != pinned["main"]:
        log.warning(
            "%s: the hub has revision %s by now, %s is used; for the new one run once with "
            "--forcerun %s",
            *(model, now, pinned["main"], file),
        )
    return f"{model}@{pinned['revision']}"


def pinned(part: Pinned, file: str | os.PathLike | None) -> Pinned:
    """A part of the grid that has a model (``at_revision``)."""
    some: Any = part
    return replace(some, model=at_revision(some.model, file)) if file else part


def _main(model: str) -> str | None:
    """The revision that the hub has now; None: it cannot be asked."""
    try:
        return HfApi().model_info(model, timeout=10).sha
    except Exception:  # of the network, of the hub: what is pinned is here
        return None
