"""Ranked lists into column stores: numbers, labels, the study's split, what is dropped."""

import json
import zipfile

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from restage.errors import InputError
from restage.ranked_lists.ingest import Stats, blocks_of, ingest
from restage.ranked_lists.rankgpt import read_rankgpt
from restage.ranked_lists.store import RankedLists
from restage.ranked_lists.trec_blocks import read_trec_run
from tests.conftest import room
from tests.ranked_lists.runs import lists_of, write_run


@pytest.fixture
def ingested(tmp_path, texts):
    """Write a run, ingest it and return its lists, {query: [(passage, score, relevance)]} per
    split, with stats.json.
    """

    def make(run, qrels=(), valid_fraction=0.0):
        blocks = read_trec_run(write_run(tmp_path / "a.run", run), stats := Stats())
        return ingested_blocks(
            tmp_path / "lists", blocks, stats, texts, qrels=qrels, valid_fraction=valid_fraction
        )

    return make


def ingested_blocks(folder, blocks, stats, texts, qrels=(), valid_fraction=0.0):
    counts = ingest(
        blocks,
        folder,
        **texts,
        qrels=qrels,
        valid_fraction=valid_fraction,
        split_seed=42,
        stats=stats,
    )
    assert json.loads((folder / "stats.json").read_text()) == counts
    return {split: listed(folder / split, texts) for split in ("train", "valid")}, counts


def listed(folder, texts):
    lists, by_query = RankedLists(folder), {}
    for item in (lists[i] for i in range(len(lists))):
        passages = texts["passages"].ids(item.passages)
        scores = [None] * len(passages) if item.scores is None else item.scores
        columns = zip(passages, scores, item.relevances.tolist(), strict=True)
        by_query[texts["queries"].ids([item.query])[0]] = list(columns)
    return by_query


def test_the_split_is_scikit_learn_s(ingested):
    run = {f"q{i}": ["p1", f"p{i}"] for i in range(39, 1, -1)}
    lists, stats = ingested(run, valid_fraction=0.1)
    train, valid = train_test_split(list(run), test_size=0.1, random_state=42)
    assert set(lists["train"]) == set(train)
    assert set(lists["valid"]) == set(valid)
    assert (stats["train"], stats["valid"]) == (len(train), len(valid))


def test_relevance_labels_go_with_their_passages(ingested):
    qrels = [("q1", "p3", 2), ("q1", "p9", 1), ("q2", "p1", 1), ("q7", "p2", 1), ("q2", "px", 1)]
    lists, _ = ingested({"q1": ["p1", "p2", "p3"], "q2": ["p2"]}, qrels)
    assert lists["train"]["q1"] == [("p1", 99.0, 0), ("p2", 98.0, 0), ("p3", 97.0, 2)]
    assert lists["train"]["q2"] == [("p2", 99.0, 0)]


def test_what_is_unknown_or_repeated_is_dropped_counted_and_told(ingested, caplog):
    caplog.set_level("INFO", "restage")
    run = {"q1": ["p1", "px", "p2", "p1"], "qx": ["p1"], "q2": ["px"], "q3": ["p5"]}
    lists, stats = ingested(run)
    assert {query: [p for p, _, _ in own] for query, own in lists["train"].items()} == {
        "q1": ["p1", "p2"],
        "q3": ["p5"],
    }
    assert stats["dropped"] == {"no passage left": 1, "query not among the queries": 1}
    assert stats["dropped_passages"] == {"not in the collection": 2, "repeated in its list": 1}
    assert (stats["lines"], stats["lists"], stats["kept"]) == (7, 4, 2)
    assert caplog.messages == [
        "4 lists: 2 to train on, 0 to validate on; "
        "lists dropped: 1 query not among the queries, 1 no passage left; "
        "passages dropped: 2 not in the collection, 1 repeated in its list"
    ]
    with pytest.raises(InputError, match=r"1 of 2 lists can be used \(lists dropped: 1 query not"):
        ingested({"q1": ["p1"], "qx": ["p1"]})


def test_lists_without_scores(tmp_path, texts):
    lists = [("q1", ["p2", "p1"]), ("q0", ["p5"])]
    assert lists_of(blocks_of(lists)) == [(query, passages, None) for query, passages in lists]
    kept, _ = ingested_blocks(tmp_path / "lists", blocks_of(lists), Stats(), texts)
    assert kept["train"] == {"q1": [("p2", None, 0), ("p1", None, 0)], "q0": [("p5", None, 0)]}


def test_two_lists_of_one_query_are_refused_and_leave_nothing(tmp_path, texts):
    path = tmp_path / "a.run"
    path.write_text("q1 0 p1 1 9 x\nq2 0 p1 1 9 x\nq1 0 p2 1 9 x\n")
    with pytest.raises(InputError, match="query 'q1' has two lists"):
        ingested_blocks(tmp_path / "lists", read_trec_run(path, s := Stats()), s, texts)
    assert [item.name for item in tmp_path.iterdir()] == ["a.run"]


@pytest.mark.parametrize("size", [0, 100, 300, 2000])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, texts, size):
    run = {f"q{i}": [f"p{j}" for j in range(50)] for i in range(40)}
    blocks = read_trec_run(write_run(tmp_path / "a.run", run), stats := Stats())
    with room(size), pytest.raises(InputError, match=r"lists: cannot be written .*; make room on"):
        ingested_blocks(tmp_path / "lists", blocks, stats, texts)
    assert [item.name for item in tmp_path.iterdir()] == ["a.run"]


def test_a_split_that_leaves_nothing_to_train_on_is_told(ingested):
    run = {f"q{i}": ["p0"] for i in range(6)}
    with pytest.raises(InputError, match=r"valid_fraction 0\.95 of 6 lists leaves none to train"):
        ingested(run, valid_fraction=0.95)


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


def test_the_split_of_as_many_permutations_as_rankgpt_s(tmp_path, store):
    malformed = set(np.random.default_rng(2).permutation(100_000)[:9_301].tolist())
    orders = ["[1] > [3]" if i in malformed else "[3] > [1] > [2]" for i in range(100_000)]
    (tmp_path / "p.json").write_text(json.dumps(orders))
    candidates = [{"docid": f"p{rank}", "rank": rank} for rank in (1, 2, 3)]
    with zipfile.ZipFile(tmp_path / "c.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        lines = ({"query_id": f"q{i}", "retrieved_passages": candidates} for i in range(100_000))
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
