"""Terrier's weighting models, through PyTerrier: for those who have Java and Terrier's jar."""

import os
import shutil
from collections.abc import Mapping

import pandas as pd
import pyarrow.compute as pc
import pyterrier as pt

from restage.errors import InputError
from restage.files import complete
from restage.log import Progress
from restage.texts import TextStore


def index(
    passages: TextStore,
    folder: str | os.PathLike,
    settings: Mapping,
    compute: Mapping,
    state: str | os.PathLike,
) -> None:
    """Build a Terrier index of a collection: Terrier's stop words out, Porter stems.

    Raises:
        InputError: there is no Java, or not what PyTerrier needs besides.
    """
    _start_java()
    longest = pc.max(pc.binary_length(passages.all_ids())).as_py()
    progress = Progress(len(passages), "passages indexed")

    def documents():
        for doc_id, text in passages:
            yield {"docno": doc_id, "text": text}
            progress.add(1)

    with complete(folder) as part:
        pt.terrier.TerrierIndex(part).indexer(meta={"docno": longest}).index(documents())


def retrieve(
    index: str | os.PathLike, queries: TextStore, settings: Mapping, compute: Mapping
) -> pd.DataFrame:
    """Return a run (query_id, doc_id, score) of the ``depth`` best passages per query.

    Raises:
        InputError: as ``index``.
    """
    _start_java()
    # In one thread: several give the queries in the order in which they happen to end.
    index, common = pt.terrier.TerrierIndex(index), {"num_results": settings["depth"]}
    models = {
        "bm25": lambda: index.bm25(k1=settings["k1"], b=settings["b"], **common),
        "qld": lambda: index.dirichlet_lm(mu=settings["mu"], **common),
        "pl2": lambda: index.pl2(c=settings["c"], **common),
        "dph": lambda: index.dph(**common),
    }
    found = models[settings["model"]]()(pd.DataFrame(list(queries), columns=["qid", "query"]))
    found = found.rename(columns={"qid": "query_id", "docno": "doc_id"})
    return found[["query_id", "doc_id", "score"]]


def _start_java() -> None:
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
