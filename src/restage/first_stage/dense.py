"""Bi-encoders: one vector per passage, compared with a query's by exact search.

sentence-transformers encodes, since it reads how a model pools, normalises and prompts its input
off the model itself. Search is a matrix product after the other over the vectors' files; or, where
the configuration asks for ``probes``, faiss looks at the vectors near so many centroids only.
``vectors`` has both, and is imported when they work: it loads torch and faiss.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from restage.files import complete, link
from restage.first_stage.engine import Cost, Neural
from restage.grid.settings import Compute
from restage.log import log

if TYPE_CHECKING:
    import pandas as pd

    from restage.collections.texts import TextStore

BYTES_PER_DIMENSION = 2


@dataclass(frozen=True)
class Dense(Neural):
    """A bi-encoder; without pooling or similarity of its own, with the model's."""

    pooling: Literal["mean", "cls"] | None = None
    similarity: Literal["dot", "cosine"] | None = None
    probes: int | None = None

    def for_index(self) -> Self:
        """Of its probes counts only whether there are any."""
        return replace(self, probes=1 if self.probes else None)

    def cost(self, passages: int, length: float) -> Cost:
        from restage.model.sizes import encoder

        model = encoder(self.model)
        size = BYTES_PER_DIMENSION * model.hidden * passages
        return Cost(passages * model.operations(length), size)

    def index(
        self,
        passages: "TextStore",
        folder: Path,
        compute: Compute,
        state: Path,
        shared: Path | None,
    ) -> None:
        """Write the vectors of a collection: float16, in files of some passages each."""
        from restage.first_stage import encoding, vectors

        pieces = encoding.collection_in_pieces(passages, self, compute.precision, state)
        load = partial(vectors.load_encoder, self.model, self.pooling, self.similarity)
        start = partial(vectors.of_pieces, passages.folder, load, compute)
        files = pieces.make(start, max(1, compute.gpus_per_scoring))
        with complete(folder) as part:
            part.mkdir()
            for file in files:
                link(file, part / file.name)
            if self.probes:
                vectors.write_lists(part, files, len(passages), compute.threads)
            encoding.write_ids(passages, part)

    def retrieve(
        self, index: Path, queries: "TextStore", depth: int, compute: Compute
    ) -> "pd.DataFrame":
        from restage.first_stage import encoding, vectors
        from restage.model.device import pick_device

        device = pick_device(compute.threads)
        model = vectors.load_encoder(self.model, self.pooling, self.similarity, device)
        ids, texts = zip(*queries, strict=True)
        asked = vectors.encode(model.encode_query, model, list(texts), compute)
        log.info("%d queries encoded", len(texts))
        if self.probes:
            best = vectors.search_lists(asked, index, self.probes, depth, compute.threads)
        else:
            best = vectors.search(asked, sorted(index.glob("*.npy")), depth, device)
        return encoding.run_of(ids, *best, encoding.ids_of(index))
