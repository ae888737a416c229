"""Passages, queries and qrels from ir_datasets or from a folder in BEIR layout, one at a time."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import ir_datasets

from restage.errors import InputError
from restage.measures import read_qrels


def passages(source: Mapping) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of every passage; a title, if there is one, opens the text."""
    if "ir_datasets" in source:
        for doc in ir_datasets.load(source["ir_datasets"]).docs_iter():
            yield doc.doc_id, doc.default_text()
    else:
        for doc in _json_lines(Path(source["path"], "corpus.jsonl")):
            yield doc["_id"], f"{doc.get('title') or ''} {doc['text']}".strip()


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
