"""What computes: the versions of packages, and the commit of the workflow."""

import platform
import subprocess
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import restage

PACKAGES = ["snakemake", "torch", "transformers", "accelerate", "sentence-transformers"]
PACKAGES += ["tokenizers", "faiss-cpu", "pyterrier", "pyterrier-pisa", "ir-datasets", "ir-measures"]
PACKAGES += ["numpy", "pandas", "pyarrow", "scipy"]


def versions() -> dict[str, str]:
    """Return the versions of this project, of Python and of the packages that are installed."""
    found = {"restage": restage.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


@cache
def commit(folder: Path) -> str:
    """Return the commit that a folder is at, and whether files differ from it."""
    try:
        at, changes = (
            subprocess.run(
                ["git", "-C", str(folder), *command], capture_output=True, text=True, check=True
            ).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.CalledProcessError):
        return "not in a git repository"
    return f"{at} with changes" if changes else at
