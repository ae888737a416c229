"""The learning rate is that of transformers' schedules."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import get_scheduler

from restage.finetune.rate import SCHEDULES, learning_rate
from tests.finetune.runs import OBJECTIVE

NAMES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}


@pytest.mark.parametrize("schedule", SCHEDULES)
@settings(deadline=None)  # the first scheduler is slow to make
@given(
    rate=st.floats(1e-12, 1, exclude_min=True),
    steps=st.integers(1, 60),
    warmup=st.integers(0, 70),
)
def test_every_step_has_the_rate_of_transformers(schedule, rate, steps, warmup):
    objective = replace(OBJECTIVE, learning_rate=rate, schedule=schedule, warmup_steps=warmup)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    scheduler = get_scheduler(NAMES[schedule], optimizer, warmup, steps)
    for step in range(1, steps + 1):
        assert learning_rate(objective, step, steps) == scheduler.get_last_lr()[0]
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("schedule", SCHEDULES)
@settings(deadline=None)
@given(st.data(), st.integers(1, 10**7), st.integers(0, 10**5))
def test_so_it_is_over_long_trainings(schedule, data, steps, warmup):
    step = data.draw(st.integers(1, steps))
    objective = replace(OBJECTIVE, learning_rate=8e-5, schedule=schedule, warmup_steps=warmup)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=8e-5)
    [factor] = get_scheduler(NAMES[schedule], optimizer, warmup, steps).lr_lambdas
    assert learning_rate(objective, step, steps) == 8e-5 * factor(step - 1)
