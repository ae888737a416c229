"""ColBERT models: a vector per token, compared with a query's by the sum of greatest similarities.

sentence-transformers encodes (it reads the checkpoints of ColBERTv2 and PyLate), faiss compresses:
each token's vector is the number of its nearest centroid and a product-quantised residual of two
bits per dimension. Search is PLAID's (Santhanam et al.: "PLAID: An Efficient Engine for Late
Interaction Retrieval", CIKM 2022), with XTR's way to score a passage by the few centroids that
are near the query's tokens (Lee et al.: "Rethinking the Role of Token Retrieval in Multi-Vector
Retrieval", NeurIPS 2023): the best by that are decompressed and scored by all their tokens.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import torch
from sentence_transformers import MultiVectorEncoder

from restage.engines.encoding import (
    PASSAGES_PER_PIECE,
    POINTS_PER_CENTROID,
    collection_in_pieces,
    encode,
    ids_of,
    run_of,
    write_ids,
)
from restage.errors import InputError
from restage.files import complete, link
from restage.log import Progress, log
from restage.scoring import pick_device
from restage.texts import TextStore
from restage.tokens import model_folder, weights_of

SAMPLE_PASSAGES = 100_000
DIMENSIONS_PER_CODE = 4
CENTROIDS_PER_TOKEN = 8
LEAST_CANDIDATES = 4096


# --- the index -----------------------------------------------------------------------------------


def index(
    passages: TextStore,
    folder: str | os.PathLike,
    settings: Mapping,
    compute: Mapping,
    state: str | os.PathLike,
) -> None:
    """Write a compressed index of the vectors of all tokens of a collection.

    ``codec.faiss`` turns vectors into codes and back; ``codes.npy`` has the codes of all tokens,
    passage after passage from ``offsets.npy`` on; ``passages.npy`` has the passages that have
    tokens near a centroid, centroid after centroid from ``starts.npy`` on.

    Args:
        settings: the first stage as configured.
        state: a folder for what is finished, from which a killed encoding goes on.
    """
    codec = Path(state, "codec.faiss")
    pieces = collection_in_pieces(passages, settings, compute, Path(state, "pieces"))
    if not codec.exists() or len(pieces.missing()) == pieces.count:
        with complete(codec) as part:
            faiss.write_index(_trained_codec(passages, settings, compute), str(part))
    start = partial(_start, passages.folder, dict(settings), dict(compute), codec)
    files = pieces.make(start, max(1, compute["gpus_per_scoring"]))
    with complete(folder) as part:
        part.mkdir()
        trained = faiss.read_index(str(codec))
        link(codec, part / codec.name)
        _write_codes(part, files, trained.sa_code_size(), len(passages))
        _write_lists(part, files, trained)
        write_ids(passages, part)
    codec.unlink()
    pieces.remove()


def _trained_codec(passages: TextStore, settings: Mapping, compute: Mapping) -> faiss.IndexIVFPQ:
    """Learn the centroids and the residuals' code from evenly spaced passages."""
    step = -(-len(passages) // SAMPLE_PASSAGES)
    texts = [text for i in range(0, len(passages), step) for text in passages.texts(i, i + 1)]
    model = load_encoder(settings, compute)
    found = _encode(model.encode_document, model, texts, compute)
    vectors, dimensions = np.concatenate(found), found[0].shape[1]
    tokens = len(vectors) * step
    centroids = 2 ** int(np.log2(4 * np.sqrt(tokens)))
    centroids = max(1, min(centroids, len(vectors) // POINTS_PER_CENTROID))
    log.info("%s tokens in all, about; %d centroids", f"{tokens:,}", centroids)
    bits = min(8, int(np.log2(len(vectors))))  # fewer for a collection of few tokens
    faiss.omp_set_num_threads(compute["threads"])
    codec = faiss.index_factory(
        dimensions,
        f"IVF{centroids},PQ{dimensions // DIMENSIONS_PER_CODE}x{bits}",
        faiss.METRIC_INNER_PRODUCT,
    )
    codec.cp.spherical = True
    codec.train(vectors)
    return codec


def _start(
    passages: Path,
    settings: Mapping,
    compute: Mapping,
    codec: Path,
    process: int,
    numbers: Sequence[int],
) -> Callable[[int], np.ndarray]:
    model, texts = load_encoder(settings, compute, process), TextStore(passages)
    faiss.omp_set_num_threads(compute["threads"])
    codec = faiss.read_index(str(codec))
    kind = np.dtype([("passage", np.int32), ("code", np.uint8, codec.sa_code_size())])
    progress = Progress(len(numbers) * PASSAGES_PER_PIECE, "passages encoded")

    def codes(number: int) -> np.ndarray:
        """Passage and code of each token."""
        first = number * PASSAGES_PER_PIECE
        some = texts.texts(first, first + PASSAGES_PER_PIECE)
        vectors = _encode(model.encode_document, model, some, compute)
        made = np.empty(sum(map(len, vectors)), dtype=kind)
        made["passage"] = first + np.repeat(np.arange(len(some)), list(map(len, vectors)))
        made["code"] = codec.sa_encode(np.concatenate(vectors))
        progress.add(len(some))
        return made

    return codes


def load_encoder(settings: Mapping, compute: Mapping, process: int = 0) -> MultiVectorEncoder:
    """Load a late-interaction model.

    Raises:
        InputError: it is no such model: sentence-transformers would give it a projection at random.
    """
    device, folder = pick_device(compute["threads"], process), model_folder(settings["model"])
    models = []
    for seed in range(2):
        torch.manual_seed(seed)
        with weights_of(settings["model"]) as safe:
            models.append(MultiVectorEncoder(folder, device=str(device), model_kwargs=safe))
    heads = ([p for part in list(model)[1:] for p in part.parameters()] for model in models)
    if not all(map(torch.equal, *heads)):
        raise InputError(
            f"{settings['model']}: has no projection for late interaction; give a ColBERT model, "
            "or use 'engine: dense'"
        )
    return models[0]


def _encode(
    how: Callable, model: MultiVectorEncoder, texts: list[str], compute: Mapping
) -> list[np.ndarray]:
    """Return each text's vectors: float32, shape (tokens, dimensions)."""
    found = encode(how, model, texts, compute, convert_to_numpy=True)
    return [vectors.astype(np.float32) for vectors in found]


def _write_codes(folder: Path, files: Sequence[Path], size: int, passages: int) -> None:
    counts = np.zeros(passages, dtype=np.int64)
    for file in files:
        counts += np.bincount(np.load(file, mmap_mode="r")["passage"], minlength=passages)
    offsets = np.append(0, np.cumsum(counts))
    np.save(folder / "offsets.npy", offsets)
    shape, end = (int(offsets[-1]), size), 0
    codes = np.lib.format.open_memmap(folder / "codes.npy", "w+", np.uint8, shape)
    for file in files:
        made = np.load(file)["code"]
        codes[end : end + len(made)] = made
        end += len(made)
    codes.flush()


def _write_lists(folder: Path, files: Sequence[Path], codec: faiss.IndexIVFPQ) -> None:
    """Sort passages by centroid, a file at a time: first count, then put each in its place."""
    counts = np.zeros(codec.nlist, dtype=np.int64)
    for centroids, _ in _centroids_of_passages(files, codec):
        counts += np.bincount(centroids, minlength=codec.nlist)
    starts = np.append(0, np.cumsum(counts))
    np.save(folder / "starts.npy", starts)
    shape, free = (int(starts[-1]),), starts[:-1].copy()
    lists = np.lib.format.open_memmap(folder / "passages.npy", "w+", np.int32, shape)
    for centroids, passages in _centroids_of_passages(files, codec):
        counts = np.bincount(centroids, minlength=codec.nlist)
        rank = np.arange(len(centroids)) - np.repeat(np.cumsum(counts) - counts, counts)
        lists[free[centroids] + rank] = passages
        free += counts
    lists.flush()


def _centroids_of_passages(
    files: Sequence[Path], codec: faiss.IndexIVFPQ
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield centroids and passages with a token near them, each pair once, by centroid."""
    size = codec.coarse_code_size()
    for file in files:
        made = np.load(file)
        bytes_of = made["code"][:, :size].astype(np.int64)
        centroids = (bytes_of << (8 * np.arange(size))).sum(axis=1)
        pairs = np.unique(np.stack([centroids, made["passage"]], axis=1), axis=0)
        yield pairs[:, 0], pairs[:, 1]


# --- search --------------------------------------------------------------------------------------


def retrieve(
    index: str | os.PathLike, queries: TextStore, settings: Mapping, compute: Mapping
) -> pd.DataFrame:
    """Return a run (query_id, doc_id, score) of the ``depth`` best passages per query."""
    model, searcher = load_encoder(settings, compute), Searcher(index, compute["threads"])
    ids, texts = zip(*queries, strict=True)
    vectors = _encode(model.encode_query, model, list(texts), compute)
    runs, known, progress = [], ids_of(index), Progress(len(texts), "queries")
    for query, found in zip(ids, vectors, strict=True):
        scores, numbers = searcher(found, settings["depth"])
        runs.append(run_of([query], scores[None], numbers[None], known))
        progress.add(1)
    return pd.concat(runs, ignore_index=True)


class Searcher:
    """An index opened for search: called with a query's vectors it returns the best passages."""

    def __init__(self, index: str | os.PathLike, threads: int):
        faiss.omp_set_num_threads(threads)
        self.codec = faiss.read_index(str(Path(index, "codec.faiss")))
        self.centroids = self.codec.quantizer.reconstruct_n(0, self.codec.nlist)
        names = "codes", "offsets", "starts", "passages"
        self.codes, self.offsets, self.starts, self.passages = (
            np.load(Path(index, f"{name}.npy"), mmap_mode="r") for name in names
        )
        self.place = np.zeros(len(self.offsets) - 1, dtype=np.int32)

    def __call__(self, query: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
        """Return scores (float32) and passage numbers of the best, greatest score first.

        Args:
            query: float32, shape (tokens, dimensions).
        """
        candidates = self._candidates(query, max(LEAST_CANDIDATES, 4 * depth))
        scores = self._scores(query, candidates)
        best = np.lexsort((candidates, -scores))[:depth]
        return scores[best], candidates[best]

    def _candidates(self, query: np.ndarray, count: int) -> np.ndarray:
        """Passages with tokens near the query's, the ``count`` best by their centroids alone."""
        near = query @ self.centroids.T
        kept = min(CENTROIDS_PER_TOKEN, len(self.centroids))
        probed = np.argpartition(-near, kept - 1, axis=1)[:, :kept]
        lists = {c: self.passages[self.starts[c] : self.starts[c + 1]] for c in np.unique(probed)}
        seen = np.zeros(len(self.place), dtype=bool)
        for passages in lists.values():
            seen[passages] = True
        found = np.flatnonzero(seen)
        self.place[found] = np.arange(len(found))
        # A token without a near centroid in a passage is at most as similar as the least probed.
        total = np.zeros(len(found), dtype=np.float32)
        for similarities, centroids in zip(near, probed, strict=True):
            centroids = centroids[np.argsort(similarities[centroids])]
            of_token = np.full(len(found), similarities[centroids[0]], dtype=np.float32)
            for c in centroids:  # the nearest last, which stays
                of_token[self.place[lists[c]]] = similarities[c]
            total += of_token
        if len(found) <= count:
            return found
        return found[np.argpartition(-total, count - 1)[:count]]

    def _scores(self, query: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Sums, over the query's tokens, of the greatest similarity to a token of each passage."""
        sizes = self.offsets[passages + 1] - self.offsets[passages]
        starts = np.cumsum(sizes) - sizes
        rows = np.arange(sizes.sum()) + np.repeat(self.offsets[passages] - starts, sizes)
        vectors = self.codec.sa_decode(self.codes[rows])
        faiss.normalize_L2(vectors)
        return np.maximum.reduceat(query @ vectors.T, starts, axis=1).sum(axis=0)
