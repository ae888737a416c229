"""TREC runs as whole lists: as they were written, whatever lies across blocks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restage import trec_rows
from restage.ranked_lists.ingest import Stats
from restage.ranked_lists.trec_blocks import read_trec_run
from tests.ranked_lists.runs import RUNS, lists_of, write_run


@given(run=RUNS, separator=st.sampled_from(["\t", " ", "  "]), block=st.integers(40, 400))
def test_a_run_comes_out_as_it_went_in(tmp_path_factory, run, separator, block):
    path = write_run(tmp_path_factory.mktemp("run") / "a.run", run, separator)
    with pytest.MonkeyPatch.context() as patch:
        # Blocks of a few lines: lists lie across their borders.
        patch.setattr(trec_rows, "BLOCK_BYTES", block)
        read = lists_of(read_trec_run(path, stats := Stats()))
    assert read == [
        (query, listed, [99.0 - i for i in range(len(listed))]) for query, listed in run.items()
    ]
    assert (stats.lines, stats.lists) == (sum(map(len, run.values())), len(run))


def test_equal_scores_keep_the_order_of_their_ranks(tmp_path):
    (tmp_path / "a.run").write_text("q 0 b 3 1.5 t\nq 0 c 2 1.5 t\nq 0 a 1 2 t\nq 0 d 3 1.5 t\n")
    read = lists_of(read_trec_run(tmp_path / "a.run", Stats()))
    assert read == [("q", ["a", "c", "b", "d"], [2.0, 1.5, 1.5, 1.5])]
