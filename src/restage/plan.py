"""The plan: what a configured grid will cost, and what of it is done, before anything is computed.

Counts are exact where what they need is there (qrels, ranked lists, first-stage runs, token
stores), else upper bounds: training to its last step, candidates of first stages that share none.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import ir_datasets
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from huggingface_hub import try_to_load_from_cache

from restage.config import origin, queries_of, stage, tokenizer_folder
from restage.measures import read_qrels
from restage.runs import read_run, union
from restage.sampling import optimiser_steps
from restage.texts import TextStore
from restage.tokens import TokenStore, model_folder

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
COLUMNS = ["rule", "job", "pairs", "tokens", "pflop", "gpu_hours", "disk_gb", "done"]
SUMMARY = ["rule", "jobs", "done", "pairs", "tokens", "pflop", "gpu_hours", "gpu_hours_left"]
SUMMARY += ["disk_gb", "disk_gb_left"]
QUERY_TOKENS = 8  # of MS MARCO's queries, where none are tokenised yet
SPECIAL_TOKENS = 3
LENGTHS_LOOKED_AT = 100_000
# Bytes of what is not there yet, as measured on what the workflow writes.
BYTES_PER_TOKEN = {"text_store": 5, "token_store": 2, "index_pisa": 2, "late_interaction": 36}
BYTES_PER_PAIR = {"score": 10, "retrieve": 12, "rerank": 12, "mine": 12, "ranked_lists": 8}
BYTES_PER_LINE = 40  # of a training run in text


class Encoder(NamedTuple):
    """The sizes of a transformer encoder."""

    layers: int = 12
    hidden: int = 768
    inner: int = 3072
    vocabulary: int = 30522

    @property
    def parameters(self) -> int:
        layer = 4 * self.hidden**2 + 2 * self.hidden * self.inner
        return self.layers * layer + (self.vocabulary + 512) * self.hidden

    def operations(self, length: float) -> float:
        """Of a forward pass on one input of so many tokens: 2 for each multiply and add."""
        layer = 4 * self.hidden**2 + 2 * self.hidden * self.inner + 2 * self.hidden * length
        return 2.0 * length * self.layers * layer


def encoder(model: str, num_layers: int | None = None) -> Encoder:
    """Return the sizes of a model on this machine; of any other, those of BERT base."""
    path: str | os.PathLike | object = Path(model_folder(model), "config.json")
    if not Path(path).is_file():
        path = try_to_load_from_cache(model, "config.json") if model.count("/") <= 1 else None
    if not isinstance(path, str | Path):
        return Encoder()
    given = json.loads(Path(path).read_text())
    names = [
        ("num_hidden_layers", "n_layers"),
        ("hidden_size", "dim"),
        ("intermediate_size", "hidden_dim"),
        ("vocab_size",),
    ]
    sizes = [
        next((given[name] for name in choice if name in given), default)
        for choice, default in zip(names, Encoder(), strict=True)
    ]
    return Encoder(num_layers or sizes[0], *sizes[1:])


def plan(config: dict) -> pd.DataFrame:
    """Return one row per job of the grid that computes or stores much.

    Args:
        config: as ``config.load`` returns it.

    Returns:
        ``pairs`` and ``tokens`` that a model reads (training pairs once each, though they are read
        forwards and backwards), ``pflop`` (1e15 operations) of them, ``gpu_hours`` on the
        configured device at the configured share of its peak, ``disk_gb`` of the artifact (as it
        is, or estimated), and whether it is ``done``.
    """
    speed = DEVICES[config["plan"]["device"]] * 1e12 * config["plan"]["share_of_peak"]
    rows = [job._asdict() for job in _Grid(config).jobs()]
    table = pd.DataFrame(rows, columns=Job._fields)
    table["pflop"], table["gpu_hours"] = table["flop"] / 1e15, table["flop"] / speed / 3600
    table["disk_gb"] = table["size"] / 1e9
    return table[COLUMNS]


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return the sums of a plan per rule and in total, and what is left to do."""
    left = table[["gpu_hours", "disk_gb"]].where(~table["done"], 0).add_suffix("_left")
    numbers = table[COLUMNS[2:]].assign(jobs=1, **left)
    sums = numbers.groupby(table["rule"], sort=False).sum()
    sums.loc["total"] = sums.sum()
    # The runs are cut from the scores: their pairs are among those already.
    sums.loc["total", "pairs"] -= sums["pairs"].get("rerank", 0)
    return sums.reset_index()[SUMMARY]


class Job(NamedTuple):
    rule: str
    job: str
    pairs: int
    tokens: float
    flop: float
    size: float  # bytes
    done: bool


class _Grid:
    """The jobs of a configuration, with what is known of its data."""

    def __init__(self, config: dict):
        self.config, self.results = config, Path(config["results"])
        self.known: dict[tuple[str, str], int] = {}

    def jobs(self) -> Iterator[Job]:
        config = self.config
        for kind, name in self.texts:
            tokens = self.count(kind, name) * self.text_tokens(kind)
            yield self.job("text_store", f"stores/texts/{kind}/{name}", tokens=tokens)
            for tokenizer in {given["model"]: None for given in config["backbones"].values()}:
                path = f"stores/tokens/{tokenizer_folder(tokenizer)}/{kind}/{name}"
                yield self.job("token_store", path, tokens=tokens)
        for name, lists in config["ranked_lists"].items():
            yield from self.list_jobs(name, lists)
        for name in config["first_stages"]:
            yield from self.first_stage_jobs(name)
        for backbone, recipe, seed in self.models:
            yield from self.training_jobs(backbone, recipe, seed)
        for backbone in config["backbones"]:
            for recipe in config["recipes"]:
                for seed in config["seeds"]:
                    for dataset in config["datasets"]:
                        yield from self.scoring_jobs(backbone, recipe, seed, dataset)

    def job(
        self,
        rule: str,
        path: str,
        pairs: int = 0,
        tokens: float = 0,
        flop: float = 0,
        size: float = 0,
    ) -> Job:
        """A job and its artifact, whose size is measured if it is there."""
        artifact = self.results / path
        done = artifact.exists()
        if done:
            size = _size(artifact)
        elif not size:
            size = BYTES_PER_TOKEN.get(rule, 0) * tokens or BYTES_PER_PAIR.get(rule, 0) * pairs
        # What no model reads has no pairs and tokens to count.
        read = (pairs, tokens) if flop or rule == "rerank" else (0, 0)
        return Job(rule, path, *read, flop, size, done)

    # --- the data ---------------------------------------------------------------------------------

    @cached_property
    def texts(self) -> list[tuple[str, str]]:
        """Every text store: its kind and name."""
        config = self.config
        names = {
            "collections": config["collections"],
            "datasets": [name for name, d in config["datasets"].items() if d["collection"]],
            "ranked_lists": {queries_of(config, name): None for name in config["ranked_lists"]},
        }
        return [(kind, name) for kind in names for name in names[kind]]

    def count(self, kind: str, name: str) -> int:
        """How many passages a collection has, or queries a dataset or the ranked lists."""
        if (kind, name) not in self.known:
            store = self.results / "stores/texts" / kind / name
            source = self.config[kind][name]
            source = source["queries"] if kind == "ranked_lists" else source
            part = "docs" if kind == "collections" else "queries"
            found = len(TextStore(store)) if store.exists() else _count(source, part)
            self.known[kind, name] = found
        return self.known[kind, name]

    def text_tokens(self, kind: str) -> float:
        given = self.config["plan"]["tokens_per_pair"] - QUERY_TOKENS - SPECIAL_TOKENS
        return given if kind == "collections" else QUERY_TOKENS

    def pair_tokens(self, model: str, queries: tuple, collection: str, max_length: int) -> float:
        """Mean tokens of a pair, cut at ``max_length``: counted where the texts are tokenised."""
        folder = self.results / "stores/tokens" / tokenizer_folder(model)
        stores = [folder / Path(*queries), folder / "collections" / collection]
        if not all(store.exists() for store in stores):
            return min(self.config["plan"]["tokens_per_pair"], max_length)
        of_query, of_passage = map(_lengths, stores)
        lengths = of_query.mean() + of_passage + SPECIAL_TOKENS
        return float(np.minimum(lengths, max_length).mean())

    def lists(self, name: str) -> tuple[int, int]:
        """How many lists to train on and to validate on there are."""
        stats = self.results / "ranked_lists" / name / "stats.json"
        if stats.exists():
            counts = json.loads(stats.read_text())
            return counts["train"], counts["valid"]
        first = origin(self.config, name)
        expected = (first.get("expected") or {}).get("lists")
        number = expected or self.count("ranked_lists", queries_of(self.config, name))
        valid = math.ceil(number * first["valid_fraction"])
        return number - valid, valid

    # --- the jobs ---------------------------------------------------------------------------------

    def list_jobs(self, name: str, lists: Mapping) -> Iterator[Job]:
        number, path = sum(self.lists(name)), f"ranked_lists/{name}"
        expected = lists.get("expected") or {}
        lines = expected.get("lines") or number * lists.get("depth", 100)
        for part in ("source", "permutations", "candidates"):
            if "url" in lists.get(part, {}):
                size = lines * BYTES_PER_LINE if part != "permutations" else number * 100
                yield self.job("download", f"downloads/{name}/{part}", size=size)
        if lists["format"] == "first_stage":
            yield self.job("mine", f"mined/{name}.run.gz", pairs=lines)
        if lists["format"] != "model":
            yield self.job("ranked_lists", path, pairs=lines)
            return
        given = lists["checkpoint"]
        backbone = self.config["backbones"][given["backbone"]] if given else lists
        model, first = backbone["model"], origin(self.config, name)
        queries = ("ranked_lists", queries_of(self.config, name))
        length = self.pair_tokens(model, queries, first["collection"], lists["max_length"])
        flop = lines * encoder(model, backbone.get("num_layers")).operations(length)
        yield self.job("ranked_lists", path, lines, lines * length, flop)

    def first_stage_jobs(self, name: str) -> Iterator[Job]:
        config, given = self.config, self.config["first_stages"][name]
        collections = {dataset["collection"] for dataset in config["datasets"].values()}
        mined = [lists for lists in config["ranked_lists"].values()]
        collections |= {lists["collection"] for lists in mined if lists.get("first_stage") == name}
        for collection in config["collections"]:
            if given["engine"] == "run" or collection not in collections:
                continue
            passages, length = (
                self.count("collections", collection),
                self.text_tokens("collections"),
            )
            path, tokens = f"indexes/{name}/{collection}", passages * length
            if given["engine"] in ("pisa", "terrier"):
                yield self.job("index", path, size=BYTES_PER_TOKEN["index_pisa"] * tokens)
                continue
            model, late = encoder(given["model"]), given["engine"] == "late_interaction"
            size = (
                BYTES_PER_TOKEN[given["engine"]] * tokens if late else 2 * model.hidden * passages
            )
            flop = passages * model.operations(length)
            yield self.job("index", path, passages, tokens, flop, size)
        for dataset in config["datasets"]:
            pairs = self.count("datasets", dataset) * given["depth"]
            yield self.job("retrieve", f"first_stage/{name}/{dataset}.run.gz", pairs=pairs)

    @cached_property
    def models(self) -> list[tuple[str, str, int]]:
        """Every model that is trained: the recipes, what they start from, and teachers."""
        config, found = self.config, {}
        for backbone in config["backbones"]:
            for recipe in config["recipes"]:
                for seed in config["seeds"]:
                    found |= dict.fromkeys(self.stages(backbone, recipe, seed))
        for lists in config["ranked_lists"].values():
            if given := lists.get("checkpoint"):
                seed = config["seeds"][0] if given["seed"] is None else given["seed"]
                found |= dict.fromkeys(self.stages(given["backbone"], given["recipe"], seed))
        return list(found)

    def stages(self, backbone: str, recipe: str, seed: int) -> list[tuple[str, str, int]]:
        objectives = recipe.split("-")
        recipes = ["-".join(objectives[:end]) for end in range(1, len(objectives) + 1)]
        return [(backbone, recipe, seed) for recipe in recipes]

    def training_jobs(self, backbone: str, recipe: str, seed: int) -> Iterator[Job]:
        given, objective = self.config["backbones"][backbone], stage(self.config, recipe).objective
        lists, path = objective["ranked_lists"], f"models/{backbone}/{recipe}/{seed}"
        (train, valid), size = self.lists(lists), objective["list_size"]
        curve = self.results / path / "training.csv"
        made = int(pd.read_csv(curve)["step"].max()) if curve.exists() else None
        steps = optimiser_steps(objective, train) if made is None else made
        model, first = encoder(given["model"], given["num_layers"]), origin(self.config, lists)
        length = self.pair_tokens(
            given["model"],
            ("ranked_lists", queries_of(self.config, lists)),
            first["collection"],
            objective["max_length"],
        )
        pairs = size * _drawn(steps, train, objective["queries_per_batch"])
        forward = model.operations(length)
        artifact = 4 * model.parameters
        # Backwards costs twice what forwards does.
        yield self.job("finetune", path, pairs, pairs * length, 3 * pairs * forward, artifact)
        pairs = size * valid * (1 + math.ceil(steps / objective["validate_every"]))
        job = self.job("validate", path, pairs, pairs * length, pairs * forward)
        yield job._replace(size=0)  # the model's are counted

    def scoring_jobs(self, backbone: str, recipe: str, seed: int, dataset: str) -> Iterator[Job]:
        config, given = self.config, self.config["backbones"][backbone]
        place = f"{backbone}/{recipe}/{seed}"
        model, collection = given["model"], config["datasets"][dataset]["collection"]
        length = self.pair_tokens(
            model, ("datasets", dataset), collection, config["rerank"]["max_length"]
        )
        pairs, path = self.candidates(dataset), f"scores/{place}/{dataset}.parquet"
        if (self.results / path).exists():
            pairs = pq.read_metadata(self.results / path).num_rows
        flop = pairs * encoder(model, given["num_layers"]).operations(length)
        yield self.job("score", path, pairs, pairs * length, flop)
        for first_stage in config["first_stages"]:
            pairs = self.candidates(dataset, first_stage)
            yield self.job("rerank", f"runs/{place}/{first_stage}/{dataset}.run.gz", pairs)

    def candidates(self, dataset: str, *first_stages: str) -> int:
        """How many different pairs first stages (by default all) give for a dataset."""
        key = "/".join((dataset, *first_stages))
        if ("candidates", key) not in self.known:
            depth, chosen = (
                self.config["rerank"]["depth"],
                first_stages or self.config["first_stages"],
            )
            files = [self.results / f"first_stage/{name}/{dataset}.run.gz" for name in chosen]
            if all(file.exists() for file in files):
                number = len(union([read_run(file) for file in files], depth))
            else:
                number = self.count("datasets", dataset) * depth * len(files)
            self.known["candidates", key] = number
        return self.known["candidates", key]


def _drawn(steps: int, lists: int, per_batch: int) -> int:
    """Lists drawn in so many steps: each once per epoch, whose last batch may be smaller."""
    if not lists:
        return 0
    epochs, rest = divmod(steps, -(-lists // per_batch))
    return epochs * lists + min(rest * per_batch, lists)


def _count(source: Mapping, part: str) -> int:
    """Count passages or queries at their source, without a download."""
    if "ir_datasets" in source:
        counts = ir_datasets.load(source["ir_datasets"]).metadata()
        return counts.get(part, {}).get("count", 0)
    if "qrels" in source:
        return read_qrels(source["qrels"])["query_id"].nunique()
    if part == "queries" and "split" in source:
        qrels = Path(source["path"], "qrels", f"{source['split']}.tsv")
        return read_qrels(qrels)["query_id"].nunique()
    name = "corpus.jsonl" if part == "docs" else "queries.jsonl"
    with Path(source["path"], name).open("rb") as file:
        return sum(1 for line in file if line.strip())


def _lengths(store: Path) -> np.ndarray:
    """Tokens of each text in a token store, or of evenly spaced ones of very many."""
    tokens = TokenStore(store)
    numbers = np.unique(np.linspace(0, len(tokens) - 1, LENGTHS_LOOKED_AT).astype(np.int64))
    return tokens.lengths(numbers)


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
