"""What made the results: versions and commits, and time, memory and device of each job."""

import os
from collections import Counter
from pathlib import Path

import pandas as pd

from restage.grid.manifests import Manifest

MEASURED = ["seconds", "cpu_seconds", "memory_mb", "device"]


def read_manifests(folder: str | os.PathLike) -> dict[str, Manifest]:
    """Return the manifests in a folder by the paths of their outputs, without their root."""
    files = sorted(Path(folder).rglob("*.json"))
    read = {str(file.relative_to(folder).with_suffix("")): Manifest.read(file) for file in files}
    return {path: manifest for path, manifest in read.items() if manifest}


def provenance(made: dict[str, Manifest]) -> pd.DataFrame:
    """Return what, is and outputs: each version of what computed, and how many outputs it made."""
    counts: Counter[tuple[str, str]] = Counter()
    for one in made.values():
        told = one.versions | {"workflow": one.commit, "device": one.device}
        counts.update(told.items())
    rows = [(*fact, count) for fact, count in sorted(counts.items())]
    return pd.DataFrame(rows, columns=["what", "is", "outputs"])


def runtimes(made: dict[str, Manifest]) -> pd.DataFrame:
    """Return job, seconds, cpu_seconds, memory_mb and device of each job, by its first output."""
    jobs: dict[str, dict[str, object]] = {}
    for path, one in made.items():
        numbers = {name: getattr(one, name) for name in MEASURED}
        jobs.setdefault(f"{one.rule} {one.wildcards}", {"job": path, **numbers})
    return pd.DataFrame(list(jobs.values()), columns=["job", *MEASURED])
