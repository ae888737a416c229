"""The gradient of a batch of lists is that of the plain padded step."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from restage.collections.pairs import PairEncoder
from restage.finetune.losses import LOSSES
from restage.finetune.step import ListLoss, accumulate_gradient
from restage.model.heads import finish_first_token_only, load_model
from restage.model.names import load_tokenizer
from restage.ranked_lists.sampling import TrainingList
from tests.finetune.runs import PASSAGES, QUERIES

SIZES = [5, 3, 6, 2, 5]


@pytest.fixture(scope="module")
def encoder(tiny, token_store):
    tokenizer = load_tokenizer(tiny("bert"))
    return PairEncoder(
        tokenizer, token_store(QUERIES, tokenizer), token_store(PASSAGES, tokenizer), 32
    )


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    return [
        TrainingList(i, rng.choice(len(PASSAGES), size, replace=False), np.arange(size)[::-1])
        for i, size in enumerate(SIZES)
    ]


def made_by(model, encoder, batch, loss, tokens_in_memory, tokens_per_batch=60):
    """What a step says of the batch, and the gradient that it leaves."""
    list_loss = ListLoss(Accelerator(cpu=True), model, encoder, loss, tokens_per_batch)
    made = accumulate_gradient(list_loss, batch, tokens_in_memory)
    return made, {n: w.grad for n, w in model.named_parameters() if w.grad is not None}


@pytest.mark.parametrize("in_memory", [150, 20])  # several lists at a time; none without caching
@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_equal_the_plain_padded_step_s(loss, in_memory, tiny, encoder, batch):
    plain, ours = (load_model(tiny("bert")).eval() for _ in range(2))  # no dropout
    scores, labels = (torch.zeros(len(batch), max(SIZES)) for _ in range(2))
    for i, item in enumerate(batch):
        inputs = encoder.batch(np.full(len(item.passages), item.query), item.passages)
        scores[i, : len(item.passages)] = plain(**inputs).logits[:, 0]
        labels[i, : len(item.passages)] = torch.from_numpy(item.relevances.copy())
    mask = torch.arange(max(SIZES)) < torch.tensor(SIZES)[:, None]
    mean = LOSSES[loss](scores, labels, mask).mean()
    mean.backward()
    expected = {name: w.grad for name, w in plain.named_parameters() if w.grad is not None}

    finish_first_token_only(ours)
    made, gradient = made_by(ours, encoder, batch, loss, in_memory)
    assert expected.keys() == gradient.keys()
    for name in expected:
        torch.testing.assert_close(gradient[name], expected[name], rtol=1e-4, atol=1e-6)
    assert made.loss == pytest.approx(mean.item(), rel=1e-4)
    assert (made.pairs, made.broken) == (sum(SIZES), [])
    both = [(item.query, passage) for item in batch for passage in item.passages]
    assert made.tokens == encoder.lengths(*np.array(both).T).sum()


def test_lists_whose_loss_is_not_finite_are_named(tiny, encoder, batch):
    def item(i, relevance):
        return batch[i]._replace(relevances=np.full(SIZES[i], relevance))

    broken = [batch[0], item(1, np.nan), batch[2], item(3, np.inf), batch[4]]
    for in_memory in (150, 20):
        model = load_model(tiny("bert")).eval()
        made, _ = made_by(model, encoder, broken, "margin_mse", in_memory)
        assert not np.isfinite(made.loss) and made.broken == [1, 3]


def test_gradient_caching_has_the_same_dropout_as_one_pass(tiny, encoder):
    batch = [TrainingList(1, np.arange(12), np.arange(12)[::-1])]
    gradients = []
    for in_memory in (10_000, 1):
        model = load_model(tiny("bert")).train()
        torch.manual_seed(3)
        gradients.append(made_by(model, encoder, batch, "ranknet", in_memory)[1])
    for name in gradients[0]:
        torch.testing.assert_close(gradients[0][name], gradients[1][name], rtol=1e-4, atol=1e-7)
