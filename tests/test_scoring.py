import pickle
import shutil

import numpy as np
import pytest
from conftest import TEXTS

from restage import scoring
from restage.engines import dense, late_interaction
from restage.errors import InputError
from restage.scoring import Scorer, load_cross_encoder, load_model
from restage.tokens import load_tokenizer

COMPUTE = {"threads": 1, "precision": "bf16", "tokens_per_batch": 256, "gpus_per_scoring": 0}
DENSE = {"pooling": None, "similarity": None}
QUERIES, PASSAGES = TEXTS[:7], TEXTS[:60]


@pytest.fixture(scope="module")
def stores(tiny, token_store):
    tokenizer = load_tokenizer(tiny("bert"))
    return [token_store(texts, tokenizer).folder for texts in (QUERIES, PASSAGES)]


@pytest.fixture
def scorer(tiny, stores, tmp_path):
    def make(processes=0):
        return Scorer(
            tiny("bert"),
            *stores,
            max_length=32,
            segment_ids=False,
            compute=COMPUTE | {"gpus_per_scoring": processes},
            state=tmp_path / "state",
        )

    return make


@pytest.fixture
def pairs(monkeypatch):
    monkeypatch.setattr(scoring, "PAIRS_PER_PIECE", 16)
    return np.arange(60) % 7, np.arange(60)


def test_several_processes_give_the_scores_of_one(scorer, pairs, tmp_path):
    with scorer()(*pairs) as alone, scorer(2)(*pairs) as together:
        assert alone.dtype == np.float32
        assert len(set(alone.tolist())) > 20
        assert together.tolist() == alone.tolist()
    assert not (tmp_path / "state").exists()


def test_a_killed_scoring_goes_on_without_scoring_again(scorer, pairs, tmp_path, monkeypatch):
    with scorer()(*pairs) as scores:
        expected = scores
    scored, score = [], scoring.score_pairs

    def counted(model, encoder, queries, *others):
        if len(scored) == 2:
            raise KeyboardInterrupt
        scored.append(len(queries))
        return score(model, encoder, queries, *others)

    monkeypatch.setattr(scoring, "score_pairs", counted)
    with pytest.raises(KeyboardInterrupt), scorer()(*pairs):
        pass
    scored.append("again")
    with scorer()(*pairs) as scores:
        assert scored == [16, 16, "again", 16, 12]
        assert scores.tolist() == expected.tolist()


def test_what_fails_after_scoring_does_not_lose_the_scores(scorer, pairs, monkeypatch):
    with pytest.raises(OSError, match="full"), scorer()(*pairs):
        raise OSError("the disk is full")
    monkeypatch.setattr(scoring, "score_pairs", None)
    with scorer()(*pairs) as scores:
        assert len(scores) == 60


def test_other_pairs_or_another_model_start_anew(scorer, pairs, tiny, stores, monkeypatch):
    with pytest.raises(ZeroDivisionError), scorer()(*pairs):
        _ = 1 / 0
    with scorer()(pairs[0], pairs[1][::-1].copy()) as scores:
        assert len(scores) == 60
    with scorer()(*pairs) as again, scorer()(*pairs) as once_more:
        assert again.tolist() == once_more.tolist() != scores.tolist()


def pickled_checkpoint(tiny, folder, evil):
    """A checkpoint whose weights are a pickle that runs code."""
    shutil.copytree(tiny("bert"), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    with (folder / "pytorch_model.bin").open("wb") as file:
        pickle.dump(evil, file)
    return str(folder)


def test_a_checkpoint_that_is_a_pickle_is_not_loaded(tiny, tmp_path, evil):
    thing, was_run = evil
    folder = pickled_checkpoint(tiny, tmp_path / "model", thing)
    loads = [
        lambda: load_model(folder),
        lambda: load_cross_encoder(folder),
        lambda: dense.load_encoder(DENSE | {"model": folder}, COMPUTE),
        lambda: dense.load_encoder(DENSE | {"model": folder, "pooling": "cls"}, COMPUTE),
        lambda: late_interaction.load_encoder({"model": folder}, COMPUTE),
    ]
    for load in loads:
        with pytest.raises(InputError, match="has no weights as safetensors"):
            load()
    assert not was_run.exists()
    pickle.loads(pickle.dumps(thing))
    assert was_run.exists()  # which it would be


def test_a_pickle_among_the_finished_pieces_is_not_loaded(scorer, tmp_path, evil):
    thing, was_run = evil
    pairs = np.zeros(3, dtype=np.int64), np.arange(3)
    with pytest.raises(KeyboardInterrupt), scorer()(*pairs):
        raise KeyboardInterrupt  # the pieces stay
    [piece] = (tmp_path / "state").glob("*.npy")
    array = np.empty(1, dtype=object)
    array[0] = thing
    np.save(piece, array, allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"), scorer()(*pairs):
        pass
    assert not was_run.exists()
