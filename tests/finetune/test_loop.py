"""Trainings from end to end: what they do, and when they stop."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from transformers import AutoModelForSequenceClassification

from restage.collections.pairs import PairEncoder
from restage.collections.tokens import TokenStore
from restage.errors import InputError
from restage.finetune import loop
from restage.finetune.batches import sampler
from restage.finetune.checkpoint import start_model
from restage.finetune.loop import Training
from restage.finetune.losses import LOSSES
from restage.finetune.state import State
from restage.finetune.step import ListLoss
from restage.finetune.validation import Validation
from restage.model.names import load_tokenizer
from restage.ranked_lists.sampling import TrainingList
from tests.finetune.runs import BY_SCORE, COMPUTE, queries_of_step, same, score_list, weights


def test_the_same_seed_gives_the_same_bytes(train):
    a, b, c = train(seed=1), train(seed=1), train(seed=2)
    assert (a / "model.safetensors").read_bytes() == (b / "model.safetensors").read_bytes()
    assert not same(a, c)


def test_training_lowers_the_loss_it_says(train):
    folder = train(max_steps=60, validate_every=20)
    table = pd.read_csv(folder / "training.csv")
    assert table["step"].tolist() == [0, 20, 40, 60]
    assert table["loss"][3] < table["loss"][1] < np.log(4) + 0.1


def test_the_first_row_tells_what_a_training_starts_from(train):
    first = train(max_steps=2)
    before, after = (pd.read_csv(f / "training.csv") for f in (first, train(start=first)))
    for column in ("valid_loss", "valid_nDCG@10"):
        assert after[column][0] == pytest.approx(before[column][1], rel=1e-5)
        assert after[column][0] != before[column][0]
    trained = ["loss", "learning_rate", "gradient_norm", "pairs_per_second"]
    assert after.loc[0, trained].isna().all() and after.loc[1:, trained].notna().all(axis=None)


@pytest.fixture
def validated(monkeypatch):
    """Have validations measure these losses."""

    def measure(*losses):
        losses = iter(losses)
        monkeypatch.setattr(loop, "validate", lambda *_: Validation(next(losses), 0.5, []))

    return measure


def test_the_best_step_is_what_is_kept(train, validated, monkeypatch):
    validated(0.0, 3.0, 1.0, 2.0)  # the first is of what it starts from
    best = train()
    monkeypatch.undo()
    assert same(best, train(max_steps=4))
    assert not same(best, train(max_steps=6, validate_every=6))
    assert "these weights are from step 4" in (best / "README.md").read_text()


def test_patience_ends_a_training(train, validated):
    validated(0.0, 1.0, 2.0, 2.0, 0.0)
    folder = train(max_steps=100, patience=2)
    assert (folder / "training.csv").read_text().splitlines()[-1].startswith("6,")


def test_a_second_stage_goes_on_from_the_first(train):
    first = train()
    almost = train(start=first, learning_rate=1e-12, loss="ranknet", labels="ranks")
    for name, tensor in weights(first).items():
        torch.testing.assert_close(tensor, weights(almost)[name], rtol=0, atol=1e-8)


def test_position_embeddings_are_frozen_and_the_rest_is_not(train, tiny):
    before = AutoModelForSequenceClassification.from_pretrained(tiny("bert")).state_dict()
    after = weights(train())
    for name, tensor in after.items():
        if "position_embeddings" in name:
            assert torch.equal(tensor, before[name])
    assert not torch.equal(
        after["bert.encoder.layer.1.output.dense.weight"],
        before["bert.encoder.layer.1.output.dense.weight"],
    )


def test_epochs_and_steps_whichever_is_less(train):
    def last(**limits):
        rows = (train(validate_every=100, **limits) / "training.csv").read_text().splitlines()
        return [int(value) for value in rows[-1].split(",")[:2]]

    step, epoch = last(max_steps=100, epochs=2)
    assert epoch == 2
    assert last(max_steps=step + 1, epochs=None) == [step + 1, 3]
    assert last(max_steps=step - 1, epochs=2) == [step - 1, 2]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0, 0.5, 1, 1, 1, 1]),
        ("linear", [0, 0.5, 1, 0.75, 0.5, 0.25]),
        ("cosine", [0, 0.5, 1, 0.853553, 0.5, 0.146447]),
    ],
)
def test_the_learning_rate_warms_up_and_follows_its_schedule(train, schedule, expected):
    folder = train(max_steps=6, validate_every=1, schedule=schedule, warmup_steps=2)
    rates = pd.read_csv(folder / "training.csv")["learning_rate"][1:] / 1e-3
    assert rates.tolist() == pytest.approx(expected, abs=1e-5)


def test_a_step_is_made_at_its_rate(train):
    """At rate 0 nothing moves: the first step of a warm-up, and a last one that falls to 0."""
    still = train(max_steps=1, warmup_steps=5)
    moved = train(max_steps=2, warmup_steps=5)
    start = train(max_steps=1, learning_rate=0.0, warmup_steps=5)
    assert same(still, start) and not same(moved, start)


def test_no_usable_list_is_told(train):
    with pytest.raises(InputError, match="no list has a usable positive in its first 1"):
        train(sample_depth=1)


# --- losses and gradients that are not finite ----------------------------------------------------


@pytest.mark.parametrize("measured", [True, False])
def test_weights_that_are_not_finite_are_no_checkpoint(train, tmp_path, monkeypatch, measured):
    """The loss of the last step is of the weights before it; there may be no list to measure on."""

    def sampled(folder, *about):
        found = sampler(folder, *about)
        if not measured and folder.name == "valid":
            found.usable = found.usable[:0]
        return found

    monkeypatch.setattr(loop, "sampler", sampled)
    output = tmp_path / "m"
    with pytest.raises(InputError, match=r"^step 1: the weights are not finite, at learning rate"):
        train(output=output, max_steps=1, learning_rate=1e39)
    assert {path.name for path in tmp_path.iterdir()} == {"events"}


def test_a_loss_that_is_not_finite_stops_before_the_update(train, lists, tmp_path, caplog):
    caplog.set_level("INFO", logger="restage")
    output, [_, second, *_] = tmp_path / "m", queries_of_step(lists, 4)
    score_list(lists, "train", second, np.inf)
    with pytest.raises(InputError) as raised:
        train(lists=lists, output=output, **BY_SCORE)
    assert str(raised.value) == (
        "step 4: the loss is not finite at learning rate 0.001 on the lists of queries number "
        f"{second} (from 0); lower the learning_rate, set precision to fp32, or mend these lists"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"lists", "events", "state"}
    score_list(lists, "train", second, 9 - np.arange(8))
    train(lists=lists, output=output, **BY_SCORE)
    assert "state saved after step 3" in caplog.text and "going on after step 3" in caplog.text
    assert same(output, train(lists=lists, **BY_SCORE))


def test_what_was_saved_before_a_broken_step_is_not_saved_again(train, lists, tmp_path, caplog):
    caplog.set_level("INFO", logger="restage")
    score_list(lists, "train", queries_of_step(lists, 3)[0], np.nan)
    always = replace(COMPUTE, save_every_minutes=0)
    for _ in range(2):  # nothing has changed: the same again
        with pytest.raises(InputError, match="step 3: the loss is not finite"):
            train(lists=lists, output=tmp_path / "m", compute=always, **BY_SCORE)
    saved = [line for line in caplog.messages if "state saved" in line]
    assert saved == ["state saved after step 1", "state saved after step 2"]


def test_too_high_a_learning_rate_stops_a_training(train, tmp_path):
    broken = r"is not finite at learning rate 1e\+30 on the lists of queries number \d+, \d+"
    with pytest.raises(InputError, match=f"step 2: the loss {broken}"):
        train(learning_rate=1e30, output=tmp_path / "m")
    assert (tmp_path / "state").exists() and not (tmp_path / "m").exists()
    with pytest.raises(InputError, match=f"step 1: the validation loss {broken}"):
        train(learning_rate=1e30, validate_every=1)


@pytest.fixture
def steep(monkeypatch):
    """A loss that is 0, at a place where its gradient is not finite."""

    def loss(scores, relevances, mask):
        return (0 * scores.masked_fill(~mask, 0).sum(dim=1)).sqrt()

    monkeypatch.setitem(LOSSES, "ranknet", loss)


@pytest.mark.usefixtures("steep")
def test_a_gradient_that_is_not_finite_stops_a_training(train, tmp_path):
    with pytest.raises(InputError, match=r"step 1: the gradient is not finite .* (\d+, ){3}\d+ "):
        train(loss="ranknet", output=tmp_path / "m")
    assert {path.name for path in tmp_path.iterdir()} == {"events"}


@pytest.mark.usefixtures("steep")
def test_fp16_may_scale_less_before_a_gradient_stops_a_training(arguments, tmp_path):
    asked, accelerator = arguments(), Accelerator(cpu=True)
    accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    tokenizer = load_tokenizer(asked["backbone"].model)
    stores = TokenStore(asked["queries"]), TokenStore(asked["passages"])
    encoder = PairEncoder(tokenizer, *stores, 32)
    model = start_model(None, asked["backbone"], seed=1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    list_loss = ListLoss(accelerator, model, encoder, "ranknet", 256)
    state = State(tmp_path / "state", "fp16")
    training = Training(list_loss, [], asked["objective"], 6, 1, 512, state)
    batch = [TrainingList(0, np.arange(3), np.arange(3))]
    training.make_step(1, batch)  # at scale 4
    training.make_step(2, batch)  # at scale 2
    with pytest.raises(InputError, match="step 3: the gradient is not finite"):
        training.make_step(3, batch)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert training.notes.step == 2 and state.path.exists()


def test_a_validation_loss_that_is_not_finite_is_told(train, lists, tmp_path):
    query = int(np.load(lists / "valid/queries.npy")[2])
    score_list(lists, "valid", query, np.inf)
    with pytest.raises(InputError) as raised:
        train(lists=lists, output=tmp_path / "m", **BY_SCORE)
    assert str(raised.value) == (
        f"step 0: the validation loss is not finite on the lists of queries number {query} (from "
        "0); set precision to fp32, or mend these lists"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"lists", "events"}
