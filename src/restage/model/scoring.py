"""Scores of (query, passage) pairs by a cross-encoder, in batches of nearly equal length."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import PreTrainedModel

from restage.collections.pairs import PairEncoder, same_length_batches, token_budget_batches
from restage.collections.tokens import TokenStore
from restage.errors import InputError
from restage.files import fingerprint
from restage.grid.settings import Compute
from restage.log import Progress
from restage.model.device import autocast, pick_device
from restage.model.heads import load_cross_encoder
from restage.model.names import load_tokenizer, model_folder
from restage.pieces import Pieces

PAIRS_PER_PIECE = 8192  # minutes on a slow CPU, and few enough batches to pad little

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def score_pairs(
    model: PreTrainedModel,
    encoder: PairEncoder,
    queries: np.ndarray,
    passages: np.ndarray,
    tokens_per_batch: int,
    progress: Progress | None = None,
    *,
    apart: bool = False,
) -> torch.Tensor:
    """Return the scores of pairs of query and passage numbers: float32, shape (pairs,).

    Keeps the graph where gradients are enabled.

    Args:
        apart: so that a pair has the same score whatever it is scored with. On a CPU it is the same
            to the last bit: how far a pair is padded depends on the pair alone, and no row of a
            matrix is in a block that is not whole. A GPU chooses its kernels by the size of a
            batch, so that there the last digits may differ.
    """
    lengths = (encoder.columns if apart else encoder.lengths)(queries, passages)
    batches = same_length_batches if apart else token_budget_batches
    parts, order = [], []
    for some in batches(lengths, tokens_per_batch):
        columns = lengths[some].max()
        parts.append(score_batch(model, encoder, queries[some], passages[some], columns))
        order.append(some)
        if progress:
            progress.add(len(np.unique(some)))
    # Some pairs are there twice, with the same score.
    back = np.unique(np.concatenate(order), return_index=True)[1]
    return torch.cat(parts)[torch.from_numpy(back).to(model.device)]


def score_batch(
    model: PreTrainedModel,
    encoder: PairEncoder,
    queries: np.ndarray,
    passages: np.ndarray,
    columns: int = 0,
) -> torch.Tensor:
    """Return the scores of pairs in one forward pass: float32, shape (pairs,).

    Args:
        columns: tokens to pad to at least.
    """
    batch = encoder.batch(queries, passages, columns)
    batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
    return model(**batch).logits[:, 0].float()


class Scorer:
    """A trained cross-encoder that scores any number of pairs, on one GPU or several.

    Args:
        model: a checkpoint's folder, or any other name of a model (see ``model_folder``).
        queries, passages: token stores made with its tokenizer, which numbers refer to.
        segment_ids: whether it is told which tokens are the passage's; None: where its tokenizer
            tells.
        state: a folder for what is finished, from which a killed scoring goes on.
    """

    def __init__(
        self,
        model: str | os.PathLike,
        queries: str | os.PathLike,
        passages: str | os.PathLike,
        *,
        max_length: int,
        segment_ids: bool | None,
        compute: Compute,
        state: str | os.PathLike,
    ):
        self.model, self.stores = str(model), (str(queries), str(passages))
        self.max_length, self.segment_ids = max_length, segment_ids
        self.compute, self.state = compute, state

    @contextmanager
    def __call__(self, queries: np.ndarray, passages: np.ndarray) -> Iterator[np.ndarray]:
        """Give the scores of pairs of query and passage numbers: float32, shape (pairs,).

        What was saved for a resume is removed when the block ends well.

        Raises:
            InputError: a score is not finite, or the disk is full.
        """
        files = [Path(store, "offsets.npy") for store in self.stores]
        files += Path(model_folder(self.model)).glob("*.safetensors")
        settings = [self.model, self.max_length, self.segment_ids, self.compute.precision]
        settings += [self.compute.threads, torch.cuda.is_available()]
        pairs = hashlib.sha256(queries.tobytes() + passages.tobytes()).hexdigest()
        parts = [slice(i, i + PAIRS_PER_PIECE) for i in range(0, len(queries), PAIRS_PER_PIECE)]
        pieces = Pieces(self.state, fingerprint([*settings, pairs], *files), len(parts))
        scorer = partial(self._scorer, queries, passages, parts)
        made = pieces.make(scorer, max(1, self.compute.gpus_per_scoring))
        yield np.concatenate([np.load(file) for file in made])
        pieces.remove()

    def _scorer(
        self,
        queries: np.ndarray,
        passages: np.ndarray,
        parts: list[slice],
        process: int,
        numbers: Sequence[int],
    ) -> Callable[[int], np.ndarray]:
        """Return what scores one of the parts, in one of the processes."""
        device = pick_device(self.compute.threads, process)
        model, encoder = load_cross_encoder(self.model, device), self._encoder()
        progress = Progress(sum(len(queries[parts[n]]) for n in numbers), "pairs")

        @torch.inference_mode()
        def piece(number: int) -> np.ndarray:
            pairs, budget = parts[number], self.compute.tokens_per_batch
            some = queries[pairs], passages[pairs]
            with autocast(device, self.compute.precision):
                scores = score_pairs(model, encoder, *some, budget, progress, apart=True)
            return self._finite(scores.cpu().numpy(), *some)

        return piece

    def _finite(self, scores: np.ndarray, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """The scores as they are.

        Raises:
            InputError: one is not finite.
        """
        broken = np.flatnonzero(~np.isfinite(scores))
        if len(broken):
            first = broken[0]
            raise InputError(
                f"{self.model}: gives {scores[first]} for a score of {len(broken):,} of "
                f"{len(scores):,} pairs, such as query {queries[first]} and passage "
                f"{passages[first]} (their numbers from 0); set precision to fp32, or train it anew"
            )
        return scores

    def _encoder(self) -> PairEncoder:
        tokenizer, segment_ids = load_tokenizer(self.model), self.segment_ids
        if segment_ids is None:
            segment_ids = "token_type_ids" in tokenizer.model_input_names
        queries, passages = map(TokenStore, self.stores)
        return PairEncoder(tokenizer, queries, passages, self.max_length, segment_ids)
