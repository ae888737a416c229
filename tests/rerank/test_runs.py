"""Runs: what is read, what is refused, and that the order written is the order measured."""

import gzip

import ir_measures
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restage.errors import InputError
from restage.rerank.runs import imported_run, leave_out_own, read_run, rerank, union, write_run
from restage.rerank.trec import scores_by_query

QUICK = settings(deadline=None, max_examples=50)
RUN = "q2 Q0 b 1 2.5 t\nq2 Q0 a 2 1.5 t\nq1 Q0 a 1 7 t\n"
PAIRS = st.tuples(st.sampled_from(["1", "q2", "é"]), st.sampled_from([*"abcde", "10", "9", "ü"]))
SCORES = st.floats(-1e3, 1e3, width=32) | st.sampled_from([0.1, 0.1 + 1e-12, 0.5])


def frame(*rows):
    return pd.DataFrame(rows, columns=["query_id", "doc_id", "score"])


def rows(run):
    return list(run.itertuples(index=False, name=None))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.run"


def test_a_run_is_read_as_trec_eval_ranks_it(path):
    # From rank 0, scattered, out of order; b before a where scores are equal in single precision.
    path.write_text("q2 0 c 2 1 t\nq1 0 a 0 7 t\nq2 0 a 0 2.5 t\nq2 0 b 1 2.50000001 t\n")
    run = [("q2", "b", 2.50000001), ("q2", "a", 2.5), ("q2", "c", 1.0), ("q1", "a", 7.0)]
    assert rows(read_run(path)) == run
    assert rows(union([read_run(path)], depth=1)) == [("q1", "a"), ("q2", "b")]


def test_ids_stay_text(path):
    path.write_text('007 Q0 NA 1 2 t\n007 Q0 "1e5 2 1 t\n007 Q0 b\u00a0c 3 0 t\n')
    assert rows(read_run(path))[:2] == [("007", "NA", 2.0), ("007", '"1e5', 1.0)]
    assert read_run(path)["doc_id"].iloc[2] == "b\u00a0c"


def test_a_passage_stands_once_for_a_query(path):
    path.write_text("q Q0 z 1 3.0 t\n\np Q0 z 1 3.0 t\nq Q0 z 2 1.0 t\n")
    with pytest.raises(
        InputError, match=r"some\.run:4: passage z stands a second time for query q"
    ):
        read_run(path)


def test_scores_that_say_nothing_are_refused_unless_ranks_say_nothing_else(path):
    path.write_text("q Q0 a 1 0 t\nq Q0 b 2 0 t\np Q0 a 1 3 t\n")
    with pytest.raises(InputError, match=r"some\.run: each query's scores are all the same"):
        read_run(path)
    path.write_text("q Q0 b 1 0 t\nq Q0 a 2 0 t\n")
    assert rows(read_run(path)) == [("q", "b", 0.0), ("q", "a", 0.0)]


@QUICK
@given(st.dictionaries(PAIRS, SCORES, min_size=1))
def test_written_order_is_the_order_measured(tmp_path_factory, scores):
    path = tmp_path_factory.mktemp("run") / "x.run.gz"
    run = frame(*((*pair, score) for pair, score in scores.items()))
    write_run(path, run, "tag")

    read = read_run(path)
    single = {pair: np.float32(score) for pair, score in scores.items()}
    assert {(q, d): np.float32(s) for q, d, s in rows(read)} == single
    by_query = scores_by_query(path)
    assert [(q, d, s) for q in by_query for d, s in by_query[q].items()] == rows(read)
    assert list(read["query_id"].unique()) == list(run["query_id"].unique())
    for query, ranking in read.groupby("query_id"):
        expected = sorted((d for q, d in single if q == query), reverse=True)
        expected.sort(key=lambda d: -single[query, d])
        assert list(ranking["doc_id"]) == expected
    # trec_eval, which never looks at ranks, finds each passage at the rank it has in the file.
    on_file = list(ir_measures.read_trec_run(str(path)))
    for query, ranking in read.groupby("query_id"):
        for rank, passage in enumerate(ranking["doc_id"], start=1):
            qrels = [ir_measures.Qrel(query, passage, 1)]
            [found] = ir_measures.iter_calc([ir_measures.RR], qrels, on_file)
            assert found.value == pytest.approx(1 / rank)


def test_writes_the_format_and_the_same_bytes(tmp_path):
    run = frame(("q", "a", 0.1), ("q", "b", 0.1), ("p", "c", 1e-20))
    write_run(tmp_path / "one.run.gz", run, "bm25")
    write_run(tmp_path / "two.run.gz", run, "bm25")
    data = (tmp_path / "one.run.gz").read_bytes()
    assert data == (tmp_path / "two.run.gz").read_bytes()
    assert data[4:8] == bytes(4) and not data[3] & 8  # no time, no file name
    lines = gzip.decompress(data).decode().splitlines()
    assert lines[0] == "q Q0 b 1 0.100000001 bm25"
    assert [line.split()[3] for line in lines] == ["1", "2", "1"]


@pytest.mark.parametrize("bad", ["Ada Lovelace", "a\tb", "a\nb", "a\0"])
def test_an_id_that_a_run_cannot_carry_is_refused(path, bad):
    for row in ((bad, "a", 1.0), ("a", bad, 1.0)):
        with pytest.raises(InputError, match=r"some\.run: .*_id '.*' has a blank in it"):
            write_run(path, frame(("q", "b", 2.0), row), "tag")
    assert not path.exists()


def test_imports_what_is_known(path, store):
    path.write_text("q Q0 x 1 4 t\nq Q0 a 2 3 t\nq Q0 b 3 2 t\nother Q0 a 1 1 t\n")
    run, counts = imported_run(path, ["q", "unseen"], depth=1)
    assert rows(run) == [("q", "x", 4.0)]
    assert counts == {
        "lines kept": 1,
        "lines of unknown queries": 1,
        "lines of unknown passages": 0,
        "lines of a query's own passage": 0,
        "lines below the depth of 1": 2,
        "queries without a line": 1,
    }
    texts = store([("a", ""), ("b", "")])
    run, counts = imported_run(path, iter(["q"]), depth=1, passages=texts)
    assert rows(run) == [("q", "a", 3.0)]
    assert counts["lines of unknown passages"] == 1
    with pytest.raises(InputError, match="none of its queries"):
        imported_run(path, ["elsewhere"], depth=1)
    with pytest.raises(InputError, match="none of its passages"):
        imported_run(path, ["q"], depth=1, passages=store([("elsewhere", "")]))


def test_an_imported_run_is_cut_by_what_is_measured(path):
    path.write_text("q Q0 a 0 1 t\nq Q0 b 0 2 t\nq Q0 c 0 2 t\nq Q0 d 0 3 t\n")
    run, _ = imported_run(path, ["q"], depth=2)
    assert rows(run) == [("q", "d", 3.0), ("q", "c", 2.0)]


def test_a_query_s_own_passage_is_left_out_before_the_run_is_cut(path):
    run = frame(("a", "b", 3.0), ("a", "a", 2.0), ("a", "c", 1.0), ("b", "a", 1.0))
    assert rows(leave_out_own(run, 2)) == [("a", "b", 3.0), ("a", "c", 1.0), ("b", "a", 1.0)]
    path.write_text("a Q0 a 1 3 t\na Q0 b 2 2 t\na Q0 c 3 1 t\n")
    assert rows(imported_run(path, ["a"], depth=1)[0]) == [("a", "a", 3.0)]
    run, counts = imported_run(path, ["a"], depth=1, own=False)
    assert rows(run) == [("a", "b", 2.0)]
    assert counts["lines of a query's own passage"] == counts["lines below the depth of 1"] == 1


@QUICK
@given(st.lists(PAIRS, unique=True, min_size=1), st.integers(1, 4), st.data())
def test_reranks_the_first_candidates(pairs, depth, data):
    candidates = frame(*((*pair, -float(i)) for i, pair in enumerate(pairs)))
    score = {pair: data.draw(st.integers(0, 3)) / 2 for pair in pairs}
    scores = frame(*((*pair, score[pair]) for pair in reversed(pairs)))
    run = rerank(candidates, scores, depth)
    expected = []
    for query in dict.fromkeys(query for query, _ in pairs):
        kept = sorted([d for q, d in pairs if q == query][:depth], reverse=True)
        kept.sort(key=lambda d: -score[query, d])
        expected += [(query, d, score[query, d]) for d in kept]
    assert rows(run) == expected


def test_rerank_needs_every_score():
    candidates = frame(("q", "a", 2.0), ("q", "b", 1.0))
    assert rows(rerank(candidates, frame(("q", "a", 0.5)), depth=1)) == [("q", "a", 0.5)]
    with pytest.raises(InputError, match="query q, passage b: no score"):
        rerank(candidates, frame(("q", "a", 0.5)), depth=2)


@QUICK
@given(st.lists(st.lists(PAIRS, unique=True, min_size=1), min_size=1), st.integers(1, 3))
def test_union_has_each_pair_once(runs, depth):
    frames = [frame(*((*pair, -float(i)) for i, pair in enumerate(run))) for run in runs]
    expected = {
        pair
        for run in runs
        for query in {query for query, _ in run}
        for pair in [pair for pair in run if pair[0] == query][:depth]
    }
    assert rows(union(frames, depth)) == sorted(expected)
