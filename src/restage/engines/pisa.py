"""Lexical models over a PISA index, through PyTerrier's transformer interface."""

import os
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import pandas as pd
from pyterrier_pisa import PisaIndex

from restage.files import complete
from restage.log import Progress, log, native_output_to
from restage.texts import TextStore

QUERIES_AT_ONCE = 4096


def index_collection(passages: TextStore, folder: str | os.PathLike, threads: int) -> None:
    """Build a PISA index of a collection, streamed: English stop words out, Porter2 stems."""
    progress = Progress(len(passages), "passages indexed")

    def documents():
        for number, (doc_id, text) in enumerate(passages, start=1):
            yield {"docno": doc_id, "text": text}
            if number % 1024 == 0:
                progress.add(1024)

    with complete(folder) as part, native_output_to(_log_file()):
        PisaIndex(str(part), text_field="text", threads=threads).index(documents())


def index(collection: str | os.PathLike, folder: str | os.PathLike, settings: Mapping) -> None:
    """Make ``folder`` the index of one weighting model, from that of the collection.

    PISA adds a file of the model's upper bounds to an index when it first retrieves with it. So
    that retrievals only read, and several may at once, that file is made here, beside links to
    the rest.
    """
    folder = Path(folder)
    with complete(folder) as part, native_output_to(_log_file()):
        part.mkdir()
        for file in sorted(Path(collection).iterdir()):
            if not file.name.startswith(".snakemake"):
                (part / file.name).symlink_to(os.path.relpath(file, folder))
        _retriever(part, settings, 1, 1)(pd.DataFrame({"qid": ["1"], "query": ["any"]}))


def _retriever(index: str | os.PathLike, settings: Mapping, depth: int, threads: int):
    index = PisaIndex(str(index), text_field="text", threads=threads)
    models = {
        "bm25": lambda: index.bm25(k1=settings["k1"], b=settings["b"], num_results=depth),
        "qld": lambda: index.qld(mu=settings["mu"], num_results=depth),
        "pl2": lambda: index.pl2(c=settings["c"], num_results=depth),
        "dph": lambda: index.dph(num_results=depth),
    }
    return models[settings["model"]]()


def retrieve(
    index: str | os.PathLike, queries: TextStore, settings: Mapping, compute: Mapping
) -> pd.DataFrame:
    """Return a run (query_id, doc_id, score) of the ``depth`` best passages per query."""
    retriever = _retriever(index, settings, settings["depth"], compute["threads"])
    runs, queries = [], iter(queries)
    with native_output_to(_log_file()):
        while some := list(islice(queries, QUERIES_AT_ONCE)):
            found = retriever(pd.DataFrame(some, columns=["qid", "query"]))
            found = found.rename(columns={"qid": "query_id", "docno": "doc_id"})
            runs.append(found[["query_id", "doc_id", "score"]])
    return pd.concat(runs, ignore_index=True)


def _log_file() -> str:
    """Where PISA's own progress bars go: the job's log file, if it has one."""
    files = [getattr(handler, "baseFilename", None) for handler in log.parent.handlers]
    return next(filter(None, files), os.devnull)
