"""Passages, queries and qrels from ir_datasets or from a folder in BEIR layout, one at a time."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from restage.errors import InputError
from restage.files import read_text
from restage.grid.settings import Source
from restage.log import log

QRELS = ["query_id", "doc_id", "relevance"]


def fetch(name: str) -> None:
    """Have ir_datasets download the docs, queries and qrels that belong to one of its ids.

    One at a time on a machine, since otherwise ir_datasets would download the same file twice.

    Raises:
        InputError: a download fails or needs an agreement first.
    """
    import ir_datasets  # here and below, for it takes a while and folders need none of it

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


def passages(source: Source) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of every passage; a title, if there is one, opens the text.

    As ir_datasets has it (``default_text``), except that no blank stands for a title left empty.
    """
    if source.ir_datasets:
        for doc in _dataset(source.ir_datasets).docs_iter():
            yield doc.doc_id, doc.default_text()
    else:
        for doc in _json_lines(_in_folder(source, "corpus.jsonl")):
            title, text = doc.get("title"), doc["text"]
            yield doc["_id"], f"{title} {text}" if title else text


def queries(source: Source) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of every query; of a folder's split, those that it has qrels for."""
    if source.ir_datasets:
        for query in _dataset(source.ir_datasets).queries_iter():
            yield query.query_id, query.default_text()
        return
    judged = {row[0] for row in qrels(source)} if source.split else None
    for query in _json_lines(_in_folder(source, "queries.jsonl")):
        if judged is None or query["_id"] in judged:
            yield query["_id"], query["text"]


def qrels(source: Source) -> Iterator[tuple[str, str, int]]:
    """Yield (query id, passage id, relevance) of every judgment."""
    if source.ir_datasets:
        for qrel in _dataset(source.ir_datasets).qrels_iter():
            yield qrel.query_id, qrel.doc_id, qrel.relevance
        return
    path = source.qrels or _in_folder(source, "qrels", f"{source.split}.tsv")
    yield from read_qrels(path).itertuples(index=False, name=None)


def _dataset(name: str) -> Any:
    import ir_datasets

    return ir_datasets.load(name)


def _in_folder(source: Source, *parts: str) -> Path:
    assert source.path is not None  # the configuration is checked
    return Path(source.path, *parts)


def read_qrels(path: str | os.PathLike) -> pd.DataFrame:
    """Return judgments (query_id, doc_id, relevance) of a TREC qrels file or a BEIR table.

    A TREC line has four columns, a BEIR line three, tab separated, under a header. Either may be
    gzip-compressed.

    Raises:
        InputError: with file and line: a line of another form, or a file without any.
    """
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        parts = line.split()
        if not parts or (number == 1 and parts[0] == "query-id"):
            continue
        try:
            query, *_, passage, relevance = parts
            if len(parts) not in (3, 4):
                raise ValueError
            rows.append((query, passage, int(relevance)))
        except ValueError:
            raise InputError(
                f"{path}:{number}: neither 'query 0 passage relevance' nor "
                f"'query<tab>passage<tab>relevance': {line[:80]!r}; mend the line"
            ) from None
    if not rows:
        raise InputError(f"{path}: has no judgment; give qrels with at least one")
    return pd.DataFrame(rows, columns=QRELS)


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
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
