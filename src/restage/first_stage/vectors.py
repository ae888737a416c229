"""One vector per text: how a bi-encoder makes them, and how those near a query's are found."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

from restage.first_stage import encoding
from restage.grid.settings import Compute
from restage.log import Progress, log
from restage.model.device import pick_device
from restage.model.names import model_folder, weights_of

QUERIES_AT_ONCE = 1024
LISTS = "lists.faiss"


def load_encoder(
    model: str,
    pooling: Literal["mean", "cls"] | None,
    similarity: Literal["dot", "cosine"] | None,
    device: torch.device,
) -> SentenceTransformer:
    """Load a bi-encoder, with its own pooling and similarity where none are given."""
    folder, modules = model_folder(model), None
    with weights_of(model) as safe:
        if pooling:
            words = Transformer(folder, model_kwargs=safe)
            modules = [words, Pooling(words.get_embedding_dimension(), pooling)]
        encoder = SentenceTransformer(
            None if modules else folder, modules=modules, device=str(device), model_kwargs=safe
        )
    if similarity:
        encoder.similarity_fn_name = similarity
    return encoder


def encode(
    how: Callable, model: SentenceTransformer, texts: list[str], compute: Compute
) -> np.ndarray:
    """Return the texts' vectors: float32, shape (texts, dimensions)."""
    normalize = model.similarity_fn_name == "cosine"
    vectors = encoding.encode(how, model, texts, compute, normalize_embeddings=normalize)
    return vectors.astype(np.float32)


def of_pieces(
    passages: Path,
    load: Callable[[torch.device], SentenceTransformer],
    compute: Compute,
    process: int,
    numbers: Sequence[int],
) -> Callable[[int], np.ndarray]:
    """Return what makes the vectors (float16) of a piece of the text store ``passages``."""
    model = load(pick_device(compute.threads, process))

    def vectors(first: int, texts: list[str]) -> np.ndarray:
        return encode(model.encode_document, model, texts, compute).astype(np.float16)

    return encoding.encoded_pieces(passages, len(numbers), vectors)


@torch.inference_mode()
def search(
    queries: np.ndarray, files: Sequence[Path], depth: int, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Return the greatest inner products of each query, and with which vectors they are.

    Args:
        queries: float32, shape (queries, dimensions).
        files: .npy files of vectors, numbered through all of them; read one at a time.

    Returns:
        Products (float32) and numbers (int64), both of shape (queries, depth), greatest first. Of
        fewer vectors than ``depth``, as many as there are.
    """
    blocks = torch.from_numpy(queries).split(QUERIES_AT_ONCE)
    best = [
        (torch.empty(len(some), 0), torch.empty(len(some), 0, dtype=torch.int64)) for some in blocks
    ]
    progress, first = Progress(len(files), "files searched"), 0
    for file in files:
        # float16 is how they are kept, not what to compute in.
        vectors = torch.from_numpy(np.load(file)).to(device).float()
        for i, some in enumerate(blocks):
            products, places = (some.to(device) @ vectors.T).topk(min(depth, len(vectors)))
            best[i] = _better(best[i], (products.cpu(), places.cpu() + first), depth)
        first += len(vectors)
        progress.add(1)
    scores, numbers = (torch.cat(part).numpy() for part in zip(*best, strict=True))
    return scores, numbers


Best = tuple[torch.Tensor, torch.Tensor]  # products and numbers, of shape (queries, up to depth)


def _better(some: Best, others: Best, depth: int) -> Best:
    products, numbers = (torch.cat(pair, dim=1) for pair in zip(some, others, strict=True))
    products, order = products.topk(min(depth, products.shape[1]))
    return products, numbers.gather(1, order)


def write_lists(folder: Path, files: Sequence[Path], count: int, threads: int) -> None:
    """Write an inverted list per centroid: ``count`` vectors, each at its nearest centroid's."""
    faiss.omp_set_num_threads(threads)
    lists = _trained_lists(files, count)
    for file in files:
        lists.add(np.load(file).astype(np.float32))
    faiss.write_index(lists, str(folder / LISTS))


def _trained_lists(files: Sequence[Path], count: int) -> faiss.Index:
    """Learn the centroids from evenly spaced vectors."""
    centroids = 2 ** int(np.log2(4 * np.sqrt(count)))
    step = max(1, count // (encoding.POINTS_PER_CENTROID * centroids))
    sample = np.concatenate([np.load(file, mmap_mode="r")[::step] for file in files])
    centroids = max(1, min(centroids, len(sample) // encoding.POINTS_PER_CENTROID))
    log.info("%d centroids", centroids)
    lists = faiss.index_factory(
        sample.shape[1], f"IVF{centroids},SQfp16", faiss.METRIC_INNER_PRODUCT
    )
    lists.train(sample.astype(np.float32))
    return lists


def search_lists(
    queries: np.ndarray, folder: Path, probes: int, depth: int, threads: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return what ``search`` does, among the lists of the ``probes`` centroids nearest a query.

    Where these hold fewer vectors than ``depth``, the last numbers are -1.
    """
    faiss.omp_set_num_threads(threads)
    lists: Any = faiss.read_index(str(folder / LISTS), faiss.IO_FLAG_MMAP)
    lists.nprobe = probes
    return lists.search(queries, depth)
