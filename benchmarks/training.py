"""Training speed: Restage's step against other ways to make the same step, on the same lists.

Lists of one relevant and other passages, of MS MARCO-like length (77 tokens per pair on average, at
most 256), train all-MiniLM-L6-v2 in float32 on this machine's CPU with the localized contrastive
loss; as many lists per step as in the study (16 of 100 passages). The peers:

- published: the lists of a forward pass are tokenised on the fly and padded together to the
  longest pair, in the way of the study's scripts (4 lists there; 2 here, for the memory's sake);
- sentence-transformers: CrossEncoderTrainer with ListNetLoss (labels so far apart that their
  softmax is the relevant passage alone, which makes the two losses one), with the loss's own
  default of as many pairs per forward pass as it is given lists: as many lists as in the study (4),
  and as many as are the trainer's default (8);
- lightning-ir: its MonoModel with InfoNCE under Lightning's Trainer, 2 lists per forward pass.

    python benchmarks/training.py [--lists 16] [--size 100] [--steps 1] [--threads 2]
    python benchmarks/training.py --lists 32 --size 20 --padded 8    # the study's step of KD

Prints pairs per second, the ratios, the loss of each on the first list with the same weights, and
which part of the machine's own rate of multiplications (of a 2048 x 2048 float32 product) ours
reaches: counting the model's operations, and counting those alone that are still made when the last
layer finishes the first token only. With --memory, the peak memory of a step as the number of lists
doubles.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from lists import MAX_LENGTH, MODEL, Lists, multiplications_per_second, operations
from transformers import BertConfig, BertTokenizerFast

from restage.collections.tokens import leave_out_segment_ids
from restage.finetune.step import ListLoss, accumulate_gradient
from restage.model.heads import finish_first_token_only, load_model
from restage.model.names import load_tokenizer, model_folder

LOSS = "localized_contrastive"
TRAINER_LISTS = 8  # per device, by default


def fresh_model():
    torch.manual_seed(0)
    return load_model(MODEL, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train()


def optimizer_of(model) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)


def timed(lists: Lists, padded: int, gradient, model) -> tuple[float, float]:
    """Pairs per second over all batches but the first, and the loss of the first list.

    ``gradient(some lists, of how many)`` accumulates a gradient and returns the loss.
    """
    optimizer = optimizer_of(model)
    loss = gradient(lists.batches[0][:1], 1)
    begin = time.monotonic()
    for batch in lists.batches[1:]:
        optimizer.zero_grad()
        for first in range(0, len(batch), padded):
            gradient(batch[first : first + padded], len(batch))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimizer.step()
    return lists.pairs * (len(lists.batches) - 1) / (time.monotonic() - begin), loss


def restage(lists: Lists, given: argparse.Namespace) -> tuple[float, float]:
    model = fresh_model()
    finish_first_token_only(model)
    accelerator = Accelerator(cpu=True)
    list_loss = ListLoss(accelerator, model, lists.encoder, LOSS, given.tokens_per_batch)

    def gradient(batch, _):
        return accumulate_gradient(list_loss, batch, given.tokens_in_memory).loss

    return timed(lists, lists.pairs, gradient, model)


def published(lists: Lists, padded: int) -> tuple[float, float]:
    model, tokenizer = fresh_model(), load_tokenizer(MODEL)

    def gradient(batch, count):
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
        loss = torch.nn.functional.cross_entropy(scores, target, reduction="sum") / count
        loss.backward()
        return loss.item()

    return timed(lists, padded, gradient, model)


def sentence_transformers(lists: Lists, given: int, folder: Path) -> tuple[float, float]:
    """The trainer itself, over all batches but the first; the loss on the first list is its own."""
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
    first = rows([lists.batches[0][:1]])
    loss = objective([first["query"], first["docs"]], list(torch.tensor(first["labels"]))).item()
    arguments = CrossEncoderTrainingArguments(
        output_dir=str(folder / "trained"),
        per_device_train_batch_size=given,
        gradient_accumulation_steps=-(-len(lists.batches[0]) // given),
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


def lightning_ir(lists: Lists, padded: int) -> tuple[float, float]:
    """The module under Lightning's trainer, over all batches but the first."""
    from lightning import Trainer
    from lightning_ir.base import class_factory, tokenizer
    from lightning_ir.cross_encoder import CrossEncoderModule, CrossEncoderTokenizer
    from lightning_ir.data import TrainBatch
    from lightning_ir.loss import InfoNCE
    from lightning_ir.models import MonoConfig

    config = MonoConfig(
        pooling_strategy="bert_pool", linear_bias=True, query_length=None, doc_length=None
    )
    # It looks for a slow and a fast tokenizer of each kind; transformers 5 knows one of each only.
    kinds = {BertConfig: (None, BertTokenizerFast)}
    kinds[class_factory.LightningIRTokenizerClassFactory(type(config)).MixinConfig] = (
        CrossEncoderTokenizer,
        None,
    )
    tokenizer.TOKENIZER_MAPPING = class_factory.TOKENIZER_MAPPING = kinds
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    module = CrossEncoderModule(
        model_folder(MODEL), config, loss_functions=[InfoNCE()], model_kwargs=dropout
    )
    ours = fresh_model()
    module.model.bert_pool[0].load_state_dict(ours.bert.pooler.dense.state_dict())
    module.model.linear.load_state_dict(ours.classifier.state_dict())
    leave_out_segment_ids(module.tokenizer)
    module.set_optimizer(torch.optim.AdamW, lr=1e-5, fused=True)

    def made(batch):
        texts = lists.texts(batch)
        targets = torch.tensor([[1.0] + [0.0] * (lists.size - 1)] * len(batch)).flatten()
        queries, passages = [query for query, _ in texts], [docs for _, docs in texts]
        return TrainBatch(queries, passages, queries, targets=targets)

    alone = made(lists.batches[0][:1])
    loss = module._compute_losses(alone, module.forward(alone))[0].item()
    batches = [
        made(batch[first : first + padded])
        for batch in lists.batches[1:]
        for first in range(0, len(batch), padded)
    ]
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        accumulate_grad_batches=-(-len(lists.batches[0]) // padded),
        gradient_clip_val=10,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    begin = time.monotonic()
    trainer.fit(module, torch.utils.data.DataLoader(batches, batch_size=None))
    seconds = time.monotonic() - begin
    return lists.pairs * (len(lists.batches) - 1) / seconds, loss


def speed(given: argparse.Namespace, folder: Path) -> None:
    lists = Lists(folder, given.lists, given.size, given.steps + 1)
    lengths = lists.lengths(lists.batches)
    print(f"{lengths.mean():.0f} tokens per pair on average, {lengths.max()} at most")
    peak = multiplications_per_second()
    ways = {
        "restage": lambda: restage(lists, given),
        "published": lambda: published(lists, given.padded),
        "lightning-ir": lambda: lightning_ir(lists, given.padded),
    }
    for count in dict.fromkeys((2 * given.padded, TRAINER_LISTS)):
        way = partial(sentence_transformers, lists, count, folder)
        ways[f"sentence-transformers {count}"] = way
    found = {}
    for name, way in ways.items():
        rate, loss = found[name] = way()
        ratio = found["restage"][0] / rate
        print(f"{name:24} {rate:6.1f} pairs/s   ratio {ratio:5.2f}   loss {loss:.6f}", flush=True)
    lengths = lists.lengths(lists.batches[1:])
    seconds = lists.pairs * given.steps / found["restage"][0]
    whole, made = (3 * operations(lengths, left_out) / seconds / peak for left_out in (False, True))
    print(
        f"share of the matmul rate ({peak / 1e9:.0f} GFLOP/s): {whole:.2f} by the model's "
        f"operations, {made:.2f} by those made"
    )


def memory(given: argparse.Namespace, folder: Path) -> None:
    """Each number of lists in a process of its own, which finds its texts and tokens made."""
    for count in (given.lists, 2 * given.lists):
        place = folder / str(count)
        place.mkdir()
        Lists(place, count, given.size, 1, words=400)
        command = [sys.executable, __file__, "--one-step", str(place), "--lists", str(count)]
        command += ["--size", str(given.size), "--threads", str(given.threads)]
        command += ["--tokens-per-batch", str(given.tokens_per_batch)]
        command += ["--tokens-in-memory", str(given.tokens_in_memory)]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(f"{count} lists of {given.size} pairs at 256 tokens: peak {found.strip()} GB")


def one_step(given: argparse.Namespace) -> None:
    lists = Lists(given.one_step, given.lists, given.size, 1, words=400)
    lists.batches *= 2  # the first only warms up
    restage(lists, given)
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lists", type=int, default=16, help="per step")
    parser.add_argument("--size", type=int, default=100, help="passages per list")
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--padded", type=int, default=2, help="lists padded together by the peers")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens-per-batch", type=int, default=2048)
    parser.add_argument("--tokens-in-memory", type=int, default=16384)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--one-step", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.one_step:
        one_step(given)
        return
    with tempfile.TemporaryDirectory() as folder:
        way = memory if given.memory else speed
        way(given, Path(folder))


if __name__ == "__main__":
    main()
