"""Ranked lists: TREC runs and RankGPT files into column stores, and what is wrong with them."""

import gzip
import json
import re
import zipfile
from contextlib import nullcontext

import numpy as np
import pyarrow as pa
import pytest
from conftest import room
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from restage import ranked_lists
from restage.errors import InputError
from restage.ranked_lists import (
    RankedLists,
    Stats,
    ingest,
    parse_permutation,
    read_rankgpt,
    read_trec_run,
    repair_permutation,
    rescore,
)


@pytest.fixture(scope="module")
def passages(store):
    return store((f"p{i}", "text") for i in range(60))


@pytest.fixture(scope="module")
def queries(store):
    return store((f"q{i}", "text") for i in range(40))


@pytest.fixture
def ingested(tmp_path, queries, passages):
    """Ingest blocks and return every list as {query: [(passage, score, relevance)]} per split."""

    def make(blocks, stats, qrels=(), valid_fraction=0.0):
        folder = tmp_path / "lists"
        ingest(
            blocks,
            folder,
            queries=queries,
            passages=passages,
            qrels=qrels,
            valid_fraction=valid_fraction,
            split_seed=42,
            stats=stats,
        )
        found = {}
        for split in ("train", "valid"):
            lists = RankedLists(folder / split)
            found[split] = {
                queries.ids([item.query])[0]: list(
                    zip(
                        passages.ids(item.passages),
                        [None] * len(item.passages) if item.scores is None else item.scores,
                        item.relevances.tolist(),
                        strict=True,
                    )
                )
                for item in (lists[i] for i in range(len(lists)))
            }
        return found, json.loads((folder / "stats.json").read_text())

    return make


RUNS = st.dictionaries(
    st.integers(0, 39).map("q{}".format),
    st.lists(st.integers(0, 59).map("p{}".format), min_size=1, max_size=9, unique=True),
    min_size=2,
    max_size=12,
)


def write(path, run, separator="\t", first=1):
    lines = [
        separator.join([query, "0", passage, str(rank), str(100 - rank), "ColBERT"])
        for query, listed in run.items()
        for rank, passage in enumerate(listed, start=first)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@given(run=RUNS, separator=st.sampled_from(["\t", " ", "  "]), block=st.integers(40, 400))
def test_a_run_comes_out_as_it_went_in(tmp_path_factory, queries, passages, run, separator, block):
    folder = tmp_path_factory.mktemp("run")
    path = write(folder / "a.run", run, separator)
    with pytest.MonkeyPatch.context() as patch:
        # Blocks of a few lines: lists lie across their borders.
        patch.setattr(ranked_lists, "BLOCK_BYTES", block)
        blocks = list(read_trec_run(path, stats := Stats()))
    found = {}
    for block in blocks:
        ends = np.cumsum(block.sizes)
        for query, end, size in zip(block.queries, ends, block.sizes, strict=True):
            found[query] = block.passages.to_pylist()[end - size : end]
            assert block.scores[end - size : end].tolist() == [99.0 - i for i in range(size)]
    assert found == run
    assert list(found) == list(run)
    assert (stats.lines, stats.lists) == (sum(map(len, run.values())), len(run))


@pytest.mark.parametrize("suffix", [".run", ".run.gz", ".run.zst"])
def test_compressed_runs_are_read(tmp_path, suffix):
    text = write(tmp_path / "plain", {"q1": ["p1", "p2"]}).read_bytes()
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


def test_the_split_is_scikit_learn_s(tmp_path, ingested):
    run = {f"q{i}": ["p1", f"p{i}"] for i in range(39, 1, -1)}
    path = write(tmp_path / "a.run", run)
    found, stats = ingested(read_trec_run(path, s := Stats()), s, valid_fraction=0.1)
    train, valid = train_test_split(list(run), test_size=0.1, random_state=42)
    assert set(found["train"]) == set(train)
    assert set(found["valid"]) == set(valid)
    assert (stats["train"], stats["valid"]) == (len(train), len(valid))


def test_relevance_labels_go_with_their_passages(tmp_path, ingested):
    path = write(tmp_path / "a.run", {"q1": ["p1", "p2", "p3"], "q2": ["p2"]})
    qrels = [("q1", "p3", 2), ("q1", "p9", 1), ("q2", "p1", 1), ("q7", "p2", 1), ("q2", "px", 1)]
    found, _ = ingested(read_trec_run(path, s := Stats()), s, qrels)
    assert found["train"]["q1"] == [("p1", 99.0, 0), ("p2", 98.0, 0), ("p3", 97.0, 2)]
    assert found["train"]["q2"] == [("p2", 99.0, 0)]


def test_what_is_unknown_or_repeated_is_dropped_and_counted(tmp_path, ingested):
    run = {"q1": ["p1", "px", "p2", "p1"], "qx": ["p1"], "q2": ["px"], "q3": ["p5"]}
    found, stats = ingested(read_trec_run(write(tmp_path / "a.run", run), s := Stats()), s)
    assert {query: [p for p, _, _ in listed] for query, listed in found["train"].items()} == {
        "q1": ["p1", "p2"],
        "q3": ["p5"],
    }
    assert stats["dropped"] == {"no passage left": 1, "query not among the queries": 1}
    assert stats["dropped_passages"] == {"not in the collection": 2, "repeated in its list": 1}
    assert (stats["lines"], stats["lists"], stats["kept"]) == (7, 4, 2)


def test_two_lists_of_one_query_are_refused_and_leave_nothing(tmp_path, ingested):
    path = tmp_path / "a.run"
    path.write_text("q1 0 p1 1 9 x\nq2 0 p1 1 9 x\nq1 0 p2 1 9 x\n")
    with pytest.raises(InputError, match="query 'q1' has two lists"):
        ingested(read_trec_run(path, s := Stats()), s)
    assert [item.name for item in tmp_path.iterdir()] == ["a.run"]


@pytest.mark.parametrize("size", [0, 100, 300, 2000])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, ingested, size):
    run = {f"q{i}": [f"p{j}" for j in range(50)] for i in range(40)}
    path = write(tmp_path / "a.run", run)
    with room(size), pytest.raises(InputError, match=r"lists: cannot be written .*; make room on"):
        ingested(read_trec_run(path, s := Stats()), s)
    assert [item.name for item in tmp_path.iterdir()] == ["a.run"]


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
    monkeypatch.setattr(ranked_lists, "BLOCK_BYTES", 100)
    path = write(tmp_path / "a.run", {f"q{i}": ["p1", "p2"] for i in range(50)})
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:60], lines[61], lines[60], *lines[62:]]))
    with pytest.raises(InputError, match=r"a\.run:62: query q30: rank 1 after rank 2"):
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


def test_a_missing_line_number_counts_all_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(ranked_lists, "BLOCK_BYTES", 100)
    path = write(tmp_path / "a.run", {f"q{i}": ["p1", "p2"] for i in range(50)})
    path.write_text(path.read_text() + "broken\n")
    with pytest.raises(InputError, match=r"a\.run:101: "):
        list(read_trec_run(path, Stats()))


def test_the_split_of_as_many_queries_as_colbert_s(tmp_path, store):
    count = 502_939
    ids = [str(number) for number in np.random.default_rng(1).permutation(3 * count)[:count]]
    queries, passages = store((i, "") for i in ids[::-1]), store([("p1", ""), ("p2", "")])
    (tmp_path / "a.run").write_text("".join(f"{i}\t0\tp1\t1\t9.5\tx\n" for i in ids))
    folder, stats = tmp_path / "lists", Stats()
    counts = ingest(
        read_trec_run(tmp_path / "a.run", stats),
        folder,
        queries=queries,
        passages=passages,
        qrels=(),
        valid_fraction=0.01,
        split_seed=42,
        stats=stats,
    )
    for part, expected in zip(
        ("train", "valid"), train_test_split(ids, test_size=0.01, random_state=42), strict=True
    ):
        assert set(queries.ids(RankedLists(folder / part).queries)) == set(expected)
    assert (counts["lists"], counts["train"], counts["valid"]) == (count, 497_909, 5_030)


# --- RankGPT -------------------------------------------------------------------------------------

KNOWN = range(1, 6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[2] > [1] > [3] > [5] > [4]", [2, 1, 3, 5, 4]),
        ("  [2] > [1] > [3] > [5] > [4]\n", [2, 1, 3, 5, 4]),
        ("2 > 1 > [ 3 ] > 5 > 4", [2, 1, 3, 5, 4]),
        ("[2] > [1] > [2] > [5] > [4]", [2, 1, 5, 4]),
        ("[2] > [1] > [3] > [5]", None),
        ("[2] > [1] > [3] > [5] > [4] > [4]", None),
        ("[2] > [1] > [3] > [5] > [4].", None),
        ("[2] > [1] > [3] > [5] > [4] >", None),
        ("[2]>[1]>[3]>[5]>[4]", None),
        ("[2] > [1] > [3] > [5] > [6]", None),
        ("[2] > [1] > [3] > [5] > [²]", None),
        ("I cannot rank these passages.", None),
        ("", None),
    ],
)
def test_what_a_valid_permutation_is(text, expected):
    assert parse_permutation(text, KNOWN) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[2] > [5]", [2, 5, 1, 3, 4]),
        ("[2]>[1]>[3]>[5]>[4].", [2, 1, 3, 5, 4]),
        ("[2] > [9] > [2] > [1]", [2, 1, 3, 4, 5]),
        ("Passage [3] is the best.", None),
        ("I cannot rank these passages.", None),
    ],
)
def test_repair_keeps_what_can_be_read(text, expected):
    assert repair_permutation(text, KNOWN) == expected


@given(st.permutations(range(1, 21)))
def test_a_written_permutation_is_read(order):
    text = " > ".join(f"[{rank}]" for rank in order)
    assert parse_permutation(text, range(1, 21)) == order
    assert repair_permutation(text, range(1, 21)) == order


@pytest.fixture
def rankgpt(tmp_path):
    """Write RankGPT's two files for lists of three candidates."""

    def make(texts, lists=None, archive=True):
        permutations, candidates = tmp_path / "p.json", tmp_path / "c.jsonl"
        permutations.write_text(json.dumps(texts))
        lines = ""
        for i in range(len(texts) if lists is None else lists):
            listed = [{"docid": f"p{i + rank}", "rank": rank} for rank in (1, 2, 3)]
            lines += json.dumps({"query_id": f"q{i}", "retrieved_passages": listed}) + "\n"
        candidates.write_text(lines)
        if archive:
            with zipfile.ZipFile(tmp_path / "c.zip", "w") as file:
                file.write(candidates, "marco/c.jsonl")
                file.writestr("__MACOSX/c.jsonl", "junk")
            candidates = tmp_path / "c.zip"
        return permutations, candidates

    return make


@pytest.mark.parametrize("archive", [True, False])
def test_permutations_order_their_candidates(rankgpt, ingested, archive):
    texts = ["[3] > [1] > [2]", "no idea", "[1] > [2] > [3]", "[2] > [3]"]
    files = rankgpt(texts, archive=archive)
    found, stats = ingested(read_rankgpt(*files, "drop", s := Stats()), s)
    assert {query: [p for p, _, _ in listed] for query, listed in found["train"].items()} == {
        "q0": ["p3", "p1", "p2"],
        "q2": ["p3", "p4", "p5"],
    }
    assert stats["dropped"]["malformed permutation"] == 2
    assert (stats["lists"], stats["kept"]) == (4, 2)


def test_repaired_permutations_are_counted(rankgpt, ingested):
    texts = ["[3] > [1] > [2]", "no idea", "[2] > [3]"]
    found, stats = ingested(read_rankgpt(*rankgpt(texts), "repair", s := Stats()), s)
    assert [p for p, _, _ in found["train"]["q2"]] == ["p4", "p5", "p3"]
    assert (stats["repaired"], stats["dropped"]["malformed permutation"]) == (1, 1)


def test_the_split_of_as_many_permutations_as_rankgpt_s(tmp_path, store):
    malformed = set(np.random.default_rng(2).permutation(100_000)[:9_301].tolist())
    texts = ["[1] > [3]" if i in malformed else "[3] > [1] > [2]" for i in range(100_000)]
    (tmp_path / "p.json").write_text(json.dumps(texts))
    listed = [{"docid": f"p{rank}", "rank": rank} for rank in (1, 2, 3)]
    with zipfile.ZipFile(tmp_path / "c.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        lines = ({"query_id": f"q{i}", "retrieved_passages": listed} for i in range(100_000))
        archive.writestr("c.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    queries = store((f"q{i}", "") for i in range(100_000))
    folder, stats = tmp_path / "lists", Stats()
    counts = ingest(
        read_rankgpt(tmp_path / "p.json", tmp_path / "c.zip", "drop", stats),
        folder,
        queries=queries,
        passages=store((f"p{i}", "") for i in range(4)),
        qrels=(),
        valid_fraction=0.01,
        split_seed=42,
        stats=stats,
    )
    assert (counts["lists"], counts["kept"]) == (100_000, 90_699)
    assert (counts["train"], counts["valid"]) == (89_792, 907)
    kept = [f"q{i}" for i in range(100_000) if i not in malformed]
    train, valid = train_test_split(kept, test_size=0.01, random_state=42)
    assert set(queries.ids(RankedLists(folder / "train").queries)) == set(train)
    assert set(queries.ids(RankedLists(folder / "valid").queries)) == set(valid)


@pytest.mark.parametrize("lists", [1, 3])
def test_files_that_do_not_belong_together(rankgpt, lists):
    files = rankgpt(["[1] > [2] > [3]"] * 2, lists=lists)
    with pytest.raises(InputError, match="2 permutations, but"):
        list(read_rankgpt(*files, "drop", Stats()))


def change(path, old, new):
    path.write_bytes(path.read_bytes().replace(old, new))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda p, c: p.write_text("["), r"p\.json: not JSON"),
        (lambda p, c: p.write_text("[1]"), r"p\.json: not a JSON list of strings"),
        (lambda p, c: c.write_text('{"query_id": 1}\n'), r"c\.jsonl:1: not an object with"),
        (lambda p, c: c.write_text("x\n"), r"c\.jsonl:1: not an object with"),
        (
            lambda p, c: c.write_text(c.read_text().replace('"rank": 2', '"rank": 1')),
            "different 'rank'",
        ),
        (
            lambda p, c: c.write_bytes(c.read_bytes().replace(b"p1", b"p\xff")),
            r"c\.jsonl:1: not an",
        ),
        (lambda p, c: p.write_bytes(b'["\xff"]'), r"p\.json: not JSON"),
        (lambda p, c: p.write_bytes(b""), r"p\.json: not JSON"),
        (lambda p, c: c.write_bytes(b""), "1 permutations, but .* has 0 lists"),
    ],
)
def test_each_broken_file_is_told(rankgpt, spoil, expected):
    files = rankgpt(["[1] > [2] > [3]"], archive=False)
    spoil(*files)
    with pytest.raises(InputError, match=expected):
        list(read_rankgpt(*files, "drop", Stats()))


def test_a_truncated_zip_is_told(rankgpt):
    permutations, candidates = rankgpt(["[1] > [2] > [3]"])
    candidates.write_bytes(candidates.read_bytes()[:-30])
    with pytest.raises(InputError, match="cannot be read to its end"):
        list(read_rankgpt(permutations, candidates, "drop", Stats()))


# --- a teacher -------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(run=RUNS, depth=st.integers(1, 9), seed=st.integers(0, 9))
def test_a_teacher_s_lists(tmp_path_factory, queries, passages, run, depth, seed):
    folder, stats = tmp_path_factory.mktemp("teacher"), Stats()
    labels = {(q, p): 1 + i % 2 for q, ps in run.items() for i, p in enumerate(ps) if i % 3 == 1}
    ingest(
        read_trec_run(write(folder / "a.run", run), stats),
        folder / "source",
        queries=queries,
        passages=passages,
        qrels=[(*pair, label) for pair, label in labels.items()],
        valid_fraction=0.3,
        split_seed=seed,
        stats=stats,
    )
    # Few values, so that some are equal.
    given_scores = np.random.default_rng(seed).integers(0, 4, size=(40, 60)).astype(np.float32)
    counts = rescore(
        folder / "source", folder / "new", lambda q, p: nullcontext(given_scores[q, p]), depth
    )
    assert counts["lines"] == sum(len(ps[:depth]) for ps in run.values())
    for split in ("train", "valid"):
        before, after = (RankedLists(folder / name / split) for name in ("source", "new"))
        assert after.queries.tolist() == before.queries.tolist()
        for i in range(len(before)):
            query, listed, scores, relevances = after[i]
            old = before[i].passages[:depth].tolist()
            expected = sorted(old, key=lambda p: (-given_scores[query, p], old.index(p)))
            assert listed.tolist() == expected
            assert scores.tolist() == given_scores[query, expected].tolist()
            pairs = [(queries.ids([query])[0], passage) for passage in passages.ids(expected)]
            assert relevances.tolist() == [labels.get(pair, 0) for pair in pairs]


def test_scores_that_are_not_finite_are_told(tmp_path, ingested):
    run = {"q1": ["p1", "p2"], "q2": ["p1"]}
    ingested(read_trec_run(write(tmp_path / "a.run", run), s := Stats()), s)
    with pytest.raises(InputError, match="scores that are not finite"):
        rescore(tmp_path / "lists", tmp_path / "new", lambda q, p: nullcontext(q * np.nan), 5)
    assert not (tmp_path / "new").exists()


# --- anything at all -------------------------------------------------------------------------

PIECES = ["q1", "q2", "p1", "p2", "0", "1", "2", "3.5", "nan", "1e400", "-", '"', "é", " ", "  "]
PIECES += ["\t", "\n", "\r", "\r\n", "\0", "q1 0 p1 1 2.0 t\n", "q1\t0\tp2\t2\t1.0\tt\n"]
BYTES = st.binary(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=30).map(
    lambda pieces: "".join(pieces).encode()
)
JSON = st.recursive(
    st.none() | st.integers(-3, 30) | st.floats() | st.sampled_from(["[1] > [2]", "[1]", "x"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["query_id", "retrieved_passages", "docid", "rank"]), inner, max_size=4
        )
    ),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())


def lists_or_one_line(read):
    """The lists that a parser yields, or None where it refuses its input in one line."""
    try:
        return [
            (query, block.passages.to_pylist()[end - size : end])
            for block in read()
            for query, size, end in zip(
                block.queries, block.sizes, np.cumsum(block.sizes), strict=True
            )
        ]
    except InputError as error:
        assert "\n" not in str(error)
        return None


@settings(max_examples=300, deadline=None)
@given(data=BYTES, suffix=st.sampled_from(["", ".gz", ".zst"]))
def test_any_bytes_are_a_run_or_one_line(tmp_path_factory, data, suffix):
    path = tmp_path_factory.mktemp("any") / f"a.run{suffix}"
    path.write_bytes(gzip.compress(data) if suffix == ".gz" else data)
    found = lists_or_one_line(lambda: read_trec_run(path, Stats()))
    if found is not None:
        lines = [line for line in re.split("\r\n|\n|\r", data.decode()) if line.strip()]
        separator = "\t" if "\t" in data.decode().split("\n")[0] else " +"
        fields = [re.split(separator, line) for line in lines]
        assert [(q, p) for q, ps in found for p in ps] == [(f[0], f[2]) for f in fields]


@settings(max_examples=300, deadline=None)
@given(
    permutations=JSON | BYTES,
    candidates=st.lists(JSON | BYTES, max_size=4).map(b"\n".join),
    zipped=st.booleans(),
    invalid=st.sampled_from(["drop", "repair"]),
)
def test_any_bytes_are_permutations_or_one_line(
    tmp_path_factory, permutations, candidates, zipped, invalid
):
    folder = tmp_path_factory.mktemp("any")
    (folder / "p.json").write_bytes(permutations)
    path = folder / ("c.jsonl.zip" if zipped else "c.jsonl")
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("c.jsonl", candidates)
    else:
        path.write_bytes(candidates)
    found = lists_or_one_line(lambda: read_rankgpt(folder / "p.json", path, invalid, Stats()))
    for query, passages in found or []:
        entries = [json.loads(line) for line in candidates.split(b"\n") if line]
        listed = [
            sorted({int(p["rank"]): str(p["docid"]) for p in e["retrieved_passages"]}.values())
            for e in entries
            if str(e["query_id"]) == query
        ]
        assert sorted(passages) in listed
