"""What a configuration says is on this machine, and is not."""

import importlib.util
import os
import re
from pathlib import Path

PACKAGE = "package:"
HUB = re.compile(r"[\w.-]+(/[\w.-]+)?")  # org/name, or a name of the first days
OF_SNAKEMAKE = re.compile(r"[{}<>\x00-\x1f\x7f]")  # wildcards, path variables, lines
REVISION = "@"  # between such a name and a commit of the hub's
ABOUT = ["config.json", "modules.json"]  # of which a model's folder has one at least


def unfit(path: str | os.PathLike) -> str | None:
    """Return what to say of a path that Snakemake would take for another; None if it is fit."""
    if found := OF_SNAKEMAKE.search(str(path)):
        return f"there is {found[0]!r} in the path {str(path)!r}, which Snakemake reads as its own"
    return None


def missing_file(path: str | os.PathLike) -> str | None:
    """Return what to say of a file that should be there; None if it is."""
    if Path(path).is_file():
        return f"{message}; rename it" if (message := unfit(path)) else None
    return f"there is no file {path}; paths are relative to {Path.cwd()}"


def local_folder(model: str) -> Path | None:
    """Return the folder of a model that is on this machine; None: it is on the hub, or missing.

    ``package:NAME`` is the folder with a config.json inside an installed Python package.
    """
    if not model.startswith(PACKAGE):
        folder = Path(model).expanduser()
        return folder if folder.is_dir() else None
    package = _folder_of_package(model)
    configs = sorted(package.rglob("config.json"), key=lambda p: len(p.parts)) if package else []
    return configs[0].parent if configs else None


def _folder_of_package(model: str) -> Path | None:
    name = model.removeprefix(PACKAGE).replace("-", "_")
    if not name.isidentifier():  # to look for a name with dots would import what is before them
        return None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin).parent if spec and spec.origin else None


def on_hub(model: str) -> bool:
    """Return whether a model is one of the hub's, as it is there at any time."""
    return local_folder(model) is None and HUB.fullmatch(model) is not None


def missing_model(model: str) -> str | None:
    """Return what is wrong with a model that should be on this machine; None if it is there.

    Hub names are not looked for: they are checked when they are downloaded.
    """
    folder, package = local_folder(model), model.removeprefix(PACKAGE)
    if package != model:
        if not _folder_of_package(model):
            return f"there is no installed package '{package}'; pip install it"
        if not folder:
            return f"the package '{package}' has no config.json of a model in it"
    elif not folder and model.startswith(("/", "./", "../", "~")):
        return f"there is no folder {model}; paths are relative to {Path.cwd()}"
    elif not folder and not HUB.fullmatch(model.partition(REVISION)[0]):
        return f"'{model}' is no folder, and no name that the hub could have (org/name)"
    elif folder and not any((folder / name).is_file() for name in ABOUT):
        return f"the folder {model} has no config.json of a model in it"
    return f"{message}; rename it" if folder and (message := unfit(folder)) else None
