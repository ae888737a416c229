"""Run a command and watch, from outside, how long it takes and how much memory it holds."""

import subprocess
import time
from collections.abc import Sequence

import psutil

INTERVAL = 0.1  # seconds; to look more often takes time from those that are watched


def watched(command: Sequence[str]) -> tuple[float, float]:
    """Return seconds and peak resident memory (GB, of the whole process tree) of a command.

    Raises:
        subprocess.CalledProcessError: the command fails.
    """
    begin, peak = time.monotonic(), 0
    process = psutil.Popen(command)
    while process.poll() is None:
        try:
            tree = [process, *process.children(recursive=True)]
            peak = max(peak, sum(each.memory_info().rss for each in tree))
        except psutil.NoSuchProcess:
            pass
        time.sleep(INTERVAL)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.monotonic() - begin, peak / 1e9
