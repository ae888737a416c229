"""A training in several processes, each with its own GPU where there are some.

``python -m restage.finetune.launch FILE`` is one of them; FILE says in JSON what it trains.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import torch

from restage import log as logs
from restage.errors import InputError
from restage.finetune.loop import fine_tune
from restage.finetune.signals import Signals
from restage.grid.settings import Backbone, Compute, Objective, Part
from restage.log import log

PARTS: dict[str, type[Part]] = {"backbone": Backbone, "objective": Objective, "compute": Compute}


def fine_tune_in_processes(
    processes: int, log_file: str | os.PathLike, job: str, **settings: Any
) -> None:
    """Call ``fine_tune`` in so many processes.

    Args:
        log_file, job: where the processes log, as ``log.start`` takes them.
        settings: the arguments of ``fine_tune``.

    Raises:
        SystemExit: a process failed; the log says why.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "training.json")
        write_settings(file, log_file, job, **settings)
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(processes), "-m", __name__, str(file)]
        process = subprocess.Popen(command)
        with Signals(process.send_signal):
            code = process.wait()
    if code:
        raise SystemExit(code)


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
    fine_tune_from(sys.argv[1])
