import shutil
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from restage.errors import InputError
from restage.first_stage.pisa import Pisa
from restage.first_stage.pisa_files import check
from restage.grid.settings import Compute
from tests.conftest import room

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


@pytest.fixture
def texts(store):
    return store((f"p{i}", f"word{i} and word{i % 7}") for i in range(400))


def test_a_disk_that_is_full_is_told_though_pisa_does_not(texts, tmp_path):
    with (
        room(5_000),
        pytest.raises(InputError, match=r"index: (a process .* died of|PISA has left)"),
    ):
        Pisa.share(texts, tmp_path / "index", COMPUTE)
    Pisa.share(texts, tmp_path / "index", COMPUTE)
    with room(100), pytest.raises(InputError, match=r"bm25: (a process .* died of|cannot)"):
        Pisa("bm25").index(texts, tmp_path / "bm25", COMPUTE, tmp_path, tmp_path / "index")
    assert {path.name for path in tmp_path.iterdir()} == {"index"}


def test_room_is_looked_for_first(texts, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=20_000))
    with pytest.raises(InputError, match=r"index: cannot be written: it takes about 0 MB, and"):
        Pisa.share(texts, tmp_path / "index", COMPUTE)
    assert list(tmp_path.iterdir()) == []


def test_each_file_of_an_index_is_seen_to_be_whole(texts, tmp_path):
    Pisa.share(texts, tmp_path / "index", COMPUTE)
    check(tmp_path / "index", 400, "index")
    with pytest.raises(InputError, match=r"^index: PISA has left an index that is not whole"):
        check(tmp_path / "index", 401, "index")
    cut = 0
    for file in sorted((tmp_path / "index").iterdir()):
        whole = file.read_bytes()
        for content in (whole[:-4], whole[:-1], b""):
            file.write_bytes(content)
            if file.name not in ("pt_meta.json", "fwd.urls"):
                cut += 1
                with pytest.raises(InputError, match="not whole"):
                    check(tmp_path / "index", 400, "index")
        file.write_bytes(whole)
    assert cut == 3 * 8
    check(tmp_path / "index", 400, "index")


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
