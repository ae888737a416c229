"""Scores of a run's pairs, by id."""

import os
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from restage.errors import InputError
from restage.files import complete
from restage.log import log

if TYPE_CHECKING:  # the scorer's module imports torch, before which a job leases its devices
    from restage.collections.texts import TextStore
    from restage.model.scoring import Scorer


def score_run(
    pairs: pd.DataFrame,
    output: str | os.PathLike,
    scorer: "Scorer",
    query_texts: "TextStore",
    passage_texts: "TextStore",
) -> None:
    """Score pairs (query_id, doc_id) into a Parquet file with their ``score``.

    Args:
        query_texts, passage_texts: where the ids are numbered.

    Raises:
        InputError: an id of a pair is in no store.
    """
    queries = _numbers(query_texts, pairs["query_id"], "query")
    passages = _numbers(passage_texts, pairs["doc_id"], "passage")
    log.info("%s pairs", f"{len(pairs):,}")
    with scorer(queries, passages) as scores, complete(output) as part:
        pairs.assign(score=scores).to_parquet(part, index=False)


def _numbers(store: "TextStore", ids: pd.Series, what: str) -> np.ndarray:
    numbers = store.numbers(ids.to_numpy(dtype=object))
    if (numbers < 0).any():
        raise InputError(
            f"{what} {ids.iloc[int(np.argmin(numbers))]!r} of a run is not among the texts to "
            "score; is the run of another collection or dataset?"
        )
    return numbers
