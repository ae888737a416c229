"""The times of files and folders, by which Snakemake tells what to make again."""

import os
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from restage.errors import InputError
from restage.grid.layout import Roots
from restage.log import log

WAIT = 60 * 10**9  # ns: as far as another machine's clock is likely to be ahead


def time_of(path: str | os.PathLike) -> int:
    """When Snakemake takes a file or folder to be made (ns); 0: it is not there."""
    try:
        return _carrier(path).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def set_time(path: str | os.PathLike, made: int) -> None:
    os.utime(_carrier(path), ns=(made, made))


def _carrier(path: str | os.PathLike) -> Path:
    """What carries the time of a file or a folder."""
    mark = Path(path, ".snakemake_timestamp")
    return mark if Path(path).is_dir() and mark.exists() else Path(path)


def mend(paths: Iterable[str], roots: Roots) -> None:
    """Let no output of the workflow's lie in the future, and wait until others' files do not.

    Snakemake removes what is older than what it was made from, however long it took.

    Raises:
        InputError: a file of somebody else's lies so far in the future that its time is wrong.
    """
    for path in paths:
        made, now = time_of(path), time.time_ns()
        if made <= now:
            continue
        if roots.relative(path).startswith("<"):
            log.warning("%s: is from the future (%s): made as old as today", path, _shown(made))
            set_time(path, now)
        elif made - now < WAIT:
            time.sleep((made - now) / 1e9)
        else:
            raise InputError(
                f"{path}: is from the future ({_shown(made)}; here it is {_shown(now)}), and what "
                "is made from it would always be too old; touch it, or mend this machine's clock"
            )


def _shown(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9).isoformat(" ", "seconds")
