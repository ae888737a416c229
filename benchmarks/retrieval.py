"""First stages at size: BM25 against bm25s, and exact dense search against the bare product.

BM25: generated passages (see tokens.py) are indexed and queries of 3 to 8 words retrieve the top
100 of them, by Restage's PISA engine and by bm25s, each in a process of its own.

Dense: 384-dimensional vectors kept as float16 in files are searched exactly for the top 100; the
peer is the matrix product and torch's topk over the same vectors held in memory as float32.

    python benchmarks/retrieval.py [--passages 1000000] [--queries 1000] [--threads 2]

Prints seconds and peak memory of each, and for the dense search whether it finds the same.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from memory import watched
from tokens import generate

from restage.collections.texts import TextStore, write_texts
from restage.first_stage.encoding import PASSAGES_PER_PIECE
from restage.first_stage.pisa import Pisa
from restage.grid.settings import Compute

DEPTH, DIMENSIONS = 100, 384
BM25 = Pisa(model="bm25", k1=0.9, b=0.4)


def generate_queries(folder: Path, count: int) -> None:
    """Words of passages drawn at random."""
    texts, rng = TextStore(folder / "texts"), np.random.default_rng(7)

    def queries():
        for number, i in enumerate(rng.integers(len(texts), size=count)):
            words = texts.texts(int(i), int(i) + 1)[0].rstrip(".").split()
            chosen = rng.choice(words, min(len(words), int(rng.integers(3, 9))), replace=False)
            yield str(number), " ".join(chosen)

    write_texts(folder / "queries", queries())


def pisa_index(folder: Path, threads: int) -> None:
    passages, compute = TextStore(folder / "texts"), Compute(threads=threads)
    BM25.share(passages, folder / "pisa", compute)
    BM25.index(passages, folder / "pisa-bm25", compute, folder / "state", folder / "pisa")


def pisa_retrieve(folder: Path, threads: int) -> None:
    queries = TextStore(folder / "queries")
    run = BM25.retrieve(folder / "pisa-bm25", queries, DEPTH, Compute(threads=threads))
    assert run["query_id"].nunique() == len(queries)


def bm25s_index(folder: Path, threads: int) -> None:
    import bm25s

    texts = [text for _, text in TextStore(folder / "texts")]
    tokens = bm25s.tokenize(texts, stopwords="en", show_progress=False)
    index = bm25s.BM25(k1=BM25.k1, b=BM25.b)
    index.index(tokens, show_progress=False)
    index.save(folder / "bm25s")


def bm25s_retrieve(folder: Path, threads: int) -> None:
    import bm25s

    queries = [text for _, text in TextStore(folder / "queries")]
    index = bm25s.BM25.load(folder / "bm25s")
    tokens = bm25s.tokenize(queries, stopwords="en", show_progress=False)
    index.retrieve(tokens, k=DEPTH, n_threads=threads, show_progress=False)


def generate_vectors(folder: Path, passages: int, queries: int) -> None:
    rng = np.random.default_rng(3)

    def unit(count: int) -> np.ndarray:
        vectors = rng.standard_normal((count, DIMENSIONS), dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    (folder / "vectors").mkdir()
    for first in range(0, passages, PASSAGES_PER_PIECE):
        some = unit(min(PASSAGES_PER_PIECE, passages - first))
        np.save(folder / "vectors" / f"{first:09}.npy", some.astype(np.float16))
    np.save(folder / "dense-queries.npy", unit(queries))


def dense_search(folder: Path, threads: int) -> None:
    from restage.first_stage.vectors import search

    torch.set_num_threads(threads)
    queries, files = np.load(folder / "dense-queries.npy"), sorted(folder.glob("vectors/*.npy"))
    begin = time.monotonic()
    _, numbers = search(queries, files, DEPTH, torch.device("cpu"))
    np.save(folder / "found.npy", numbers)
    print(f"search alone {time.monotonic() - begin:.1f} s", flush=True)


def dense_bare(folder: Path, threads: int) -> None:
    torch.set_num_threads(threads)
    queries = torch.from_numpy(np.load(folder / "dense-queries.npy"))
    vectors = np.concatenate([np.load(file) for file in sorted(folder.glob("vectors/*.npy"))])
    vectors, found = torch.from_numpy(vectors).float(), []
    begin = time.monotonic()
    for some in queries.split(100):
        found.append((some @ vectors.T).topk(DEPTH).indices)
    print(f"product and topk alone {time.monotonic() - begin:.1f} s", flush=True)
    same = (torch.cat(found).numpy() == np.load(folder / "found.npy")).mean()
    print(f"{same:.2%} of the places hold the same passage")


WAYS = [pisa_index, bm25s_index, pisa_retrieve, bm25s_retrieve, dense_search, dense_bare]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        way = next(way for way in WAYS if way.__name__ == given.only[0])
        return way(Path(given.only[1]), given.threads)
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder), given.passages)
        generate_queries(Path(folder), given.queries)
        generate_vectors(Path(folder), given.passages, given.queries)
        for way in WAYS:
            command = [sys.executable, __file__, "--threads", str(given.threads)]
            seconds, peak = watched([*command, "--only", way.__name__, folder])
            print(f"{way.__name__:15} {seconds:7.1f} s {peak:6.2f} GB peak", flush=True)


if __name__ == "__main__":
    main()
