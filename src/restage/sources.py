"""Passages, queries and qrels from ir_datasets or from a folder in BEIR layout, one at a time."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import ir_datasets
from filelock import FileLock

from restage.errors import InputError
from restage.log import log
from restage.measures import read_qrels


def fetch(name: str) -> None:
    """Have ir_datasets download the docs, queries and qrels that belong to one of its ids.

    One at a time on a machine, since otherwise ir_datasets would download the same file twice.

    Raises:
        InputError: a download fails or needs an agreement first.
    """
    dataset = ir_datasets.load(name)
    with FileLock(ir_datasets.util.home_path() / "restage.lock"):
        for part in ("docs", "queries", "qrels"):
            if not getattr(dataset, f"has_{part}")():
                continue
            log.info("%s", part)
            try:
                next(iter(getattr(dataset, f"{part}_iter")()), None)
            except (OSError, EOFError, RuntimeError, ValueError) as error:
                raise InputError(
                    f"{name}: ir_datasets cannot get its {part} ({error}); see "
                    f"https://ir-datasets.com/{name.split('/')[0]}.html, then run again"
                ) from None


def passages(source: Mapping) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of every passage; a title, if there is one, opens the text.

    As ir_datasets has it (``default_text``), except that no blank stands for a title left empty.
    """
    if "ir_datasets" in source:
        for doc in ir_datasets.load(source["ir_datasets"]).docs_iter():
            yield doc.doc_id, doc.default_text()
    else:
        for doc in _json_lines(Path(source["path"], "corpus.jsonl")):
            title, text = doc.get("title"), doc["text"]
            yield doc["_id"], f"{title} {text}" if title else text


def queries(source: Mapping) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of every query; of a folder's split, those that it has qrels for."""
    if "ir_datasets" in source:
        for query in ir_datasets.load(source["ir_datasets"]).queries_iter():
            yield query.query_id, query.default_text()
        return
    judged = {row[0] for row in qrels(source)} if "split" in source else None
    for query in _json_lines(Path(source["path"], "queries.jsonl")):
        if judged is None or query["_id"] in judged:
            yield query["_id"], query["text"]


def qrels(source: Mapping) -> Iterator[tuple[str, str, int]]:
    """Yield (query id, passage id, relevance) of every judgment."""
    if "ir_datasets" in source:
        for qrel in ir_datasets.load(source["ir_datasets"]).qrels_iter():
            yield qrel.query_id, qrel.doc_id, qrel.relevance
        return
    path = source.get("qrels") or Path(source["path"], "qrels", f"{source['split']}.tsv")
    yield from read_qrels(path).itertuples(index=False, name=None)


def _json_lines(path: Path) -> Iterator[dict]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = json.loads(line)
                if not isinstance(record["_id"], str) or not isinstance(record["text"], str):
                    raise TypeError
            except (ValueError, KeyError, TypeError):
                raise InputError(
                    f"{path}:{number}: not a JSON object with the strings '_id' and 'text': "
                    f"{line[:60]!r}; mend the line"
                ) from None
            yield record
