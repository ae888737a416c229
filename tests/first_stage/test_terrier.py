import shutil

import pyterrier as pt
import pytest
from pyterrier.java import mavenresolver as maven

from restage.errors import InputError
from restage.first_stage.terrier import Terrier
from restage.grid.settings import Compute

ENGINE, COMPUTE = Terrier("bm25", k1=0.9, b=0.4), Compute(threads=1)


@pytest.fixture
def passages(store):
    return store([("a", "the old bridge"), ("b", "an old, old town?"), ("c", "bread")])


def test_without_java_it_says_so(passages, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(InputError, match=r"cannot start Java .*use 'engine: pisa'"):
        ENGINE.index(passages, tmp_path / "index", COMPUTE, tmp_path / "state", None)
    assert list(tmp_path.iterdir()) == []


def test_java_that_runs_is_not_started_again(passages, tmp_path, monkeypatch):
    def indexed(self, **_):
        raise LookupError("Java is there")

    monkeypatch.setattr(pt.java, "started", lambda: True)
    monkeypatch.setattr(pt.java, "init", lambda: pytest.fail("started again"))
    monkeypatch.setattr(pt.terrier.TerrierIndex, "indexer", indexed)
    with pytest.raises(LookupError):
        ENGINE.index(passages, tmp_path / "index", COMPUTE, tmp_path / "state", None)


def java():
    """Whether this machine has Java and Terrier's jars; nothing is downloaded."""
    jars = "terrier-assemblies", "terrier-python-helper"
    return shutil.which("java") and all(map(maven.latest_local_version_num, jars))


@pytest.mark.skipif(not java(), reason="needs Java and Terrier's jars")
def test_it_ranks_by_bm25(passages, store, tmp_path):
    maven.offline()
    ENGINE.index(passages, tmp_path / "index", COMPUTE, tmp_path / "state", None)
    queries = store([("1", "old?"), ("2", "bread & butter")])
    run = ENGINE.retrieve(tmp_path / "index", queries, 3, COMPUTE)
    assert run[["query_id", "doc_id"]].values.tolist() == [["1", "b"], ["1", "a"], ["2", "c"]]
