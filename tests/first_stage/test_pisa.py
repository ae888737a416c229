from collections import Counter

import numpy as np
import pytest

from restage.errors import InputError
from restage.first_stage.pisa import Pisa, build
from restage.grid.settings import Compute

WORDS = [f"word{i}" for i in range(40)]  # not stop words, and stemming leaves them
COMPUTE = Compute(threads=1)


def bm25(queries, passages, k1, b):
    """Robertson's formula; PISA lets a word that most passages have count next to nothing."""
    counts, lengths = [Counter(text) for text in passages], [len(text) for text in passages]
    mean, found = np.mean(lengths), Counter(word for count in counts for word in count)
    for query in queries:
        yield [
            sum(
                max(1e-6, np.log((len(passages) - found[word] + 0.5) / (found[word] + 0.5)))
                * (count[word] * (k1 + 1))
                / (count[word] + k1 * (1 - b + b * length / mean))
                for word in query
                if word in count
            )
            for count, length in zip(counts, lengths, strict=True)
        ]


@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.6, 0.8)])
def test_a_run_is_the_ranking_of_the_plain_formula(store, tmp_path, k1, b):
    rng = np.random.default_rng(5)
    passages = [rng.choice(WORDS, rng.integers(3, 20)).tolist() for _ in range(150)]
    queries = [rng.choice(WORDS, 3, replace=False).tolist() for _ in range(20)]
    engine, shared = Pisa("bm25", k1, b), tmp_path / "index"
    texts = store((f"p{i}", " ".join(text)) for i, text in enumerate(passages))
    engine.share(texts, shared, COMPUTE)
    engine.index(texts, tmp_path / "bm25", COMPUTE, tmp_path / "state", shared)
    asked = store((f"q{i}", " ".join(text)) for i, text in enumerate(queries))
    run = engine.retrieve(tmp_path / "bm25", asked, 200, COMPUTE)
    for i, expected in enumerate(bm25(queries, passages, k1, b)):
        ours = run[run["query_id"] == f"q{i}"]
        numbers = [int(doc_id[1:]) for doc_id in ours["doc_id"]]
        assert len(numbers) == np.count_nonzero(expected)
        in_our_order = np.array(expected)[numbers]
        scale = in_our_order / ours["score"].to_numpy()
        assert scale == pytest.approx(scale[0], rel=1e-3)  # a constant factor ranks the same
        assert (np.diff(in_our_order) <= 1e-3).all()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_index_that_lacks_passages_is_refused(tmp_path):
    def broken():
        yield "a", "the bridge"
        yield "b", "the river"
        raise OSError  # in a thread of PISA's own

    with pytest.raises(InputError, match="PISA indexed 2 of 3 passages"):
        build(tmp_path / "index", broken(), 3, COMPUTE)
