import pyterrier as pt
import pytest

from restage.engines import engine
from restage.errors import InputError

SETTINGS = {"engine": "terrier", "model": "bm25", "k1": 0.9, "b": 0.4, "depth": 3}
COMPUTE = {"threads": 1}


@pytest.fixture
def passages(store):
    return store([("a", "the old bridge"), ("b", "an old, old town?"), ("c", "bread")])


def test_without_java_it_says_so(passages, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(InputError, match=r"cannot start Java .*use 'engine: pisa'"):
        engine(SETTINGS).index(passages, tmp_path / "index", SETTINGS, COMPUTE, tmp_path / "state")
    assert list(tmp_path.iterdir()) == []


def java():
    """Whether Java starts with Terrier's jar, which PyTerrier may have to download."""
    try:
        pt.java.init()
    except Exception:
        return False
    return True


def test_it_ranks_by_bm25(passages, store, tmp_path):
    if not java():
        pytest.skip("needs Java and Terrier's jar")
    terrier = engine(SETTINGS)
    terrier.index(passages, tmp_path / "index", SETTINGS, COMPUTE, tmp_path / "state")
    queries = store([("1", "old?"), ("2", "bread & butter")])
    run = terrier.retrieve(tmp_path / "index", queries, SETTINGS, COMPUTE)
    assert run[["query_id", "doc_id"]].values.tolist() == [["1", "b"], ["1", "a"], ["2", "c"]]
