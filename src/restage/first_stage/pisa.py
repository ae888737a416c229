"""Lexical models over a PISA index, through PyTerrier's transformer interface."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from restage.files import complete, expect_room, probe, size
from restage.first_stage.engine import READ, Cost, Lexical, refuse_lost
from restage.grid.settings import Compute
from restage.log import Progress, log, native_output_to

if TYPE_CHECKING:
    import pandas as pd

    from restage.collections.texts import TextStore

BYTES_PER_TOKEN = 2  # as measured
ROOM = 3  # times the texts at most, while an index is made
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
            InputError: PISA would find too few of the collection's words, or there is no room.
        """
        refuse_lost("pisa", passages)
        with complete(folder) as part:
            build(passages, part, folder, compute.threads)

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
        with complete(folder) as part:
            part.mkdir()
            for file in sorted(shared.iterdir()):
                if not file.name.startswith(".snakemake"):
                    (part / file.name).symlink_to(os.path.relpath(file, folder))
            self.add_bounds(part, folder)

    def add_bounds(self, index: Path, name: Path) -> None:
        """Have PISA add a file of the model's upper bounds, as when it first retrieves with it.

        Args:
            name: what the index is to be called.
        """
        from restage.children import in_a_child

        in_a_child(name, self._add_bounds, index)
        probe(index)  # PISA does not say when there was no room

    def _add_bounds(self, index: Path) -> None:
        import pandas as pd

        with native_output_to(_log_file()):
            self._retriever(index, 1, 1)(pd.DataFrame({"qid": ["1"], "query": ["any"]}))

    def retrieve(
        self, index: Path, queries: "TextStore", depth: int, compute: Compute
    ) -> "pd.DataFrame":
        import pandas as pd

        retriever = self._retriever(index, depth, compute.threads)
        runs, left, unread = [], iter(queries), list[str]()
        with native_output_to(_log_file()):
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
    passages: "TextStore",
    folder: Path,
    name: Path,
    threads: int,
    words: Callable[[str], str] = str,
    stemmer: str | None = None,
) -> None:
    """Have PISA index a text store into a folder, and see that all of it is there.

    Args:
        name: what the folder is to be called.
        words: what PISA gets of a text.
        stemmer: PISA's, None: its own, Porter2.

    Raises:
        InputError: there is no room, or PISA has left a part.
    """
    from restage.children import in_a_child
    from restage.first_stage import pisa_files

    expect_room(name, ROOM * size(passages.folder))
    in_a_child(name, _build, passages.folder, folder, threads, words, stemmer)
    pisa_files.check(folder, len(passages), name)


def _build(
    passages: Path, folder: Path, threads: int, words: Callable[[str], str], stemmer: str | None
) -> None:
    from pyterrier_pisa import PisaIndex

    from restage.collections.texts import TextStore

    store = TextStore(passages)
    progress = Progress(len(store), "passages indexed")

    def documents() -> Iterator[dict[str, str]]:
        for number, (doc_id, text) in enumerate(store, start=1):
            yield {"docno": doc_id, "text": words(text)}
            if number % 1024 == 0:
                progress.add(1024)

    index = PisaIndex(str(folder), text_field="text", threads=threads, stemmer=stemmer)
    with native_output_to(_log_file()):
        index.index(documents())


def _log_file() -> str:
    """Where PISA's own progress bars go: the job's log file, if it has one."""
    handlers = log.parent.handlers if log.parent else []
    files = [getattr(handler, "baseFilename", None) for handler in handlers]
    return next(filter(None, files), os.devnull)
