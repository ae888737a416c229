"""A checkpoint as a PyTerrier transformer, to re-rank in pipelines and experiments of one's own."""

import os

import numpy as np
import pandas as pd
import pyterrier as pt
import torch
from transformers.tokenization_utils_base import LARGE_INTEGER

from restage.collections.pairs import PairEncoder
from restage.collections.tokens import tokenised
from restage.errors import InputError
from restage.model.device import autocast
from restage.model.heads import load_cross_encoder
from restage.model.names import load_tokenizer
from restage.model.scoring import score_pairs

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
        InputError: the model is no cross-encoder with one output; or, when it re-ranks, a query or
            a passage has no text.
    """

    def __init__(
        self,
        model: str | os.PathLike,
        *,
        tokens_per_batch: int = 16384,
        precision: str = "bf16",
    ):
        super().__init__()
        self.name, self.precision = str(model), precision
        self.tokens_per_batch = tokens_per_batch
        self.tokenizer = load_tokenizer(self.name)
        self.model = load_cross_encoder(model, "cuda" if torch.cuda.is_available() else "cpu")

    def transform(self, results: pd.DataFrame) -> pd.DataFrame:
        """Return the results with new scores and ranks, in the order in which they came."""
        pt.validate.result_frame(results, extra_columns=["query", "text"])
        scores = self._scores(results) if len(results) else np.zeros(0, dtype=np.float32)
        return pt.model.add_ranks(results.assign(score=scores))

    @torch.inference_mode()
    def _scores(self, results: pd.DataFrame) -> np.ndarray:
        for column, id in (("query", "qid"), ("text", "docno")):
            missing = ~results[column].map(lambda text: isinstance(text, str)).astype(bool)
            if missing.any():
                raise InputError(
                    f"{int(missing.sum()):,} of {len(results):,} results have no {column}, such as "
                    f"that of {id} {results.loc[missing, id].iloc[0]!r}; add it (pt.text.get_text)"
                )
        # Each text is tokenised once, however many pairs it is in.
        queries, query_texts = pd.factorize(results["query"])
        passages, passage_texts = pd.factorize(results["text"])
        encoder = self._encoder(list(query_texts), list(passage_texts))
        with autocast(self.model.device, self.precision):
            scores = score_pairs(self.model, encoder, queries, passages, self.tokens_per_batch)
        return scores.cpu().numpy()

    def _encoder(self, queries: list[str], passages: list[str]) -> PairEncoder:
        limit = self.tokenizer.model_max_length  # hugely large where there is none
        return PairEncoder(
            self.tokenizer,
            tokenised(queries, self.tokenizer),
            tokenised(passages, self.tokenizer),
            LONGEST if limit > LARGE_INTEGER else limit,
            "token_type_ids" in self.tokenizer.model_input_names,
        )

    def __repr__(self) -> str:
        return f"CrossEncoder({self.name!r})"
