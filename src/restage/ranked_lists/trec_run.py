"""Ranked lists as a TREC run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from restage.grid.settings import File
from restage.ranked_lists.list_format import ListFormat

if TYPE_CHECKING:
    from restage.ranked_lists.ingest import Block, Stats


@dataclass(frozen=True)
class TrecRun(ListFormat):
    """A file of lines ``query Q0 passage rank score tag``."""

    source: File

    @classmethod
    def of(cls, settings: Mapping[str, Any], **others: Any) -> Self:
        return super().of(settings, source=File.of(settings["source"]), **others)

    @property
    def files(self) -> Mapping[str, File]:
        return {"source": self.source}

    def read(self, paths: Mapping[str, str], stats: "Stats") -> "Iterator[Block]":
        from restage.ranked_lists.trec_blocks import read_trec_run  # heavy: pyarrow

        return read_trec_run(paths["source"], stats)
