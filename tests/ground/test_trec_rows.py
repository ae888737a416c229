"""Lines of TREC runs: one dialect for first stages and training lists, and what is refused."""

import gzip
import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restage import trec_rows
from restage.errors import InputError
from restage.ranked_lists.ingest import Stats
from restage.ranked_lists.trec_blocks import read_trec_run
from restage.rerank.runs import read_run
from restage.trec_rows import line_of, read_rows
from tests.ranked_lists.runs import BYTES, lists_of

GOOD = b"q1 Q0 p1 1 9.5 x\nq1 Q0 p2 2 9.0 x\nq2 Q0 p2 1 0.5 x\n"
LISTS = [("q1", ["p1", "p2"], [9.5, 9.0]), ("q2", ["p2"], [0.5])]


def zstd(data):
    return pa.Codec("zstd").compress(data, asbytes=True)


def first_stage(path):
    return [
        (query, list(lines["doc_id"]), list(lines["score"]))
        for query, lines in read_run(path).groupby("query_id", sort=False)
    ]


def training_lists(path):
    return lists_of(read_trec_run(path, Stats()))


def rows_of(path):
    return [tuple(row.values()) for rows in read_rows(path) for row in rows.to_pylist()]


@pytest.mark.parametrize("read", [first_stage, training_lists])
@pytest.mark.parametrize(
    "data",
    [
        GOOD,
        GOOD.replace(b" ", b"\t"),
        GOOD.replace(b" ", b"\t", 5),  # tabs on the first line alone
        GOOD.replace(b"\n", b" \n"),
        GOOD.replace(b" ", b"\t").replace(b"\n", b"\t\n"),
        GOOD.replace(b" ", b"   "),
        GOOD.replace(b"q", b" q"),
        GOOD.replace(b" 1 ", b" 1.0 ").replace(b" 2 ", b" 2e0 "),
        GOOD.replace(b" 1 ", b" 0 ").replace(b" 2 ", b" 0 "),  # ranks that say nothing
        b"\n" + GOOD.replace(b"\nq2", b"\n\n \t\nq2") + b"\n",
        b"\xef\xbb\xbf" + GOOD,
        GOOD.replace(b"q2", b"\xef\xbb\xbfq2"),  # of two files, one behind the other
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.rstrip(b"\n"),
        GOOD.replace(b" ", b"\t").replace(b"x", b"my system"),
        GOOD.replace(b"Q0", b"\xff"),  # a column that nobody reads
        b"q1 Q0 p2 2 9.0 x\nq1 Q0 p1 1 9.5 x\nq2 Q0 p2 1 0.5 x\n",
    ],
)
def test_first_stages_and_training_lists_are_read_alike(tmp_path, read, data):
    (tmp_path / "a.run").write_bytes(data)
    assert read(tmp_path / "a.run") == LISTS


@pytest.mark.parametrize("read", [first_stage, training_lists])
@pytest.mark.parametrize("name", ["a.run", "a.gz", "a.zst"])
@pytest.mark.parametrize(
    "pack",
    [
        bytes,
        gzip.compress,
        zstd,
        lambda data: zstd(data[:20]) + zstd(data[20:]),
        lambda data: b"\x50\x2a\x4d\x18\x04\0\0\0size" + zstd(data),  # as pzstd writes it
    ],
)
def test_a_file_s_content_says_how_it_is_compressed(tmp_path, read, name, pack):
    (tmp_path / name).write_bytes(pack(GOOD))
    assert read(tmp_path / name) == LISTS


NO_RANK, NO_SCORE = "the rank is no whole number", "the score is no finite number in single"


@pytest.mark.parametrize("separator", [b" ", b"\t", b" \t"])
@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"q2 Q0 z 2 1.0", "not 'query Q0 passage rank score tag'"),
        (b"q2 Q0 z 2 1.0 t t", "not 'query"),
        (b"q2 Q0 z second 1.0 t", "not 'query"),
        (b"q2 Q0 z 2 high t", "not 'query"),
        (b"q2 Q0 z 1_0 1.0 t", "not 'query"),
        (b"# query Q0 passage rank score", "not 'query"),
        (b"q2 Q0 z 2.5 1.0 t", NO_RANK),
        (b"q2 Q0 z inf 1.0 t", NO_RANK),
        (b"q2 Q0 z 1e999 1.0 t", NO_RANK),
        (b"q2 Q0 z nan 1.0 t", NO_RANK),
        (b"q2 Q0 z 2 nan t", NO_SCORE),
        (b"q2 Q0 z 2 -inf t", NO_SCORE),
        (b"q2 Q0 z 2 1e39 t", NO_SCORE),
        (b"q2 Q0 z\xff 2 1.0 t", "not UTF-8"),
        (b"q2 Q0 \xed\xa0\x80 2 1.0 t", "not UTF-8"),
        (b"q\0 Q0 z 2 1.0 t", "an id has a blank or a NUL in it"),
    ],
)
def test_each_bad_line_is_told_with_its_place(tmp_path, separator, line, what):
    data = (GOOD + b"\n" + line + b"\n" + GOOD).replace(b" ", separator)
    (tmp_path / "bad.run").write_bytes(data)
    with pytest.raises(InputError, match=rf"bad\.run:5: {what}.*mend or remove") as error:
        list(read_rows(tmp_path / "bad.run"))
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"q\t0\tAda Lovelace\t1\t2.0\tx", "an id has a blank"),
        (b"my q\t0\tp\t1\t2.0\tx", "an id has a blank"),
        (b"q\t0\t\t1\t2.0\tx", "an id is empty"),
        (b"\t0\tp\t1\t2.0\tx", "an id is empty"),
    ],
)
def test_an_id_at_tabs_is_never_cut_in_two(tmp_path, line, what):
    (tmp_path / "a.run").write_bytes(GOOD.replace(b" ", b"\t") + line)
    with pytest.raises(InputError, match=rf"a\.run:4: {what}"):
        rows_of(tmp_path / "a.run")


@pytest.mark.parametrize("data", [b"", b"\n \t\n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
def test_a_run_without_a_line_is_refused(tmp_path, data):
    (tmp_path / "a.run").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.run: the file is empty"):
        rows_of(tmp_path / "a.run")


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_a_truncated_file_is_told(tmp_path, pack):
    data = pack(b"".join(b"q1 0 p%d %d 1.5 x\n" % (i, i) for i in range(1000)))
    (tmp_path / "a.run").write_bytes(data[:-20])
    with pytest.raises(InputError, match=r"a\.run: cannot be read to its end"):
        rows_of(tmp_path / "a.run")


AT_ODDS = {
    "distances": ("q 0 a 1 0.1 t\nq 0 b 2 0.2 t\nq 0 c 3 0.3 t\n", 3, "rank 3"),
    "distances but for one": ("p 0 a 1 5 t\np 0 b 2 4 t\nq 0 a 1 1 t\nq 0 b 2 2 t\n", 4, "rank 2"),
    "two lists after each other": ("q 0 a 1 4 t\nq 0 b 2 3 t\nq 0 c 1 2 t\n", 2, "rank 2"),
    "the last re-ranked": ("q 0 a 1 1.7 t\n\nq 0 b 2 1.6 t\nq 0 c 3 1.98 t\n", 4, "rank 3"),
    "lines in no order": ("q 0 c 3 9 t\nq 0 a 1 8 t\nq 0 b 2 7 t\n", 1, "rank 3"),
}


@pytest.mark.parametrize("read", [first_stage, training_lists])
@pytest.mark.parametrize(("text", "line", "rank"), AT_ODDS.values(), ids=AT_ODDS)
def test_ranks_at_odds_with_scores_are_refused(tmp_path, read, text, line, rank):
    (tmp_path / "a.run").write_text(text)
    with pytest.raises(InputError, match=rf"a\.run:{line}: query q: {rank} has a higher score"):
        read(tmp_path / "a.run")


def test_the_number_of_a_line_counts_all_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(trec_rows, "BLOCK_BYTES", 100)
    lines = [f"q{i // 2} 0 p{i} {i} {-i} x\n" for i in range(100)]
    (tmp_path / "a.run").write_text("\n".join([*lines, "broken\n"]))
    with pytest.raises(InputError, match=r"a\.run:201: "):
        rows_of(tmp_path / "a.run")
    assert line_of(tmp_path / "a.run", 60) == 121
    (tmp_path / "a.run").write_text("".join([*lines[:60], lines[61], "q30 0 p60 60 -99 x\n"]))
    with pytest.raises(InputError, match=r"a\.run:61: query q30: rank 61 has a higher score"):
        training_lists(tmp_path / "a.run")


@settings(max_examples=500, deadline=None)
@given(data=BYTES, block=st.integers(10, 200))
def test_any_bytes_are_rows_or_one_line(tmp_path_factory, data, block):
    path = tmp_path_factory.mktemp("any") / "a.run"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trec_rows, "BLOCK_BYTES", block)
        try:
            rows = rows_of(path)
        except InputError as error:
            assert len(str(error).splitlines()) == 1
            return
    lines = [line for line in re.split("\r\n|\n|\r", data.decode()) if line.strip(" \t")]
    assert len(lines) == len(rows)
    for line, (query, passage, rank, score) in zip(lines, rows, strict=True):
        at_tabs = [column.strip(" ") for column in line.split("\t")]
        at_blanks = re.split("[ \t]+", line.strip(" \t"))
        assert [query, passage] in (at_tabs[0:3:2], at_blanks[0:3:2])
        assert [str(rank), str(score)] in (
            [str(float(number)) for number in columns[3:5]]
            for columns in (at_tabs, at_blanks)
            if columns[0:3:2] == [query, passage]
        )
