"""Scores that a model has given, kept by pair, so that none is computed twice.

A score is found again by the tokens of its pair, whatever ids and numbers these have by now, and
only where everything else that decides it is the same (``KeptScorer.key``).
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from restage.code import Code, modules
from restage.collections.tokens import TokenLists, TokenStore
from restage.devices import devices_here
from restage.files import complete, digest
from restage.grid.manifests import SILENT
from restage.grid.settings import Compute
from restage.log import log, processor
from restage.model.names import model_files, model_folder
from restage.versions import versions

SCORING = "restage.model.scoring"
# What decides nothing of a score but by the tokens of the pair.
OTHERS = ["restage.collections.texts", "restage.collections.tokens"]
OTHERS += ["restage.files", "restage.pieces"]
SCHEMA = pa.schema([("pair", pa.binary(16)), ("score", pa.float32())])
BROKEN = (OSError, ValueError, TypeError, KeyError, pa.ArrowException)

Scores = dict[bytes, np.float32]  # by what tells a pair from any other


class Kept:
    """The scores that are kept of a model, in the files of a folder: one of each dataset.

    Jobs that run at the same time have a file each, and read those of all. A file that is damaged,
    or whose scores were made otherwise, is as good as none.

    Args:
        file: the one to write.
        key: what tells all but the pair that decides a score from any other.
    """

    def __init__(self, file: str | os.PathLike, key: str):
        self.file, self.key = Path(file), key

    def scores(self) -> Scores:
        found: Scores = {}
        for file in sorted(self.file.parent.glob("*.parquet")):
            found = self._read(file) | found
        return found

    def add(self, scores: Scores) -> None:
        """Keep some more.

        Raises:
            InputError: the disk is full.
        """
        scores = self._read(self.file) | scores if self.file.exists() else scores
        columns = list(scores), np.array(list(scores.values()), dtype=np.float32)
        about = {"key": self.key, "seal": _seal(*columns)}
        with complete(self.file) as part:
            pq.write_table(pa.table([*columns], schema=SCHEMA.with_metadata(about)), part)

    def _read(self, file: Path) -> Scores:
        try:
            table = pq.ParquetFile(file).read()
            about = table.schema.metadata or {}
            if about[b"key"].decode() != self.key:
                return {}
            pairs, scores = table["pair"].to_pylist(), table["score"].to_numpy()
            if about[b"seal"].decode() == _seal(pairs, scores) and np.isfinite(scores).all():
                return dict(zip(pairs, scores, strict=True))
        except BROKEN:
            pass
        log.info("%s is damaged: its scores are left out", file)
        return {}


def _seal(pairs: list[bytes], scores: np.ndarray) -> str:
    return hashlib.sha256(b"".join(pairs) + scores.tobytes()).hexdigest()


class KeptScorer:
    """A ``Scorer`` that scores those pairs alone of which no score is kept.

    Where there are none it loads no model, nor torch on a machine without a GPU.

    Args:
        file: where this job's scores are kept, beside those of the model's other jobs.
        code: tells what the modules do that score.
        model: a folder, or another name of a model; all others are a ``Scorer``'s too.
    """

    def __init__(
        self,
        file: str | os.PathLike,
        code: Code,
        model: str | os.PathLike,
        queries: str | os.PathLike,
        passages: str | os.PathLike,
        *,
        max_length: int,
        segment_ids: bool | None,
        compute: Compute,
        state: str | os.PathLike,
    ):
        self.file, self.code, self.names = file, code, (str(model), queries, passages)
        self.settings: dict[str, Any] = {"max_length": max_length, "segment_ids": segment_ids}
        self.compute, self.state = compute, state

    @contextmanager
    def __call__(self, queries: np.ndarray, passages: np.ndarray) -> Iterator[np.ndarray]:
        """Give the scores of pairs of query and passage numbers: float32, shape (pairs,)."""
        kept = Kept(self.file, self.key)
        _, query_tokens, passage_tokens = self.names
        stores = TokenStore(query_tokens), TokenStore(passage_tokens)
        pairs = list(_pairs(*stores, queries, passages))
        scores = kept.scores()
        there = sum(pair in scores for pair in pairs)
        log.info("%s of %s pairs have a score already", f"{there:,}", f"{len(pairs):,}")
        missing = {pair: at for at, pair in enumerate(pairs) if pair not in scores}
        if missing:
            places = np.fromiter(missing.values(), dtype=np.int64)
            with self._scored(queries[places], passages[places]) as found:
                new = dict(zip(missing, found, strict=True))
                kept.add(new)
            scores |= new
        yield np.array([scores[pair] for pair in pairs], dtype=np.float32)

    def _scored(
        self, queries: np.ndarray, passages: np.ndarray
    ) -> AbstractContextManager[np.ndarray]:
        from restage.model.scoring import Scorer  # imports torch

        scorer = Scorer(*self.names, **self.settings, compute=self.compute, state=self.state)
        return scorer(queries, passages)

    @cached_property
    def key(self) -> str:
        """What tells all that decides a score, but for the pair, from any other."""
        model, installed = self.names[0], versions()
        files = model_files(model_folder(model))
        parts: Mapping[str, Any] = self.settings | {
            "model": {name: digest(file) for name, file in files.items()} or model,
            "precision": self.compute.precision,
            "device": _device(self.compute.threads),
            "code": self.code.fingerprints(modules()[SCORING], (), [*SILENT, *OTHERS]),
            "versions": {name: installed.get(name) for name in ("torch", "transformers")},
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _pairs(
    queries: TokenLists, passages: TokenLists, query_numbers: np.ndarray, numbers: np.ndarray
) -> Iterator[bytes]:
    """What tells the tokens of each pair from those of any other."""
    begun = {}
    for query in np.unique(query_numbers):
        tokens = queries[query]
        # How many there are tells the query's from the passage's.
        begun[query] = hashlib.blake2b(len(tokens).to_bytes(8), digest_size=16)
        begun[query].update(tokens.astype("<u4").tobytes())
    for query, passage in zip(query_numbers, numbers, strict=True):
        pair = begun[query].copy()
        pair.update(passages[passage].astype("<u4").tobytes())
        yield pair.digest()


def _device(threads: int) -> str:
    """The name of what computes; on a CPU with its threads, which decide the last digits."""
    if devices_here():
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name(0)
    return f"{processor()}, {threads} threads"
