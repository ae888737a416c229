"""Scoring speed: Restage's way against others', on the same pairs.

all-MiniLM-L6-v2 scores pairs of MS MARCO-like length in float32 on this machine's CPU, 100 passages
per query. The peers:

- published: each query's candidates are tokenised on the fly, padded together and scored in one
  forward pass, in the way of the study's scripts;
- CrossEncoder.predict of sentence-transformers, with its own defaults.

    python benchmarks/scoring.py [--queries 100] [--threads 2]

Prints pairs per second, the ratios, how far the scores are apart, and which part of the limit ours
reaches: the machine's own rate of multiplications over the operations of the model's forward pass,
and over those alone that are still made when the last layer finishes the first token only. Then the
time to score four first stages' candidates together, against each run by itself.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from lists import MAX_LENGTH, MODEL, Lists, multiplications_per_second, operations
from training import fresh_model

from restage.collections.tokens import leave_out_segment_ids
from restage.grid.settings import Compute
from restage.model.names import load_tokenizer
from restage.model.scoring import Scorer
from restage.rerank.runs import union

PUBLISHED_QUERIES = 20  # of the 100: it is slow, and its rate does not change
FIRST_STAGES, POOL = 4, 400


def save(folder: Path) -> Path:
    fresh_model().save_pretrained(folder / "model")
    tokenizer = load_tokenizer(MODEL)
    tokenizer.model_max_length = MAX_LENGTH
    leave_out_segment_ids(tokenizer)
    tokenizer.save_pretrained(folder / "model")
    return folder / "model"


def scorer(folder: Path, threads: int) -> Scorer:
    compute = Compute(threads=threads, gpus_per_scoring=0, tokens_per_batch=2048)
    stores = folder / "queries-tokens", folder / "passages-tokens"
    return Scorer(
        folder / "model",
        *stores,
        max_length=MAX_LENGTH,
        segment_ids=False,
        compute=compute,
        state=folder / "state",
    )


def published(lists: Lists, model: Path) -> list[np.ndarray]:
    tokenizer, network = load_tokenizer(str(model)), fresh_model().eval()
    found = []
    for query, passages in lists.texts(lists.batches[0][:PUBLISHED_QUERIES]):
        inputs = tokenizer(
            [query] * len(passages),
            passages,
            truncation=True,
            max_length=MAX_LENGTH,
            padding=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            found.append(network(**inputs).logits[:, 0].numpy())
    return found


def predict(lists: Lists, model: Path) -> np.ndarray:
    from sentence_transformers import CrossEncoder

    encoder = CrossEncoder(str(model), device="cpu", max_length=MAX_LENGTH)
    texts = lists.texts(lists.batches[0])
    pairs = [(query, passage) for query, passages in texts for passage in passages]
    return encoder.predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False)


def timed(work, *given) -> tuple[float, np.ndarray]:
    begin = time.monotonic()
    found = work(*given)
    return time.monotonic() - begin, found


def speed(lists: Lists, folder: Path, threads: int) -> None:
    model, size = save(folder), lists.size
    queries, passages = np.repeat(np.arange(lists.pairs // size), size), np.arange(lists.pairs)

    def ours():
        with scorer(folder, threads)(queries, passages) as scores:
            return scores

    peak = multiplications_per_second()
    seconds, scores = timed(ours)
    rate = lists.pairs / seconds
    print(f"restage               {rate:6.1f} pairs/s", flush=True)
    lengths = lists.lengths(lists.batches)
    for name, left_out in (("limit", False), ("limit of what is made", True)):
        limit = peak / (operations(lengths, left_out) / lists.pairs)
        print(f"{name:21} {limit:6.1f} pairs/s   reached {rate / limit:.2f}")
    seconds, found = timed(predict, lists, model)
    theirs, apart = lists.pairs / seconds, np.abs(found - scores).max()
    print(
        f"CrossEncoder.predict  {theirs:6.1f} pairs/s   ratio {rate / theirs:.2f}   "
        f"scores apart {apart:.1e}",
        flush=True,
    )
    seconds, found = timed(published, lists, model)
    found = np.concatenate(found)
    theirs, apart = len(found) / seconds, np.abs(found - scores[: len(found)]).max()
    print(
        f"published way         {theirs:6.1f} pairs/s   ratio {rate / theirs:.2f}   "
        f"scores apart {apart:.1e}",
        flush=True,
    )


def runs(queries: int, passages: int) -> list[pd.DataFrame]:
    """Runs of four first stages: each sees a passage's worth through noise of its own."""
    rng = np.random.default_rng(1)
    frames = []
    pools = [rng.choice(passages, POOL, replace=False) for _ in range(queries)]
    worth = rng.normal(size=(queries, POOL))
    for _ in range(FIRST_STAGES):
        seen = worth + rng.normal(size=worth.shape)
        best = np.argsort(-seen, axis=1)[:, :100]
        frames.append(
            pd.DataFrame(
                {
                    "query_id": np.repeat(np.arange(queries), 100),
                    "doc_id": np.concatenate([pools[q][best[q]] for q in range(queries)]),
                }
            )
        )
    return frames


def together(lists: Lists, folder: Path, queries: int, threads: int) -> None:
    frames = runs(queries, lists.pairs)
    overlap = np.mean([len(a.merge(b)) / len(a) for a in frames for b in frames if a is not b])

    def score(pairs: pd.DataFrame) -> None:
        numbers = pairs["query_id"].to_numpy(), pairs["doc_id"].to_numpy()
        with scorer(folder, threads)(*numbers) as scores:
            assert len(scores) == len(pairs)

    pairs = union(frames, 100)
    alone, _ = timed(lambda: [score(frame) for frame in frames])
    joint, _ = timed(score, pairs)
    print(
        f"{FIRST_STAGES} first stages that share {overlap:.0%} of their passages pairwise: "
        f"{sum(map(len, frames)):,} pairs, {len(pairs):,} different ones"
    )
    print(f"together {joint:.1f} s, one by one {alone:.1f} s: {joint / alone:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lists = Lists(folder, given.queries, 100, 1)
        speed(lists, folder, given.threads)
        together(lists, folder, given.queries // 10, given.threads)


if __name__ == "__main__":
    main()
