"""A teacher's lists: the same queries, labels and split, in the order of its scores."""

from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restage.errors import InputError
from restage.ranked_lists.ingest import Stats, ingest
from restage.ranked_lists.store import RankedLists
from restage.ranked_lists.teacher import rescore
from restage.ranked_lists.trec_blocks import read_trec_run
from tests.ranked_lists.runs import RUNS, write_run


@settings(max_examples=50, deadline=None)
@given(run=RUNS, depth=st.integers(1, 9), seed=st.integers(0, 9))
def test_a_teacher_s_lists(tmp_path_factory, texts, run, depth, seed):
    folder, stats = tmp_path_factory.mktemp("teacher"), Stats()
    labels = {(q, p): 1 + i % 2 for q, ps in run.items() for i, p in enumerate(ps) if i % 3 == 1}
    ingest(
        read_trec_run(write_run(folder / "a.run", run), stats),
        folder / "source",
        **texts,
        qrels=[(*pair, label) for pair, label in labels.items()],
        valid_fraction=0.3,
        split_seed=seed,
        stats=stats,
    )
    # Few values, so that some are equal.
    score = np.random.default_rng(seed).integers(0, 4, size=(40, 60)).astype(np.float32)
    counts = rescore(
        folder / "source", folder / "new", lambda q, p: nullcontext(score[q, p]), depth
    )
    assert counts["lines"] == sum(len(ps[:depth]) for ps in run.values())
    for split in ("train", "valid"):
        before, after = (RankedLists(folder / name / split) for name in ("source", "new"))
        assert after.queries.tolist() == before.queries.tolist()
        for i in range(len(before)):
            query, listed, scores, relevances = after[i]
            old = before[i].passages[:depth].tolist()
            expected = sorted(old, key=lambda p: (-score[query, p], old.index(p)))
            assert listed.tolist() == expected
            assert scores.tolist() == score[query, expected].tolist()
            query_id = texts["queries"].ids([query])[0]
            pairs = [(query_id, passage) for passage in texts["passages"].ids(expected)]
            assert relevances.tolist() == [labels.get(pair, 0) for pair in pairs]


def test_scores_that_are_not_finite_are_told(tmp_path, texts):
    run = write_run(tmp_path / "a.run", {"q1": ["p1", "p2"], "q2": ["p1"]})
    ingest(
        read_trec_run(run, stats := Stats()),
        tmp_path / "lists",
        **texts,
        qrels=(),
        valid_fraction=0,
        split_seed=42,
        stats=stats,
    )
    with pytest.raises(InputError, match="scores that are not finite"):
        rescore(tmp_path / "lists", tmp_path / "new", lambda q, p: nullcontext(q * np.nan), 5)
    assert not (tmp_path / "new").exists()
