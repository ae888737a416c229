"""The state of a training, saved so that a killed one goes on where it was, bit for bit.

One safetensors file: weights, the optimiser's moments and the best weights so far as tensors; all
else as JSON in its header. It takes its name when it is whole and on the disk, so that a power cut
leaves either the new state or the one before.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from restage.files import room_for
from restage.log import log

MOMENTS = "exp_avg", "exp_avg_sq", "step"


def save_state(
    path: str | os.PathLike,
    identity: str,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    best: Mapping[str, torch.Tensor],
    notes: Mapping,
) -> None:
    """Write the state of a training.

    Args:
        identity: what tells this training from any other; only the same one goes on from it.
        best: the best weights so far, by name; may be empty.
        notes: all else that the training has to remember, as JSON knows it.

    Raises:
        InputError: the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    for place, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{place}.{name}": moments[name] for name in MOMENTS}
    tensors = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
    header = {"identity": identity, "notes": json.dumps(notes)}
    part = path.with_name(f".{path.name}.part")
    with room_for(path):
        save_file(tensors, part, header)
        with part.open("rb") as file:
            os.fsync(file.fileno())
    os.replace(part, path)


def load_state(
    path: str | os.PathLike,
    identity: str,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
) -> tuple[dict[str, torch.Tensor], dict] | None:
    """Take up a saved state: fill model and optimiser, return the best weights and the notes.

    None, and nothing filled, where there is no whole state of this training.
    """
    if not Path(path).exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            if header.get("identity") != identity:
                log.info("the saved state is of another training: starting anew")
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            notes = json.loads(header["notes"])
    except (SafetensorError, KeyError, ValueError) as error:
        log.info("the saved state cannot be read (%s): starting anew", error)
        return None
    model.load_state_dict(_under("model.", tensors))
    state = optimizer.state_dict()
    places = {name.split(".")[1] for name in tensors if name.startswith("optimizer.")}
    state["state"] = {int(place): _under(f"optimizer.{place}.", tensors) for place in places}
    optimizer.load_state_dict(state)
    return _under("best.", tensors), notes


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
