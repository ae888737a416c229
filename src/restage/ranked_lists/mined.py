"""Ranked lists that a first stage of the configuration retrieves for the training queries."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from restage.ranked_lists.list_format import ListFormat

if TYPE_CHECKING:
    from restage.ranked_lists.ingest import Block, Stats


@dataclass(frozen=True)
class Mined(ListFormat):
    """The first ``depth`` passages of ``first_stage`` for each query."""

    first_stage: str = field()  # or it would have the default that other formats have
    depth: int = 200

    @property
    def deepest(self) -> int:
        return self.depth

    def read(self, paths: Mapping[str, str], stats: "Stats") -> "Iterator[Block]":
        from restage.ranked_lists.trec_blocks import read_trec_run  # heavy: pyarrow

        return read_trec_run(paths["run"], stats)
