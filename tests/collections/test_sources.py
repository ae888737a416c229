"""Passages, queries and qrels where they come from."""

import gzip
import json
import subprocess
import sys

import pandas as pd
import pytest
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
    ],
)
def test_refuses_qrels(tmp_path, data, what):
    path = tmp_path / "qrels"
    path.write_bytes(data)
    with pytest.raises(InputError, match=what):
        read_qrels(path)


def test_what_takes_long_is_imported_only_when_it_is_needed():
    code = """
import sys
from restage.collections import download, sources, tokens
print(*{"ir_datasets", "requests", "torch", "transformers"} & sys.modules.keys())
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []
