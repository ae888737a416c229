"""The device that a model computes on, and the precision it computes in."""

import torch

from restage.log import fact


def pick_device(threads: int, process: int = 0) -> torch.device:
    """Return the device to compute on: a GPU if there is one, each process its own.

    On a CPU ``threads`` threads compute. Their number is set, not found, because it decides the
    last digits of a sum.
    """
    torch.set_num_threads(threads)
    if not torch.cuda.is_available():
        return torch.device("cpu")
    fact("device", torch.cuda.get_device_name(process))
    return torch.device(f"cuda:{process}")


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context of a precision (bf16, fp16, fp32), which only a GPU computes in."""
    reduced = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    enabled = device.type != "cpu" and reduced is not None
    return torch.autocast(device.type, reduced, enabled=enabled)
