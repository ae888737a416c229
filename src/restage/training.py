"""Fine-tuning of a cross-encoder on ranked lists: one stage, of any recipe, from any checkpoint."""

import csv
import os
import resource
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from sklearn.metrics import ndcg_score
from torch import Tensor
from transformers import PreTrainedModel, get_scheduler

from restage.errors import InputError
from restage.files import complete
from restage.log import Progress, log
from restage.losses import LOSSES
from restage.model_card import write_model_card
from restage.ranked_lists import RankedLists
from restage.sampling import VALIDATION, ListSampler, TrainingList
from restage.scoring import load_model, pick_device, score_pairs
from restage.tokens import PairEncoder, TokenStore, load_tokenizer

COLUMNS = ["step", "epoch", "loss", "valid_loss", "valid_nDCG@10", "learning_rate"]
COLUMNS += ["gradient_norm", "pairs_per_second", "tokens_per_second", "memory_mb"]
VALIDATION_LISTS_AT_ONCE = 64


def fine_tune(
    start: str | os.PathLike | None,
    output: str | os.PathLike,
    *,
    backbone: Mapping,
    objective: Mapping,
    lists: str | os.PathLike,
    queries: str | os.PathLike,
    passages: str | os.PathLike,
    seed: int,
    compute: Mapping,
    about: Mapping,
) -> None:
    """Train one stage and write ``output``, a Hugging Face checkpoint with training.csv and a card.

    Args:
        start: the checkpoint of the stage before; None starts from the backbone.
        backbone, objective, compute: as in the configuration.
        lists: folder with the column stores train/ and valid/.
        queries, passages: token stores that the lists' numbers refer to.
        about: what the model card says besides.

    The checkpoint with the lowest validation loss is written; without validation lists, the last.

    Raises:
        InputError: no list has a usable positive.
    """
    device = pick_device(compute["threads"])
    accelerator = Accelerator(
        mixed_precision=compute["precision"].replace("fp32", "no")
        if device.type != "cpu"
        else "no",
        cpu=device.type == "cpu",
    )
    tokenizer = load_tokenizer(backbone["model"])
    encoder = PairEncoder(
        tokenizer,
        TokenStore(queries),
        TokenStore(passages),
        objective["max_length"],
        backbone["segment_ids"],
    )
    train, valid = (_sampler(Path(lists, split), objective, seed) for split in ("train", "valid"))
    if not len(train.usable):
        raise InputError(f"{lists}: no list has a usable positive in its first {train.depth}")
    held_out = [valid.sample(i, VALIDATION) for i in valid.usable]
    log.info(
        "%d lists to train on (%d without a usable positive left out), %d to validate on",
        len(train.usable),
        len(train.lists) - len(train.usable),
        len(held_out),
    )

    model = accelerator.prepare_model(_start_model(start, backbone, seed))
    optimizer = accelerator.prepare_optimizer(_optimizer(model, objective))
    steps = _steps(objective, len(train.usable))
    schedule = _schedule(optimizer, objective, steps)
    progress, rows, best, waited = Progress(steps, "steps"), [], None, 0
    since = _Since()
    for step, epoch, batch in _batches(train, objective["queries_per_batch"], steps):
        _seed_everything(seed, step)
        model.train()
        loss, pairs, tokens = _backward(accelerator, model, encoder, batch, objective, compute)
        norm = accelerator.clip_grad_norm_(model.parameters(), objective["gradient_clip"])
        rate = schedule.get_last_lr()[0]
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        since.add(loss, pairs, tokens)
        progress.add(1, f"loss {loss:.4f}")
        if step % objective["validate_every"] and step < steps:
            continue
        measured = _validate(model, encoder, held_out, objective, compute)
        rows.append([step, epoch, since.loss, *measured, rate, float(norm), *since.speed(device)])
        since = _Since()
        log.info(
            "step %d of %d: loss %.4f, validation loss %.4f, nDCG@10 %.4f",
            *(step, steps, rows[-1][2], *measured),
        )
        if best is None or not held_out or measured[0] < best[0]:
            weights = accelerator.unwrap_model(model).state_dict()
            best = measured[0], step, {name: w.cpu().clone() for name, w in weights.items()}
            waited = 0
        else:
            waited += 1
            if objective["patience"] is not None and waited >= objective["patience"]:
                log.info("no lower validation loss in %d validations: enough", waited)
                break

    model = accelerator.unwrap_model(model).cpu()
    model.load_state_dict(best[2])
    with complete(output) as part:
        _save(part, model, tokenizer, encoder, rows)
        counts = {
            "best_step": best[1],
            "steps": step,
            "train_lists": len(train.usable),
            "left_out": len(train.lists) - len(train.usable),
            "valid_lists": len(held_out),
        }
        write_model_card(part, about, backbone, objective, seed, counts, rows[-1], COLUMNS)


def _sampler(folder: Path, objective: Mapping, seed: int) -> ListSampler:
    return ListSampler(
        RankedLists(folder),
        objective["labels"],
        objective["list_size"],
        objective["sample_depth"],
        seed,
    )


def _start_model(start: str | os.PathLike | None, backbone: Mapping, seed: int) -> PreTrainedModel:
    """Load the checkpoint, or the backbone with a new head drawn from ``seed``."""
    torch.manual_seed(seed)
    model = load_model(start or backbone["model"])
    if not start and backbone["num_layers"]:
        keep_layers(model, backbone["num_layers"])
    for name, weights in model.named_parameters():
        # As in the study. Relative positions (DeBERTa's rel_embeddings) are not positions' own.
        weights.requires_grad = "position_embeddings" not in name
    return model


def keep_layers(model: PreTrainedModel, count: int) -> None:
    """Keep ``count`` evenly spaced layers of the encoder, the first and the last among them.

    The last layer gathers the input at the token that the head reads, and the first is the one
    that knows the embeddings: without either a short training does not get off the ground. Of one
    layer, the last is kept.

    Raises:
        InputError: the encoder has fewer layers.
    """
    have = model.config.num_hidden_layers
    if count > have:
        raise InputError(f"num_layers {count}: the backbone has {have}; give that many at most")
    kept = np.linspace(have - 1, 0, count).round().astype(int).tolist()[::-1]
    layers = next(
        module
        for module in model.base_model.modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == have
    )
    for place in reversed(range(have)):
        if place not in kept:
            del layers[place]
    model.config.num_hidden_layers = count
    if getattr(model.config, "layer_types", None):
        model.config.layer_types = [model.config.layer_types[place] for place in kept]


def _optimizer(model: PreTrainedModel, objective: Mapping) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        [weights for weights in model.parameters() if weights.requires_grad],
        lr=objective["learning_rate"],
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=objective["weight_decay"],
        fused=True,
    )


def _schedule(optimizer, objective: Mapping, steps: int):
    """The learning rate over the steps: warmed up linearly, then constant, linear or cosine."""
    name = objective["schedule"].replace("constant", "constant_with_warmup")
    return get_scheduler(name, optimizer, objective["warmup_steps"], steps)


def _steps(objective: Mapping, lists: int) -> int:
    """Optimiser steps: the smaller of max_steps and what the epochs make."""
    limits = [objective["max_steps"]] if objective["max_steps"] else []
    if objective["epochs"]:
        limits.append(objective["epochs"] * -(-lists // objective["queries_per_batch"]))
    return min(limits)


def _batches(
    sampler: ListSampler, size: int, steps: int
) -> Iterator[tuple[int, int, list[TrainingList]]]:
    """Yield (step, epoch, lists) from step 1 on; an epoch's last batch may be smaller."""
    per_epoch = -(-len(sampler.usable) // size)
    for step in range(1, steps + 1):
        epoch, place = 1 + (step - 1) // per_epoch, (step - 1) % per_epoch
        if place == 0:
            order = sampler.order(epoch)
        chosen = order[place * size : (place + 1) * size]
        yield step, epoch, [sampler.sample(i, epoch) for i in chosen]


def _seed_everything(seed: int, step: int) -> None:
    """Dropout draws from torch's own generators: give them a state that only the step decides."""
    torch.manual_seed(int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0]))


def _backward(
    accelerator: Accelerator,
    model: PreTrainedModel,
    encoder: PairEncoder,
    batch: list[TrainingList],
    objective: Mapping,
    compute: Mapping,
) -> tuple[float, int, int]:
    """Accumulate the gradient of the batch's mean loss; return the loss, its pairs and tokens.

    As many lists as ``tokens_in_memory`` allows keep their graph at a time; then it is freed.
    """
    total, pairs, tokens = 0.0, 0, 0
    for lists, lengths in _chunks(encoder, batch, compute["tokens_in_memory"]):
        with accelerator.autocast():
            losses = _losses(model, encoder, lists, objective, compute)
        loss = losses.sum() / len(batch)
        accelerator.backward(loss)
        total += float(loss.detach())
        pairs, tokens = pairs + len(lengths), tokens + int(lengths.sum())
    return total, pairs, tokens


def _chunks(
    encoder: PairEncoder, batch: list[TrainingList], budget: int
) -> Iterator[tuple[list[TrainingList], np.ndarray]]:
    """Yield consecutive lists of at most ``budget`` tokens together, with their pairs' lengths."""
    chunk, lengths = [], []
    for item in batch:
        own = encoder.lengths(np.full(len(item.passages), item.query), item.passages)
        if chunk and sum(map(np.sum, lengths)) + own.sum() > budget:
            yield chunk, np.concatenate(lengths)
            chunk, lengths = [], []
        chunk.append(item)
        lengths.append(own)
    yield chunk, np.concatenate(lengths)


def _losses(
    model: PreTrainedModel,
    encoder: PairEncoder,
    lists: list[TrainingList],
    objective: Mapping,
    compute: Mapping,
) -> Tensor:
    scores, relevances, mask = _score_lists(model, encoder, lists, compute)
    return LOSSES[objective["loss"]](scores, relevances, mask)


def _score_lists(
    model: PreTrainedModel, encoder: PairEncoder, lists: list[TrainingList], compute: Mapping
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, relevances and mask of the lists, padded to (lists, longest list)."""
    sizes = np.array([len(item.passages) for item in lists])
    queries = np.repeat([item.query for item in lists], sizes)
    passages = np.concatenate([item.passages for item in lists]).astype(np.int64)
    flat = score_pairs(model, encoder, queries, passages, compute["tokens_per_batch"])
    mask = torch.from_numpy(np.arange(sizes.max()) < sizes[:, None]).to(flat.device)
    relevances = torch.from_numpy(np.concatenate([item.relevances for item in lists]))
    scores = flat.new_zeros(mask.shape).masked_scatter(mask, flat)
    relevances = flat.new_zeros(mask.shape).masked_scatter(mask, relevances.to(flat))
    return scores, relevances, mask


@torch.no_grad()
def _validate(
    model: PreTrainedModel,
    encoder: PairEncoder,
    lists: list[TrainingList],
    objective: Mapping,
    compute: Mapping,
) -> tuple[float, float]:
    """Mean loss and nDCG@10 (linear gains) of the held-out lists; nan without any."""
    model.eval()
    losses, ndcgs = [], []
    for first in range(0, len(lists), VALIDATION_LISTS_AT_ONCE):
        some = lists[first : first + VALIDATION_LISTS_AT_ONCE]
        scores, relevances, mask = _score_lists(model, encoder, some, compute)
        losses += LOSSES[objective["loss"]](scores, relevances, mask).tolist()
        for row, item in zip(scores.cpu().numpy(), some, strict=True):
            scored = row[: len(item.passages)]
            ndcgs.append(ndcg_score(item.relevances[None], scored[None], k=10))
    return (float(np.mean(losses)), float(np.mean(ndcgs))) if lists else (np.nan, np.nan)


class _Since:
    """Loss and speed since the last validation."""

    def __init__(self):
        self.begin, self.losses, self.pairs, self.tokens = time.monotonic(), [], 0, 0

    def add(self, loss: float, pairs: int, tokens: int) -> None:
        self.losses.append(loss)
        self.seconds = time.monotonic() - self.begin
        self.pairs, self.tokens = self.pairs + pairs, self.tokens + tokens

    @property
    def loss(self) -> float:
        return float(np.mean(self.losses))

    def speed(self, device: torch.device) -> list[float]:
        """Pairs/s and tokens/s of the steps, and the peak memory in MB (of the GPU, if any)."""
        if device.type == "cuda":
            memory = torch.cuda.max_memory_allocated() / 1e6
        else:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        return [self.pairs / self.seconds, self.tokens / self.seconds, memory]


def _save(folder: Path, model: PreTrainedModel, tokenizer, encoder: PairEncoder, rows) -> None:
    # What other programs need to get the same scores: no sigmoid on top in sentence-transformers,
    # the same truncation, and no segment ids where training had none.
    identity = "torch.nn.modules.linear.Identity"
    model.config.sentence_transformers = {"activation_fn": identity}
    model.save_pretrained(folder)
    tokenizer.model_max_length = encoder.room + encoder.special
    if not encoder.segment_ids:
        # Only what is among the initial arguments is saved, and then as the attribute says.
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
        tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names
    tokenizer.save_pretrained(folder)
    with (folder / "training.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows([[_short(value) for value in row] for row in rows])


def _short(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return "" if np.isnan(value) else f"{value:.6g}"
