"""A training in several processes, each with its own GPU where there are some.

``python -m restage.finetune.launch FILE PARENT`` is one of them; FILE says in JSON what it trains.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from restage import log as logs
from restage.errors import InputError
from restage.finetune.loop import fine_tune
from restage.finetune.signals import STOPPING, Signals
from restage.grid.settings import Backbone, Compute, Objective, Part
from restage.log import log
from restage.processes import die_with, how_it_ended

GRACE_SECONDS = 30  # for the others to save and end when one has ended
PARTS: dict[str, type[Part]] = {"backbone": Backbone, "objective": Objective, "compute": Compute}


def fine_tune_in_processes(
    processes: int, log_file: str | os.PathLike, job: str, **settings: Any
) -> None:
    """Call ``fine_tune`` in so many processes.

    They die with this one, and share the locks that it has: a device is free when all have ended.

    Args:
        log_file, job: where the processes log, as ``log.start`` takes them.
        settings: the arguments of ``fine_tune``.

    Raises:
        InputError: a process was killed.
        SystemExit: one failed; the log says why.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "training.json")
        write_settings(file, log_file, job, **settings)
        # Where they meet. Its port is one that was free.
        store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        started: list[subprocess.Popen[bytes]] = []
        with Signals(partial(_pass_on, started)):
            started += [_start(file, rank, processes, store.port) for rank in range(processes)]
            code = _wait(started)
    if code < 0 and -code not in STOPPING:
        raise InputError(
            f"a process of the training {how_it_ended(code)}; the system kills what needs more "
            "memory than there is; the same command goes on from the saved state"
        )
    if code:
        raise SystemExit(code if code > 0 else 128 - code)


def _start(file: Path, rank: int, processes: int, port: int) -> subprocess.Popen[bytes]:
    """Start one of the processes, as torchrun would.

    torchrun closes the descriptors of locks, and is a process more whose death the others survive.
    """
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
    numbers |= {"LOCAL_WORLD_SIZE": processes, "OMP_NUM_THREADS": 1}
    place = {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    environment = os.environ | place | {name: str(number) for name, number in numbers.items()}
    command = [sys.executable, "-m", __name__, str(file), str(os.getpid())]
    return subprocess.Popen(command, env=environment, close_fds=False)


def _wait(started: Sequence[subprocess.Popen[bytes]]) -> int:
    """Wait for all to end, and return the exit status of the first that failed; 0: none did.

    The others wait for one that has failed in vain: they are ended.
    """
    failed, end = 0, math.inf
    while None in (codes := [process.poll() for process in started]):
        if not failed and any(codes):
            failed = min(filter(None, codes))
            asked = failed > 0 or -failed in STOPPING
            end = time.monotonic() + (GRACE_SECONDS if asked else 0)
        if time.monotonic() >= end:
            for process in started:
                process.kill()
        time.sleep(0.01)
    return failed or next(filter(None, codes), 0)


def _pass_on(started: Sequence[subprocess.Popen[bytes]], number: int) -> None:
    for process in started:
        process.send_signal(number)


def write_settings(path: Path, log_file: str | os.PathLike, job: str, **settings: Any) -> None:
    """Write what ``fine_tune_from`` reads."""
    content = {"log": [str(log_file), job], "settings": settings}
    path.write_text(json.dumps(content, default=_plain))


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


def fine_tune_from(path: str | os.PathLike) -> None:
    """Train what a file asks for: alone, or as one of the processes that torchrun has started.

    What stops all of them alike, an ``InputError``, the first one says for all.
    """
    content = json.loads(Path(path).read_text())
    log_file, job = content["log"]
    logs.start(log_file, job, append=True)
    first = os.environ.get("RANK", "0") == "0"
    if not first:
        log.setLevel("WARNING")
    settings = content["settings"]
    settings |= {name: part.of(settings[name]) for name, part in PARTS.items()}
    try:
        fine_tune(**settings)
    except InputError:
        if first:
            raise
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    die_with(int(sys.argv[2]))
    fine_tune_from(sys.argv[1])
