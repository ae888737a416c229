"""The losses against plain double loops in float64; padding changes nothing."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from restage.losses import LOSSES

LISTS = st.lists(
    st.tuples(st.floats(-5, 5, width=32), st.integers(0, 4)), min_size=2, max_size=7
).filter(lambda entries: any(label for _, label in entries))


def reference(name, entries):
    scores, labels = zip(*entries, strict=True)
    if name == "localized_contrastive":
        total = sum(math.exp(score) for score in scores)
        return -math.log(math.exp(scores[labels.index(max(labels))]) / total)
    pairs = [
        math.log1p(math.exp(scores[j] - scores[i]))
        for i in range(len(entries))
        for j in range(len(entries))
        if labels[i] > labels[j]
    ]
    return sum(pairs) / len(pairs) if pairs else 0.0


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
