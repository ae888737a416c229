"""RankGPT's files: what a permutation is, what is dropped or repaired, and broken files."""

import json
import zipfile

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
