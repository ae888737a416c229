"""TREC runs: read as they were written, whatever lies across blocks, and what is wrong with one."""

import gzip
import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restage.errors import InputError
from restage.ranked_lists import trec_blocks
from restage.ranked_lists.ingest import Stats
from restage.ranked_lists.trec_blocks import read_trec_run
from tests.ranked_lists.runs import BYTES, RUNS, lists_of, lists_or_one_line, write_run


@given(run=RUNS, separator=st.sampled_from(["\t", " ", "  "]), block=st.integers(40, 400))
def test_a_run_comes_out_as_it_went_in(tmp_path_factory, run, separator, block):
    path = write_run(tmp_path_factory.mktemp("run") / "a.run", run, separator)
    with pytest.MonkeyPatch.context() as patch:
        # Blocks of a few lines: lists lie across their borders.
        patch.setattr(trec_blocks, "BLOCK_BYTES", block)
        read = lists_of(read_trec_run(path, stats := Stats()))
    assert read == [
        (query, listed, [99.0 - i for i in range(len(listed))]) for query, listed in run.items()
    ]
    assert (stats.lines, stats.lists) == (sum(map(len, run.values())), len(run))


@pytest.mark.parametrize("suffix", [".run", ".run.gz", ".run.zst"])
def test_compressed_runs_are_read(tmp_path, suffix):
    text = write_run(tmp_path / "plain", {"q1": ["p1", "p2"]}).read_bytes()
    path = tmp_path / f"a{suffix}"
    if suffix.endswith("gz"):
        path.write_bytes(gzip.compress(text))
    elif suffix.endswith("zst"):
        with pa.CompressedOutputStream(str(path), "zstd") as file:
            file.write(text)
    else:
        path.write_bytes(text)
    (block,) = read_trec_run(path, Stats())
    assert block.passages.to_pylist() == ["p1", "p2"]


GOOD = b"q1 0 p1 1 9.5 x\nq1 0 p2 2 9.0 x\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (GOOD + b"q1 0 p3 3 8.0\n", r":3: not 'query Q0 passage rank score tag'"),
        (GOOD + b"q1 0 p3 3 8.0 x y\n", ":3: not 'query"),
        (GOOD + b"\nq1 0 p3 3 8.0 x\n", ":3: not 'query"),
        (GOOD + b"q1 0 p3 third 8.0 x\n", ":3: not 'query"),
        (GOOD + b"q1 0 p3 3 good x\n", ":3: not 'query"),
        (GOOD + b"q1 0 p3 3 nan x\n", ":3: the score is not finite"),
        (GOOD + b"q1 0 p3 3 inf x\n", ":3: the score is not finite"),
        (GOOD + b"q1 0 p3 3 1e39 x\n", ":3: the score is not finite in single precision"),
        (b"q1\t0\t\t1\t2.0\tx\n", ":1: an id is empty"),
        (GOOD + b"q1 0 p\xff 3 8.0 x\n", ":3: not UTF-8"),
        (GOOD + b"q1 0 p3 2 8.0 x\n", ":3: query q1: rank 2 after rank 2"),
        (GOOD + b"q1 0 p3 1 8.0 x\n", ":3: query q1: rank 1 after rank 2"),
    ],
)
def test_each_bad_line_is_told_with_its_place(tmp_path, content, expected):
    path = tmp_path / "bad.run"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"bad\.run.*{expected}") as error:
        list(read_trec_run(path, Stats()))
    assert len(str(error.value).splitlines()) == 1


def test_a_byte_order_mark_is_no_part_of_an_id(tmp_path):
    (tmp_path / "a.run").write_bytes(b"\xef\xbb\xbf" + GOOD)
    (block,) = read_trec_run(tmp_path / "a.run", Stats())
    assert block.queries == ["q1"]


def test_the_line_of_a_falling_rank_counts_all_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(trec_blocks, "BLOCK_BYTES", 100)
    path = write_run(tmp_path / "a.run", {f"q{i}": ["p1", "p2"] for i in range(50)})
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:60], lines[61], lines[60], *lines[62:]]))
    with pytest.raises(InputError, match=r"a\.run:62: query q30: rank 1 after rank 2"):
        list(read_trec_run(path, Stats()))


def test_the_number_of_a_bad_line_counts_all_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(trec_blocks, "BLOCK_BYTES", 100)
    path = write_run(tmp_path / "a.run", {f"q{i}": ["p1", "p2"] for i in range(50)})
    path.write_text(path.read_text() + "broken\n")
    with pytest.raises(InputError, match=r"a\.run:101: "):
        list(read_trec_run(path, Stats()))


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_truncated_file_is_told(tmp_path, suffix):
    path = tmp_path / f"a.run{suffix}"
    codec = {".gz": "gzip", ".zst": "zstd"}[suffix]
    with pa.CompressedOutputStream(str(path), codec) as file:
        file.write(b"".join(b"q1 0 p%d %d 1.5 x\n" % (i, i) for i in range(1000)))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="cannot be read to its end"):
        list(read_trec_run(path, Stats()))


@settings(max_examples=300, deadline=None)
@given(data=BYTES, suffix=st.sampled_from(["", ".gz", ".zst"]))
def test_any_bytes_are_a_run_or_one_line(tmp_path_factory, data, suffix):
    path = tmp_path_factory.mktemp("any") / f"a.run{suffix}"
    path.write_bytes(gzip.compress(data) if suffix == ".gz" else data)
    read = lists_or_one_line(read_trec_run(path, Stats()))
    if read is not None:
        lines = [line for line in re.split("\r\n|\n|\r", data.decode()) if line.strip()]
        separator = "\t" if "\t" in data.decode().split("\n")[0] else " +"
        fields = [re.split(separator, line) for line in lines]
        assert [(q, p) for q, ps in read for p in ps] == [(f[0], f[2]) for f in fields]
