"""Fine-tuning of a cross-encoder on ranked lists: one stage, of any recipe, from any checkpoint.

``fine_tune`` and ``_train`` are what happens, in order; ``Training`` is what changes meanwhile.
Several processes, one per GPU, may train together (``launch``): each takes its part of every
batch's lists, and gradients are summed before the step. A killed training goes on from its state.
"""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from signal import SIGTERM
from typing import NoReturn

import numpy as np
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from restage.collections.pairs import PairEncoder
from restage.collections.tokens import TokenStore
from restage.errors import InputError
from restage.files import complete, fingerprint
from restage.finetune.batches import batches, epoch_of, sampler
from restage.finetune.checkpoint import History, start_model, write_checkpoint
from restage.finetune.rate import learning_rate
from restage.finetune.record import Events, Row, Steps
from restage.finetune.signals import Signals
from restage.finetune.state import Notes, State
from restage.finetune.step import ListLoss, accumulate_gradient
from restage.finetune.validation import Stopped, validate
from restage.grid.settings import Backbone, Compute, Objective
from restage.log import Progress, log
from restage.model.device import pick_device
from restage.model.names import load_tokenizer
from restage.ranked_lists.sampling import VALIDATION, ListSampler, TrainingList


def fine_tune(
    start: str | os.PathLike | None,
    output: str | os.PathLike,
    *,
    name: str,
    recipe: str,
    backbone: Backbone,
    objective: Objective,
    lists: str | os.PathLike,
    queries: str | os.PathLike,
    passages: str | os.PathLike,
    seed: int,
    compute: Compute,
    state: str | os.PathLike,
    events: str | os.PathLike,
) -> None:
    """Train one stage and write ``output``, a Hugging Face checkpoint with training.csv and a card.

    Args:
        start: the checkpoint of the stage before; None starts from the backbone.
        name: of the model, as its card has it: electra/CL-KD/42.
        recipe: whose last stage this is.
        lists: folder with the column stores train/ and valid/.
        queries, passages: token stores that the lists' numbers refer to.
        state: the file from which this training goes on if it is killed, at its end too: to be
            removed by whoever sees that ``output`` is safe.
        events: the folder that TensorBoard reads.

    The checkpoint with the lowest validation loss is written; without validation lists, the last.
    The first row of training.csv, step 0, validates what the training starts from.

    Raises:
        InputError: no list has a usable positive, a loss, a gradient or the weights are not finite
            (the state before that step is saved), or the disk is full.
        SystemExit: SIGTERM, SIGINT or SIGHUP came; the state is saved.
    """
    accelerator = _accelerator(compute.threads, compute.precision)
    tokenizer = load_tokenizer(backbone.model)
    stores = TokenStore(queries), TokenStore(passages)
    encoder = PairEncoder(tokenizer, *stores, objective.max_length, backbone.segment_ids)
    train, valid = (sampler(Path(lists, split), objective, seed) for split in ("train", "valid"))
    if not len(train.usable):
        raise InputError(f"{lists}: no list has a usable positive in its first {train.depth}")
    held_out = [valid.sample(i, VALIDATION) for i in valid.usable]
    left_out = len(train.lists) - len(train.usable)
    log.info(
        "%d lists to train on (%d without a usable positive left out), %d to validate on",
        *(len(train.usable), left_out, len(held_out)),
    )
    model = start_model(start, backbone, seed).to(accelerator.device)
    list_loss = ListLoss(accelerator, model, encoder, objective.loss, compute.tokens_per_batch)
    file = State(state, _identity(start, lists, backbone, objective, seed))
    steps = objective.steps(len(train.usable))
    training = Training(list_loss, held_out, objective, steps, seed, compute.tokens_in_memory, file)
    _train(training, train, compute.save_every_minutes, events)
    if not accelerator.is_main_process:
        return
    history = History(
        name=name,
        recipe=recipe,
        start=str(start) if start else None,
        backbone=backbone,
        objective=objective,
        seed=seed,
        train_lists=len(train.usable),
        left_out=left_out,
        valid_lists=len(held_out),
        best_step=training.notes.best_step,
        rows=training.notes.rows,
    )
    with complete(output) as part:
        write_checkpoint(part, training.best_model(), tokenizer, history)


def _train(
    training: "Training",
    train: ListSampler,
    save_every_minutes: float,
    events: str | os.PathLike,
) -> None:
    """Make the steps that are left, with a validation and a saved state every now and then."""
    accelerator, steps = training.accelerator, training.steps
    done, size = training.notes.step, training.objective.queries_per_batch
    progress, saved = Progress(steps - done, "steps"), time.monotonic()
    with (
        Signals() as signals,
        Events(events if accelerator.is_main_process else None, done) as shown,
    ):
        if training.is_to_validate():  # before the first step, or a signal came instead
            shown.add(training.validate(epoch_of(done, train, size), signals))
        for step, epoch, batch in batches(train, size, done, steps):
            if training.is_enough():
                break
            loss = training.make_step(step, batch)
            progress.add(1, f"loss {loss:.4f}")
            if training.is_to_validate():
                shown.add(training.validate(epoch, signals))
            is_due = time.monotonic() - saved >= 60 * save_every_minutes
            stop, save = _in_any_process(accelerator, signals.received, is_due)
            if stop:
                training.stop(stop)
            if save:
                training.save()
                saved = time.monotonic()
    training.save()


class Training:
    """A model with all that changes while it is trained; goes on where its state was saved."""

    def __init__(
        self,
        list_loss: ListLoss,
        held_out: Sequence[TrainingList],
        objective: Objective,
        steps: int,
        seed: int,
        tokens_in_memory: int,
        state: State,
    ):
        self.list_loss, self.held_out, self.objective = list_loss, held_out, objective
        self.steps, self.seed, self.tokens_in_memory = steps, seed, tokens_in_memory
        self.accelerator, self.model = list_loss.accelerator, list_loss.model
        self.optimizer = self.accelerator.prepare_optimizer(_optimizer(self.model, objective))
        self.state, self.notes = state, Notes()
        self.best_weights: dict[str, torch.Tensor] = {}
        self._go_on()

    def _go_on(self) -> None:
        saved = self.state.load(self.model, self.optimizer)
        if saved:
            self.best_weights, self.notes = saved
            if self.notes.scaler and self.accelerator.scaler:
                self.accelerator.scaler.load_state_dict(self.notes.scaler)
            log.info("going on after step %d", self.notes.step)
        self.saved = self.notes.step

    def save(self) -> None:
        """Save the state, unless nothing could come of it: the weights are not finite."""
        is_new = self.accelerator.is_main_process and self.notes.step > self.saved
        if is_new and self._is_finite():
            scaler = self.accelerator.scaler
            notes = replace(self.notes, scaler=scaler and scaler.state_dict())
            self.state.save(self.model, self.optimizer, self.best_weights, notes)
            log.info("state saved after step %d", self.notes.step)
            self.saved = self.notes.step

    def stop(self, signal: int) -> NoReturn:
        """Save the state and end this process, as ``signal`` asks for."""
        self.save()
        log.info("stopped after step %d: the same command goes on from there", self.notes.step)
        raise SystemExit(128 + signal)

    def _is_finite(self) -> bool:
        return all(bool(weights.isfinite().all()) for weights in self.model.parameters())

    def make_step(self, step: int, batch: list[TrainingList]) -> float:
        """One step of the optimiser, on the mean loss of the batch, which is returned.

        Raises:
            InputError: the loss or its gradient is not finite; the state before is saved.
        """
        begin = time.monotonic()
        _seed_dropout(self.seed, step, self.accelerator.process_index)
        self.model.train()
        rate = learning_rate(self.objective, step, self.steps)
        made = accumulate_gradient(self.list_loss, batch, self.tokens_in_memory)
        clip = self.objective.gradient_clip
        norm = float(self.accelerator.clip_grad_norm_(self.model.parameters(), clip))
        if not (math.isfinite(made.loss) and self._is_usable(norm)):
            self.save()
            what = "gradient" if math.isfinite(made.loss) else "loss"
            raise _not_finite(what, step, rate, made.broken or [item.query for item in batch])
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.notes.step = step
        self.notes.since.add(made, rate, norm, time.monotonic() - begin)
        return made.loss

    def _is_usable(self, norm: float) -> bool:
        """Whether a gradient is one; what overflows fp16 its scaler leaves out, and scales less."""
        scaler = self.accelerator.scaler
        return math.isfinite(norm) or (scaler is not None and scaler.get_scale() > 1)

    def is_to_validate(self) -> bool:
        """Whether the model as it is now is due to be measured, and has not been."""
        notes = self.notes
        if notes.rows and notes.rows[-1].step == notes.step:
            return False
        if not notes.step:
            return bool(self.held_out)
        return notes.step % self.objective.validate_every == 0 or notes.step == self.steps

    def validate(self, epoch: int, signals: Signals) -> Row:
        """Add a row to training.csv; keep the weights if they are the best so far.

        Before the first step the row tells what the training starts from, which is never kept.

        Raises:
            InputError: a held-out list's loss, score or label is not finite, or a weight.
            SystemExit: a signal came; the state is saved, and will be validated first of all.
        """
        notes, since = self.notes, self.notes.since
        if not self._is_finite():
            raise InputError(
                f"step {notes.step}: the weights are not finite, at learning rate {since.rate:g}; "
                "lower the learning_rate, or set precision to fp32"
            )
        try:
            loss, ndcg, broken = validate(self.list_loss, self.held_out, signals)
        except Stopped:
            self.stop(signals.received or SIGTERM)
        if broken:
            raise _not_finite("validation loss", notes.step, since.rate, broken)
        row = since.row(notes.step, epoch, loss, ndcg, self.accelerator.device)
        notes.rows.append(row)
        trained = f"loss {row.loss:.4f}, " if row.step else ""
        log.info("step %d: %svalidation loss %.4f, nDCG@10 %.4f", row.step, trained, loss, ndcg)
        if row.step:
            self._keep_if_best(loss)
            notes.since = Steps()
        return row

    def _keep_if_best(self, loss: float) -> None:
        notes = self.notes
        if not self.held_out or loss < notes.best_loss:
            notes.best_loss, notes.best_step, notes.waited = loss, notes.step, 0
            weights = self.model.state_dict()
            self.best_weights = {name: w.cpu().clone() for name, w in weights.items()}
        else:
            notes.waited += 1
        if self.is_enough():
            log.info("no lower validation loss in %d validations: enough", notes.waited)

    def is_enough(self) -> bool:
        patience = self.objective.patience
        return patience is not None and self.notes.waited >= patience

    def best_model(self) -> PreTrainedModel:
        """Return the model with the best weights, on the CPU."""
        self.model.cpu().load_state_dict(self.best_weights)
        return self.model


def _accelerator(threads: int, precision: str) -> Accelerator:
    device = pick_device(threads)
    mixed = "no" if device.type == "cpu" else precision.replace("fp32", "no")
    return Accelerator(mixed_precision=mixed, cpu=device.type == "cpu")


def _identity(
    start: str | os.PathLike | None,
    lists: str | os.PathLike,
    backbone: Backbone,
    objective: Objective,
    seed: int,
) -> str:
    """What tells a training from others: its settings, and the inputs that it has."""
    files = [Path(lists, "stats.json"), *([Path(start, "model.safetensors")] if start else [])]
    return fingerprint([asdict(backbone), asdict(objective), seed], *files)


def _optimizer(model: PreTrainedModel, objective: Objective) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        [weights for weights in model.parameters() if weights.requires_grad],
        lr=objective.learning_rate,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=objective.weight_decay,
        fused=True,
    )


def _seed_dropout(seed: int, step: int, process: int) -> None:
    """Dropout draws from torch's own generators: give them a state that only these decide."""
    state = np.random.SeedSequence([seed, step, process]).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0]))


def _in_any_process(accelerator: Accelerator, *flags: int) -> list[int]:
    """The flags as they are in any of the processes."""
    if accelerator.num_processes == 1:
        return list(flags)
    here = torch.tensor([float(flag) for flag in flags], device=accelerator.device)
    return accelerator.gather(here[None]).amax(dim=0).int().tolist()


def _not_finite(what: str, step: int, rate: float, queries: Sequence[int]) -> InputError:
    """The one line about lists, by their queries' numbers, on which a step or validation broke."""
    more = f" and {len(queries) - 5} more" if len(queries) > 5 else ""
    lower, at = ("lower the learning_rate, ", f" at learning rate {rate:g}") if step else ("", "")
    return InputError(
        f"step {step}: the {what} is not finite{at} on the lists of queries number "
        f"{', '.join(map(str, queries[:5]))}{more} (from 0); {lower}set precision to fp32, or "
        "mend these lists"
    )
