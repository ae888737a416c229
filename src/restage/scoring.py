"""Scores of (query, passage) pairs by a cross-encoder, in batches of nearly equal length."""

import os
from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
import transformers
from transformers import AutoModelForSequenceClassification, PreTrainedModel

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
        batch = encoder.batch(queries[some], passages[some])
        batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
        parts.append(model(**batch).logits[:, 0].float())
        order.append(some)
        if progress:
            progress.add(len(some))
    back = torch.from_numpy(np.argsort(np.concatenate(order))).to(model.device)
    return torch.cat(parts)[back]


@torch.inference_mode()
def score_run(
    pairs: pd.DataFrame,
    output: str | os.PathLike,
    *,
    model: str | os.PathLike,
    query_texts: TextStore,
    passage_texts: TextStore,
    queries: str | os.PathLike,
    passages: str | os.PathLike,
    max_length: int,
    segment_ids: bool,
    compute: Mapping,
) -> None:
    """Score pairs (query_id, doc_id) with a checkpoint into a Parquet file with their ``score``.

    Args:
        query_texts, passage_texts: where the ids are numbered.
        queries, passages: token stores made with the checkpoint's tokenizer.

    Raises:
        InputError: an id of a pair is in no store.
    """
    device = pick_device(compute["threads"])
    stores = TokenStore(queries), TokenStore(passages)
    encoder = PairEncoder(load_tokenizer(str(model)), *stores, max_length, segment_ids)
    network = load_model(model).to(device).eval()
    numbers = [
        _numbers(store, pairs[column], what)
        for store, column, what in (
            (query_texts, "query_id", "query"),
            (passage_texts, "doc_id", "passage"),
        )
    ]
    log.info("%s pairs", f"{len(pairs):,}")
    reduced = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(compute["precision"])
    with torch.autocast(device.type, reduced, enabled=device.type != "cpu" and reduced is not None):
        scores = score_pairs(
            network,
            encoder,
            *numbers,
            compute["tokens_per_batch"],
            Progress(len(pairs), "pairs"),
        )
    with complete(output) as part:
        pairs.assign(score=scores.cpu().numpy()).to_parquet(part, index=False)


def _numbers(store: TextStore, ids: pd.Series, what: str) -> np.ndarray:
    numbers = store.numbers(ids.to_numpy(dtype=object))
    if (numbers < 0).any():
        raise InputError(
            f"{what} {ids.iloc[int(np.argmin(numbers))]!r} of a run is not among the texts to "
            "score; is the run of another collection or dataset?"
        )
    return numbers
