"""A checkpoint as a PyTerrier transformer, to re-rank in pipelines and experiments of one's own."""

import os

import numpy as np
import pandas as pd
import pyterrier as pt
import torch
from transformers.tokenization_utils_base import LARGE_INTEGER

from restage.scoring import autocast, load_cross_encoder, score_pairs
from restage.tokens import PairEncoder, load_tokenizer, tokenised

LONGEST = 512  # where a tokenizer names no limit


class CrossEncoder(pt.Transformer):
    """Re-ranks the results of a pipeline, with the speed and the scores of the workflow.

        bm25 % 100 >> pt.text.get_text(dataset) >> CrossEncoder("results/models/electra/CL/42")

    It takes frames with qid, query, docno and text, and computes on a GPU if there is one.

    Args:
        model: a checkpoint's folder, or any other cross-encoder with one output (a hub name,
            package:NAME).
        tokens_per_batch: padded tokens of one forward pass.
        precision: what a GPU computes in: bf16, fp16 or fp32; a CPU computes in fp32.

    Raises:
        InputError: the model is no cross-encoder with one output.
    """

    def __init__(
        self,
        model: str | os.PathLike,
        *,
        tokens_per_batch: int = 16384,
        precision: str = "bf16",
    ):
        super().__init__()
        self.name, self.compute = str(model), {"precision": precision}
        self.tokens_per_batch = tokens_per_batch
        self.tokenizer = load_tokenizer(self.name)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = load_cross_encoder(model).to(device).eval()

    def transform(self, results: pd.DataFrame) -> pd.DataFrame:
        """Return the results with new scores and ranks, in the order in which they came."""
        pt.validate.result_frame(results, extra_columns=["query", "text"])
        scores = self._scores(results) if len(results) else np.zeros(0, dtype=np.float32)
        return pt.model.add_ranks(results.assign(score=scores))

    @torch.inference_mode()
    def _scores(self, results: pd.DataFrame) -> np.ndarray:
        # Each text is tokenised once, however many pairs it is in.
        numbers, texts = zip(
            *(pd.factorize(results[name]) for name in ("query", "text")), strict=True
        )
        limit = self.tokenizer.model_max_length  # hugely large where there is none
        encoder = PairEncoder(
            self.tokenizer,
            *(tokenised(list(some), self.tokenizer) for some in texts),
            LONGEST if limit > LARGE_INTEGER else limit,
            "token_type_ids" in self.tokenizer.model_input_names,
        )
        with autocast(self.model.device, self.compute):
            return score_pairs(self.model, encoder, *numbers, self.tokens_per_batch).cpu().numpy()

    def __repr__(self) -> str:
        return f"CrossEncoder({self.name!r})"
