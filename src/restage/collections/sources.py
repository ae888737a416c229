"""Passages, queries and qrels from ir_datasets or from a folder in BEIR layout, one at a time."""

import codecs
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from restage.collections.texts import HALF_PAIR, TextStore
from restage.errors import InputError
from restage.files import read_text
from restage.grid.settings import Source
from restage.log import log

PAIR = ["query_id", "doc_id"]
QRELS = [*PAIR, "relevance"]
# What separates the columns of a TREC file: ASCII blanks, no others (U+00A0 may be part of an id).
BLANKS = " \t\n\v\f\r"
# What ends an id in a TREC run for one reader or another, those in C stopping at NUL.
ENDS_ID = re.compile(rf"[\0{BLANKS}]")
# trec_eval keeps a counter per grade up to the highest: its nDCG takes minutes for grades of 10^6.
HIGHEST_GRADE = 1000
GRADE = re.compile(r"[+-]?[0-9]+")


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


# --- texts ---------------------------------------------------------------------------------------


def passages(source: Source) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of every passage; a title, if there is one, opens the text.

    As ir_datasets has it (``default_text``), except that no blank stands for a title left empty.

    Raises:
        InputError: with file and line: what is no passage, or has an id that no run can carry.
    """
    if source.ir_datasets:
        docs = ((doc.doc_id, doc.default_text()) for doc in _dataset(source).docs_iter())
        yield from _told(source, "passages", _carried(source, docs))
    else:
        lines = _json_lines(_in_folder(source, "corpus.jsonl"))
        texts = ((id, f"{title} {text}" if title else text) for id, title, text in lines)
        yield from _told(source, "passages", texts)


def queries(source: Source) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of every query; of a folder's split, those that it has qrels for.

    Judged queries that have no text are counted and told: in every measure they count 0.

    Raises:
        InputError: as ``passages``, and where no judged query has a text.
    """
    judged = _judged_queries(source)
    missing = set(judged)
    for query, text in _told(source, "queries", _queries(source)):
        if not source.split or query in judged:
            missing.discard(query)
            yield query, text
    if missing:
        what = f"{len(missing):,} of {len(judged):,} judged queries have no text"
        line = f"{origin(source, 'queries')}: {what}, such as {min(missing)!r}"
        if missing == judged:
            raise InputError(f"{line}; are these the qrels of other queries?")
        log.warning("%s; they count 0 in every measure", line)


def origin(source: Source, part: str) -> str:
    """Return where passages, queries or qrels come from, for messages: a file, or an id."""
    if source.ir_datasets:
        return source.ir_datasets
    files = {"passages": "corpus.jsonl", "queries": "queries.jsonl"}
    return str(_in_folder(source, files[part]) if part in files else _qrels_file(source))


def _queries(source: Source) -> Iterator[tuple[str, str]]:
    if source.ir_datasets:
        asked = _dataset(source).queries_iter()
        yield from _carried(source, ((each.query_id, each.default_text()) for each in asked))
    else:
        for query, _, text in _json_lines(_in_folder(source, "queries.jsonl")):
            yield query, text


def _dataset(source: Source) -> Any:
    import ir_datasets

    return ir_datasets.load(source.ir_datasets)


def _in_folder(source: Source, *parts: str) -> Path:
    assert source.path is not None  # the configuration is checked
    return Path(source.path, *parts)


def _told(source: Source, part: str, texts: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Pass the texts on, and tell how many are empty; all must not be."""
    count, empty, such = 0, 0, ""
    for id, text in texts:
        count += 1
        if not text.strip():
            empty, such = empty + 1, such or id
        yield id, text
    if empty:
        line = f"{origin(source, part)}: {empty:,} of {count:,} {part} have no text"
        if empty == count:
            raise InputError(f"{line}; is it the right file?")
        log.warning("%s, such as %r", line, such)


def _carried(source: Source, texts: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Pass the texts on; their ids must be such as a run can carry."""
    for id, text in texts:
        if not id.isalnum() and (wrong := _wrong_id(id)):
            raise InputError(f"{source.ir_datasets}: {wrong}; give the texts in a folder")
        yield id, text


def _wrong_id(id: str) -> str | None:
    if id and not ENDS_ID.search(id):
        return None
    what = "has a blank or a NUL" if id else "is empty"
    return f"the id {id!r} {what}, so that no TREC run can carry it"


def _json_lines(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield id, title and text of each line."""
    with path.open("rb") as file:
        if file.read(3) != codecs.BOM_UTF8:
            file.seek(0)
        for number, line in enumerate(file, start=1):
            try:
                yield _record(line)
            except ValueError as error:
                raise InputError(
                    f"{path}:{number}: {error}: {line[:60]!r}; mend the line"
                ) from None


def _record(line: bytes) -> tuple[str, str, str]:
    try:
        record = json.loads(line.decode())
        id, title, text = record["_id"], record.get("title"), record["text"]
        if not isinstance(id, str) or not isinstance(text, str):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # RecursionError: nested too deeply; ValueError: no JSON, or a number of 5,000 digits.
        raise ValueError("not a JSON object with the strings '_id' and 'text'") from None
    if title is None or title != title:  # NaN, as pandas writes what is missing
        title = ""
    elif not isinstance(title, str):
        raise ValueError("the title is no string")
    if not id.isalnum() and (wrong := _wrong_id(id)):
        raise ValueError(wrong)
    for part in (id, title, text):
        if not part.isascii() and HALF_PAIR.search(part):
            raise ValueError("half a surrogate pair stands for no character")
    return id, title, text


# --- qrels ---------------------------------------------------------------------------------------


def qrels(source: Source) -> Iterator[tuple[str, str, int]]:
    """Yield (query id, passage id, relevance) of every judgment."""
    if source.ir_datasets:
        for qrel in _dataset(source).qrels_iter():
            yield qrel.query_id, qrel.doc_id, qrel.relevance
    else:
        yield from read_qrels(_qrels_file(source)).itertuples(index=False, name=None)


def checked_qrels(source: Source, passages: TextStore | None) -> pd.DataFrame:
    """Return all judgments, and tell what they and the collection, if given, say of each other.

    Raises:
        InputError: none of the judged passages is in the collection.
    """
    frame = pd.DataFrame(qrels(source), columns=QRELS)
    place = origin(source, "qrels")
    # In ir_datasets nobody can mend it; files were refused when they were read.
    contradicted = _contradictions(frame) if source.ir_datasets else frame.iloc[:0]
    if len(contradicted):
        query, passage, _ = contradicted.iloc[0]
        log.warning(
            f"{place}: {len(contradicted):,} passages are judged again, and otherwise, such as "
            f"{passage!r} for query {query!r}; the last judgment counts"
        )
    if passages is not None:
        _compare(place, frame["doc_id"].unique(), passages)
    return frame


def _compare(place: str, judged: Any, passages: TextStore) -> None:
    unknown = judged[passages.numbers(judged) < 0]
    if not len(unknown):
        return
    line = f"{place}: {len(unknown):,} of {len(judged):,} judged passages are not in the collection"
    if len(unknown) == len(judged):
        raise InputError(f"{line}, such as {unknown[0]!r}; are these the qrels of another one?")
    log.warning("%s, such as %r", line, unknown[0])


def _contradictions(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that judge a passage for a query otherwise than a row before."""
    if not frame.duplicated(PAIR).any():
        return frame.iloc[:0]
    distinct = frame.drop_duplicates(QRELS)
    return distinct[distinct.duplicated(PAIR)]


def _judged_queries(source: Source) -> set[str]:
    if source.ir_datasets:
        return {query for query, _, _ in qrels(source)} if _dataset(source).has_qrels() else set()
    # What is wrong with passages' ids is told of the collection, or where qrels are stored.
    return {query for _, query, _, _ in _judgments(_qrels_file(source))} if source.split else set()


def _qrels_file(source: Source) -> Path:
    if source.qrels:
        return Path(source.qrels)
    return _in_folder(source, "qrels", f"{source.split}.tsv")


def read_qrels(path: str | os.PathLike) -> pd.DataFrame:
    """Return judgments (query_id, doc_id, relevance) of a TREC qrels file or a BEIR table.

    A TREC line has four columns (or three), split at ASCII blanks. A line with two tabs is one of a
    BEIR table, which may have a header, and is split at these alone. Either may be
    gzip-compressed.

    Raises:
        InputError: with file and line: a line of another form, an id that no run can carry, a
            passage with two grades for a query, or a file without any judgment.
    """
    rows, numbers = [], []
    for number, query, passage, grade in _judgments(path):
        if not passage.isalnum() and (wrong := _wrong_id(passage)):
            raise InputError(f"{path}:{number}: {wrong}; mend the line")
        rows.append((query, passage, grade))
        numbers.append(number)
    if not rows:
        raise InputError(f"{path}: has no judgment; give qrels with at least one")
    frame = pd.DataFrame(rows, columns=QRELS)
    contradicted = _contradictions(frame)
    if len(contradicted):
        query, passage, grade = contradicted.iloc[0]
        raise InputError(
            f"{path}:{numbers[contradicted.index[0]]}: passage {passage!r} is judged {grade} for "
            f"query {query!r}, otherwise than in a line before; keep one of them"
        )
    return frame


def _judgments(path: str | os.PathLike) -> Iterator[tuple[int, str, str, int]]:
    """Yield number of the line, query, passage and relevance."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip(BLANKS) or (number == 1 and re.match(r"query-id\s", line)):
            continue
        try:
            yield number, *_judgment(line)
        except ValueError as error:
            raise InputError(f"{path}:{number}: {error}: {line[:80]!r}; mend the line") from None


def _judgment(line: str) -> tuple[str, str, int]:
    if line.count("\t") == 2:
        parts = [part.strip(BLANKS) for part in line.split("\t")]
    else:
        parts = [part.decode() for part in line.encode().split()]  # bytes know ASCII blanks only
    if len(parts) not in (3, 4) or not GRADE.fullmatch(parts[-1]):
        form = "'query 0 passage relevance' nor 'query<tab>passage<tab>relevance'"
        raise ValueError(f"neither {form}")
    query, *_, passage, grade = parts
    if not query.isalnum() and (wrong := _wrong_id(query)):
        raise ValueError(wrong)
    if len(grade) > 9 or abs(int(grade)) > HIGHEST_GRADE:
        raise ValueError(f"the relevance is beyond {HIGHEST_GRADE:,}")
    return query, passage, int(grade)
