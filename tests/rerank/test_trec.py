"""The TREC format line by line: what is written here comes back, all else is refused."""

import gzip

import pandas as pd
import pytest

from restage.errors import InputError
from restage.rerank.runs import write_run
from restage.rerank.trec import scores_by_query


def test_ids_stay_text(tmp_path):
    pairs = [("007", "NA"), ("007", '"1e5'), ("1", "b\u00a0c"), ("1", "d\u2028e")]
    run = pd.DataFrame(pairs, columns=["query_id", "doc_id"]).assign(score=[4.0, 0.1, -2.0, -1e20])
    write_run(tmp_path / "run.gz", run, "tag")
    scores = scores_by_query(tmp_path / "run.gz")
    assert scores == {
        "007": {"NA": 4, '"1e5': 0.100000001},
        "1": {"b\u00a0c": -2, "d\u2028e": -1.00000002e20},
    }


@pytest.mark.parametrize(
    "data, what",
    [
        (b"", ":1: not 'query"),
        (b"q Q0 a 1 2 t\nq Q0 b 2 t\n", ":2: not 'query"),
        (b"q Q0 a 1 high t\n", ":1: not 'query"),
        (b"q\tQ0\ta\t1\t2\tt\n", ":1: not 'query"),
        (gzip.compress(b"q Q0 a 1 2 t\n", mtime=0)[:-9], "not a whole gzip file"),
    ],
)
def test_refuses_what_was_not_written_here(tmp_path, data, what):
    (tmp_path / "run").write_bytes(data)
    with pytest.raises(InputError, match=what) as error:
        scores_by_query(tmp_path / "run")
    assert "\n" not in str(error.value)
