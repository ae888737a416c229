"""Long computations in numbered pieces, each a file, so that a killed one goes on with the next."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from restage import log as logs
from restage.children import death_told, there
from restage.files import complete
from restage.log import log

Make = Callable[[int], np.ndarray]  # makes the piece of a number
SetUp = Callable[[int, Sequence[int]], Make]


class Pieces:
    """The pieces of one computation.

    Args:
        folder: where they lie, outside of what Snakemake removes when a job fails.
        identity: what tells this computation from any other; only its own pieces are taken up, and
            only if there were as many.
        count: how many there are.
    """

    def __init__(self, folder: str | os.PathLike, identity: str, count: int):
        self.folder, self.count = Path(folder), count
        mark, identity = self.folder / "identity", f"{identity} {count}"
        if not mark.is_file() or mark.read_text() != identity:
            shutil.rmtree(self.folder, ignore_errors=True)
            with complete(mark) as part:
                part.write_text(identity)
        elif finished := count - len(self.missing()):
            log.info("going on: %d of %d pieces are there", finished, count)

    def path(self, number: int) -> Path:
        return self.folder / f"{number:06}.npy"

    def missing(self) -> list[int]:
        return [number for number in range(self.count) if not self.path(number).exists()]

    def make(self, set_up: SetUp, processes: int = 1) -> list[Path]:
        """Make the pieces that are missing and return the files of all.

        Args:
            set_up: called once in each process, with the process's number from 0 and the pieces it
                is to make; returns what makes one of them.

        Raises:
            InputError: the disk is full, or a process was killed.
        """
        missing = self.missing()
        shares = [missing[i::processes] for i in range(min(processes, len(missing)))]
        if len(shares) == 1:
            self._make(set_up, 0, shares[0])
        elif shares:
            about = os.getpid(), logs.started, self._make, set_up
            with death_told(self.folder):
                Parallel(len(shares))(delayed(there)(*about, *one) for one in enumerate(shares))
        return [self.path(number) for number in range(self.count)]

    def _make(self, set_up: SetUp, process: int, numbers: list[int]) -> None:
        make = set_up(process, numbers)
        for number in numbers:
            made = make(number)
            with complete(self.path(number)) as part, part.open("wb") as file:
                np.save(file, made)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
