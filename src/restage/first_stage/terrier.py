"""Terrier's weighting models, through PyTerrier: for those who have Java and Terrier's jar."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Self

from restage.errors import InputError
from restage.files import complete
from restage.first_stage.engine import Cost, Lexical, refuse_lost
from restage.grid.settings import Compute
from restage.log import Progress

if TYPE_CHECKING:
    import pandas as pd

    from restage.collections.texts import TextStore

BYTES_PER_TOKEN = 2  # as of PISA's index
NAMES = {"qld": "dirichlet_lm"}  # of models that PyTerrier calls otherwise here


@dataclass(frozen=True)
class Terrier(Lexical):
    """Terrier: its stop words out, Porter stems."""

    def for_index(self) -> Self:
        """One index serves all weighting models."""
        return type(self)()

    def cost(self, passages: int, length: float) -> Cost:
        return Cost(flop=0, size=BYTES_PER_TOKEN * passages * length)

    def index(
        self,
        passages: "TextStore",
        folder: Path,
        compute: Compute,
        state: Path,
        shared: Path | None,
    ) -> None:
        """Build the index, its passages streamed.

        Raises:
            InputError: there is no Java, or not what PyTerrier needs besides; or Terrier would find
                too few of the collection's words.
        """
        import pyarrow.compute as pc

        refuse_lost("terrier", passages)
        terrier = _terrier()
        longest = pc.max(pc.binary_length(passages.all_ids())).as_py()
        progress = Progress(len(passages), "passages indexed")

        def documents() -> Iterator[dict[str, str]]:
            for doc_id, text in passages:
                yield {"docno": doc_id, "text": text}
                progress.add(1)

        with complete(folder) as part:
            terrier.TerrierIndex(part).indexer(meta={"docno": longest}).index(documents())

    def retrieve(
        self, index: Path, queries: "TextStore", depth: int, compute: Compute
    ) -> "pd.DataFrame":
        """Return a run (query_id, doc_id, score) of the ``depth`` best passages per query.

        In one thread: several give the queries in the order in which they happen to end.

        Raises:
            InputError: as ``index``.
        """
        import pandas as pd

        opened = _terrier().TerrierIndex(index)
        model = getattr(opened, NAMES.get(self.model, self.model))
        retriever = model(**self.parameters, num_results=depth)
        run = retriever(pd.DataFrame(list(queries), columns=["qid", "query"]))
        run = run.rename(columns={"qid": "query_id", "docno": "doc_id"})
        return run[["query_id", "doc_id", "score"]]


def _terrier() -> ModuleType:
    """PyTerrier's part for Terrier, with Java running."""
    import pyterrier as pt

    try:
        if not shutil.which("java") and "JAVA_HOME" not in os.environ:
            raise RuntimeError("no java on the PATH and no JAVA_HOME")
        if not pt.java.started():  # which it can be once
            pt.java.init()
    except Exception as error:  # of the linker, of Maven, of the JVM
        said = " ".join(str(error).split())
        raise InputError(
            f"engine 'terrier' cannot start Java ({said}); install a JDK and 'pyterrier[java]', "
            "or use 'engine: pisa', which has the same models without Java"
        ) from None
    return pt.terrier
