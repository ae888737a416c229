"""Killed trainings go on where they were, and end in the weights of one that was not."""

import os
import random
import re
import shutil
import signal
import time
from dataclasses import replace

import pandas as pd
import pytest

from restage.errors import InputError
from restage.finetune.loop import Training
from restage.model import scoring
from tests.conftest import room
from tests.finetune.runs import COMPUTE, same

ALWAYS = replace(COMPUTE, save_every_minutes=0)
LONG = {"max_steps": 120, "validate_every": 7, "schedule": "cosine", "warmup_steps": 20}


@pytest.fixture(scope="module")
def whole(train):
    """The long training, never killed."""
    return train(**LONG)


def saved_steps(process):
    if not process.log.exists():
        return []
    return [int(n) for n in re.findall(r"state saved after step (\d+)", process.log.read_text())]


def wait_until(process, happened):
    while not happened():
        assert process.is_alive()
        time.sleep(0.002)


def ends_with(process, code):
    process.join(timeout=120)
    return process.exitcode == code


def test_killed_at_any_moment_it_ends_in_the_same_weights(whole, job):
    rng = random.Random(5)
    for _ in range(5):
        process = job(compute=ALWAYS, **LONG)
        enough = max(saved_steps(process), default=0) + rng.randint(3, 18)
        wait_until(process, lambda: max(saved_steps(process), default=0) >= enough)  # noqa: B023
        time.sleep(rng.random() * 0.05)
        process.kill()
        process.join()
    process = job()
    assert ends_with(process, 0)
    name = "model.safetensors"
    assert (process.output / name).read_bytes() == (whole / name).read_bytes()
    tables = [pd.read_csv(folder / "training.csv") for folder in (whole, process.output)]
    assert tables[0].iloc[:, :7].equals(tables[1].iloc[:, :7])
    assert "going on after step" in process.log.read_text()
    last = process.log.stat().st_size
    shutil.rmtree(process.output)  # as by a workflow that was killed and knows nothing of its end
    process = job()
    assert ends_with(process, 0)
    assert (process.output / name).read_bytes() == (whole / name).read_bytes()
    assert "going on after step 120" in process.log.read_text()[last:]


def test_sigterm_saves_the_state_at_once(whole, job):
    process = job(**LONG)
    wait_until(process, process.log.exists)
    wait_until(process, lambda: "step 7: loss" in process.log.read_text())
    process.terminate()
    assert ends_with(process, 143)
    [step] = saved_steps(process)
    assert f"stopped after step {step}: the same command goes on" in process.log.read_text()
    assert not process.output.exists()
    process = job()
    assert ends_with(process, 0)
    name = "model.safetensors"
    assert (process.output / name).read_bytes() == (whole / name).read_bytes()


def test_a_signal_in_a_validation_saves_the_state_at_once(train, tmp_path, monkeypatch):
    """Without what is left of it, which is done first when the training goes on."""
    limits, output, calls = {"max_steps": 6, "validate_every": 4}, tmp_path / "m", []
    expected = train(**limits)

    def score_batch(model, *pairs):
        if not model.training:
            calls.append(1)
            if len(calls) == 8:  # the first validation takes 6
                os.kill(os.getpid(), signal.SIGHUP)
        return original(model, *pairs)

    original = scoring.score_batch
    monkeypatch.setattr(scoring, "score_batch", score_batch)
    with pytest.raises(SystemExit) as ended:
        train(output=output, **limits)
    assert ended.value.code == 128 + signal.SIGHUP and len(calls) == 8
    monkeypatch.undo()
    train(output=output, **limits)
    assert same(output, expected)
    tables = [pd.read_csv(folder / "training.csv").iloc[:, :7] for folder in (expected, output)]
    assert tables[0].equals(tables[1]) and tables[0]["step"].tolist() == [0, 4, 6]


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def six_steps(train):
    return train()


@pytest.mark.parametrize("spoil", ["cut", "junk", "other", "older", "whole"])
def test_only_a_whole_state_of_the_same_training_is_taken_up(
    train, six_steps, tmp_path, monkeypatch, caplog, spoil
):
    def make_step(self, step, batch):
        if step == 5:
            raise Killed
        return original(self, step, batch)

    original = Training.make_step
    monkeypatch.setattr(Training, "make_step", make_step)
    output, state = tmp_path / "m", tmp_path / "state"
    with pytest.raises(Killed):
        train(compute=ALWAYS, output=output)
    monkeypatch.undo()
    if spoil == "cut":
        state.write_bytes(state.read_bytes()[:-100])
    elif spoil == "junk":
        state.write_bytes(b"junk")
    elif spoil == "older":  # its notes were others
        state.write_bytes(state.read_bytes().replace(b"best_loss", b"loss_best"))
    caplog.set_level("INFO", logger="restage")
    train(compute=ALWAYS, output=output, **({"learning_rate": 2e-3} if spoil == "other" else {}))
    said = {"whole": "going on after step 4", "other": "is of another training: starting anew"}
    assert said.get(spoil, "cannot be read") in caplog.text
    assert same(output, six_steps) == (spoil != "other")


def test_a_full_disk_while_the_state_is_saved_is_told(train, tmp_path):
    with room(20_000), pytest.raises(InputError, match="state: cannot be written"):
        train(compute=ALWAYS, output=tmp_path / "m")
    assert not (tmp_path / "state").exists()
