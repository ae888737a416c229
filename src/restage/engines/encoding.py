"""What the engines that encode passages into vectors share."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import feather

from restage.files import fingerprint
from restage.pieces import Pieces
from restage.texts import TextStore
from restage.tokens import model_folder

PASSAGES_PER_PIECE = 8192  # minutes on a slow CPU, a few MB each
LONGEST = 512
POINTS_PER_CENTROID = 39  # as few as faiss trains on without a warning


def collection_in_pieces(
    passages: TextStore,
    settings: Mapping,
    compute: Mapping,
    state: str | os.PathLike,
    *files: str | os.PathLike,
) -> Pieces:
    """Return the pieces of a collection's encoding by one model.

    Args:
        files: what the encoding depends on besides the texts and the model.
    """
    of_model = Path(model_folder(settings["model"])).glob("**/*.safetensors")
    files = passages.folder / "texts.arrow", *sorted(of_model), *files
    settings = {**settings, "depth": None, "precision": compute["precision"]}
    count = -(-len(passages) // PASSAGES_PER_PIECE)
    return Pieces(state, fingerprint(settings, *files), count)


def batch_size(model, compute: Mapping) -> int:
    """How many of the longest texts that a model takes fit into a forward pass."""
    return max(1, compute["tokens_per_batch"] // min(model.max_seq_length or LONGEST, LONGEST))


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
