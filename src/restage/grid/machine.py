"""What a configuration says is on this machine, and is not."""

import importlib.util
import os
from pathlib import Path


def missing_file(path: str | os.PathLike) -> str | None:
    """Return what to say of a file that should be there; None if it is."""
    if Path(path).is_file():
        return None
    return f"there is no file {path}; paths are relative to {Path.cwd()}"


def missing_model(model: str) -> str | None:
    """Return what is wrong with a model that should be on this machine; None if it is there.

    Hub names are not looked for: they are checked when they are downloaded.
    """
    if model.startswith("package:"):
        package = model.removeprefix("package:")
        if importlib.util.find_spec(package.replace("-", "_")) is None:
            return f"there is no installed package '{package}'; pip install it"
    elif model.startswith(("/", "./", "../", "~")) and not Path(model).expanduser().is_dir():
        return f"there is no folder {model}; paths are relative to {Path.cwd()}"
    return None
