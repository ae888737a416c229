"""Passages, queries and qrels where they come from."""

import gzip
import json
import subprocess
import sys
from collections import namedtuple

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_datasets.datasets.beir import BeirTitleDoc

from restage.collections import sources
from restage.collections.sources import read_qrels
from restage.errors import InputError
from restage.grid.settings import Source


def test_passages_of_a_folder_are_those_of_ir_datasets(tmp_path):
    docs = [("1", "a  text ", "Title"), ("2", "no title", None), ("3", "empty title", "")]
    lines = [{"_id": i, "text": text} | ({} if t is None else {"title": t}) for i, text, t in docs]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = dict(sources.passages(Source(path=str(tmp_path))))
    assert found["1"] == BeirTitleDoc(*docs[0]).default_text() == "Title a  text "
    # ir_datasets puts a blank before a text whose title is empty; here none, as without a title.
    assert found["2"] == "no title"
    assert found["3"] == BeirTitleDoc(*docs[2]).default_text().lstrip()


def test_queries_of_a_split_are_those_it_judges(tmp_path):
    records = [{"_id": f"q{i}", "text": f"query {i}"} for i in range(4)]
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    (tmp_path / "qrels").mkdir()
    table = "query-id\tcorpus-id\tscore\nq1\tp1\t1\nq3\tp1\t0\n"
    (tmp_path / "qrels/test.tsv").write_text(table)
    of_split = Source(path=str(tmp_path), split="test")
    assert list(sources.queries(of_split)) == [("q1", "query 1"), ("q3", "query 3")]
    assert list(sources.qrels(of_split)) == [("q1", "p1", 1), ("q3", "p1", 0)]
    assert len(list(sources.queries(Source(path=str(tmp_path))))) == 4


@pytest.mark.parametrize(
    "text",
    [
        "q 0 a 2\nq 0 b -1\np Q0 07 0\n",
        "q\t0\ta\t2\r\nq\t0\tb\t-1\r\n\np\t0\t07\t0",
        "query-id\tcorpus-id\tscore\nq\ta\t2\nq\tb\t-1\np\t07\t0\n",
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reads_qrels(tmp_path, text, pack):
    path = tmp_path / "qrels"
    path.write_bytes(pack(text.encode()))
    rows = [("q", "a", 2), ("q", "b", -1), ("p", "07", 0)]
    expected = pd.DataFrame(rows, columns=["query_id", "doc_id", "relevance"])
    pd.testing.assert_frame_equal(read_qrels(path), expected)


@pytest.mark.parametrize(
    "data, what",
    [
        (b"q 0 a 1\nq 0 b\t\n", ":2: neither .*'q 0 b"),
        (b"q 0 a high\n", ":1: neither"),
        (b"q 0 a 1 1\n", ":1: neither"),
        (b"q 1\n", ":1: neither"),
        (b"query-id\tcorpus-id\tscore\n", "has no judgment"),
        (b"", "has no judgment"),
        (b"\xff", ":1: not UTF-8"),
        (gzip.compress(b"q 0 a 1\n", mtime=0)[:-9], "not a whole gzip file"),
        (b"query-id\tcorpus-id\tscore\ntopic 1\ta\t1\n", ":2: the id 'topic 1' has a blank"),
        (b"q\tAda Lovelace\t1\n", ":1: the id 'Ada Lovelace' has a blank"),
        (b"q\t0\tAda Lovelace\t1\n", ":1: neither"),
        (b"q\t\t1\n", ":1: the id '' is empty"),
        (b"q 0 a\0b 1\n", ":1: the id 'a.x00b' has a blank or a NUL"),
        (b"q 0 a 1\nq 0 b 100000000000000000000000\n", ":2: the relevance is beyond 1,000"),
        (b"q 0 a " + b"9" * 5000 + b"\n", ":1: the relevance is beyond"),
        (b"q 0 a -1001\n", ":1: the relevance is beyond"),
        ("q 0 a \u0661\n".encode(), ":1: neither"),
        (b"q 0 a 1_0\n", ":1: neither"),
        (b"q 0 a 1\np 0 a 1\n\nq 0 a 0\n", ":4: passage 'a' is judged 0 for query 'q', otherwise"),
    ],
)
def test_refuses_qrels(tmp_path, data, what):
    path = tmp_path / "qrels"
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"^{path}:? ?{what}"):
        read_qrels(path)


PARTS = st.sampled_from(
    ["q", "a", "b c", "0", "1", " ", "\t", "\n", "\r", "\0", "\x1c", "\xa0", "é", "-"]
)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.lists(PARTS, max_size=40).map(lambda p: "".join(p).encode()))
def test_any_bytes_are_qrels_or_one_line(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("bytes") / "qrels"
    for content in (data, b"query-id\tcorpus-id\tscore\n" + data, b"\x1f\x8b" + data):
        path.write_bytes(content)
        try:
            frame = read_qrels(path)
        except InputError as error:
            assert "\n" not in str(error)
        else:
            assert len(frame) and not frame.duplicated(["query_id", "doc_id", "relevance"]).all()


def test_only_ascii_blanks_separate_columns(tmp_path):
    ids = ["Ada\xa0Lovelace", "a\u2028b", "a\x1cb", "\x85", "日本\u3000"]
    for form in ("q 0 {} 1\n", "q\t{}\t1\n", " q\t0\t{}\t1 \r\n", "q 0  {}\t1\r\n"):
        path = tmp_path / "qrels"
        path.write_bytes("".join(form.format(id) for id in ids).encode())
        assert read_qrels(path)["doc_id"].tolist() == ids


@pytest.fixture
def folder(tmp_path):
    """Write lines into the files of a folder in BEIR layout and return it as a source."""

    def write(corpus=(), queries=(), qrels=()):
        (tmp_path / "qrels").mkdir()
        for name, lines in (("corpus.jsonl", corpus), ("queries.jsonl", queries)):
            (tmp_path / name).write_bytes(b"".join(line + b"\n" for line in lines))
        table = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in qrels)]
        (tmp_path / "qrels/test.tsv").write_text("\n".join(table))
        return Source(path=str(tmp_path), split="test")

    return write


GOOD = b'{"_id": "a", "text": "t"}'


@pytest.mark.parametrize(
    "line, what",
    [
        (b"", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b'{"_id": "b"}', "not a JSON object with the strings"),
        (b'{"_id": 1, "text": "t"}', "not a JSON object with the strings"),
        (b'{"_id": "b", "text": NaN}', "not a JSON object with the strings"),
        (b'{"_id": "b", "text": "t", "n": ' + b"9" * 5000 + b"}", "not a JSON object"),
        (b'{"_id": "b", "text": "t", "n": ' + b"[" * 99999 + b"]" * 99999 + b"}", "not a JSON"),
        (b'{"_id": "b", "text": "\xff"}', "not a JSON object"),
        (b'{"_id": "b", "text": "\xed\xa0\xbd"}', "not a JSON object"),
        (rb'{"_id": "b", "text": "\ud83d"}', "half a surrogate pair"),
        (rb'{"_id": "\ud83d", "text": "t"}', "half a surrogate pair"),
        (rb'{"_id": "b", "title": "\udc00", "text": "t"}', "half a surrogate pair"),
        (b'{"_id": "b", "title": ["x"], "text": "t"}', "the title is no string"),
        (b'{"_id": "b", "title": 5, "text": "t"}', "the title is no string"),
        (b'{"_id": "b c", "text": "t"}', "the id 'b c' has a blank"),
        (rb'{"_id": "b\t", "text": "t"}', "the id 'b.t' has a blank"),
        (rb'{"_id": "b\n", "text": "t"}', "the id 'b.n' has a blank"),
        (rb'{"_id": "b\u0000", "text": "t"}', "the id 'b.x00' has a blank or a NUL"),
        (b'{"_id": "", "text": "t"}', "the id '' is empty"),
    ],
)
def test_a_line_that_is_no_passage_or_query(folder, line, what):
    source = folder([GOOD, line], [GOOD, line], [("a", "a", 1)])
    for read, file in ((sources.passages, "corpus"), (sources.queries, "queries")):
        with pytest.raises(InputError, match=f"{file}.jsonl:2: {what}"):
            list(read(source))


def test_what_is_a_passage(folder):
    lines = [
        b'\xef\xbb\xbf{"_id": "a", "title": NaN, "text": "t"}',
        rb'{"_id": "b\u00a0c", "title": null, "text": "\ud83d\ude00 \u0000"}',
        '{"_id": "日本-ß", "title": "T", "text": ""}'.encode(),
    ]
    found = list(sources.passages(folder(lines)))
    assert found == [("a", "t"), ("b\xa0c", "😀 \0"), ("日本-ß", "T ")]


def test_texts_that_are_empty_are_told(folder, caplog):
    source = folder([GOOD, b'{"_id": "b", "text": " \xc2\xa0"}'], [b'{"_id": "q", "text": ""}'])
    list(sources.passages(source))
    assert "corpus.jsonl: 1 of 2 passages have no text, such as 'b'" in caplog.text
    with pytest.raises(InputError, match="1 of 1 queries have no text; is it the right file"):
        list(sources.queries(Source(path=source.path)))


def test_judged_queries_without_text_are_told(folder, caplog):
    source = folder([], [GOOD], [("a", "p", 1), ("q", "p", 1)])
    assert list(sources.queries(source)) == [("a", "t")]
    assert "queries.jsonl: 1 of 2 judged queries have no text, such as 'q'; they co" in caplog.text


def test_judgments_of_other_queries_are_refused(folder):
    with pytest.raises(InputError, match=r"queries.jsonl: 1 of 1 judged queries have no text"):
        list(sources.queries(folder([], [GOOD], [("q", "p", 1)])))


def test_judgments_of_another_collection_are_refused_and_of_few_passages_told(
    folder, store, caplog
):
    passages, source = store([("p", "t")]), folder([], [], [("q", "p", 1), ("q", "x", 1)])
    assert len(sources.checked_qrels(source, passages)) == 2
    assert "test.tsv: 1 of 2 judged passages are not in the collection, such as 'x'" in caplog.text
    with pytest.raises(InputError, match=r"test.tsv: 2 of 2 judged passages are not in the coll"):
        sources.checked_qrels(source, store([("y", "t")]))
    assert len(sources.checked_qrels(source, None)) == 2


class Archive:
    """What ir_datasets has under an id."""

    docs, judged = [("a b", "t")], [("q", "p", 1), ("q", "p", 0), ("q", "r", 1), ("q", "r", 1)]

    def docs_iter(self):
        Doc = namedtuple("Doc", ["doc_id", "text"])
        Doc.default_text = lambda self: self.text
        return (Doc(*doc) for doc in self.docs)

    def qrels_iter(self):
        return (namedtuple("Qrel", sources.QRELS)(*row) for row in self.judged)


def test_what_ir_datasets_says_is_checked_too(monkeypatch, caplog):
    monkeypatch.setattr("ir_datasets.load", lambda name: Archive())
    with pytest.raises(InputError, match=r"^some/id: the id 'a b' has a blank"):
        list(sources.passages(Source(ir_datasets="some/id")))
    assert len(sources.checked_qrels(Source(ir_datasets="some/id"), None)) == 4
    assert "some/id: 1 passages are judged again, and otherwise, such as 'p'" in caplog.text


def test_what_takes_long_is_imported_only_when_it_is_needed():
    code = """
import sys
from restage.collections import download, sources, tokens
print(*{"ir_datasets", "requests", "torch", "transformers"} & sys.modules.keys())
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []
