"""Bi-encoders: one vector per passage, compared with a query's by exact search.

sentence-transformers encodes, since it reads how a model pools, normalises and prompts its input
off the model itself. Search is a matrix product after the other over the vectors' files; or, where
the configuration asks for ``probes``, faiss looks at the vectors near so many centroids only.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

from restage.engines.encoding import (
    PASSAGES_PER_PIECE,
    POINTS_PER_CENTROID,
    collection_in_pieces,
    encode,
    ids_of,
    run_of,
    write_ids,
)
from restage.files import complete, link
from restage.log import Progress, log
from restage.scoring import pick_device
from restage.texts import TextStore
from restage.tokens import model_folder, weights_of

QUERIES_AT_ONCE = 1024
LISTS = "lists.faiss"


def index(
    passages: TextStore,
    folder: str | os.PathLike,
    settings: Mapping,
    compute: Mapping,
    state: str | os.PathLike,
) -> None:
    """Write the vectors of a collection: float16, in files of some passages each.

    Args:
        settings: the first stage as configured; of its probes counts only whether there are any.
        state: a folder for what is finished, from which a killed encoding goes on.
    """
    pieces = collection_in_pieces(passages, settings, compute, state)
    start = partial(_start, passages.folder, dict(settings), dict(compute))
    files = pieces.make(start, max(1, compute["gpus_per_scoring"]))
    with complete(folder) as part:
        part.mkdir()
        for file in files:
            link(file, part / file.name)
        if settings["probes"]:
            faiss.omp_set_num_threads(compute["threads"])
            faiss.write_index(_inverted_lists(files, len(passages)), str(part / LISTS))
        write_ids(passages, part)
    pieces.remove()


def _inverted_lists(files: Sequence[Path], count: int) -> faiss.Index:
    """Sort all vectors by their nearest centroid, learnt from evenly spaced ones."""
    centroids = 2 ** int(np.log2(4 * np.sqrt(count)))
    step = max(1, count // (POINTS_PER_CENTROID * centroids))
    sample = np.concatenate([np.load(file, mmap_mode="r")[::step] for file in files])
    centroids = max(1, min(centroids, len(sample) // POINTS_PER_CENTROID))
    log.info("%d centroids", centroids)
    lists = faiss.index_factory(
        sample.shape[1], f"IVF{centroids},SQfp16", faiss.METRIC_INNER_PRODUCT
    )
    lists.train(sample.astype(np.float32))
    for file in files:
        lists.add(np.load(file).astype(np.float32))
    return lists


def _start(
    passages: Path, settings: Mapping, compute: Mapping, process: int, numbers: Sequence[int]
) -> Callable[[int], np.ndarray]:
    model, texts = load_encoder(settings, compute, process), TextStore(passages)
    progress = Progress(len(numbers) * PASSAGES_PER_PIECE, "passages encoded")

    def vectors(number: int) -> np.ndarray:
        some = texts.texts(number * PASSAGES_PER_PIECE, (number + 1) * PASSAGES_PER_PIECE)
        found = _encode(model.encode_document, model, some, compute)
        progress.add(len(some))
        return found.astype(np.float16)

    return vectors


def load_encoder(settings: Mapping, compute: Mapping, process: int = 0) -> SentenceTransformer:
    """Load a bi-encoder, with the pooling and similarity that the configuration gives it."""
    folder, device = model_folder(settings["model"]), pick_device(compute["threads"], process)
    modules = None
    with weights_of(settings["model"]) as safe:
        if settings["pooling"]:
            words = Transformer(folder, model_kwargs=safe)
            pooling = Pooling(words.get_embedding_dimension(), settings["pooling"])
            modules, folder = [words, pooling], None
        model = SentenceTransformer(folder, modules=modules, device=str(device), model_kwargs=safe)
    if settings["similarity"]:
        model.similarity_fn_name = settings["similarity"]
    return model


def _encode(
    how: Callable, model: SentenceTransformer, texts: list[str], compute: Mapping
) -> np.ndarray:
    """Return the texts' vectors: float32, shape (texts, dimensions)."""
    normalize = model.similarity_fn_name == "cosine"
    return encode(how, model, texts, compute, normalize_embeddings=normalize).astype(np.float32)


def retrieve(
    index: str | os.PathLike, queries: TextStore, settings: Mapping, compute: Mapping
) -> pd.DataFrame:
    """Return a run (query_id, doc_id, score) of the ``depth`` best passages per query."""
    model = load_encoder(settings, compute)
    ids, texts = zip(*queries, strict=True)
    vectors = _encode(model.encode_query, model, list(texts), compute)
    log.info("%d queries encoded", len(texts))
    if settings["probes"]:
        faiss.omp_set_num_threads(compute["threads"])
        lists = faiss.read_index(str(Path(index, LISTS)), faiss.IO_FLAG_MMAP)
        lists.nprobe = settings["probes"]
        scores, numbers = lists.search(vectors, settings["depth"])
    else:
        files = sorted(Path(index).glob("*.npy"))
        scores, numbers = search(vectors, files, settings["depth"], model.device)
    return run_of(ids, scores, numbers, ids_of(index))


@torch.inference_mode()
def search(
    queries: np.ndarray, files: Sequence[str | os.PathLike], depth: int, device: torch.device
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
    best = [(torch.empty(len(some), 0), torch.empty(len(some), 0, dtype=int)) for some in blocks]
    progress, first = Progress(len(files), "files searched"), 0
    for file in files:
        # float16 is how they are kept, not what to compute in.
        vectors = torch.from_numpy(np.load(file)).to(device).float()
        for i, some in enumerate(blocks):
            products = some.to(device) @ vectors.T
            found, places = products.topk(min(depth, len(vectors)))
            found = torch.cat([best[i][0], found.cpu()], dim=1)
            places = torch.cat([best[i][1], places.cpu() + first], dim=1)
            found, order = found.topk(min(depth, found.shape[1]))
            best[i] = found, places.gather(1, order)
        first += len(vectors)
        progress.add(1)
    scores, numbers = (torch.cat(part).numpy() for part in zip(*best, strict=True))
    return scores, numbers
