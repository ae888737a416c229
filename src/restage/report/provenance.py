"""What made the results: versions and commits, and time, memory and device of each job."""

from collections import Counter
from collections.abc import Iterable

import pandas as pd

from restage.grid.manifests import Manifest

MEASURED = ["seconds", "cpu_seconds", "memory_mb", "device"]


def behind(made: dict[str, Manifest], outputs: Iterable[str]) -> dict[str, Manifest]:
    """Return those of the manifests that tell how some outputs came about, by the same paths.

    Which others there are by now is chance.

    Args:
        outputs: paths without their root.
    """
    found: dict[str, Manifest] = {}
    left = [path for path in outputs if path in made]
    while left:
        path = left.pop()
        if path not in found:
            found[path] = made[path]
            inputs = (used for paths in made[path].inputs.values() for used in paths)
            left += [used for used in map(_without_root, inputs) if used in made]
    return {path: found[path] for path in made if path in found}


def _without_root(path: str) -> str:
    return path.partition("/")[2]


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
