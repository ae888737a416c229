"""Leases on GPUs, so that two jobs on one machine never compute on the same device.

This module imports neither torch nor anything that does: CUDA_VISIBLE_DEVICES counts only if it is
set before.
"""

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import product, takewhile
from pathlib import Path

from restage.log import log
from restage.processes import lock, locked, unlock

WAIT_SECONDS = 1.0
# The same for all jobs of a machine: TMPDIR may be another in each.
LEASES = Path("/tmp/restage-leases")
DRIVER = Path("/proc/driver/nvidia/gpus")


def devices_here() -> list[str]:
    """Return the GPUs of this machine that this process may use, by number or UUID."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        named = (device.strip() for device in visible.split(","))
        # As CUDA reads it: nothing counts from the first on that is none.
        return list(takewhile(lambda name: name and not re.match("-|NoDev", name), named))
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

    A lease is a locked file: when a process and those it started end, however they end, the system
    unlocks it. A job of a scheduler (SLURM) has devices of its own, which processes in it lease
    from each other. A job that asks for none sees none.

    Args:
        jobs_per_gpu: leases that one device has, for models so small that several fit.
        devices: what there is to lease; by default what this machine has.
        folder: where the locked files are, common to all that share the devices; by default one
            that all of the machine share.
    """
    devices = devices_here() if devices is None else list(devices)
    if not devices:
        yield devices
        return
    count = min(count, len(devices))
    job = os.environ.get("SLURM_JOB_ID")
    prefix = f"slurm-{job}." if job else ""  # it may number the devices that it sees from 0
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    with ExitStack() as held:
        places = jobs_per_gpu, devices, Path(folder or LEASES), prefix
        chosen = _chosen(held, count, *places) if count else []
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


def _chosen(
    held: ExitStack,
    count: int,
    jobs_per_gpu: int,
    devices: Sequence[str],
    folder: Path,
    prefix: str,
) -> list[str]:
    """Lock a place on each of ``count`` different devices, emptier ones first."""
    chosen: list[str] = []
    files = {device: f"{prefix}{_id_of(device)}" for device in devices}
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(PermissionError):  # another user made it
        folder.chmod(0o1777)  # sticky: nobody removes a file that another user holds
    # One at a time chooses: two that each hold one of two devices would wait for ever.
    with locked(folder / f"{prefix}choice.lock"):
        while True:
            for place, device in product(range(jobs_per_gpu), devices):
                file = folder / f"{files[device]}.{place}.lock"
                if device in chosen or not _leased(held, file):
                    continue
                chosen.append(device)
                if len(chosen) == count:
                    return sorted(chosen, key=devices.index)
            time.sleep(WAIT_SECONDS)


def _leased(held: ExitStack, path: Path) -> bool:
    descriptor = lock(path)
    if descriptor is None:
        return False
    held.callback(unlock, path, descriptor)
    return True


def _id_of(device: str) -> str:
    """The UUID of a device that is named by its number or by the beginning of its UUID."""
    told = [(path / "information").read_text() for path in sorted(DRIVER.glob("*"))]
    uuids = [uuid[1] for text in told if (uuid := re.search(r"^GPU UUID:\s*(\S+)", text, re.M))]
    if device.isdigit():
        return uuids[int(device)] if int(device) < len(uuids) else device
    alike = [uuid for uuid in uuids if uuid.startswith(device)]
    return alike[0] if len(alike) == 1 else device
