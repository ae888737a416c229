"""Runs made elsewhere: there is nothing to index and nothing to retrieve with."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

from restage.grid.machine import missing_file
from restage.grid.settings import Part, Problem


@dataclass(frozen=True)
class Run(Part):
    """One TREC file per dataset; ``{dataset}`` in the path stands for the dataset's name."""

    indexes: ClassVar[bool] = False
    shares_index: ClassVar[bool] = False
    uses_gpu: ClassVar[bool] = False

    path: str

    @property
    def encoder(self) -> None:
        return None

    def for_index(self) -> Self:
        return self

    def path_of(self, dataset: str) -> str:
        """The file of a dataset."""
        return self.path.replace("{dataset}", dataset)

    def problems(self, datasets: Iterable[str]) -> Iterator[Problem]:
        files = [self.path_of(dataset) for dataset in datasets]
        if len(set(files)) < len(files):
            yield "path", "several datasets need several runs; write {dataset} for the name"
        for file in dict.fromkeys(files):
            if message := missing_file(file):
                yield "path", message
