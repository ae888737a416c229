"""Ingesting a TREC run of training lists: Restage's column store against the published way.

The published preprocessing reads the run into a pandas frame, selects the queries of each split
with ``isin`` and writes two text files. Both do the same work on the same generated run, one after
the other, each in a process of its own whose memory is watched from outside.

    python benchmarks/ranked_lists.py [--queries 50000] [--depth 500] [--repeat 3] [--ours]

Prints seconds and lines per second of the fastest of three runs and the greatest peak resident
memory of each, and their ratio; then what opening the store for training and drawing a training
list from it take. Ours also joins the lists with relevance labels, one per query, which the
published way does not.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.csv
from memory import watched
from sklearn.model_selection import train_test_split

from restage.collections.sources import read_qrels
from restage.collections.texts import TextStore, write_texts
from restage.ranked_lists.ingest import Stats, ingest
from restage.ranked_lists.sampling import ListSampler
from restage.ranked_lists.store import RankedLists
from restage.ranked_lists.trec_blocks import read_trec_run

PASSAGES = 8_841_823
QUERIES_PER_BLOCK = 1000
DRAWN, DRAWN_FROM = 100, 200  # as the study draws them
DRAWS = 20_000


def generate(folder: Path, queries: int, depth: int) -> None:
    """Write lists.run, in the form of the published ColBERTv2 lists, qrels and the text stores."""
    if not (folder / "passages").exists():
        write_texts(folder / "passages", ((str(i), "") for i in range(PASSAGES)))
    write_texts(folder / "queries", ((str(7 * i), "") for i in range(queries)))
    rng = np.random.default_rng(42)
    options = pa.csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    with (folder / "lists.run").open("wb") as run, (folder / "qrels").open("wb") as qrels:
        for first in range(0, queries, QUERIES_PER_BLOCK):
            count = min(QUERIES_PER_BLOCK, queries - first)
            numbers = 7 * np.arange(first, first + count)
            starts = rng.integers(PASSAGES, size=(count, 1))
            steps = rng.integers(1, PASSAGES // depth, size=(count, depth)).cumsum(axis=1)
            passages = (starts + steps) % PASSAGES
            scores = -np.sort(-rng.uniform(5, 35, size=(count, depth)).round(4), axis=1)
            columns = {
                "query": np.repeat(numbers, depth),
                "q0": np.zeros(count * depth, dtype=np.int8),
                "passage": passages.ravel(),
                "rank": np.tile(np.arange(1, depth + 1), count),
                "score": scores.ravel(),
                "tag": np.full(count * depth, "ColBERT"),
            }
            pa.csv.write_csv(pa.table(columns), run, options)
            relevant = passages[np.arange(count), rng.integers(min(depth, DRAWN_FROM), size=count)]
            zeros, ones = np.zeros(count, dtype=np.int8), np.ones(count, dtype=np.int8)
            judged = {"query": numbers, "q0": zeros, "passage": relevant, "relevance": ones}
            pa.csv.write_csv(pa.table(judged), qrels, options)


def ours(folder: Path) -> None:
    stats = Stats()
    ingest(
        read_trec_run(folder / "lists.run", stats),
        folder / "lists",
        queries=TextStore(folder / "queries"),
        passages=TextStore(folder / "passages"),
        qrels=read_qrels(folder / "qrels").itertuples(index=False, name=None),
        valid_fraction=0.01,
        split_seed=42,
        stats=stats,
    )


def published(folder: Path) -> None:
    names = ["qid", "q0", "docid", "rank", "score", "tag"]
    run = pd.read_csv(folder / "lists.run", sep="\t", names=names)
    train, valid = train_test_split(run["qid"].unique(), test_size=0.01, random_state=42)
    for name, queries in (("train", train), ("valid", valid)):
        part = run[run["qid"].isin(queries)]
        part.to_csv(folder / f"{name}.run", sep="\t", header=False, index=False)


def draw(folder: Path) -> None:
    """Open the store for training and draw lists of one relevant passage and 99 others."""
    begin, before = time.monotonic(), psutil.Process().memory_info().rss
    sampler = ListSampler(RankedLists(folder / "lists" / "train"), "qrels", DRAWN, DRAWN_FROM, 1)
    opened, grown = time.monotonic() - begin, psutil.Process().memory_info().rss - before
    chosen = sampler.order(1)[:DRAWS]
    begin = time.monotonic()
    for i in chosen:
        sampler.sample(int(i), 1)
    each = (time.monotonic() - begin) / len(chosen)
    print(f"opened in {opened:.2f} s, {grown / 1e6:.0f} MB; {1e3 * each:.3f} ms per drawn list")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=50_000)
    parser.add_argument("--depth", type=int, default=500)
    parser.add_argument("--repeat", type=int, default=3, help="take the fastest of so many runs")
    parser.add_argument("--folder", type=Path, help="keep the files here; temporary by default")
    parser.add_argument("--ours", action="store_true", help="leave the published way out")
    parser.add_argument("--only", choices=["ours", "published", "draw"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        {"ours": ours, "published": published, "draw": draw}[given.only](given.folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        generate(folder, given.queries, given.depth)
        os.sync()  # neither way pays for writing its input
        lines, size = given.queries * given.depth, (folder / "lists.run").stat().st_size
        print(f"{lines:,} lines, {size / 1e9:.2f} GB of text")
        command = [sys.executable, __file__, "--folder", str(folder), "--only"]
        ways = ("ours",) if given.ours else ("ours", "published")
        runs = {way: [] for way in ways}
        for _ in range(given.repeat):
            for way in ways:
                runs[way].append(watched([*command, way]))
        seconds = {way: min(took for took, _ in those) for way, those in runs.items()}
        for way in ways:
            rate, peak = lines / seconds[way] / 1e6, max(peak for _, peak in runs[way])
            print(f"{way:10} {seconds[way]:8.1f} s {rate:6.2f} M lines/s {peak:6.2f} GB peak")
        store = sum(file.stat().st_size for file in (folder / "lists").rglob("*"))
        print(f"store: {store / 1e9:.2f} GB on disk")
        if not given.ours:
            print(f"ratio: {seconds['published'] / seconds['ours']:.1f}")
        watched([*command, "draw"])


if __name__ == "__main__":
    main()
