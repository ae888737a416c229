import errno
import json
import os

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import MultiVectorEncoder

from restage.errors import InputError
from restage.first_stage import encoding, plaid
from restage.first_stage.late_interaction import LateInteraction
from restage.first_stage.plaid import Searcher
from restage.grid.settings import Compute
from tests.conftest import TEXTS

faiss = pytest.importorskip("faiss")
COMPUTE = Compute(threads=1, tokens_per_batch=256, gpus_per_scoring=0)


@pytest.fixture(scope="module")
def colbert(tiny, tmp_path_factory):
    """A tiny model stored as ColBERTv2's is: a BERT, and a projection in the same file."""
    folder = tmp_path_factory.mktemp("colbert")
    from transformers import AutoTokenizer, BertModel

    AutoTokenizer.from_pretrained(tiny("bert")).save_pretrained(folder)
    BertModel.from_pretrained(tiny("bert")).save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    weights = {f"bert.{name}": tensor for name, tensor in weights.items()}
    generator = torch.Generator().manual_seed(0)
    weights["linear.weight"] = torch.randn(8, 16, generator=generator)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["HF_ColBERT"]}))
    about = {"query_maxlen": 12, "doc_maxlen": 40, "attend_to_mask_tokens": False}
    about |= {"query_token_id": "[UNK]", "doc_token_id": "[MASK]", "mask_punctuation": True}
    (folder / "artifact.metadata").write_text(json.dumps(about))
    return str(folder)


@pytest.fixture
def passages(store):
    return store((f"p{i}", text) for i, text in enumerate(TEXTS[:200]))


@pytest.fixture
def queries(store):
    return store([("a", "the bridge"), ("b", "people eat fish"), ("c", "wind")])


@pytest.fixture
def indexed(colbert, passages, tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "PASSAGES_PER_PIECE", 64)
    job = passages, tmp_path / "index", COMPUTE, tmp_path / "state", None
    LateInteraction(colbert).index(*job)
    return tmp_path / "index"


def decoded(index):
    """Each passage's vectors as the index has them."""
    codec = faiss.read_index(str(index / "codec.faiss"))
    vectors = codec.sa_decode(np.load(index / "codes.npy"))
    faiss.normalize_L2(vectors)
    return np.split(vectors, np.load(index / "offsets.npy")[1:-1])


def max_sim(query, passage):
    return sum(max(float(q @ p) for p in passage) for q in query)


def test_a_run_is_plain_max_sim_over_the_decompressed_vectors(indexed, colbert, queries):
    run = LateInteraction(colbert).retrieve(indexed, queries, 10, COMPUTE)
    model, vectors = MultiVectorEncoder(colbert, device="cpu"), decoded(indexed)
    for query, text in queries:
        encoded = model.encode_query([text], convert_to_numpy=True)[0]
        assert encoded.shape == (12, 8)
        expected = np.array([max_sim(encoded, passage) for passage in vectors])
        best = run[run["query_id"] == query]
        numbers = [int(doc_id[1:]) for doc_id in best["doc_id"]]
        assert best["score"].to_numpy() == pytest.approx(-np.sort(-expected)[:10], abs=1e-4)
        assert best["score"].to_numpy() == pytest.approx(expected[numbers], abs=1e-4)


def test_compressed_scores_are_near_those_of_the_vectors_themselves(indexed, colbert, passages):
    model = MultiVectorEncoder(colbert, device="cpu")
    plain = model.encode_document(passages.texts(0, 200), convert_to_numpy=True)
    for compressed, vectors in zip(decoded(indexed), plain, strict=True):
        assert compressed.shape == vectors.shape
    similarities = [(a * b).sum(axis=1) for a, b in zip(decoded(indexed), plain, strict=True)]
    assert np.concatenate(similarities).mean() > 0.95


def test_every_passage_is_listed_under_the_centroids_of_its_tokens(indexed):
    searcher = Searcher(indexed, threads=1)
    size = searcher.codec.coarse_code_size()
    of_tokens = searcher.codes[:, :size].astype(int) @ (256 ** np.arange(size))
    expected = {
        (int(centroid), passage)
        for passage in range(200)
        for centroid in of_tokens[searcher.offsets[passage] : searcher.offsets[passage + 1]]
    }
    found = [
        (centroid, int(passage))
        for centroid in range(searcher.codec.nlist)
        for passage in searcher.passages[searcher.starts[centroid] : searcher.starts[centroid + 1]]
    ]
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_few_candidates_still_hold_the_best(indexed, colbert, queries, monkeypatch):
    model = MultiVectorEncoder(colbert, device="cpu")
    searcher = Searcher(indexed, threads=1)
    encoded = model.encode_query(["people eat fish"], convert_to_numpy=True)[0]
    all_scores, all_found = searcher(encoded, 5)
    monkeypatch.setattr(plaid, "LEAST_CANDIDATES", 60)
    scores, found = searcher(encoded, 5)
    assert found[0] == all_found[0]
    assert scores[0] == all_scores[0]
    assert len(searcher.candidates(encoded, 60)) == 60


def test_a_killed_encoding_goes_on_with_the_same_codec(
    colbert, passages, tmp_path, monkeypatch, interrupted
):
    monkeypatch.setattr(encoding, "PASSAGES_PER_PIECE", 64)
    encoded, engine = interrupted(3), LateInteraction(colbert)
    job = COMPUTE, tmp_path / "state", None
    whole = COMPUTE, tmp_path / "another state", None
    with pytest.raises(KeyboardInterrupt):
        engine.index(passages, tmp_path / "index", *job)
    encoded.append("again")
    engine.index(passages, tmp_path / "index", *job)
    assert encoded == [200, 64, 64, "again", 64, 8]
    engine.index(passages, tmp_path / "other", *whole)
    for name in ("codec.faiss", "codes.npy", "passages.npy", "ids.arrow"):
        assert (tmp_path / "index" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_a_model_without_a_projection_is_told(tiny):
    with pytest.raises(InputError, match="has no projection for late interaction; give a ColBERT"):
        plaid.load_encoder(tiny("bert"), torch.device("cpu"))


def test_a_collection_of_one_short_passage(colbert, store, queries, tmp_path):
    passages, engine = store([("only", "the old bridge")]), LateInteraction(colbert)
    engine.index(passages, tmp_path / "index", COMPUTE, tmp_path / "state", None)
    run = engine.retrieve(tmp_path / "index", queries, 10, COMPUTE)
    assert run["doc_id"].tolist() == ["only"] * 3


def test_a_disk_without_room_for_the_index_is_told(colbert, passages, tmp_path, monkeypatch):
    """Writing to a memory map would end the process: the system has no other way to say it."""

    def allocate(descriptor, start, length):
        assert start + length == os.fstat(descriptor).st_size
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    with pytest.raises(InputError, match=r"index: cannot be written \(.*No space left on device"):
        LateInteraction(colbert).index(
            passages, tmp_path / "index", COMPUTE, tmp_path / "state", None
        )
    assert {path.name for path in tmp_path.iterdir()} == {"state"}
