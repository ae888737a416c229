"""Scores of pairs: the same in any batch and any number of processes, and none computed twice."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from restage.collections.pairs import PairEncoder
from restage.errors import InputError
from restage.grid.settings import Compute
from restage.model import scoring
from restage.model.heads import load_cross_encoder, load_model
from restage.model.names import load_tokenizer
from restage.model.scoring import Scorer, score_pairs
from tests.conftest import ARCHITECTURES, TEXTS, WORDS

COMPUTE = Compute(threads=1, tokens_per_batch=256, gpus_per_scoring=0)
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
            compute=replace(COMPUTE, gpus_per_scoring=processes),
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


def test_a_killed_scoring_goes_on_without_scoring_again(scorer, pairs, request):
    with scorer()(*pairs) as scores:
        expected = scores
    scored = request.getfixturevalue("killed_after_two_pieces")  # from here on
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


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_score_that_is_not_finite_is_refused_where_it_arises(
    scorer, pairs, tmp_path, monkeypatch, value
):
    def score_pairs(*arguments, **settings):
        scores = original(*arguments, **settings)
        if arguments[3][0] == 16:  # the second piece
            scores[[3, 5]] = value
        return scores

    original = scoring.score_pairs
    monkeypatch.setattr(scoring, "score_pairs", score_pairs)
    told = rf"gives {value} for a score of 2 of 16 pairs, such as query 5 and passage 19 \(.*fp32"
    with pytest.raises(InputError, match=told), scorer()(*pairs):
        pass
    assert [file.name for file in (tmp_path / "state").glob("*.npy")] == ["000000.npy"]


def test_other_pairs_or_another_model_start_anew(scorer, pairs, tiny, stores, monkeypatch):
    with pytest.raises(ZeroDivisionError), scorer()(*pairs):
        _ = 1 / 0
    with scorer()(pairs[0], pairs[1][::-1].copy()) as scores:
        assert len(scores) == 60
    with scorer()(*pairs) as again, scorer()(*pairs) as once_more:
        assert again.tolist() == once_more.tolist() != scores.tolist()


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


@pytest.mark.parametrize(("name", "threads"), [("bert", 2), *((n, 1) for n in ARCHITECTURES)])
def test_a_score_is_the_same_to_the_last_bit_whatever_else_is_scored(
    name, threads, tiny, token_store, request
):
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    torch.set_num_threads(threads)
    tokenizer, rng = load_tokenizer(tiny(name)), np.random.default_rng(threads)
    texts = [" ".join(rng.choice(WORDS, length)) for length in rng.integers(1, 60, 80)]
    encoder = PairEncoder(tokenizer, *[token_store(texts, tokenizer)] * 2, 77)
    model = load_cross_encoder(tiny(name))
    pairs = rng.integers(0, 80, (2, 120))
    with torch.inference_mode():
        expected = score_pairs(model, encoder, *pairs, 1024, apart=True)
        assert len(set(expected.tolist())) > 60
        for size, budget in [(1, 512), (7, 512), (30, 1), (120, 4096)]:
            some = rng.permutation(120)[:size]
            found = score_pairs(model, encoder, *pairs[:, some], budget, apart=True)
            assert found.tolist() == expected[some].tolist(), (size, budget)


def test_a_pair_s_score_does_not_depend_on_its_batch(tiny, token_store):
    tokenizer = load_tokenizer(tiny("electra"))
    stores = token_store(QUERIES, tokenizer), token_store(PASSAGES, tokenizer)
    encoder = PairEncoder(tokenizer, *stores, 32)
    model = load_model(tiny("electra")).eval()
    queries, passages = np.arange(40) % 7, np.arange(40)
    with torch.inference_mode():
        alone = score_pairs(model, encoder, queries, passages, 1)
        together = score_pairs(model, encoder, queries, passages, 4096)
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)


def test_a_teacher_sees_what_its_own_tokenizer_gives_it(tiny, token_store, tmp_path):
    folder, pairs = tiny("bert"), (np.arange(20) % 7, np.arange(20))
    tokenizer = load_tokenizer(folder)
    stores = [token_store(texts, tokenizer).folder for texts in (QUERIES, PASSAGES)]
    settings = {"max_length": 32, "segment_ids": None, "compute": COMPUTE}
    with Scorer(folder, *stores, **settings, state=tmp_path / "state")(*pairs) as found:
        assert found.dtype == np.float32
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    for query, passage, score in zip(*pairs, found, strict=True):
        inputs = tokenizer(QUERIES[query], PASSAGES[passage], return_tensors="pt")
        assert inputs["token_type_ids"].sum() > 0
        with torch.inference_mode():
            assert model(**inputs).logits.item() == pytest.approx(score, abs=1e-5)
