"""What the engines that encode passages share."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import feather

from restage.collections.texts import TextStore
from restage.files import fingerprint
from restage.first_stage.engine import Neural
from restage.grid.settings import Compute
from restage.log import Progress
from restage.model.device import autocast
from restage.model.names import model_files
from restage.pieces import Pieces

PASSAGES_PER_PIECE = 8192  # minutes on a slow CPU, a few MB each
LONGEST = 512
POINTS_PER_CENTROID = 39  # as few as faiss trains on without a warning


def collection_in_pieces(
    passages: TextStore, engine: Neural, precision: str, state: Path
) -> Pieces:
    """Return the pieces of a collection's encoding by an engine's model, kept in ``state``."""
    files = [str(passages.folder / "texts.arrow"), *model_files(engine.model).values()]
    settings = {**asdict(engine.for_index()), "precision": precision}
    count = -(-len(passages) // PASSAGES_PER_PIECE)
    return Pieces(state, fingerprint(settings, *files), count)


def encoded_pieces(
    passages: Path, count: int, work: Callable[[int, list[str]], np.ndarray]
) -> Callable[[int], np.ndarray]:
    """Return what makes a piece of the encoding of the text store ``passages``, by its number.

    Args:
        count: how many pieces it is called for, to tell how far it is.
        work: makes the piece of some texts, the number of whose first passage it gets too.
    """
    texts, progress = TextStore(passages), Progress(count * PASSAGES_PER_PIECE, "passages encoded")

    def piece(number: int) -> np.ndarray:
        first = number * PASSAGES_PER_PIECE
        some = texts.texts(first, first + PASSAGES_PER_PIECE)
        made = work(first, some)
        progress.add(len(some))
        return made

    return piece


def encode(how: Callable, model: Any, texts: list[str], compute: Compute, **options: Any) -> Any:
    """Return what ``how``, a method of the model for queries or documents, makes of texts.

    As many of the longest texts that the model takes as fit into a forward pass are one.
    """
    longest = min(model.max_seq_length or LONGEST, LONGEST)
    size = max(1, compute.tokens_per_batch // longest)
    with autocast(model.device, compute.precision):
        return how(texts, batch_size=size, show_progress_bar=False, **options)


def write_ids(passages: TextStore, folder: Path) -> None:
    """Keep the passages' ids beside an index, which knows numbers only."""
    ids = pa.table({"id": passages.all_ids()})
    feather.write_feather(ids, folder / "ids.arrow", "uncompressed")


def ids_of(index: Path) -> pa.ChunkedArray:
    """Return the ids of an index's passages, memory-mapped."""
    return feather.read_table(index / "ids.arrow", memory_map=True)["id"]


def run_of(
    queries: Sequence[str], scores: np.ndarray, numbers: np.ndarray, ids: pa.ChunkedArray
) -> pd.DataFrame:
    """Return a run (query_id, doc_id, score), from a row of scores and passages per query.

    A negative number stands for no passage.
    """
    query, kept = np.repeat(np.array(queries, dtype=object), numbers.shape[1]), numbers.ravel() >= 0
    doc_id = ids.take(pa.array(numbers.ravel()[kept])).to_pandas().to_numpy()
    return pd.DataFrame({"query_id": query[kept], "doc_id": doc_id, "score": scores.ravel()[kept]})
