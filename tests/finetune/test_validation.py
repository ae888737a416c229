"""What held-out lists say of a model."""

import math

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from restage.collections.pairs import PairEncoder
from restage.finetune import validation
from restage.finetune.losses import LOSSES
from restage.finetune.signals import Signals
from restage.finetune.step import ListLoss
from restage.finetune.validation import validate
from restage.model.heads import load_model
from restage.model.names import load_tokenizer
from restage.ranked_lists.sampling import TrainingList
from tests.finetune.runs import PASSAGES, QUERIES


@pytest.fixture(scope="module")
def list_loss(tiny, token_store):
    tokenizer = load_tokenizer(tiny("bert"))
    stores = token_store(QUERIES, tokenizer), token_store(PASSAGES, tokenizer)
    encoder = PairEncoder(tokenizer, *stores, 32)
    return ListLoss(Accelerator(cpu=True), load_model(tiny("bert")), encoder, "ranknet", 200)


def listed(labels):
    """Training lists with so many passages as each has labels."""
    return [
        TrainingList(i, np.arange(8 * i, 8 * i + len(own)), np.array(own))
        for i, own in enumerate(labels)
    ]


def ndcg(labels, scores):
    def dcg(gains):
        return sum(gain / math.log2(2 + place) for place, gain in enumerate(gains[:10]))

    gains = [label - min(*labels, 0) for label in labels]
    ranked = [gain for _, gain in sorted(zip(scores, gains, strict=True), reverse=True)]
    return dcg(ranked) / dcg(sorted(gains, reverse=True))


@pytest.mark.parametrize("at_once", [64, 2])
def test_it_is_the_mean_over_the_lists(list_loss, at_once, monkeypatch):
    monkeypatch.setattr(validation, "LISTS_AT_ONCE", at_once)
    labels = [[1, 0, 0, 0], [3, 2, 1], [-0.5, -2.5, 1.5, 0.5, 0.0]]
    losses, ndcgs = [], []
    for item, own in zip(listed(labels), labels, strict=True):
        list_loss.model.eval()
        with torch.no_grad():
            scores = list_loss.scores([item])
        mask = torch.ones(1, len(own), dtype=torch.bool)
        losses.append(LOSSES["ranknet"](scores[None], torch.tensor([own]), mask).item())
        ndcgs.append(ndcg(own, scores.tolist()))
    list_loss.model.train()  # whose dropout no validation has
    loss, mean, broken = validate(list_loss, listed(labels), Signals())
    assert loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert mean == pytest.approx(np.mean(ndcgs), rel=1e-9)
    assert broken == []


def test_without_lists_there_is_nothing_to_say(list_loss):
    loss, mean, broken = validate(list_loss, [], Signals())
    assert math.isnan(loss) and math.isnan(mean) and broken == []


def test_lists_with_labels_that_are_not_finite_are_named(list_loss):
    labels = [[1, 0], [np.inf, 0, 0], [2, 1], [np.nan, 1]]
    assert validate(list_loss, listed(labels), Signals()).broken == [1, 3]


def test_scores_that_are_not_finite_are_named(list_loss, tiny):
    model = load_model(tiny("bert"))
    torch.nn.init.constant_(model.classifier.bias, torch.inf)
    broken = ListLoss(list_loss.accelerator, model, list_loss.encoder, "adr_mse", 200)
    assert validate(broken, listed([[1, 0], [2, 0]]), Signals()).broken == [0, 1]
