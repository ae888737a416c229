"""The losses against plain double loops in float64; padding changes nothing."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from restage.finetune.losses import LOSSES

LISTS = st.lists(
    st.tuples(st.floats(-5, 5, width=32), st.integers(0, 4)), min_size=2, max_size=7
).filter(lambda entries: any(label for _, label in entries))


def ranks(values):
    order = sorted(range(len(values)), key=lambda i: -values[i])
    return [order.index(i) + 1 for i in range(len(values))]


def pairs(labels):
    places = range(len(labels))
    return [(i, j) for i in places for j in places if labels[i] > labels[j]]


def logistic(scores, i, j):
    return math.log1p(math.exp(scores[j] - scores[i]))


def mean(values):
    return sum(values) / len(values) if values else 0.0


def softmax(values):
    total = sum(math.exp(value) for value in values)
    return [math.exp(value) / total for value in values]


def localized_contrastive(scores, labels):
    return -math.log(softmax(scores)[labels.index(max(labels))])


def ranknet(scores, labels):
    return mean([logistic(scores, i, j) for i, j in pairs(labels)])


def rank_weighted_ranknet(scores, labels):
    by_score = ranks(scores)
    return mean([logistic(scores, i, j) / (by_score[i] + by_score[j]) for i, j in pairs(labels)])


def margin_mse(scores, labels):
    best = labels.index(max(labels))
    margins = [
        (scores[best] - scores[j]) - (labels[best] - labels[j])
        for j in range(len(scores))
        if j != best
    ]
    return mean([margin**2 for margin in margins])


def kl_divergence(scores, labels):
    both = zip(softmax(labels), softmax(scores), strict=True)
    return sum(p * (math.log(p) - math.log(q)) for p, q in both)


def adr_mse(scores, labels):
    total = 0
    for i, rank in enumerate(ranks(labels)):
        others = [score for j, score in enumerate(scores) if j != i]
        approximate = 1 + sum(1 / (1 + math.exp(scores[i] - other)) for other in others)
        total += (rank - approximate) ** 2 / math.log2(rank + 1)
    return total / len(scores)


def lambda_loss(scores, labels):
    ideal = sorted(labels, reverse=True)
    best = sum((2**label - 1) / math.log2(1 + rank) for rank, label in enumerate(ideal, start=1))
    by_score, total = ranks(scores), 0
    for i, j in pairs(labels):
        distance = abs(by_score[i] - by_score[j])
        discount = 1 / math.log2(1 + distance) - 1 / math.log2(2 + distance)
        gain = (2 ** labels[i] - 2 ** labels[j]) / best
        total += gain * discount * logistic(scores, i, j) / math.log(2)
    return total


def reference(name, entries):
    return globals()[name](*zip(*entries, strict=True))


def tensors(entries, padding=0):
    scores, labels = zip(*entries, strict=True)
    scores = torch.tensor([[*scores, *[9.0] * padding]], dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[*labels, *[9] * padding]], dtype=torch.float64)
    mask = torch.tensor([[True] * len(entries) + [False] * padding])
    return scores, labels, mask


@pytest.mark.parametrize("name", LOSSES)
@given(entries=LISTS)
def test_a_loss_equals_its_formula(name, entries):
    assert LOSSES[name](*tensors(entries)).item() == pytest.approx(reference(name, entries))


@pytest.mark.parametrize("name", LOSSES)
@given(entries=LISTS, padding=st.integers(1, 4))
def test_padding_changes_no_value_and_no_gradient(name, entries, padding):
    plain, padded = tensors(entries), tensors(entries, padding)
    losses = LOSSES[name](*plain), LOSSES[name](*padded)
    torch.testing.assert_close(*losses)
    for loss in losses:
        loss.sum().backward()
    torch.testing.assert_close(plain[0].grad[0], padded[0].grad[0, : len(entries)])
    assert (padded[0].grad[0, len(entries) :] == 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_lists_of_a_batch_do_not_mix(name):
    short, long = [(0.5, 1), (1.0, 0)], [(0.1, 0), (0.7, 2), (-1.0, 0)]
    rows = [tensors(short, 1), tensors(long)]
    batch = [torch.cat(parts) for parts in zip(*rows, strict=True)]
    together = LOSSES[name](*batch).tolist()
    assert together == pytest.approx([reference(name, short), reference(name, long)])


@pytest.mark.parametrize("name", LOSSES)
def test_long_lists_with_ranks_as_labels_stay_finite(name):
    scores = torch.linspace(-3, 3, 200)[None].requires_grad_()
    loss = LOSSES[name](scores, torch.arange(200.0, 0, -1)[None], torch.ones(1, 200).bool())
    loss.sum().backward()
    assert loss.isfinite().all()
    assert scores.grad.isfinite().all()
