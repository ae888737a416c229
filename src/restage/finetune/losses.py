"""List-wise losses over scores and relevance labels of ranked lists.

Each takes ``scores``, ``relevances`` and ``mask``, all of shape (lists, passages), and returns one
loss per list. Where ``mask`` is False the list is padded: such a place changes no value and no
gradient.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus


def localized_contrastive(scores: Tensor, relevances: Tensor, mask: Tensor) -> Tensor:
    """Softmax cross-entropy over the list, with its most relevant passage as the target.

    -log(exp(s⁺) / Σⱼ exp(sⱼ)): LCE of Gao, Dai, Callan: "Rethink Training of BERT Rerankers in
    Multi-Stage Retrieval Pipeline" (ECIR 2021), equation 6.
    """
    target = relevances.masked_fill(~mask, -torch.inf).argmax(dim=1, keepdim=True)
    log_softmax = scores.masked_fill(~mask, -torch.inf).log_softmax(dim=1)
    return -log_softmax.gather(1, target).squeeze(1)


def ranknet(scores: Tensor, relevances: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy on the score differences of all ordered pairs, their mean per list.

    mean over rᵢ > rⱼ of log(1 + exp(sⱼ - sᵢ)): Burges et al.: "Learning to Rank using Gradient
    Descent" (ICML 2005), section 3; of a list's ranks as Sun et al. ("Is ChatGPT Good at Search?",
    EMNLP 2023) distil them. A list without an ordered pair has loss 0.
    """
    ordered = _ordered(relevances, mask)
    losses = _logistic(scores).masked_fill(~ordered, 0)
    return losses.sum(dim=(1, 2)) / ordered.sum(dim=(1, 2)).clamp(min=1)


def rank_weighted_ranknet(scores: Tensor, relevances: Tensor, mask: Tensor) -> Tensor:
    """RankNet with the pairs at the top of the predicted ranking weighing most.

    mean over rᵢ > rⱼ of log(1 + exp(sⱼ - sᵢ)) / (πᵢ + πⱼ), with πᵢ the rank from 1 of passage i by
    its score: the weighting in the code of Sun et al.: "Is ChatGPT Good at Search?" (EMNLP 2023).
    """
    ordered, ranks = _ordered(relevances, mask), _ranks(scores, mask)
    losses = _logistic(scores) / (ranks[:, :, None] + ranks[:, None, :])
    losses = losses.masked_fill(~ordered, 0)
    return losses.sum(dim=(1, 2)) / ordered.sum(dim=(1, 2)).clamp(min=1)


def margin_mse(scores: Tensor, relevances: Tensor, mask: Tensor) -> Tensor:
    """Squared error of the margins between the list's best passage and each other, their mean.

    mean over j ≠ + of ((s⁺ - sⱼ) - (t⁺ - tⱼ))², with t the teacher's scores: Hofstätter et al.:
    "Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge Distillation"
    (2020), equation 5, for lists of any size.
    """
    best = relevances.masked_fill(~mask, -torch.inf).argmax(dim=1, keepdim=True)
    difference = scores - relevances
    errors = (difference.gather(1, best) - difference).masked_fill(~mask, 0).square()
    return errors.sum(dim=1) / (mask.sum(dim=1) - 1).clamp(min=1)


def kl_divergence(scores: Tensor, relevances: Tensor, mask: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the list's softmax from its teacher's.

    Σⱼ pⱼ (log pⱼ - log qⱼ), with p the softmax of the teacher's scores and q that of the model's:
    ListNet's top-one probabilities (Cao et al., ICML 2007), less the entropy of p, which no model
    changes.
    """
    teacher = relevances.masked_fill(~mask, -torch.inf).log_softmax(dim=1)
    model = scores.masked_fill(~mask, -torch.inf).log_softmax(dim=1)
    return (teacher.exp() * (teacher - model).masked_fill(~mask, 0)).sum(dim=1)


def adr_mse(scores: Tensor, relevances: Tensor, mask: Tensor) -> Tensor:
    """Approximate discounted rank MSE: errors of the predicted ranks, the top ones weighing most.

    mean over i of (i - π̂ᵢ)² / log₂(i + 1), with i the passage's rank in the list and π̂ᵢ = 1 +
    Σⱼ≠ᵢ σ(sⱼ - sᵢ) its approximate rank by score: Schlatt et al.: "Rank-DistiLLM: Closing the
    Effectiveness Gap Between Cross-Encoders and LLMs for Passage Re-ranking" (ECIR 2025).
    """
    ranks = _ranks(relevances, mask)
    both = mask[:, :, None] & mask[:, None, :]
    both &= ~torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
    above = (scores[:, None, :] - scores[:, :, None]).sigmoid().masked_fill(~both, 0)
    errors = (ranks - 1 - above.sum(dim=2)).square() / (ranks + 1).log2()
    return errors.masked_fill(~mask, 0).sum(dim=1) / mask.sum(dim=1)


def lambda_loss(scores: Tensor, relevances: Tensor, mask: Tensor) -> Tensor:
    """A bound on what the list loses in nDCG: RankNet weighted by each pair's part in it.

    Σ over rᵢ > rⱼ of |Gᵢ - Gⱼ| |1/D(d) - 1/D(d + 1)| log₂(1 + exp(sⱼ - sᵢ)), with d = |πᵢ - πⱼ|
    the distance of the two in the predicted ranking, D(d) = log₂(1 + d), and Gᵢ = 2^rᵢ - 1 over the
    list's best DCG: NDCG-Loss2 of Wang et al.: "The LambdaLoss Framework for Ranking Metric
    Optimization" (CIKM 2018), equation 18, σ = 1.
    """
    ordered, ranks = _ordered(relevances, mask), _ranks(scores, mask)
    # Gains over 2^largest: those of ranks as labels would be beyond single precision.
    largest = relevances.masked_fill(~mask, 0).amax(dim=1, keepdim=True)
    gains = (2 ** (relevances - largest) - 2**-largest).masked_fill(~mask, 0)
    best = (gains / (_ranks(relevances, mask) + 1).log2()).sum(dim=1, keepdim=True)
    gains = gains / best.masked_fill(best == 0, 1)
    distance = (ranks[:, :, None] - ranks[:, None, :]).abs().clamp(min=1)
    discounts = 1 / (1 + distance).log2() - 1 / (2 + distance).log2()
    weights = (gains[:, :, None] - gains[:, None, :]).abs() * discounts
    losses = weights * _logistic(scores) / math.log(2)
    return losses.masked_fill(~ordered, 0).sum(dim=(1, 2))


def _ordered(relevances: Tensor, mask: Tensor) -> Tensor:
    """Which pairs (i, j) have rᵢ > rⱼ: (lists, passages, passages)."""
    ordered = relevances[:, :, None] > relevances[:, None, :]
    return ordered & mask[:, :, None] & mask[:, None, :]


def _logistic(scores: Tensor) -> Tensor:
    """log(1 + exp(sⱼ - sᵢ)) of all pairs (i, j): (lists, passages, passages)."""
    return softplus(scores[:, None, :] - scores[:, :, None])


def _ranks(values: Tensor, mask: Tensor) -> Tensor:
    """The rank from 1 of each passage by descending value; equal ones keep their order."""
    order = values.detach().masked_fill(~mask, -torch.inf)
    order = order.argsort(dim=1, descending=True, stable=True)
    return (order.argsort(dim=1) + 1).to(values.dtype)


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "localized_contrastive": localized_contrastive,
    "ranknet": ranknet,
    "rank_weighted_ranknet": rank_weighted_ranknet,
    "margin_mse": margin_mse,
    "kl_divergence": kl_divergence,
    "adr_mse": adr_mse,
    "lambda_loss": lambda_loss,
}
