"""An index of a vector per token, and the search in it.

Each token's vector is the number of its nearest centroid and a product-quantised residual of two
bits per dimension, both faiss's. Search is PLAID's (Santhanam et al.: "PLAID: An Efficient Engine
for Late Interaction Retrieval", CIKM 2022), with XTR's way to score a passage by the few centroids
that are near the query's tokens (Lee et al.: "Rethinking the Role of Token Retrieval in
Multi-Vector Retrieval", NeurIPS 2023): the best by that are decompressed and scored by all their
tokens.

An index is a folder. ``codec.faiss`` turns vectors into codes and back; ``codes.npy`` has the codes
of all tokens, passage after passage from ``offsets.npy`` on; ``passages.npy`` has the passages that
have tokens near a centroid, centroid after centroid from ``starts.npy`` on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from sentence_transformers import MultiVectorEncoder

from restage.collections.texts import TextStore
from restage.errors import InputError
from restage.files import complete, reserve
from restage.first_stage import encoding
from restage.grid.settings import Compute
from restage.log import log
from restage.model.device import pick_device
from restage.model.names import model_folder, weights_of

CODEC = "codec.faiss"
SAMPLE_PASSAGES = 100_000
DIMENSIONS_PER_CODE = 4
CENTROIDS_PER_TOKEN = 8
LEAST_CANDIDATES = 4096

Codec = Any  # a faiss.IndexIVFPQ, of which faiss's own types know only half


# --- vectors -------------------------------------------------------------------------------------


def load_encoder(model: str, device: torch.device) -> MultiVectorEncoder:
    """Load a late-interaction model.

    Raises:
        InputError: it is no such model: sentence-transformers would give it a projection at random.
    """
    folder, encoders = model_folder(model), []
    for seed in range(2):
        torch.manual_seed(seed)
        with weights_of(model) as safe:
            encoders.append(MultiVectorEncoder(folder, device=str(device), model_kwargs=safe))
    heads = ([p for part in list(each)[1:] for p in part.parameters()] for each in encoders)
    if not all(map(torch.equal, *heads)):
        raise InputError(
            f"{model}: has no projection for late interaction; give a ColBERT model, or use "
            "'engine: dense'"
        )
    return encoders[0]


def encode(
    how: Callable, model: MultiVectorEncoder, texts: list[str], compute: Compute
) -> list[np.ndarray]:
    """Return each text's vectors: float32, shape (tokens, dimensions)."""
    vectors = encoding.encode(how, model, texts, compute, convert_to_numpy=True)
    return [of_text.astype(np.float32) for of_text in vectors]


# --- the index -----------------------------------------------------------------------------------


def train_codec(path: Path, passages: TextStore, model: str, compute: Compute) -> None:
    """Learn the centroids and the residuals' code from evenly spaced passages."""
    step = -(-len(passages) // SAMPLE_PASSAGES)
    texts = [text for i in range(0, len(passages), step) for text in passages.texts(i, i + 1)]
    encoder = load_encoder(model, pick_device(compute.threads))
    vectors = np.concatenate(encode(encoder.encode_document, encoder, texts, compute))
    faiss.omp_set_num_threads(compute.threads)
    codec = _codec_for(len(vectors), len(vectors) * step, vectors.shape[1])
    codec.train(vectors)
    with complete(path) as part:
        faiss.write_index(codec, str(part))


def _codec_for(sample: int, tokens: int, dimensions: int) -> Codec:
    """A codec for so many tokens, to be trained on a sample of them."""
    centroids = 2 ** int(np.log2(4 * np.sqrt(tokens)))
    centroids = max(1, min(centroids, sample // encoding.POINTS_PER_CENTROID))
    log.info("%s tokens in all, about; %d centroids", f"{tokens:,}", centroids)
    bits = min(8, int(np.log2(sample)))  # fewer for a collection of few tokens
    codes = f"PQ{dimensions // DIMENSIONS_PER_CODE}x{bits}"
    codec: Codec = faiss.index_factory(
        dimensions, f"IVF{centroids},{codes}", faiss.METRIC_INNER_PRODUCT
    )
    codec.cp.spherical = True
    return codec


def _read_codec(path: Path) -> Codec:
    return faiss.read_index(str(path))


def codes_of_pieces(
    passages: Path,
    model: str,
    codec: Path,
    compute: Compute,
    process: int,
    numbers: Sequence[int],
) -> Callable[[int], np.ndarray]:
    """Return what makes a piece of the store ``passages``: passage and code of each token."""
    encoder = load_encoder(model, pick_device(compute.threads, process))
    faiss.omp_set_num_threads(compute.threads)
    trained = _read_codec(codec)
    kind = np.dtype([("passage", np.int32), ("code", np.uint8, trained.sa_code_size())])

    def codes(first: int, texts: list[str]) -> np.ndarray:
        vectors = encode(encoder.encode_document, encoder, texts, compute)
        lengths = list(map(len, vectors))
        made = np.empty(sum(lengths), dtype=kind)
        made["passage"] = first + np.repeat(np.arange(len(texts)), lengths)
        made["code"] = trained.sa_encode(np.concatenate(vectors))
        return made

    return encoding.encoded_pieces(passages, len(numbers), codes)


def write_index(folder: Path, files: Sequence[Path], passages: int) -> None:
    """Put the codes in pieces into an index that has its codec already."""
    codec = _read_codec(folder / CODEC)
    _write_codes(folder, files, codec.sa_code_size(), passages)
    _write_lists(folder, files, codec)


def _write_codes(folder: Path, files: Sequence[Path], size: int, passages: int) -> None:
    counts = np.zeros(passages, dtype=np.int64)
    for file in files:
        counts += np.bincount(np.load(file, mmap_mode="r")["passage"], minlength=passages)
    offsets = np.append(0, np.cumsum(counts))
    np.save(folder / "offsets.npy", offsets)
    shape, end = (int(offsets[-1]), size), 0
    codes = _mapped(folder / "codes.npy", np.uint8, shape)
    for file in files:
        made = np.load(file)["code"]
        codes[end : end + len(made)] = made
        end += len(made)
    codes.flush()


def _write_lists(folder: Path, files: Sequence[Path], codec: Codec) -> None:
    """Sort passages by centroid, a file at a time: first count, then put each in its place."""
    counts = np.zeros(codec.nlist, dtype=np.int64)
    for centroids, _ in _centroids_of_passages(files, codec):
        counts += np.bincount(centroids, minlength=codec.nlist)
    starts = np.append(0, np.cumsum(counts))
    np.save(folder / "starts.npy", starts)
    shape, free = (int(starts[-1]),), starts[:-1].copy()
    lists = _mapped(folder / "passages.npy", np.int32, shape)
    for centroids, passages in _centroids_of_passages(files, codec):
        counts = np.bincount(centroids, minlength=codec.nlist)
        rank = np.arange(len(centroids)) - np.repeat(np.cumsum(counts) - counts, counts)
        lists[free[centroids] + rank] = passages
        free += counts
    lists.flush()


def _mapped(path: Path, kind: type, shape: tuple[int, ...]) -> np.memmap:
    """A file to fill, with all its room."""
    made = np.lib.format.open_memmap(path, "w+", kind, shape)
    reserve(path)
    return made


def _centroids_of_passages(
    files: Sequence[Path], codec: Codec
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


class Searcher:
    """An index opened for search: called with a query's vectors it returns the best passages."""

    def __init__(self, index: Path, threads: int):
        faiss.omp_set_num_threads(threads)
        self.codec = _read_codec(index / CODEC)
        self.centroids = self.codec.quantizer.reconstruct_n(0, self.codec.nlist)
        names = "codes", "offsets", "starts", "passages"
        self.codes, self.offsets, self.starts, self.passages = (
            np.load(index / f"{name}.npy", mmap_mode="r") for name in names
        )
        self.place = np.zeros(len(self.offsets) - 1, dtype=np.int32)

    def __call__(self, query: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
        """Return scores (float32) and passage numbers of the best, greatest score first.

        Args:
            query: float32, shape (tokens, dimensions).
        """
        candidates = self.candidates(query, max(LEAST_CANDIDATES, 4 * depth))
        scores = self._scores(query, candidates)
        best = np.lexsort((candidates, -scores))[:depth]
        return scores[best], candidates[best]

    def candidates(self, query: np.ndarray, count: int) -> np.ndarray:
        """Passages with tokens near the query's, the ``count`` best by their centroids alone."""
        near = query @ self.centroids.T
        kept = min(CENTROIDS_PER_TOKEN, len(self.centroids))
        probed = np.argpartition(-near, kept - 1, axis=1)[:, :kept]
        lists = {c: self.passages[self.starts[c] : self.starts[c + 1]] for c in np.unique(probed)}
        seen = np.zeros(len(self.place), dtype=bool)
        for passages in lists.values():
            seen[passages] = True
        candidates = np.flatnonzero(seen)
        if len(candidates) <= count:
            return candidates
        scores = self._scores_by_centroids(candidates, near, probed, lists)
        return candidates[np.argpartition(-scores, count - 1)[:count]]

    def _scores_by_centroids(
        self,
        candidates: np.ndarray,
        near: np.ndarray,
        probed: np.ndarray,
        lists: Mapping[int, np.ndarray],
    ) -> np.ndarray:
        """Sums, over the query's tokens, of the similarity to a passage's nearest centroid.

        Args:
            near: each token's similarity to each centroid.
            probed: the centroids nearest each token, in any order.
            lists: the passages with tokens near a probed centroid; ``candidates`` has all of them.
        """
        self.place[candidates] = np.arange(len(candidates))
        # A token without a near centroid in a passage is at most as similar as the least probed.
        total = np.zeros(len(candidates), dtype=np.float32)
        for similarities, centroids in zip(near, probed, strict=True):
            centroids = centroids[np.argsort(similarities[centroids])]
            of_token = np.full(len(candidates), similarities[centroids[0]], dtype=np.float32)
            for c in centroids:  # the nearest last, which stays
                of_token[self.place[lists[c]]] = similarities[c]
            total += of_token
        return total

    def _scores(self, query: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Sums, over the query's tokens, of the greatest similarity to a token of each passage."""
        sizes = self.offsets[passages + 1] - self.offsets[passages]
        starts = np.cumsum(sizes) - sizes
        rows = np.arange(sizes.sum()) + np.repeat(self.offsets[passages] - starts, sizes)
        vectors = self.codec.sa_decode(self.codes[rows])
        faiss.normalize_L2(vectors)
        return np.maximum.reduceat(query @ vectors.T, starts, axis=1).sum(axis=0)
