"""ColBERT models: a vector per token, compared with a query's by the sum of greatest similarities.

sentence-transformers encodes: it reads the checkpoints of ColBERTv2 and PyLate. ``plaid`` has the
index and the search, and is imported when they work: it loads torch and faiss.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from restage.files import complete, link
from restage.first_stage.engine import Cost, Neural
from restage.grid.settings import Compute
from restage.log import Progress

if TYPE_CHECKING:
    import pandas as pd

    from restage.collections.texts import TextStore

BYTES_PER_TOKEN = 36  # as measured


@dataclass(frozen=True)
class LateInteraction(Neural):
    """A late-interaction model, over a compressed index of the vectors of all tokens."""

    def cost(self, passages: int, length: float) -> Cost:
        from restage.model.sizes import encoder

        flop = passages * encoder(self.model).operations(length)
        return Cost(flop, BYTES_PER_TOKEN * passages * length)

    def index(
        self,
        passages: "TextStore",
        folder: Path,
        compute: Compute,
        state: Path,
        shared: Path | None,
    ) -> None:
        from restage.first_stage import encoding, plaid

        codec = state / plaid.CODEC
        pieces = encoding.collection_in_pieces(passages, self, compute.precision, state / "pieces")
        if not codec.exists() or len(pieces.missing()) == pieces.count:
            plaid.train_codec(codec, passages, self.model, compute)
        start = partial(plaid.codes_of_pieces, passages.folder, self.model, codec, compute)
        files = pieces.make(start, max(1, compute.gpus_per_scoring))
        with complete(folder) as part:
            part.mkdir()
            link(codec, part / codec.name)
            plaid.write_index(part, files, len(passages))
            encoding.write_ids(passages, part)

    def retrieve(
        self, index: Path, queries: "TextStore", depth: int, compute: Compute
    ) -> "pd.DataFrame":
        import pandas as pd

        from restage.first_stage import encoding, plaid
        from restage.model.device import pick_device

        model = plaid.load_encoder(self.model, pick_device(compute.threads))
        searcher = plaid.Searcher(index, compute.threads)
        ids, texts = zip(*queries, strict=True)
        asked = plaid.encode(model.encode_query, model, list(texts), compute)
        runs, known, progress = [], encoding.ids_of(index), Progress(len(texts), "queries")
        for query, vectors in zip(ids, asked, strict=True):
            scores, numbers = searcher(vectors, depth)
            runs.append(encoding.run_of([query], scores[None], numbers[None], known))
            progress.add(1)
        return pd.concat(runs, ignore_index=True)
