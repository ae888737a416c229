"""Fine-tuning of a cross-encoder on ranked lists: one stage, of any recipe, from any checkpoint.

Several processes, one per GPU, may train together: each takes its part of every batch's lists, and
gradients are summed before the step. A killed training goes on from its saved state.
"""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from sklearn.metrics import ndcg_score
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from transformers import PreTrainedModel, get_scheduler

from restage import log as logs
from restage.errors import InputError
from restage.files import complete, fingerprint
from restage.log import Progress, log
from restage.losses import LOSSES
from restage.model_card import write_model_card
from restage.ranked_lists import RankedLists
from restage.sampling import VALIDATION, ListSampler, TrainingList, optimiser_steps
from restage.scoring import (
    encoder_layers,
    finish_first_token_only,
    load_model,
    pick_device,
    score_batch,
    score_pairs,
)
from restage.tokens import (
    PairEncoder,
    TokenStore,
    leave_out_segment_ids,
    load_tokenizer,
    token_budget_batches,
)
from restage.training_state import load_state, save_state

COLUMNS = ["step", "epoch", "loss", "valid_loss", "valid_nDCG@10", "learning_rate"]
COLUMNS += ["gradient_norm", "pairs_per_second", "tokens_per_second", "memory_mb"]
VALIDATION_LISTS_AT_ONCE = 64
STOPPING = signal.SIGTERM, signal.SIGINT


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
    state: str | os.PathLike,
    events: str | os.PathLike,
) -> None:
    """Train one stage and write ``output``, a Hugging Face checkpoint with training.csv and a card.

    Args:
        start: the checkpoint of the stage before; None starts from the backbone.
        backbone, objective, compute: as in the configuration.
        lists: folder with the column stores train/ and valid/.
        queries, passages: token stores that the lists' numbers refer to.
        about: what the model card says besides.
        state: the file from which this training goes on if it is killed; removed at its end.
        events: the folder that TensorBoard reads.

    The checkpoint with the lowest validation loss is written; without validation lists, the last.
    The first row of training.csv, step 0, validates what the training starts from.

    Raises:
        InputError: no list has a usable positive, or the disk is full.
        SystemExit: SIGTERM or SIGINT came; the state is saved.
    """
    accelerator = _accelerator(compute)
    tokenizer = load_tokenizer(backbone["model"])
    stores = TokenStore(queries), TokenStore(passages)
    encoder = PairEncoder(tokenizer, *stores, objective["max_length"], backbone["segment_ids"])
    train, valid = (_sampler(Path(lists, split), objective, seed) for split in ("train", "valid"))
    if not len(train.usable):
        raise InputError(f"{lists}: no list has a usable positive in its first {train.depth}")
    held_out = [valid.sample(i, VALIDATION) for i in valid.usable]
    left_out = len(train.lists) - len(train.usable)
    log.info(
        "%d lists to train on (%d without a usable positive left out), %d to validate on",
        *(len(train.usable), left_out, len(held_out)),
    )
    steps = optimiser_steps(objective, len(train.usable))
    training = _Training(accelerator, start, backbone, objective, steps, seed)
    identity = _identity(start, lists, backbone, objective, seed)
    training.load(state, identity)
    progress, saved = Progress(steps - training.step, "steps"), time.monotonic()
    told = _Events(accelerator, events, training)
    with _Signals() as signals:
        if held_out and not training.rows:
            training.validate(0, encoder, held_out, compute)
            told.add(training.rows[-1])
        for step, epoch, batch in _batches(
            train, objective["queries_per_batch"], training.step, steps
        ):
            if training.is_enough():
                break
            training.make_step(step, encoder, batch, compute)
            progress.add(1, f"loss {training.losses[-1]:.4f}")
            if step % objective["validate_every"] == 0 or step == steps:
                training.validate(epoch, encoder, held_out, compute)
                told.add(training.rows[-1])
            due = time.monotonic() - saved >= 60 * compute["save_every_minutes"]
            stop, due = _any(accelerator, signals.received, due)
            if stop or due:
                training.save(state, identity)
                saved = time.monotonic()
            if stop:
                log.info("stopped after step %d: the same command goes on from there", step)
                raise SystemExit(128 + stop)
    told.close()
    if not accelerator.is_main_process:
        return
    model = training.best_model()
    with complete(output) as part:
        _save(part, model, tokenizer, encoder, training.rows)
        counts = {
            "best_step": training.best[1],
            "steps": training.step,
            "train_lists": len(train.usable),
            "left_out": left_out,
            "valid_lists": len(held_out),
        }
        write_model_card(part, about, backbone, objective, seed, counts, training.rows[-1], COLUMNS)
    Path(state).unlink(missing_ok=True)


class _Training:
    """A model with all that changes while it is trained."""

    def __init__(
        self,
        accelerator: Accelerator,
        start: str | os.PathLike | None,
        backbone: Mapping,
        objective: Mapping,
        steps: int,
        seed: int,
    ):
        self.accelerator, self.objective, self.seed = accelerator, objective, seed
        self.model = _start_model(start, backbone, seed).to(accelerator.device)
        self.optimizer = accelerator.prepare_optimizer(_optimizer(self.model, objective))
        self.schedule = _schedule(self.optimizer, objective, steps)
        self.step, self.waited, self.rows, self.rate = 0, 0, [], np.nan
        self.best, self.best_weights = None, {}
        self._count_anew()

    def _count_anew(self) -> None:
        """Losses and speed are those since the last validation."""
        self.losses, self.pairs, self.tokens, self.seconds, self.norm = [], 0, 0, 0.0, np.nan

    def make_step(
        self, step: int, encoder: PairEncoder, batch: list[TrainingList], compute: Mapping
    ) -> None:
        """One step of the optimiser, on the mean loss of the batch."""
        begin = time.monotonic()
        _seed_dropout(self.seed, step, self.accelerator.process_index)
        self.model.train()
        loss, pairs, tokens = _backward(
            self.accelerator, self.model, encoder, batch, self.objective, compute
        )
        clip = self.objective["gradient_clip"]
        self.norm = float(self.accelerator.clip_grad_norm_(self.model.parameters(), clip))
        self.rate = self.schedule.get_last_lr()[0]
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        self.step = step
        self.losses.append(loss)
        self.pairs, self.tokens = self.pairs + pairs, self.tokens + tokens
        self.seconds += time.monotonic() - begin

    def validate(
        self, epoch: int, encoder: PairEncoder, held_out: list[TrainingList], compute: Mapping
    ) -> None:
        """Add a row to training.csv; keep the weights if they are the best so far.

        Before the first step the row tells what the training starts from, which is never kept.
        """
        measured = _validate(
            self.accelerator, self.model, encoder, held_out, self.objective, compute
        )
        loss, seconds = (np.mean(self.losses), self.seconds) if self.step else (np.nan, np.nan)
        row = [self.step, epoch, float(loss), *measured, self.rate, self.norm]
        row += [self.pairs / seconds, self.tokens / seconds]
        self.rows.append([*row, _peak_memory(self.accelerator.device)])
        told = f"loss {loss:.4f}, " if self.step else ""
        log.info("step %d: %svalidation loss %.4f, nDCG@10 %.4f", self.step, told, *measured)
        if not self.step:
            return
        if self.best is None or not held_out or measured[0] < self.best[0]:
            self.best, self.waited = (measured[0], self.step), 0
            weights = self.model.state_dict()
            self.best_weights = {name: w.cpu().clone() for name, w in weights.items()}
        else:
            self.waited += 1
        if self.is_enough():
            log.info("no lower validation loss in %d validations: enough", self.waited)
        self._count_anew()

    def is_enough(self) -> bool:
        patience = self.objective["patience"]
        return patience is not None and self.waited >= patience

    def best_model(self) -> PreTrainedModel:
        """Return the model with the best weights, on the CPU."""
        self.model.cpu().load_state_dict(self.best_weights)
        return self.model

    NOTES = "step", "waited", "rows", "best", "losses", "pairs", "tokens", "seconds"

    def save(self, path: str | os.PathLike, identity: str) -> None:
        if not self.accelerator.is_main_process:
            return
        notes = {name: getattr(self, name) for name in self.NOTES}
        notes["scaler"] = self.accelerator.scaler and self.accelerator.scaler.state_dict()
        save_state(path, identity, self.model, self.optimizer, self.best_weights, notes)
        log.info("state saved after step %d", self.step)

    def load(self, path: str | os.PathLike, identity: str) -> None:
        """Go on where a training of the same identity was saved, if one was."""
        found = load_state(path, identity, self.model, self.optimizer)
        if not found:
            return
        self.best_weights, notes = found
        scaler = notes.pop("scaler")
        if scaler and self.accelerator.scaler:
            self.accelerator.scaler.load_state_dict(scaler)
        for name, value in notes.items():
            setattr(self, name, value)
        rates = [rate * self.schedule.lr_lambdas[0](self.step) for rate in self.schedule.base_lrs]
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        position = {"last_epoch": self.step, "_step_count": self.step + 1, "_last_lr": rates}
        self.schedule.load_state_dict(position | {"lr_lambdas": [None]})
        log.info("going on after step %d", self.step)


class _Signals:
    """Takes note of SIGTERM and SIGINT, and tells them on, instead of dying of them at once."""

    def __init__(self, tell: Callable[[int], None] | None = None):
        self.received, self.tell = 0, tell

    def __enter__(self) -> "_Signals":
        self.before = {name: signal.signal(name, self._note) for name in STOPPING}
        return self

    def _note(self, number: int, _frame) -> None:
        self.received = number
        if self.tell:
            self.tell(number)

    def __exit__(self, *_) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


class _Events:
    """What TensorBoard shows: the columns of training.csv over the steps."""

    def __init__(self, accelerator: Accelerator, folder: str | os.PathLike, training: _Training):
        self.writer = None
        if accelerator.is_main_process:
            self.writer = SummaryWriter(folder, purge_step=training.step + 1)

    def add(self, row: list[float]) -> None:
        if self.writer:
            for name, value in zip(COLUMNS[1:], row[1:], strict=True):
                if not np.isnan(value):
                    self.writer.add_scalar(name, value, row[0])

    def close(self) -> None:
        if self.writer:
            self.writer.close()


def _accelerator(compute: Mapping) -> Accelerator:
    device = pick_device(compute["threads"])
    precision = "no" if device.type == "cpu" else compute["precision"].replace("fp32", "no")
    return Accelerator(mixed_precision=precision, cpu=device.type == "cpu")


def _identity(
    start: str | os.PathLike | None,
    lists: str | os.PathLike,
    backbone: Mapping,
    objective: Mapping,
    seed: int,
) -> str:
    """What tells a training from others: its settings, and the inputs it was given."""
    files = [Path(lists, "stats.json"), *([Path(start, "model.safetensors")] if start else [])]
    return fingerprint([dict(backbone), dict(objective), seed], *files)


def _any(accelerator: Accelerator, *flags: int) -> list[int]:
    """The flags as they are in any of the processes."""
    if accelerator.num_processes == 1:
        return list(flags)
    given = torch.tensor([float(flag) for flag in flags], device=accelerator.device)
    return accelerator.gather(given[None]).amax(dim=0).int().tolist()


def _sampler(folder: Path, objective: Mapping, seed: int) -> ListSampler:
    return ListSampler(
        RankedLists(folder),
        objective["labels"],
        objective["list_size"],
        objective["sample_depth"],
        seed,
        objective["negatives"],
    )


def _start_model(start: str | os.PathLike | None, backbone: Mapping, seed: int) -> PreTrainedModel:
    """Load the checkpoint, or the backbone with a new head drawn from ``seed``."""
    torch.manual_seed(seed)
    model = load_model(start or backbone["model"])
    if not start and backbone["num_layers"]:
        keep_layers(model, backbone["num_layers"])
    finish_first_token_only(model)
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
    layers = encoder_layers(model)
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


def _batches(
    sampler: ListSampler, size: int, done: int, steps: int
) -> Iterator[tuple[int, int, list[TrainingList]]]:
    """Yield (step, epoch, lists) after the steps done; an epoch's last batch may be smaller."""
    per_epoch, order_of = -(-len(sampler.usable) // size), None
    for step in range(done + 1, steps + 1):
        epoch, place = 1 + (step - 1) // per_epoch, (step - 1) % per_epoch
        if epoch != order_of:
            order, order_of = sampler.order(epoch), epoch
        chosen = order[place * size : (place + 1) * size]
        yield step, epoch, [sampler.sample(i, epoch) for i in chosen]


def _seed_dropout(seed: int, step: int, process: int) -> None:
    """Dropout draws from torch's own generators: give them a state that only these decide."""
    state = np.random.SeedSequence([seed, step, process]).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0]))


def _backward(
    accelerator: Accelerator,
    model: PreTrainedModel,
    encoder: PairEncoder,
    batch: list[TrainingList],
    objective: Mapping,
    compute: Mapping,
) -> tuple[float, int, int]:
    """Accumulate the gradient of the batch's mean loss; return the loss, its pairs and tokens.

    As many lists as ``tokens_in_memory`` allows keep their graph at a time; then it is freed. A
    single list beyond that goes by gradient caching.
    """
    total, pairs, tokens = 0.0, 0, 0
    _expect_rows(model)
    mine = batch[accelerator.process_index :: accelerator.num_processes]
    for lists, lengths in _chunks(encoder, mine, compute["tokens_in_memory"]):
        if lengths.sum() > compute["tokens_in_memory"]:
            loss = _backward_cached(
                accelerator, model, encoder, lists, len(batch), objective, compute
            )
        else:
            with accelerator.autocast():
                scores = _scores(model, encoder, lists, compute)
            loss = _losses(scores, lists, objective).sum() / len(batch)
            accelerator.backward(loss)
        total += float(loss.detach())
        pairs, tokens = pairs + len(lengths), tokens + int(lengths.sum())
    return _summed(accelerator, model, total, pairs, tokens)


def _expect_rows(model: PreTrainedModel) -> None:
    """On a CPU, have each micro-batch add to the gradient of the words that it has, no others.

    Otherwise each makes a gradient of the whole vocabulary, nearly all zeros, and adds that.
    """
    words = model.get_input_embeddings()
    words.sparse = model.device.type == "cpu"
    if words.weight.grad is None:
        words.weight.grad = torch.zeros_like(words.weight)


def _backward_cached(
    accelerator: Accelerator,
    model: PreTrainedModel,
    encoder: PairEncoder,
    lists: list[TrainingList],
    batch_size: int,
    objective: Mapping,
    compute: Mapping,
) -> Tensor:
    """Accumulate the gradient of lists whose graph does not fit into memory; return their loss.

    First the scores without a graph, and from these the loss and its gradient by score; then one
    micro-batch after the other once more, with the same dropout, whose graph carries that gradient
    on to the weights: Gao et al.: "Scaling Deep Contrastive Learning Batch Size under Memory
    Limited Setup" (RepL4NLP 2021).
    """
    queries, passages = _pairs(lists)
    lengths = encoder.lengths(queries, passages)
    batches = list(token_budget_batches(lengths, compute["tokens_per_batch"]))
    scores, states = torch.zeros(len(queries), device=model.device), []
    with torch.no_grad(), accelerator.autocast():
        for some in batches:
            states.append(_generators(model.device))
            scores[some] = score_batch(model, encoder, queries[some], passages[some])
    loss = _losses(scores.requires_grad_(), lists, objective).sum() / batch_size
    (gradient,) = torch.autograd.grad(loss, scores)
    for some, state in zip(batches, states, strict=True):
        _set_generators(model.device, state)
        with accelerator.autocast():
            again = score_batch(model, encoder, queries[some], passages[some])
        accelerator.backward((again * gradient[some]).sum())
    return loss


def _generators(device: torch.device) -> tuple[Tensor, ...]:
    on_gpu = (torch.cuda.get_rng_state(device),) if device.type == "cuda" else ()
    return torch.get_rng_state(), *on_gpu


def _set_generators(device: torch.device, state: tuple[Tensor, ...]) -> None:
    torch.set_rng_state(state[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)


def _summed(
    accelerator: Accelerator, model: PreTrainedModel, *totals: float
) -> tuple[float, int, int]:
    """Sum gradients, loss, pairs and tokens over the processes."""
    if accelerator.num_processes > 1:
        trained = [weights for weights in model.parameters() if weights.requires_grad]
        for weights in trained:  # a process may have had no list
            weights.grad = torch.zeros_like(weights) if weights.grad is None else weights.grad
        flat = accelerator.reduce(torch.cat([weights.grad.flatten() for weights in trained]))
        parts = flat.split([weights.numel() for weights in trained])
        for weights, part in zip(trained, parts, strict=True):
            weights.grad.copy_(part.view_as(weights))
        totals = torch.tensor(totals, dtype=torch.float64, device=accelerator.device)
        totals = accelerator.reduce(totals).tolist()
    return totals[0], int(totals[1]), int(totals[2])


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
    if chunk:
        yield chunk, np.concatenate(lengths)


def _pairs(lists: list[TrainingList]) -> tuple[np.ndarray, np.ndarray]:
    """Query and passage numbers of the lists' pairs, one list after the other."""
    sizes = [len(item.passages) for item in lists]
    queries = np.repeat([item.query for item in lists], sizes)
    return queries, np.concatenate([item.passages for item in lists]).astype(np.int64)


def _scores(
    model: PreTrainedModel, encoder: PairEncoder, lists: list[TrainingList], compute: Mapping
) -> Tensor:
    """Scores of the lists' pairs, one list after the other."""
    return score_pairs(model, encoder, *_pairs(lists), compute["tokens_per_batch"])


def _losses(scores: Tensor, lists: list[TrainingList], objective: Mapping) -> Tensor:
    """The loss of each list, from the scores of their pairs."""
    sizes = np.array([len(item.passages) for item in lists])
    mask = torch.from_numpy(np.arange(sizes.max()) < sizes[:, None]).to(scores.device)
    relevances = torch.from_numpy(np.concatenate([item.relevances for item in lists])).to(scores)
    padded = scores.new_zeros(mask.shape)
    return LOSSES[objective["loss"]](
        padded.masked_scatter(mask, scores), padded.masked_scatter(mask, relevances), mask
    )


@torch.no_grad()
def _validate(
    accelerator: Accelerator,
    model: PreTrainedModel,
    encoder: PairEncoder,
    lists: list[TrainingList],
    objective: Mapping,
    compute: Mapping,
) -> tuple[float, float]:
    """Mean loss and nDCG@10 (linear gains) of the held-out lists; nan without any."""
    model.eval()
    totals = torch.zeros(2, dtype=torch.float64)
    mine = lists[accelerator.process_index :: accelerator.num_processes]
    for first in range(0, len(mine), VALIDATION_LISTS_AT_ONCE):
        some = mine[first : first + VALIDATION_LISTS_AT_ONCE]
        with accelerator.autocast():
            scores = _scores(model, encoder, some, compute)
        totals[0] += _losses(scores, some, objective).sum().item()
        ends = np.cumsum([len(item.passages) for item in some])[:-1]
        for item, scored in zip(some, np.split(scores.cpu().numpy(), ends), strict=True):
            gains = item.relevances - min(item.relevances.min(), 0)  # scores may be negative
            totals[1] += ndcg_score(gains[None], scored[None], k=10)
    totals = accelerator.reduce(totals.to(accelerator.device)) / max(len(lists), 1)
    return tuple(totals.tolist()) if lists else (np.nan, np.nan)


def _peak_memory(device: torch.device) -> float:
    """In MB, of the GPU if there is one."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _save(folder: Path, model: PreTrainedModel, tokenizer, encoder: PairEncoder, rows) -> None:
    # What other programs need to get the same scores: no sigmoid on top in sentence-transformers,
    # the same truncation, and no segment ids where training had none.
    identity = "torch.nn.modules.linear.Identity"
    model.config.sentence_transformers = {"activation_fn": identity}
    model.save_pretrained(folder)
    tokenizer.model_max_length = encoder.room + encoder.special
    if not encoder.segment_ids:
        leave_out_segment_ids(tokenizer)
    tokenizer.save_pretrained(folder)
    with (folder / "training.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows([[_short(value) for value in row] for row in rows])


def _short(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return "" if np.isnan(value) else f"{value:.6g}"


# --- several processes ---------------------------------------------------------------------------


def fine_tune_in_processes(processes: int, log_file: str | os.PathLike, job: str, **settings):
    """Call ``fine_tune`` in so many processes, each with its own GPU where there are some.

    Args:
        log_file, job: where the processes log, as ``log.start`` takes them.
        settings: the arguments of ``fine_tune``.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"log": [str(log_file), job], "settings": settings}, file, default=str)
        file.flush()
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(processes), "-m", "restage.training", file.name]
        process = subprocess.Popen(command)
        with _Signals(process.send_signal):
            code = process.wait()
    if code:
        raise SystemExit(code)


def _main(path: str) -> None:
    given = json.loads(Path(path).read_text())
    logs.start(*given["log"], append=True)
    if os.environ["RANK"] != "0":
        log.setLevel("WARNING")
    fine_tune(**given["settings"])
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    _main(sys.argv[1])
