"""Lexical models over a PISA index, through PyTerrier's transformer interface."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from restage.children import in_a_child
from restage.files import complete, expect_room, probe, size
from restage.first_stage.engine import Cost, Lexical
from restage.grid.settings import Compute
from restage.log import Progress, log, native_output_to

if TYPE_CHECKING:
    import pandas as pd

    from restage.collections.texts import TextStore

BYTES_PER_TOKEN = 2  # as measured
ROOM = 3  # that building takes at most, for each byte of the text store: as measured
QUERIES_AT_ONCE = 4096


@dataclass(frozen=True)
class Pisa(Lexical):
    """PISA: English stop words out, Porter2 stems; the index of a collection serves all models."""

    shares_index: ClassVar[bool] = True

    def cost(self, passages: int, length: float) -> Cost:
        return Cost(flop=0, size=0, shared=BYTES_PER_TOKEN * passages * length)

    @classmethod
    def share(cls, passages: "TextStore", folder: Path, compute: Compute) -> None:
        """Build the index of a collection, its passages streamed.

        Raises:
            InputError: there is no room for it.
        """
        from restage.first_stage import pisa_files

        expect_room(folder, ROOM * size(passages.folder))
        with complete(folder) as part:
            in_a_child(folder, _build, passages.folder, part, compute.threads)
            pisa_files.check(part, len(passages), folder)

    def index(
        self,
        passages: "TextStore",
        folder: Path,
        compute: Compute,
        state: Path,
        shared: Path | None,
    ) -> None:
        """Make ``folder`` the index of one weighting model, from that of the collection.

        PISA adds a file of the model's upper bounds to an index when it first retrieves with it.
        So that retrievals only read, and several may at once, that file is made here, beside links
        to the rest.
        """
        assert shared is not None
        with complete(folder) as part:
            part.mkdir()
            for file in sorted(shared.iterdir()):
                if not file.name.startswith(".snakemake"):
                    (part / file.name).symlink_to(os.path.relpath(file, folder))
            in_a_child(folder, self._add_bounds, part)
            probe(part)  # PISA does not say when there was no room

    def _add_bounds(self, index: Path) -> None:
        import pandas as pd

        with native_output_to(_log_file()):
            self._retriever(index, 1, 1)(pd.DataFrame({"qid": ["1"], "query": ["any"]}))

    def retrieve(
        self, index: Path, queries: "TextStore", depth: int, compute: Compute
    ) -> "pd.DataFrame":
        import pandas as pd

        retriever = self._retriever(index, depth, compute.threads)
        runs, left = [], iter(queries)
        with native_output_to(_log_file()):
            while some := list(islice(left, QUERIES_AT_ONCE)):
                run = retriever(pd.DataFrame(some, columns=["qid", "query"]))
                run = run.rename(columns={"qid": "query_id", "docno": "doc_id"})
                runs.append(run[["query_id", "doc_id", "score"]])
        return pd.concat(runs, ignore_index=True)

    def _retriever(
        self, index: Path, depth: int, threads: int
    ) -> "Callable[[pd.DataFrame], pd.DataFrame]":
        from pyterrier_pisa import PisaIndex

        opened = PisaIndex(str(index), text_field="text", threads=threads)
        return getattr(opened, self.model)(**self.parameters, num_results=depth)


def _build(passages: Path, folder: Path, threads: int) -> None:
    """Build the index of a text store."""
    from pyterrier_pisa import PisaIndex

    from restage.collections.texts import TextStore

    store = TextStore(passages)
    progress = Progress(len(store), "passages indexed")

    def documents() -> Iterator[dict[str, str]]:
        for number, (doc_id, text) in enumerate(store, start=1):
            yield {"docno": doc_id, "text": text}
            if number % 1024 == 0:
                progress.add(1024)

    with native_output_to(_log_file()):
        PisaIndex(str(folder), text_field="text", threads=threads).index(documents())


def _log_file() -> str:
    """Where PISA's own progress bars go: the job's log file, if it has one."""
    handlers = log.parent.handlers if log.parent else []
    files = [getattr(handler, "baseFilename", None) for handler in handlers]
    return next(filter(None, files), os.devnull)
