from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

from restage.first_stage import dense, encoding
from restage.first_stage.dense import Dense
from restage.first_stage.vectors import search
from restage.grid.settings import Compute
from tests.conftest import TEXTS

COMPUTE = Compute(threads=1, tokens_per_batch=256, gpus_per_scoring=0)
CPU = torch.device("cpu")


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 99),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    count=st.integers(1, 6),
    depth=st.integers(1, 30),
)
def test_search_equals_brute_force(tmp_path_factory, seed, sizes, count, depth):
    folder, rng = tmp_path_factory.mktemp("vectors"), np.random.default_rng(seed)
    # Whole numbers, so that products are exact and some are equal.
    vectors = rng.integers(-3, 4, size=(sum(sizes), 4)).astype(np.float16)
    for i, part in enumerate(np.split(vectors, np.cumsum(sizes)[:-1])):
        np.save(folder / f"{i:06}.npy", part)
    queries = rng.integers(-3, 4, size=(count, 4)).astype(np.float32)
    scores, numbers = search(queries, sorted(folder.iterdir()), depth, CPU)
    products = queries @ vectors.astype(np.float32).T
    assert scores.tolist() == (-np.sort(-products)[:, :depth]).tolist()
    for row in range(count):
        assert products[row, numbers[row]].tolist() == scores[row].tolist()
        assert len(set(numbers[row].tolist())) == min(depth, len(vectors))


@pytest.fixture
def passages(store):
    return store((f"p{i}", text) for i, text in enumerate(TEXTS[:60]))


@pytest.fixture
def queries(store):
    return store([("a", "the bridge"), ("b", "people eat fish"), ("c", "wind")])


def run_with(engine, passages, queries, folder, depth=7):
    """The run of an engine over passages that it indexes first."""
    engine.index(passages, folder / "index", COMPUTE, folder / "state", None)
    return engine.retrieve(folder / "index", queries, depth, COMPUTE)


@pytest.mark.parametrize("pooling", [None, "mean", "cls"])
@pytest.mark.parametrize("similarity", [None, "dot", "cosine"])
def test_a_run_is_what_sentence_transformers_finds(
    tiny, passages, queries, tmp_path, monkeypatch, pooling, similarity
):
    monkeypatch.setattr(encoding, "PASSAGES_PER_PIECE", 16)
    run = run_with(Dense(tiny("bert"), pooling, similarity), passages, queries, tmp_path)
    words = Transformer(tiny("bert"))
    pooled = Pooling(words.get_embedding_dimension(), pooling or "mean")
    model = SentenceTransformer(modules=[words, pooled], device="cpu")
    model.similarity_fn_name = similarity or "cosine"
    found = model.similarity(
        model.encode(["the bridge", "people eat fish", "wind"]), model.encode(TEXTS[:60])
    ).numpy()
    for row, query in enumerate("abc"):
        best = run[run["query_id"] == query]
        numbers = [int(doc_id[1:]) for doc_id in best["doc_id"]]
        expected = -np.sort(-found[row])[:7]
        scale = np.abs(found).max()
        assert best["score"].to_numpy() / scale == pytest.approx(expected / scale, abs=2e-3)
        assert found[row, numbers] / scale == pytest.approx(expected / scale, abs=2e-3)


def test_a_killed_encoding_goes_on(tiny, passages, tmp_path, monkeypatch, interrupted):
    monkeypatch.setattr(encoding, "PASSAGES_PER_PIECE", 16)
    encoded, engine = interrupted(2), Dense(tiny("bert"))
    job = passages, tmp_path / "index", COMPUTE, tmp_path / "state", None
    with pytest.raises(KeyboardInterrupt):
        engine.index(*job)
    assert not (tmp_path / "index").exists()
    encoded.append("again")
    engine.index(*job)
    assert encoded == [16, 16, "again", 16, 12]
    vectors = np.concatenate([np.load(file) for file in sorted((tmp_path / "index").glob("*.npy"))])
    assert vectors.shape == (60, 16)
    assert vectors.dtype == np.float16


@pytest.fixture
def killed_at_the_end(tiny, passages, tmp_path, monkeypatch):
    """Pieces left by an engine that encoded all passages and was then killed; it is returned."""
    engine = Dense(tiny("bert"), probes=3)
    monkeypatch.setattr(dense, "link", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        engine.index(passages, tmp_path / "index", COMPUTE, tmp_path / "state", None)
    assert list((tmp_path / "state").glob("*.npy"))
    return engine


@pytest.mark.parametrize(
    ("changes", "precision", "taken_up"),
    [
        ({}, "bf16", True),
        ({"probes": 5}, "bf16", True),
        ({"probes": None}, "bf16", False),
        ({"pooling": "cls"}, "bf16", False),
        ({}, "fp32", False),
    ],
)
def test_only_pieces_that_would_be_the_same_are_taken_up(
    killed_at_the_end, passages, tmp_path, changes, precision, taken_up
):
    engine = replace(killed_at_the_end, **changes)
    pieces = encoding.collection_in_pieces(passages, engine, precision, tmp_path / "state")
    assert len(pieces.missing()) == (0 if taken_up else pieces.count)


def test_approximate_search_over_all_centroids_is_exact(tiny, store, queries, tmp_path):
    passages = store((f"p{i}", text) for i, text in enumerate(TEXTS))
    runs = []
    for name, probes in (("exact", None), ("most", 1000), ("few", 1)):
        engine = Dense(tiny("bert"), similarity="dot", probes=probes)
        runs.append(run_with(engine, passages, queries, tmp_path / name))
    exact, most, few = runs
    assert most["score"].to_numpy() == pytest.approx(exact["score"].to_numpy(), rel=2e-3)
    assert set(few["query_id"]) == {"a", "b", "c"}
    assert (
        few.groupby("query_id")["score"]
        .max()
        .le(exact.groupby("query_id")["score"].max() + 0.1)
        .all()
    )


def test_a_query_with_fewer_results_than_the_depth(store, tiny, queries, tmp_path):
    passages = store([("only", "the old bridge"), ("other", "bread")])
    run = run_with(Dense(tiny("bert"), probes=1), passages, queries, tmp_path, depth=5)
    assert run.groupby("query_id")["doc_id"].agg(set).tolist() == [{"only", "other"}] * 3
