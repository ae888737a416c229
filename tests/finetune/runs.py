"""Trainings that take a second: what they train on, with which settings, and what they leave."""

import os
import sys
from dataclasses import replace

import numpy as np
import torch

from restage.finetune.batches import batches, sampler
from restage.finetune.launch import fine_tune_from
from restage.grid.settings import Compute, Objective
from restage.model.heads import load_model
from tests.conftest import TEXTS

QUERIES, PASSAGES = TEXTS[:40], TEXTS[40:200]
COMPUTE = Compute(threads=1, tokens_per_batch=256, tokens_in_memory=512, gpus_per_scoring=0)
OBJECTIVE = Objective(
    loss="localized_contrastive",
    ranked_lists="lists",
    list_size=4,
    sample_depth=8,
    queries_per_batch=4,
    max_length=32,
    learning_rate=1e-3,
    max_steps=6,
    validate_every=2,
)
BY_SCORE = {"labels": "scores", "loss": "margin_mse", "max_steps": 8}


def weights(folder):
    return load_model(folder).state_dict()


def same(a, b):
    a, b = weights(a), weights(b)
    return all(torch.equal(a[name], b[name]) for name in a)


def score_list(lists, split, query, scores):
    """Give the passages of a query's list other scores."""
    file = lists / split / "scores.npy"
    column, offsets = np.load(file), np.load(lists / split / "offsets.npy")
    place = np.load(lists / split / "queries.npy").tolist().index(query)
    column[offsets[place] : offsets[place + 1]] = scores
    np.save(file, column)


def queries_of_step(lists, step):
    """The queries whose lists a training by scores learns from in a step."""
    train = sampler(lists / "train", replace(OBJECTIVE, **BY_SCORE), seed=1)
    [(_, _, batch)] = batches(train, OBJECTIVE.queries_per_batch, step - 1, step)
    return [item.query for item in batch]


def fine_tune_as(rank, processes, port, file):
    """Be one of several processes, as torchrun starts them."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    try:
        fine_tune_from(file)
    except Exception:
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
