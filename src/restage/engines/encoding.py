"""What the engines that encode passages into vectors share."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import feather

from restage.files import fingerprint
from restage.pieces import Pieces
from restage.scoring import autocast
from restage.texts import TextStore
from restage.tokens import model_folder

PASSAGES_PER_PIECE = 8192  # minutes on a slow CPU, a few MB each
LONGEST = 512
POINTS_PER_CENTROID = 39  # as few as faiss trains on without a warning


def collection_in_pieces(
    passages: TextStore, settings: Mapping, compute: Mapping, state: str | os.PathLike
) -> Pieces:
    """Return the pieces of a collection's encoding by one model."""
    of_model = Path(model_folder(settings["model"])).glob("**/*.safetensors")
    files = passages.folder / "texts.arrow", *sorted(of_model)
    settings = {**settings, "depth": None, "precision": compute["precision"]}
    count = -(-len(passages) // PASSAGES_PER_PIECE)
    return Pieces(state, fingerprint(settings, *files), count)


def encode(how: Callable, model, texts: list[str], compute: Mapping, **options):
    """Return what ``how``, a method of the model for queries or documents, makes of texts.

    As many of the longest texts that the model takes as fit into a forward pass are one.
    """
    longest = min(model.max_seq_length or LONGEST, LONGEST)
    size = max(1, compute["tokens_per_batch"] // longest)
    with autocast(model.device, compute):
        return how(texts, batch_size=size, show_progress_bar=False, **options)


def write_ids(passages: TextStore, folder: Path) -> None:
    """Keep the passages' ids beside an index, which knows numbers only."""
    ids = pa.table({"id": passages.all_ids()})
    feather.write_feather(ids, folder / "ids.arrow", "uncompressed")


def ids_of(index: str | os.PathLike) -> pa.ChunkedArray:
    return feather.read_table(Path(index, "ids.arrow"), memory_map=True)["id"]


def run_of(
    queries: Sequence[str], scores: np.ndarray, numbers: np.ndarray, ids: pa.ChunkedArray
) -> pd.DataFrame:
    """Return a run (query_id, doc_id, score), from a row of scores and passages per query.

    A negative number stands for no passage.
    """
    query, kept = np.repeat(np.array(queries, dtype=object), numbers.shape[1]), numbers.ravel() >= 0
    found = ids.take(pa.array(numbers.ravel()[kept])).to_pandas().to_numpy()
    return pd.DataFrame({"query_id": query[kept], "doc_id": found, "score": scores.ravel()[kept]})
