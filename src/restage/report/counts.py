"""What is known of a grid's data before and while it is made: counted where it is there.

Counts are exact where what they need is there (qrels, ranked lists, first-stage runs, token
stores), else upper bounds: candidates of first stages that share none.
"""

import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from restage.collections.sources import read_qrels
from restage.collections.texts import TextStore
from restage.collections.tokens import TokenStore
from restage.grid.grid import Grid, Model
from restage.grid.layout import (
    FIRST_STAGE_RUN,
    LISTS,
    MODEL,
    SCORES,
    TEXTS,
    TOKENS,
    Output,
    folder_name,
)
from restage.grid.settings import Source
from restage.rerank.runs import read_run, union

QUERY_TOKENS = 8  # of MS MARCO's queries, where none are tokenised yet
SPECIAL_TOKENS = 3
LENGTHS_LOOKED_AT = 100_000


class Counts:
    """Counts of a grid's texts, lists, pairs and steps."""

    def __init__(self, grid: Grid):
        self.grid = grid
        self.texts, self.candidates = cache(self._texts), cache(self._candidates)

    def path(self, output: Output, **wildcards: object) -> Path:
        return output.at(self.grid.roots, **wildcards)

    def _texts(self, kind: str, name: str) -> int:
        """How many passages a collection has, or queries a dataset or the ranked lists."""
        store = self.path(TEXTS, kind=kind, name=name)
        if store.exists():
            return len(TextStore(store))
        if kind == "collections":
            return _count(self.grid.collections[name].source, "docs")
        if kind == "datasets":
            return _count(self.grid.datasets[name].source, "queries")
        return _count(self.grid.training_queries[name], "queries")

    def tokens_of_text(self, kind: str) -> float:
        """Mean tokens of a text that is not tokenised yet."""
        if kind != "collections":
            return QUERY_TOKENS
        return self.grid.plan.tokens_per_pair - QUERY_TOKENS - SPECIAL_TOKENS

    def tokens_of_pair(
        self, model: str, queries: tuple[str, str], collection: str, max_length: int
    ) -> float:
        """Mean tokens of a pair, cut at ``max_length``: counted where the texts are tokenised.

        Args:
            queries: the kind and the name of their store.
        """
        stores = [
            self.path(TOKENS, tokenizer=folder_name(model), kind=kind, name=name)
            for kind, name in (queries, ("collections", collection))
        ]
        if not all(store.exists() for store in stores):
            return min(self.grid.plan.tokens_per_pair, max_length)
        of_query, of_passage = map(_lengths, stores)
        lengths = of_query.mean() + of_passage + SPECIAL_TOKENS
        return float(np.minimum(lengths, max_length).mean())

    def lists(self, name: str) -> tuple[int, int]:
        """How many lists to train on and to validate on there are."""
        stats = self.path(LISTS, lists=name) / "stats.json"
        if stats.exists():
            counts = json.loads(stats.read_text())
            return counts["train"], counts["valid"]
        lists = self.grid.ranked_lists[name]
        number = lists.expected.lists or self.texts("ranked_lists", lists.queries.folder)
        valid = math.ceil(number * lists.valid_fraction)
        return number - valid, valid

    def steps(self, model: Model) -> int:
        """Optimiser steps of a training: those it made, or the most that it can make."""
        curve = self.path(MODEL, **model._asdict()) / "training.csv"
        if curve.exists():
            return int(pd.read_csv(curve)["step"].max())
        objective = self.grid.stage(model.recipe).objective
        return objective.steps(self.lists(objective.ranked_lists)[0])

    def scored(self, model: Model, dataset: str) -> int:
        """Pairs that a model scores for a dataset."""
        scores = self.path(SCORES, **model._asdict(), dataset=dataset)
        if scores.exists():
            return pq.read_metadata(scores).num_rows
        return self.candidates(dataset, *self.grid.first_stages)

    def _candidates(self, dataset: str, *first_stages: str) -> int:
        """How many different pairs first stages give for a dataset."""
        depth = self.grid.rerank.depth
        runs = [self.path(FIRST_STAGE_RUN, first_stage=f, dataset=dataset) for f in first_stages]
        if all(run.exists() for run in runs):
            return len(union([read_run(run) for run in runs], depth))
        return self.texts("datasets", dataset) * depth * len(runs)


def lists_drawn(steps: int, lists: int, per_batch: int) -> int:
    """Return the lists drawn in so many steps: each once per epoch, the last batch maybe small."""
    if not lists:
        return 0
    epochs, rest = divmod(steps, -(-lists // per_batch))
    return epochs * lists + min(rest * per_batch, lists)


def _count(source: Source, part: str) -> int:
    """Count passages or queries at their source, without a download."""
    if source.ir_datasets:
        import ir_datasets  # here, for it takes a while

        counts = ir_datasets.load(source.ir_datasets).metadata()
        return counts.get(part, {}).get("count", 0)
    if source.qrels:
        return read_qrels(source.qrels)["query_id"].nunique()
    folder = Path(source.path or "")
    if part == "queries" and source.split:
        return read_qrels(folder / "qrels" / f"{source.split}.tsv")["query_id"].nunique()
    name = "corpus.jsonl" if part == "docs" else "queries.jsonl"
    with (folder / name).open("rb") as file:
        return sum(1 for line in file if line.strip())


def _lengths(store: Path) -> np.ndarray:
    """Tokens of each text in a token store, or of evenly spaced ones of very many."""
    tokens = TokenStore(store)
    numbers = np.unique(np.linspace(0, len(tokens) - 1, LENGTHS_LOOKED_AT).astype(np.int64))
    return tokens.lengths(numbers)
