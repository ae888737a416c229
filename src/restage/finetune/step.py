"""A step's gradient: that of the mean loss of a batch of ranked lists, over all processes."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar, cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor
from transformers import PreTrainedModel

from restage.collections.pairs import PairEncoder, token_budget_batches
from restage.finetune.losses import LOSSES
from restage.log import Progress
from restage.model.scoring import score_batch, score_pairs
from restage.ranked_lists.sampling import TrainingList

T = TypeVar("T")


@dataclass(frozen=True)
class ListLoss:
    """The loss of ranked lists whose pairs a model scores.

    Args:
        loss: its name in ``LOSSES``.
        tokens_per_batch: that a forward pass takes at most, padding included.
    """

    accelerator: Accelerator
    model: PreTrainedModel
    encoder: PairEncoder
    loss: str
    tokens_per_batch: int

    def scores(self, lists: Sequence[TrainingList], progress: Progress | None = None) -> Tensor:
        """Scores of the lists' pairs, one list after the other: float32, shape (pairs,)."""
        pairs, budget = pairs_of(lists), self.tokens_per_batch
        with self.accelerator.autocast():
            return score_pairs(self.model, self.encoder, *pairs, budget, progress)

    def of(self, scores: Tensor, lists: Sequence[TrainingList]) -> Tensor:
        """The loss of each list, from the scores of their pairs: shape (lists,)."""
        sizes = np.array([len(item.passages) for item in lists])
        mask = torch.from_numpy(np.arange(sizes.max()) < sizes[:, None]).to(scores.device)
        labels = torch.from_numpy(np.concatenate([item.relevances for item in lists])).to(scores)
        padded = scores.new_zeros(mask.shape)
        return LOSSES[self.loss](
            padded.masked_scatter(mask, scores), padded.masked_scatter(mask, labels), mask
        )


class BatchLoss(NamedTuple):
    """The mean loss of a batch, with the pairs and tokens that it is of.

    ``broken`` are the query numbers of the lists whose loss is not finite.
    """

    loss: float
    pairs: int
    tokens: int
    broken: list[int]


def accumulate_gradient(
    list_loss: ListLoss, batch: Sequence[TrainingList], tokens_in_memory: int
) -> BatchLoss:
    """Add the gradient of the batch's mean loss to the model's, the same in every process.

    As many lists as ``tokens_in_memory`` allows keep their graph at a time; then it is freed. A
    single list beyond that goes by gradient caching.
    """
    accelerator, losses = list_loss.accelerator, []
    total, pairs, tokens = 0.0, 0, 0
    _expect_rows(list_loss.model)
    mine = share_of(accelerator, batch)
    for lists, lengths in _chunks(list_loss.encoder, mine, tokens_in_memory):
        fits = lengths.sum() <= tokens_in_memory
        backward = _backward if fits else _backward_cached
        losses.append(backward(list_loss, lists, len(batch)))
        total += float(losses[-1].sum() / len(batch))
        pairs, tokens = pairs + len(lengths), tokens + int(lengths.sum())
    total, pairs, tokens = _summed(accelerator, list_loss.model, total, pairs, tokens)
    if math.isfinite(total):
        return BatchLoss(total, pairs, tokens, [])
    values = (value for part in losses for value in part.tolist())
    return BatchLoss(total, pairs, tokens, broken_lists(accelerator, mine, values))


def share_of(accelerator: Accelerator, items: Sequence[T]) -> Sequence[T]:
    """What this process does of the work of all."""
    return items[accelerator.process_index :: accelerator.num_processes]


def broken_lists(
    accelerator: Accelerator, lists: Sequence[TrainingList], values: Iterable[float]
) -> list[int]:
    """Query numbers, of all processes, of the lists whose value is not finite (ascending).

    All lists' where each value is finite by itself. Every process has to call this.
    """
    both = zip(lists, values, strict=True)
    mine = [item.query for item, value in both if not math.isfinite(value)]
    return sorted(gather_object(mine) or gather_object([item.query for item in lists]))


def pairs_of(lists: Sequence[TrainingList]) -> tuple[np.ndarray, np.ndarray]:
    """Query and passage numbers of the lists' pairs, one list after the other."""
    sizes = [len(item.passages) for item in lists]
    queries = np.repeat([item.query for item in lists], sizes)
    return queries, np.concatenate([item.passages for item in lists]).astype(np.int64)


def _expect_rows(model: PreTrainedModel) -> None:
    """On a CPU, have each micro-batch add to the gradient of the words that it has, no others.

    Otherwise each makes a gradient of the whole vocabulary, nearly all zeros, and adds that.
    """
    words = cast(torch.nn.Embedding, model.get_input_embeddings())
    words.sparse = model.device.type == "cpu"
    if words.weight.grad is None:
        words.weight.grad = torch.zeros_like(words.weight)


def _chunks(
    encoder: PairEncoder, batch: Sequence[TrainingList], budget: int
) -> Iterator[tuple[list[TrainingList], np.ndarray]]:
    """Yield consecutive lists of at most ``budget`` tokens together, with their pairs' lengths."""
    chunk: list[TrainingList] = []
    lengths: list[np.ndarray] = []
    for item in batch:
        own = encoder.lengths(np.full(len(item.passages), item.query), item.passages)
        if chunk and sum(map(np.sum, lengths)) + own.sum() > budget:
            yield chunk, np.concatenate(lengths)
            chunk, lengths = [], []
        chunk.append(item)
        lengths.append(own)
    if chunk:
        yield chunk, np.concatenate(lengths)


def _backward(list_loss: ListLoss, lists: Sequence[TrainingList], batch_size: int) -> Tensor:
    """Accumulate the lists' part of the gradient; return the loss of each."""
    losses = list_loss.of(list_loss.scores(lists), lists)
    list_loss.accelerator.backward(losses.sum() / batch_size)
    return losses.detach()


def _backward_cached(list_loss: ListLoss, lists: Sequence[TrainingList], batch_size: int) -> Tensor:
    """The same of lists whose graph does not fit into memory.

    First the scores without a graph, and from these the loss and its gradient by score; then one
    micro-batch after the other once more, with the same dropout, whose graph carries that gradient
    on to the weights: Gao et al.: "Scaling Deep Contrastive Learning Batch Size under Memory
    Limited Setup" (RepL4NLP 2021).
    """
    accelerator, model, encoder = list_loss.accelerator, list_loss.model, list_loss.encoder
    queries, passages = pairs_of(lists)
    lengths = encoder.lengths(queries, passages)
    batches = list(token_budget_batches(lengths, list_loss.tokens_per_batch))
    scores, states = torch.zeros(len(queries), device=model.device), []
    with torch.no_grad(), accelerator.autocast():
        for some in batches:
            states.append(_generators(model.device))
            scores[some] = score_batch(model, encoder, queries[some], passages[some])
    losses = list_loss.of(scores.requires_grad_(), lists)
    (gradient,) = torch.autograd.grad(losses.sum() / batch_size, scores)
    for some, state in zip(batches, states, strict=True):
        _set_generators(model.device, state)
        with accelerator.autocast():
            again = score_batch(model, encoder, queries[some], passages[some])
        accelerator.backward((again * gradient[some]).sum())
    return losses.detach()


def _generators(device: torch.device) -> tuple[Tensor, ...]:
    on_gpu = (torch.cuda.get_rng_state(device),) if device.type == "cuda" else ()
    return torch.get_rng_state(), *on_gpu


def _set_generators(device: torch.device, state: tuple[Tensor, ...]) -> None:
    torch.set_rng_state(state[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)


def _summed(
    accelerator: Accelerator, model: PreTrainedModel, loss: float, pairs: int, tokens: int
) -> tuple[float, int, int]:
    """Sum gradients, loss, pairs and tokens over the processes."""
    if accelerator.num_processes == 1:
        return loss, pairs, tokens
    trained = [weights for weights in model.parameters() if weights.requires_grad]
    gradients = [_gradient(weights) for weights in trained]
    flat = accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]))
    parts = flat.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
    totals = torch.tensor([loss, pairs, tokens], dtype=torch.float64, device=accelerator.device)
    loss, *counts = accelerator.reduce(totals).tolist()
    return loss, int(counts[0]), int(counts[1])


def _gradient(weights: Tensor) -> Tensor:
    """A process may have had no list, and no gradient from any."""
    if weights.grad is None:
        weights.grad = torch.zeros_like(weights)
    return weights.grad
