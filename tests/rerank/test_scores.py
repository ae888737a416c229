"""Scores of a run's pairs, by id."""

import pandas as pd
import pytest

from restage.errors import InputError
from restage.rerank.scores import score_run


def test_an_unknown_passage_is_told_before_anything_is_scored(store, tmp_path):
    texts = [store((f"{kind}{i}", "text") for i in range(3)) for kind in "qp"]
    pairs = pd.DataFrame({"query_id": ["q1", "q1"], "doc_id": ["p1", "px"]})
    with pytest.raises(InputError, match="passage 'px' of a run is not among the texts"):
        score_run(pairs, tmp_path / "s.parquet", None, *texts)
    assert list(tmp_path.iterdir()) == []
