"""What a training says of itself as it goes: the rows of training.csv, which TensorBoard shows."""

import csv
import math
import os
import resource
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from restage.finetune.step import BatchLoss


class Row(NamedTuple):
    """A validation and the steps before it; nan where there were no lists or no steps.

    Args:
        epoch: that of the step, from 1; 0 before the first step.
        loss: the mean of the steps' since the last validation, as are the speeds.
        valid_ndcg: nDCG@10.
        learning_rate, gradient_norm: the last step's; the norm is that before clipping.
        memory_mb: the most there was so far, of the GPU if there is one.
    """

    step: int
    epoch: int
    loss: float
    valid_loss: float
    valid_ndcg: float
    learning_rate: float
    gradient_norm: float
    pairs_per_second: float
    tokens_per_second: float
    memory_mb: float


COLUMNS = [name.replace("ndcg", "nDCG@10") for name in Row._fields]


@dataclass
class Steps:
    """What the steps since the last validation came to."""

    losses: list[float] = field(default_factory=list)
    pairs: int = 0
    tokens: int = 0
    seconds: float = 0.0
    rate: float = math.nan  # the last one's, as is the norm
    norm: float = math.nan

    def add(self, made: BatchLoss, rate: float, norm: float, seconds: float) -> None:
        self.losses.append(made.loss)
        self.pairs, self.tokens = self.pairs + made.pairs, self.tokens + made.tokens
        self.seconds, self.rate, self.norm = self.seconds + seconds, rate, norm

    def row(
        self, step: int, epoch: int, valid_loss: float, valid_ndcg: float, device: torch.device
    ) -> Row:
        """What the table has of them and of the validation that follows them."""
        loss = float(np.mean(self.losses)) if self.losses else math.nan
        seconds = self.seconds or math.nan
        speeds = self.pairs / seconds, self.tokens / seconds
        measured = loss, valid_loss, valid_ndcg
        return Row(step, epoch, *measured, self.rate, self.norm, *speeds, _peak_memory(device))


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def write_table(path: str | os.PathLike, rows: list[Row]) -> None:
    """Write training.csv."""
    with open(path, "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows([_short(value) for value in row] for row in rows)


def _short(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return "" if math.isnan(value) else f"{value:.6g}"


class Events:
    """What TensorBoard shows: the columns of training.csv over the steps; nothing without a folder.

    Args:
        done: the steps that a training goes on after; what was shown of later ones is taken back.
    """

    def __init__(self, folder: str | os.PathLike | None, done: int):
        self.writer = SummaryWriter(folder, purge_step=done + 1) if folder else None

    def __enter__(self) -> "Events":
        return self

    def add(self, row: Row) -> None:
        if self.writer:
            for name, value in zip(COLUMNS[1:], row[1:], strict=True):
                if not math.isnan(value):
                    self.writer.add_scalar(name, value, row.step)

    def __exit__(self, *_: object) -> None:
        if self.writer:
            self.writer.close()
