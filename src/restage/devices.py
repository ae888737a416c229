"""Leases on GPUs, so that two jobs on one machine never compute on the same device.

This module imports neither torch nor anything that does: CUDA_VISIBLE_DEVICES counts only if it is
set before.
"""

import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path

from filelock import FileLock, Timeout

from restage.log import log

WAIT_SECONDS = 1.0


def devices_here() -> list[str]:
    """Return the GPUs of this machine that this process may use, by number or UUID."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [device.strip() for device in visible.split(",") if device.strip()]
    numbers = (re.fullmatch(r"nvidia(\d+)", path.name) for path in Path("/dev").glob("nvidia*"))
    return sorted((number[1] for number in numbers if number), key=int)


@contextmanager
def leased(
    count: int,
    jobs_per_gpu: int = 1,
    devices: Sequence[str] | None = None,
    folder: str | os.PathLike | None = None,
) -> Iterator[list[str]]:
    """Hold ``count`` devices, waiting until so many are free, and set CUDA_VISIBLE_DEVICES.

    A lease is a locked file: when a process ends, however it ends, the system unlocks it. Under a
    scheduler (SLURM) its choice stands. A job that asks for none sees none.

    Args:
        jobs_per_gpu: leases that one device has, for models so small that several fit.
        devices: what there is to lease; by default what this machine has.
        folder: where the locked files are, common to all that share the devices; by default one in
            the machine's temporary folder.
    """
    devices = devices_here() if devices is None else list(devices)
    if not devices or "SLURM_JOB_ID" in os.environ:
        yield devices
        return
    count = min(count, len(devices))
    folder = Path(folder or Path(tempfile.gettempdir()) / "restage-leases")
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    with ExitStack() as held:
        chosen = _chosen(held, count, jobs_per_gpu, devices, folder) if count else []
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(chosen)
        log.debug("holds GPUs %s", ",".join(chosen) or "none")
        try:
            yield chosen
        finally:
            log.debug("gives back GPUs %s", ",".join(chosen) or "none")
            if before is None:
                del os.environ["CUDA_VISIBLE_DEVICES"]
            else:
                os.environ["CUDA_VISIBLE_DEVICES"] = before


@contextmanager
def _files_for_everybody() -> Iterator[None]:
    """Other users of the machine have to be able to lock the same files."""
    mask = os.umask(0)
    try:
        yield
    finally:
        os.umask(mask)


def _chosen(
    held: ExitStack, count: int, jobs_per_gpu: int, devices: Sequence[str], folder: Path
) -> list[str]:
    """Lock a place on each of ``count`` different devices, emptier ones first."""
    chosen: list[str] = []
    with _files_for_everybody():
        folder.mkdir(parents=True, exist_ok=True)
        # One at a time chooses: two that each hold one of two devices would wait for ever.
        with FileLock(folder / "choice.lock", mode=0o666):
            while True:
                for place, device in product(range(jobs_per_gpu), devices):
                    lock = FileLock(folder / f"{device}.{place}.lock", timeout=0, mode=0o666)
                    if device in chosen or not _entered(held, lock):
                        continue
                    chosen.append(device)
                    if len(chosen) == count:
                        return sorted(chosen, key=devices.index)
                time.sleep(WAIT_SECONDS)


def _entered(held: ExitStack, lock: FileLock) -> bool:
    try:
        held.enter_context(lock)
    except Timeout:
        return False
    return True
