"""The plan: what a configured grid will cost, and what of it is done, before anything is computed.

Its jobs are those of the workflow that compute or store much, and their paths are the workflow's.
"""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from restage import files
from restage.first_stage.engine import Engine
from restage.grid.grid import Grid, Model
from restage.grid.layout import (
    DOWNLOAD,
    FIRST_STAGE_RUN,
    INDEX,
    LISTS,
    MINED,
    MODEL,
    RUN,
    SCORES,
    SHARED_INDEX,
    TEXTS,
    TOKENS,
    Output,
    folder_name,
)
from restage.grid.settings import RankedLists
from restage.model.sizes import encoder
from restage.report.counts import Counts, lists_drawn

# Dense bfloat16 (V100, T4: float16) tera-operations per second, as the manufacturer states them.
DEVICES = {
    "A100": 312,
    "A6000": 155,
    "H100": 989,
    "H200": 989,
    "L40S": 362,
    "RTX3090": 71,
    "RTX4090": 165,
    "T4": 65,
    "V100": 125,
}
COLUMNS = ["rule", "job", "pairs", "tokens", "pflop", "gpu_hours", "disk_gb", "done", "why"]
SUMMARY = ["rule", "jobs", "done", "pairs", "tokens", "pflop", "gpu_hours", "gpu_hours_left"]
SUMMARY += ["disk_gb", "disk_gb_left"]
# Bytes of what is not there yet, as measured on what the workflow writes.
BYTES_PER_TOKEN = {"text_store": 5, "token_store": 2}
BYTES_PER_PAIR = {"score": 10, "retrieve": 12, "import_run": 12, "rerank": 12, "mine": 12}
BYTES_PER_PAIR |= {"ranked_lists": 8, "teacher_lists": 8}
BYTES_PER_LINE = 40  # of a training run in text
BYTES_PER_PERMUTATION = 100
LIST_LENGTH = 100  # where nothing tells


class Cost(NamedTuple):
    """What a job reads, computes and writes; a size of 0 is reckoned from what it reads."""

    pairs: int = 0
    tokens: float = 0
    flop: float = 0
    size: float = 0  # bytes


class Job(NamedTuple):
    rule: str
    job: str  # the output's path below the results folder
    pairs: int
    tokens: float
    flop: float
    size: float  # bytes
    done: bool
    why: str


def plan(grid: Grid, again: Mapping[str, str]) -> pd.DataFrame:
    """Return one row per output of the grid that takes much to compute or to store.

    Args:
        again: why outputs that are there are made again, by their paths below the results folder.

    Returns:
        ``pairs`` and ``tokens`` that a model reads (training pairs once each, though they are read
        forwards and backwards), ``pflop`` (1e15 operations) of them, ``gpu_hours`` on the
        configured device at the configured share of its peak, ``disk_gb`` of the artifact (as it
        is, or estimated), whether it is ``done``, and ``why`` not.
    """
    speed = DEVICES[grid.plan.device] * 1e12 * grid.plan.share_of_peak
    rows = [job._asdict() for job in _Jobs(grid, again).all()]
    table = pd.DataFrame(rows, columns=Job._fields)
    table["pflop"], table["gpu_hours"] = table["flop"] / 1e15, table["flop"] / speed / 3600
    table["disk_gb"] = table["size"] / 1e9
    return table[COLUMNS]


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return the sums of a plan per rule and in total, and what is left to do."""
    left = table[["gpu_hours", "disk_gb"]].where(~table["done"], 0).add_suffix("_left")
    numbers = table[COLUMNS[2:-1]].assign(jobs=1, **left)
    sums = numbers.groupby(table["rule"], sort=False).sum()
    sums.loc["total"] = sums.sum()
    # The runs are cut from the scores: their pairs are among those already.
    sums.loc["total", "pairs"] -= sums["pairs"].get("rerank", 0)
    return sums.reset_index()[SUMMARY]


def reasons(table: pd.DataFrame, again: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """Return what is to be done by a plan, per rule and reason: outputs, pairs and gpu_hours.

    Args:
        again: rule and reason of what is made again, by path; also of what no plan has, since it
            takes no time.
    """
    others = [("", path, *why) for path, why in again.items() if path not in set(table["job"])]
    more = pd.DataFrame(others, columns=["done", "job", "rule", "why"])
    whole = pd.concat([table[~table["done"]], more]).fillna({"pairs": 0, "gpu_hours": 0})
    kinds = whole.assign(outputs=1).groupby(["rule", "why"], sort=False)
    return kinds[["outputs", "pairs", "gpu_hours"]].sum().reset_index()


class _Jobs:
    """The jobs of a grid, with what each costs."""

    def __init__(self, grid: Grid, again: Mapping[str, str]):
        self.grid, self.again, self.counts = grid, again, Counts(grid)

    def all(self) -> Iterator[Job]:
        grid = self.grid
        tokens = list(self.token_stores())
        for kind, name in dict.fromkeys([*self.text_stores(), *(store[1:] for store in tokens)]):
            yield self.text_store(kind, name)
        for tokenizer, kind, name in dict.fromkeys(tokens):
            yield self.token_store(tokenizer, kind, name)
        for lists in grid.ranked_lists.values():
            yield from self.teacher_lists(lists) if lists.format.taught else self.lists(lists)
        yield from self.indexes()
        for first_stage in grid.first_stages:
            yield from self.first_stage_runs(first_stage)
        for model in grid.trained:
            yield from self.training(model)
        for model in grid.evaluated if grid.first_stages else ():
            for dataset in grid.datasets:
                yield from self.scoring(model, dataset)

    def job(self, rule: str, output: Output, wildcards: Mapping[str, object], cost: Cost) -> Job:
        """A job and its artifact, whose size is measured if it is there."""
        artifact = output.at(self.grid.roots, **wildcards)
        pairs, tokens, flop, size = cost
        size = files.size(artifact) if artifact.exists() else size
        size = size or BYTES_PER_TOKEN.get(rule, 0) * tokens or BYTES_PER_PAIR.get(rule, 0) * pairs
        # What no model reads has no pairs and tokens to count.
        read = (pairs, tokens) if flop or rule == "rerank" else (0, 0.0)
        path = output.of(**wildcards).partition("/")[2]
        why = self.again.get(path, "") if artifact.exists() else "missing"
        return Job(rule, path, *read, flop, size, not why, why)

    # --- texts and tokens -------------------------------------------------------------------------

    def text_stores(self) -> Iterator[tuple[str, str]]:
        """The texts that are read without a model's tokens: kind and name, some more than once."""
        grid = self.grid
        for lists in grid.ranked_lists.values():
            yield "collections", lists.collection
            yield "ranked_lists", lists.queries.folder
        if any(stage.engine.indexes for stage in grid.first_stages.values()):
            for dataset in grid.datasets.values():
                yield "collections", str(dataset.collection)
                yield "datasets", dataset.name

    def token_stores(self) -> Iterator[tuple[str, str, str]]:
        """The tokens that models read: tokenizer's folder, kind and name, some more than once."""
        grid = self.grid
        for model in grid.trained:
            lists = grid.ranked_lists[grid.stage(model.recipe).objective.ranked_lists]
            yield from self.tokens_of_lists(grid.backbones[model.backbone].model, lists)
        for lists in grid.ranked_lists.values():
            if lists.format.taught:
                yield from self.tokens_of_lists(self.teacher(lists)[0], lists)
        for model in grid.evaluated if grid.first_stages else ():
            folder = folder_name(grid.backbones[model.backbone].model)
            for dataset in grid.datasets.values():
                yield folder, "collections", str(dataset.collection)
                yield folder, "datasets", dataset.name

    def tokens_of_lists(self, model: str, lists: RankedLists) -> Iterator[tuple[str, str, str]]:
        yield folder_name(model), "collections", lists.collection
        yield folder_name(model), "ranked_lists", lists.queries.folder

    def text_store(self, kind: str, name: str) -> Job:
        wildcards, tokens = {"kind": kind, "name": name}, self.tokens(kind, name)
        return self.job("text_store", TEXTS, wildcards, Cost(tokens=tokens))

    def token_store(self, tokenizer: str, kind: str, name: str) -> Job:
        wildcards = {"tokenizer": tokenizer, "kind": kind, "name": name}
        return self.job("token_store", TOKENS, wildcards, Cost(tokens=self.tokens(kind, name)))

    def tokens(self, kind: str, name: str) -> float:
        return self.counts.texts(kind, name) * self.counts.tokens_of_text(kind)

    # --- ranked lists -----------------------------------------------------------------------------

    def lists(self, lists: RankedLists) -> Iterator[Job]:
        number, form = sum(self.counts.lists(lists.name)), lists.format
        lines = lists.expected.lines or number * (form.deepest or LIST_LENGTH)
        wildcards, cost = {"lists": lists.name}, Cost(pairs=lines)
        for part, file in form.files.items():
            if file.url:
                text = number * BYTES_PER_PERMUTATION, lines * BYTES_PER_LINE
                size = Cost(size=text[part != "permutations"])
                yield self.job("download", DOWNLOAD, wildcards | {"part": part}, size)
        if form.first_stage:
            yield self.job("mine", MINED, wildcards, cost)
        yield self.job("ranked_lists", LISTS, wildcards, cost)

    def teacher(self, lists: RankedLists) -> tuple[str, int | None]:
        """A teacher's model, and to how many layers it is cut."""
        taught = lists.format.taught
        if not taught or not taught.checkpoint:
            return (taught and taught.model) or "", None
        backbone = self.grid.backbones[taught.checkpoint.backbone]
        return backbone.model, backbone.num_layers

    def teacher_lists(self, lists: RankedLists) -> Iterator[Job]:
        taught, number = lists.format.taught, sum(self.counts.lists(lists.name))
        assert taught
        model, layers = self.teacher(lists)
        queries = ("ranked_lists", lists.queries.folder)
        length = self.counts.tokens_of_pair(model, queries, lists.collection, taught.max_length)
        pairs = number * taught.depth
        flop = pairs * encoder(model, layers).operations(length)
        cost = Cost(pairs, pairs * length, flop)
        yield self.job("teacher_lists", LISTS, {"lists": lists.name}, cost)

    # --- first stages -----------------------------------------------------------------------------

    def indexed(self, first_stage: str) -> list[str]:
        """The collections that a first stage retrieves from."""
        collections = [str(dataset.collection) for dataset in self.grid.datasets.values()]
        collections += [
            lists.collection
            for lists in self.grid.ranked_lists.values()
            if lists.format.first_stage == first_stage
        ]
        return list(dict.fromkeys(collections))

    def indexes(self) -> Iterator[Job]:
        made = []
        for name, stage in self.grid.first_stages.items():
            if not isinstance(engine := stage.engine, Engine):  # it has its runs from elsewhere
                continue
            for collection in self.indexed(name):
                passages = self.counts.texts("collections", collection)
                length = self.counts.tokens_of_text("collections")
                index = engine.cost(passages, length)
                shared = {"engine": stage.kind, "collection": collection}
                if engine.shares_index and shared not in made:
                    made.append(shared)
                    cost = Cost(size=index.shared)
                    yield self.job("shared_index", SHARED_INDEX, shared, cost)
                wildcards = {"first_stage": name, "collection": collection}
                cost = Cost(passages, passages * length, index.flop, index.size)
                yield self.job("index", INDEX, wildcards, cost)

    def first_stage_runs(self, first_stage: str) -> Iterator[Job]:
        stage = self.grid.first_stages[first_stage]
        rule = "retrieve" if stage.engine.indexes else "import_run"
        for dataset in self.grid.datasets:
            pairs = self.counts.texts("datasets", dataset) * stage.depth
            wildcards = {"first_stage": first_stage, "dataset": dataset}
            yield self.job(rule, FIRST_STAGE_RUN, wildcards, Cost(pairs))

    # --- models -----------------------------------------------------------------------------------

    def training(self, model: Model) -> Iterator[Job]:
        backbone = self.grid.backbones[model.backbone]
        objective = self.grid.stage(model.recipe).objective
        lists, steps = self.grid.ranked_lists[objective.ranked_lists], self.counts.steps(model)
        train, valid = self.counts.lists(lists.name)
        queries = ("ranked_lists", lists.queries.folder)
        length = self.counts.tokens_of_pair(
            backbone.model, queries, lists.collection, objective.max_length
        )
        network = encoder(backbone.model, backbone.num_layers)
        drawn = lists_drawn(steps, train, objective.queries_per_batch)
        validated = valid * (1 + math.ceil(steps / objective.validate_every))
        # Backwards costs twice what forwards does.
        for rule, number, passes in (("finetune", drawn, 3), ("validate", validated, 1)):
            pairs = number * objective.list_size
            flop = passes * pairs * network.operations(length)
            cost = Cost(pairs, pairs * length, flop, 4 * network.parameters)
            job = self.job(rule, MODEL, model._asdict(), cost)
            yield job if rule == "finetune" else job._replace(size=0)  # the model counts once

    def scoring(self, model: Model, dataset: str) -> Iterator[Job]:
        backbone = self.grid.backbones[model.backbone]
        wildcards = {**model._asdict(), "dataset": dataset}
        collection = str(self.grid.datasets[dataset].collection)
        length = self.counts.tokens_of_pair(
            backbone.model, ("datasets", dataset), collection, self.grid.rerank.max_length
        )
        pairs = self.counts.scored(model, dataset)
        flop = pairs * encoder(backbone.model, backbone.num_layers).operations(length)
        yield self.job("score", SCORES, wildcards, Cost(pairs, pairs * length, flop))
        for first_stage in self.grid.first_stages:
            candidates = self.counts.candidates(dataset, first_stage)
            run = wildcards | {"first_stage": first_stage}
            yield self.job("rerank", RUN, run, Cost(candidates))
