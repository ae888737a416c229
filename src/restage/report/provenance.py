"""What made the results: versions and commit, and time, memory and device of each job."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

import restage
from restage import log

PACKAGES = ["snakemake", "torch", "transformers", "accelerate", "sentence-transformers"]
PACKAGES += ["tokenizers", "faiss-cpu", "pyterrier", "pyterrier-pisa", "ir-datasets", "ir-measures"]
PACKAGES += ["scipy"]
MEASURED = {"s": "seconds", "cpu_time": "cpu_seconds", "max_rss": "memory_mb"}


def provenance(workflow: str | os.PathLike) -> pd.DataFrame:
    """Return what and is: the versions of what computes and of the workflow in a folder."""
    facts = {"restage": restage.__version__, "git commit": _commit(workflow)}
    facts |= {"python": platform.python_version(), "system": platform.platform()}
    facts |= {"processor": log.processor()} | {name: _version(name) for name in PACKAGES}
    return pd.DataFrame(list(facts.items()), columns=["what", "is"])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit(folder: str | os.PathLike) -> str:
    """The commit that a folder is at, and whether files differ from it."""
    try:
        commit, changes = (
            subprocess.run(
                ["git", "-C", str(folder), *command], capture_output=True, text=True, check=True
            ).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.CalledProcessError):
        return "not in a git repository"
    return f"{commit} with changes" if changes else commit


def runtimes(benchmarks: str | os.PathLike, logs: str | os.PathLike) -> pd.DataFrame:
    """Return job, seconds, cpu_seconds, memory_mb and device of each job that was measured.

    Args:
        benchmarks: folder of Snakemake's benchmark files, .tsv.
        logs: folder of log files with the same names, .log, in which jobs note their device.
    """
    rows = []
    for file in sorted(Path(benchmarks).rglob("*.tsv")):
        job = file.relative_to(benchmarks).with_suffix("")
        [measured] = pd.read_csv(file, sep="\t", na_values="-").to_dict("records")
        numbers = {name: measured[column] for column, name in MEASURED.items()}
        device = log.facts(Path(logs, f"{job}.log")).get("device", "")
        rows.append({"job": str(job), **numbers, "device": device})
    return pd.DataFrame(rows, columns=["job", *MEASURED.values(), "device"])
