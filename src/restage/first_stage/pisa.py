"""Lexical models over a PISA index, through PyTerrier's transformer interface."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from restage.errors import InputError
from restage.files import complete
from restage.first_stage.engine import READ, Cost, Lexical, refuse_lost
from restage.grid.settings import Compute
from restage.log import Progress, log, native_output_to

if TYPE_CHECKING:
    import pandas as pd

    from restage.collections.texts import TextStore

BYTES_PER_TOKEN = 2  # as measured
QUERIES_AT_ONCE = 4096


@dataclass(frozen=True)
class Pisa(Lexical):
    """PISA: English stop words out, Porter2 stems; the index of a collection serves all models."""

    shares_index: ClassVar[bool] = True
    stops: ClassVar[str] = "terrier"  # its list, which is PISA's default

    def cost(self, passages: int, length: float) -> Cost:
        return Cost(flop=0, size=0, shared=BYTES_PER_TOKEN * passages * length)

    @classmethod
    def share(cls, passages: "TextStore", folder: Path, compute: Compute) -> None:
        """Build the index of a collection, its passages streamed.

        Raises:
            InputError: PISA would find too few of the collection's words.
        """
        refuse_lost("pisa", passages)
        with complete(folder) as part, native_output_to(log_file()):
            build(part, passages, len(passages), compute)

    def index(
        self,
        passages: "TextStore",
        folder: Path,
        compute: Compute,
        state: Path,
        shared: Path | None,
    ) -> None:
        """Make ``folder`` the index of one weighting model, from that of the collection.

        So that retrievals only read, and several may at once, the model's bounds are made here,
        beside links to the rest.
        """
        assert shared is not None
        with complete(folder) as part, native_output_to(log_file()):
            part.mkdir()
            for file in sorted(shared.iterdir()):
                if not file.name.startswith(".snakemake"):
                    (part / file.name).symlink_to(os.path.relpath(file, folder))
            self.add_bounds(part)

    def add_bounds(self, index: Path) -> None:
        """Have PISA add a file of the model's upper bounds, as when it first retrieves with it."""
        import pandas as pd

        self._retriever(index, 1, 1)(pd.DataFrame({"qid": ["1"], "query": ["any"]}))

    def retrieve(
        self, index: Path, queries: "TextStore", depth: int, compute: Compute
    ) -> "pd.DataFrame":
        import pandas as pd

        retriever = self._retriever(index, depth, compute.threads)
        runs, left, unread = [], iter(queries), list[str]()
        with native_output_to(log_file()):
            while some := list(islice(left, QUERIES_AT_ONCE)):
                asked = [(query, self.for_pisa(text)) for query, text in some]
                unread += [query for query, text in asked if not READ.search(text)]
                run = retriever(pd.DataFrame(asked, columns=["qid", "query"]))
                run = run.rename(columns={"qid": "query_id", "docno": "doc_id"})
                runs.append(run[["query_id", "doc_id", "score"]])
        if unread:
            told = f"{len(unread):,} of {len(queries):,} queries have no word that the index reads"
            log.warning("%s, such as %r; they find nothing", told, unread[0])
        return pd.concat(runs, ignore_index=True)

    def for_pisa(self, query: str) -> str:
        """The text of a query as PISA gets it."""
        return query

    def _retriever(
        self, index: Path, depth: int, threads: int
    ) -> "Callable[[pd.DataFrame], pd.DataFrame]":
        from pyterrier_pisa import PisaIndex

        opened = PisaIndex(str(index), text_field="text", threads=threads, stops=self.stops)
        return getattr(opened, self.model)(**self.parameters, num_results=depth)


def build(
    folder: Path,
    texts: Iterable[tuple[str, str]],
    count: int,
    compute: Compute,
    stemmer: str | None = None,
) -> None:
    """Have PISA index texts with their ids; its own stemmer is Porter2.

    Raises:
        InputError: the index has not all of them, since PISA takes any end for the end.
    """
    from pyterrier_pisa import PisaIndex

    progress = Progress(count, "passages indexed")

    def documents() -> Iterator[dict[str, str]]:
        for number, (doc_id, text) in enumerate(texts, start=1):
            yield {"docno": doc_id, "text": text}
            if number % 1024 == 0:
                progress.add(1024)

    threads = compute.threads
    index = PisaIndex(str(folder), text_field="text", threads=threads, stemmer=stemmer)
    index.index(documents())
    if len(index) != count:
        raise InputError(f"PISA indexed {len(index):,} of {count:,} passages; run again")


def log_file() -> str:
    """Where PISA's own progress bars go: the job's log file, if it has one."""
    handlers = log.parent.handlers if log.parent else []
    files = [getattr(handler, "baseFilename", None) for handler in handlers]
    return next(filter(None, files), os.devnull)
