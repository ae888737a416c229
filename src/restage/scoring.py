"""Scores of (query, passage) pairs by a cross-encoder, in batches of nearly equal length."""

import os
from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
import transformers
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from restage.errors import InputError
from restage.files import complete
from restage.log import Progress, log
from restage.texts import TextStore
from restage.tokens import (
    PairEncoder,
    TokenStore,
    load_tokenizer,
    model_folder,
    token_budget_batches,
)

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def load_model(model: str | os.PathLike, **settings) -> PreTrainedModel:
    """Load a cross-encoder in float32: one output on a sequence-classification head."""
    return AutoModelForSequenceClassification.from_pretrained(
        model_folder(str(model)), num_labels=1, dtype=torch.float32, **settings
    )


def load_cross_encoder(model: str | os.PathLike) -> PreTrainedModel:
    """Load a cross-encoder that has been trained to give one score.

    Raises:
        InputError: it has another number of outputs, or no head.
    """
    outputs = AutoConfig.from_pretrained(model_folder(str(model))).num_labels
    if outputs == 1:
        network, report = load_model(model, output_loading_info=True)
        if not report["missing_keys"]:
            return network
    what = f"has {outputs} outputs" if outputs != 1 else "has no head"
    raise InputError(f"{model}: {what}; to score pairs, give a cross-encoder with one output")


def pick_device(threads: int) -> torch.device:
    """Return the device to compute on, a GPU if there is one; on a CPU with ``threads`` threads.

    The number of threads is set, not found, because it decides the last digits of a sum.
    """
    torch.set_num_threads(threads)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def score_pairs(
    model: PreTrainedModel,
    encoder: PairEncoder,
    queries: np.ndarray,
    passages: np.ndarray,
    tokens_per_batch: int,
    progress: Progress | None = None,
) -> torch.Tensor:
    """Return the scores of pairs of query and passage numbers: float32, shape (pairs,).

    Keeps the graph where gradients are enabled.
    """
    parts, order = [], []
    for some in token_budget_batches(encoder.lengths(queries, passages), tokens_per_batch):
        parts.append(score_batch(model, encoder, queries[some], passages[some]))
        order.append(some)
        if progress:
            progress.add(len(some))
    back = torch.from_numpy(np.argsort(np.concatenate(order))).to(model.device)
    return torch.cat(parts)[back]


def score_batch(
    model: PreTrainedModel, encoder: PairEncoder, queries: np.ndarray, passages: np.ndarray
) -> torch.Tensor:
    """Return the scores of pairs in one forward pass: float32, shape (pairs,)."""
    batch = encoder.batch(queries, passages)
    batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
    return model(**batch).logits[:, 0].float()


class Scorer:
    """A trained cross-encoder: called with query and passage numbers it returns their scores.

    Args:
        model: a checkpoint's folder, or any other name of a model (see ``model_folder``).
        queries, passages: token stores made with its tokenizer, which the numbers refer to.
        segment_ids: whether it is told which tokens are the passage's; None: where its tokenizer
            tells.
        compute: as in the configuration.
    """

    def __init__(
        self,
        model: str | os.PathLike,
        queries: str | os.PathLike,
        passages: str | os.PathLike,
        *,
        max_length: int,
        segment_ids: bool | None,
        compute: Mapping,
    ):
        tokenizer, self.compute = load_tokenizer(str(model)), compute
        if segment_ids is None:
            segment_ids = "token_type_ids" in tokenizer.model_input_names
        stores = TokenStore(queries), TokenStore(passages)
        self.encoder = PairEncoder(tokenizer, *stores, max_length, segment_ids)
        device = pick_device(compute["threads"])
        self.model = load_cross_encoder(model).to(device).eval()

    @torch.inference_mode()
    def __call__(self, queries: np.ndarray, passages: np.ndarray, progress: Progress) -> np.ndarray:
        """Return the scores of the pairs: float32, shape (pairs,)."""
        reduced = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.compute["precision"])
        kind = self.model.device.type
        with torch.autocast(kind, reduced, enabled=kind != "cpu" and reduced is not None):
            budget = self.compute["tokens_per_batch"]
            scores = score_pairs(self.model, self.encoder, queries, passages, budget, progress)
        return scores.cpu().numpy()


def score_run(
    pairs: pd.DataFrame,
    output: str | os.PathLike,
    scorer: Scorer,
    query_texts: TextStore,
    passage_texts: TextStore,
) -> None:
    """Score pairs (query_id, doc_id) into a Parquet file with their ``score``.

    Args:
        query_texts, passage_texts: where the ids are numbered.

    Raises:
        InputError: an id of a pair is in no store.
    """
    queries = _numbers(query_texts, pairs["query_id"], "query")
    passages = _numbers(passage_texts, pairs["doc_id"], "passage")
    log.info("%s pairs", f"{len(pairs):,}")
    scores = scorer(queries, passages, Progress(len(pairs), "pairs"))
    with complete(output) as part:
        pairs.assign(score=scores).to_parquet(part, index=False)


def _numbers(store: TextStore, ids: pd.Series, what: str) -> np.ndarray:
    numbers = store.numbers(ids.to_numpy(dtype=object))
    if (numbers < 0).any():
        raise InputError(
            f"{what} {ids.iloc[int(np.argmin(numbers))]!r} of a run is not among the texts to "
            "score; is the run of another collection or dataset?"
        )
    return numbers
