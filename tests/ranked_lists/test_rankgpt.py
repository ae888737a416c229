"""RankGPT's files: what a permutation is, what is dropped or repaired, and broken files."""

import gzip
import io
import json
import zipfile
from functools import partial

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restage.errors import InputError
from restage.ranked_lists.ingest import Stats, ingest
from restage.ranked_lists.rankgpt import parse_permutation, read_rankgpt, repair_permutation
from tests.ranked_lists.runs import BYTES, lists_of, lists_or_one_line

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
        ("[2] > [1] > [3] > [5] > " + "9" * 5000, None),
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
        ("Ranking: [3] > [1] > [2] > [5] > [4]", [3, 1, 2, 5, 4]),
        ("**[3] > [1] > [2] > [5] > [4]**", [3, 1, 2, 5, 4]),
        ("Ranking: 3 > 1 > 2 > 5 > 4, by 2 criteria", [3, 1, 2, 5, 4]),
        ("Of 5 passages: Passage 3 > Passage 1", [3, 1, 2, 4, 5]),
        ("[1] is off topic. So:\n[3] > [1] > [2]\n\n[2] > [3] was close.", [3, 1, 2, 4, 5]),
        ("[3 > 1 > 2]", [3, 1, 2, 4, 5]),
        ("[ 3 ] > [1]\n[2] > [5]", [3, 1, 2, 5, 4]),
        ("(relevant > not) 3 > 1, see [2]", [3, 1, 2, 4, 5]),
        ("2.5 > 1.5, 3rd > 4th", None),
        ("[" + "9" * 5000 + "] > [2] > [1]", [2, 1, 3, 4, 5]),
        ("[2], [1], [3]", None),
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

    def make(orders, lists=None, archive=True):
        permutations, candidates = tmp_path / "p.json", tmp_path / "c.jsonl"
        permutations.write_text(json.dumps(orders))
        lines = ""
        for i in range(len(orders) if lists is None else lists):
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


@pytest.fixture
def ingested(tmp_path, texts):
    """Ingest RankGPT's two files; what is read of them and what stats.json says."""

    def make(files, invalid):
        counts = ingest(
            read_rankgpt(*files, invalid, stats := Stats()),
            tmp_path / "lists",
            **texts,
            qrels=(),
            valid_fraction=0,
            split_seed=42,
            stats=stats,
        )
        return lists_of(read_rankgpt(*files, invalid, Stats())), counts

    return make


@pytest.mark.parametrize("archive", [True, False])
def test_permutations_order_their_candidates(rankgpt, ingested, archive):
    orders = ["[3] > [1] > [2]", "no idea", "[1] > [2] > [3]", "[2] > [3]"]
    lists, counts = ingested(rankgpt(orders, archive=archive), "drop")
    assert lists == [("q0", ["p3", "p1", "p2"], None), ("q2", ["p3", "p4", "p5"], None)]
    assert counts["dropped"]["malformed permutation"] == 2
    assert (counts["lists"], counts["kept"], counts["repaired"]) == (4, 2, 0)


def test_repaired_permutations_are_counted(rankgpt, ingested):
    files = rankgpt(["[3] > [1] > [2]", "no idea", "[2] > [3]"])
    lists, counts = ingested(files, "repair")
    assert lists[1] == ("q2", ["p4", "p5", "p3"], None)
    assert (counts["repaired"], counts["dropped"]["malformed permutation"]) == (1, 1)


@pytest.mark.parametrize("lists", [1, 3])
def test_files_that_do_not_belong_together(rankgpt, lists):
    files = rankgpt(["[1] > [2] > [3]"] * 2, lists=lists)
    with pytest.raises(InputError, match="2 permutations, but"):
        list(read_rankgpt(*files, "drop", Stats()))


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
        (lambda p, c: p.write_text("[" * 10**5), r"p\.json: not JSON"),
        (lambda p, c: c.write_text("[" * 10**5), r"c\.jsonl:1: not an object"),
        (
            lambda p, c: c.write_text(c.read_text().replace('"p1"', '"\\ud800"')),
            r":1: not an object",
        ),
        (lambda p, c: c.write_text(c.read_text().replace('"p1"', "null")), r":1: not an object"),
        (lambda p, c: c.write_text(c.read_text().replace('"q0"', "[]")), r":1: not an object"),
        *(
            (
                lambda p, c, rank=rank: c.write_text(
                    c.read_text().replace('"rank": 3', f'"rank": {rank}')
                ),
                r"c\.jsonl:1: not an object with .*'rank' from 1 \(not from 0\)",
            )
            for rank in ("0", "-1", "1.5", "true", "null", "NaN", "Infinity", "1e999", "9" * 5000)
        ),
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


@pytest.mark.parametrize("pack", [gzip.compress, partial(pa.Codec("zstd").compress, asbytes=True)])
def test_files_are_known_by_content_and_blank_lines_are_nothing(rankgpt, pack):
    files = rankgpt(["[3] > [1] > [2]", "[1] > [2] > [3]"], archive=False)
    files[1].write_bytes(b"\n" + files[1].read_bytes().replace(b"\n", b"\r\n\n"))
    for path in files:
        path.write_bytes(pack(path.read_bytes()))
    lists = lists_of(read_rankgpt(*files, "drop", Stats()))
    assert lists == [("q0", ["p3", "p1", "p2"], None), ("q1", ["p2", "p3", "p4"], None)]


ZIPS = {
    name: (lambda file, method=method: zipfile.ZipFile(file, "w", method))
    for name, method in {
        "stored": zipfile.ZIP_STORED,
        "deflate": zipfile.ZIP_DEFLATED,
        "bzip2": zipfile.ZIP_BZIP2,
        "lzma": zipfile.ZIP_LZMA,
    }.items()
}


def zipped(kind, data):
    with ZIPS[kind](file := io.BytesIO()) as archive:
        archive.writestr("c.jsonl", data)
    return file.getvalue()


@pytest.mark.parametrize(
    ("what", "spoil"),
    [
        ("encrypted", lambda data, entry: [(6, 1), (entry + 8, 1)]),
        ("method is not supported", lambda data, entry: [(8, 97), (entry + 10, 97)]),
        ("", lambda data, entry: [(50, 255), (51, 255), (52, 255), (53, 255)]),
    ],
)
@pytest.mark.parametrize("kind", ZIPS)
def test_a_zip_that_cannot_be_unpacked_is_told(rankgpt, kind, what, spoil):
    permutations, candidates = rankgpt(["[1] > [2] > [3]"], archive=False)
    data = bytearray(zipped(kind, candidates.read_bytes()))
    for place, value in spoil(data, data.index(b"PK\1\2")):
        data[place] = value
    candidates.write_bytes(data)
    with pytest.raises(InputError, match=rf"c\.jsonl: cannot be read to its end \(.*{what}"):
        list(read_rankgpt(permutations, candidates, "drop", Stats()))


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(sorted(ZIPS)),
    spoilt=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    end=st.floats(0.5, 1),
)
def test_any_zip_is_candidates_or_one_line(tmp_path_factory, kind, spoilt, end):
    folder = tmp_path_factory.mktemp("zip")
    listed = [{"docid": f"p{rank}", "rank": rank} for rank in (1, 2)]
    line = json.dumps({"query_id": "q", "retrieved_passages": listed}).encode()
    data = bytearray(zipped(kind, line))
    for place, value in spoilt:
        data[int(place * len(data))] = value
    (folder / "c.zip").write_bytes(data[: int(end * len(data)) + 1])
    (folder / "p.json").write_text('["[2] > [1]"]')
    read = lists_or_one_line(read_rankgpt(folder / "p.json", folder / "c.zip", "drop", Stats()))
    assert read in (None, [("q", ["p2", "p1"])])


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
    read = lists_or_one_line(read_rankgpt(folder / "p.json", path, invalid, Stats()))
    for query, passages in read or []:
        entries = [json.loads(line) for line in candidates.split(b"\n") if line]
        listed = [
            sorted({int(p["rank"]): str(p["docid"]) for p in e["retrieved_passages"]}.values())
            for e in entries
            if str(e["query_id"]) == query
        ]
        assert sorted(passages) in listed
