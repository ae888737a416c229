"""Trainings in two processes, on the CPU."""

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import numpy as np
import pandas as pd
import pytest
import torch

from restage.errors import InputError
from restage.finetune import launch
from restage.finetune.launch import fine_tune_in_processes, write_settings
from restage.finetune.loop import fine_tune
from restage.model.heads import load_model
from restage.model.names import load_tokenizer
from tests.finetune.runs import BY_SCORE, fine_tune_as, queries_of_step, score_list, weights


def test_two_processes_give_the_weights_of_one(tiny, arguments, tmp_path):
    still = tmp_path / "still"
    model = load_model(tiny("bert"), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model.save_pretrained(still)
    load_tokenizer(tiny("bert")).save_pretrained(still)
    objective = {
        "max_steps": 20,
        "validate_every": 10,
        "queries_per_batch": 5,
        "learning_rate": 1e-5,
    }
    one, two = (arguments(still, **objective) for _ in range(2))
    start = torch.cat([w.flatten() for w in weights(still).values()])
    fine_tune(**one)
    fine_tune_in_processes(2, tmp_path / "log", "two", **two)
    # All weights as one vector. Those whose gradient is 0 but for rounding (the last bias, say:
    # no list-wise loss sees a constant added to all scores) Adam moves as far as any.
    alone, together = (
        torch.cat([w.flatten() for w in weights(each["output"]).values()]) for each in (one, two)
    )
    assert (together - alone).norm() <= 1e-5 * alone.norm()
    assert (together - start).norm() > 1e-4 * alone.norm()
    rows = [pd.read_csv(each["output"] / "training.csv") for each in (one, two)]
    for column in ("loss", "valid_loss", "valid_nDCG@10"):
        expected, shown = (table[column].to_numpy() for table in rows)
        assert shown == pytest.approx(expected, rel=1e-4, nan_ok=True)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_one_of_two_processes_says_what_stops_both(lists, arguments, processes, tmp_path):
    broken = queries_of_step(lists, 4)[1]  # the second process's
    score_list(lists, "train", broken, np.inf)
    settings = arguments(lists=lists, output=tmp_path / "m", **BY_SCORE)
    write_settings(file := tmp_path / "two.json", log := tmp_path / "log", "two", **settings)
    port = free_port()
    both = [processes.Process(target=fine_tune_as, args=(n, 2, port, file)) for n in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(timeout=120)
    assert [process.exitcode for process in both] == [1, 0]
    assert re.findall("error: (.*)", log.read_text()) == [
        "step 4: the loss is not finite at learning rate 0.001 on the lists of queries number "
        f"{broken} (from 0); lower the learning_rate, set precision to fp32, or mend these lists"
    ]
    assert "state saved after step 3" in log.read_text()
    assert (tmp_path / "state").exists() and not (tmp_path / "m").exists()


@pytest.fixture
def as_processes(monkeypatch, arguments, tmp_path):
    """Run shell commands as if each were one of the processes of a training."""

    def run(*commands):
        def start(file, rank, *_):
            assert json.loads(file.read_text())["settings"]["seed"] == 1
            started.append(subprocess.Popen(["sh", "-c", f"exec {commands[rank]}"]))
            return started[-1]

        started = []
        monkeypatch.setattr(launch, "_start", start)
        fine_tune_in_processes(len(commands), tmp_path / "log", "two", **arguments())

    return run


def test_a_killed_process_is_told_by_its_signal_and_ends_the_others(as_processes):
    begin = time.monotonic()
    with pytest.raises(InputError, match=r"a process of the training died of SIGSEGV; .*goes on"):
        as_processes("sleep 600", "sh -c 'kill -SEGV $$'")
    assert time.monotonic() - begin < 10


def test_a_signal_reaches_all_processes_and_is_how_they_end(as_processes):
    threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGHUP]).start()
    with pytest.raises(SystemExit) as ended:
        as_processes("sleep 600", "sleep 600")
    assert ended.value.code == 128 + signal.SIGHUP
