"""List-wise losses over scores and relevance labels of ranked lists.

Each takes ``scores``, ``relevances`` and ``mask``, all of shape (lists, passages), and returns one
loss per list. Where ``mask`` is False the list is padded: such a place changes no value and no
gradient.
"""

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
    ordered = relevances[:, :, None] > relevances[:, None, :]
    ordered &= mask[:, :, None] & mask[:, None, :]
    losses = softplus(scores[:, None, :] - scores[:, :, None]).masked_fill(~ordered, 0)
    return losses.sum(dim=(1, 2)) / ordered.sum(dim=(1, 2)).clamp(min=1)


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "localized_contrastive": localized_contrastive,
    "ranknet": ranknet,
}
