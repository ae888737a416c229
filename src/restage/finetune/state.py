"""The state of a training, saved so that a killed one goes on where it was, bit for bit.

One safetensors file: weights, the optimiser's moments and the best weights so far as tensors; all
else as JSON in its header. It takes its name when it is whole and on the disk, so that a power cut
leaves either the new state or the one before.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from restage.files import complete
from restage.finetune.record import Row, Steps
from restage.log import log

MOMENTS = "exp_avg", "exp_avg_sq", "step"


@dataclass
class Notes:
    """All that a training has to remember besides its weights and moments.

    Args:
        step: the steps made.
        rows: of training.csv so far.
        since: what the steps since the last row came to.
        best_loss, best_step: the lowest validation loss, and the step after which it was measured.
        waited: the validations since then.
        scaler: the state of fp16's gradient scaler, where there is one.
    """

    step: int = 0
    rows: list[Row] = field(default_factory=list)
    since: Steps = field(default_factory=Steps)
    best_loss: float = math.inf
    best_step: int = 0
    waited: int = 0
    scaler: dict[str, Any] | None = None

    @classmethod
    def of(cls, text: str) -> "Notes":
        """The notes from their JSON."""
        notes = json.loads(text)
        rows, since = [Row(*row) for row in notes.pop("rows")], Steps(**notes.pop("since"))
        return cls(rows=rows, since=since, **notes)


class State:
    """The file that a training's state is saved in.

    Args:
        identity: what tells this training from any other; only the same one goes on from it.
    """

    def __init__(self, path: str | os.PathLike, identity: str):
        self.path, self.identity = Path(path), identity

    def save(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        best: Mapping[str, torch.Tensor],
        notes: Notes,
    ) -> None:
        """Write the state; ``best`` are the best weights so far, by name, and may be empty.

        Raises:
            InputError: the disk is full.
        """
        tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
        for place, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{place}.{name}": moments[name] for name in MOMENTS}
        tensors = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
        header = {"identity": self.identity, "training": json.dumps(asdict(notes))}
        with complete(self.path) as part:
            save_file(tensors, part, header)

    def load(
        self, model: torch.nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[dict[str, torch.Tensor], Notes] | None:
        """Take up what was saved: fill model and optimiser, return the best weights and the notes.

        None, and nothing filled, where there is no whole state of this training.
        """
        read = self._read()
        if not read:
            return None
        tensors, notes = read
        model.load_state_dict(_under("model.", tensors))
        state = optimizer.state_dict()
        places = {name.split(".")[1] for name in tensors if name.startswith("optimizer.")}
        state["state"] = {int(place): _under(f"optimizer.{place}.", tensors) for place in places}
        optimizer.load_state_dict(state)
        return _under("best.", tensors), notes

    def _read(self) -> tuple[dict[str, torch.Tensor], Notes] | None:
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                header = file.metadata() or {}
                if header.get("identity") != self.identity:
                    log.info("the saved state is of another training: starting anew")
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                return tensors, Notes.of(header["training"])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            log.info("the saved state cannot be read (%s): starting anew", error)
            return None


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
