"""Fine-tuning and scoring: gradients, checkpoints, determinism, and other programs' scores."""

import json
import random
import re
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ARCHITECTURES, SMALL, TEXTS, room
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
)

from restage import training
from restage.errors import InputError
from restage.losses import LOSSES
from restage.ranked_lists import Stats, ingest, read_trec_run
from restage.sampling import TrainingList
from restage.scoring import (
    AFTER_ATTENTION,
    Scorer,
    encoder_layers,
    finish_first_token_only,
    load_cross_encoder,
    load_model,
    score_pairs,
    score_run,
)
from restage.tokens import PairEncoder, load_tokenizer
from restage.training import fine_tune, keep_layers

COMPUTE = {
    "threads": 1,
    "precision": "bf16",
    "tokens_per_batch": 256,
    "tokens_in_memory": 512,
    "gpus_per_scoring": 0,
    "save_every_minutes": 10,
}
OBJECTIVE = {
    "loss": "localized_contrastive",
    "ranked_lists": "lists",
    "labels": "qrels",
    "list_size": 4,
    "sample_depth": 8,
    "negatives": "random",
    "queries_per_batch": 4,
    "max_length": 32,
    "learning_rate": 1e-3,
    "schedule": "constant",
    "warmup_steps": 0,
    "weight_decay": 0.01,
    "gradient_clip": 10,
    "max_steps": 6,
    "epochs": None,
    "validate_every": 2,
    "patience": None,
}
ABOUT = {"name": "tiny/CL/1", "recipe": "CL", "stage": 1, "start": "the backbone"}
QUERIES, PASSAGES = TEXTS[:40], TEXTS[40:200]


@pytest.fixture(scope="module")
def data(tmp_path_factory, store):
    """Ranked lists of 30 queries over 8 passages; those that speak of fish are relevant."""
    folder = tmp_path_factory.mktemp("data")
    query_texts = store((f"q{i}", text) for i, text in enumerate(QUERIES))
    passage_texts = store((f"p{i}", text) for i, text in enumerate(PASSAGES))
    lines = [f"q{q} 0 p{4 * q + r} {r} {9 - r} x\n" for q in range(30) for r in range(8)]
    (folder / "a.run").write_text("".join(lines))
    ingest(
        read_trec_run(folder / "a.run", stats := Stats()),
        folder / "lists",
        queries=query_texts,
        passages=passage_texts,
        qrels=[
            (f"q{q}", f"p{i}", 1)
            for q in range(25)
            for i, text in enumerate(PASSAGES)
            if "fish" in text
        ],
        valid_fraction=0.2,
        split_seed=1,
        stats=stats,
    )
    return folder, query_texts, passage_texts


@pytest.fixture(scope="module")
def train(data, tiny, token_store, tmp_path_factory):
    """Fine-tune a tiny backbone and return the checkpoint's folder."""
    folder, _, _ = data

    def run(name="bert", **given):
        arguments = settings(folder, tiny(name), token_store, tmp_path_factory, **given)
        fine_tune(**arguments)
        return arguments["output"]

    return run


def settings(
    data,
    model,
    token_store,
    tmp_path_factory,
    start=None,
    seed=1,
    num_layers=None,
    compute=COMPUTE,
    output=None,
    **objective,
):
    """The arguments of ``fine_tune``."""
    tokenizer = load_tokenizer(model)
    output = output or tmp_path_factory.mktemp("model") / "m"
    return {
        "start": start,
        "output": output,
        "backbone": {"model": model, "num_layers": num_layers, "segment_ids": False},
        "objective": {**OBJECTIVE, **objective},
        "lists": data / "lists",
        "queries": token_store(QUERIES, tokenizer).folder,
        "passages": token_store(PASSAGES, tokenizer).folder,
        "seed": seed,
        "compute": compute,
        "about": ABOUT,
        "state": output.parent / "state",
        "events": output.parent / "events",
    }


def weights(folder):
    return load_model(folder).state_dict()


def same(a, b):
    a, b = weights(a), weights(b)
    return all(torch.equal(a[name], b[name]) for name in a)


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


def test_the_best_step_is_what_is_kept(train, monkeypatch):
    losses = iter([0.0, 3.0, 1.0, 2.0])  # the first is of what it starts from
    monkeypatch.setattr(training, "_validate", lambda *_: (next(losses), 0.5))
    best = train()
    monkeypatch.undo()
    assert same(best, train(max_steps=4))
    assert not same(best, train(max_steps=6, validate_every=6))
    assert "these weights are from step 4" in (best / "README.md").read_text()


def test_patience_ends_a_training(train, monkeypatch):
    losses = iter([0.0, 1.0, 2.0, 2.0, 0.0])
    monkeypatch.setattr(training, "_validate", lambda *_: (next(losses), 0.5))
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


def test_tensorboard_has_what_the_table_has(train):
    folder = train(max_steps=4)
    events = EventAccumulator(str(folder.parent / "events")).Reload()
    table = pd.read_csv(folder / "training.csv").set_index("step")
    assert table.index.tolist() == [0, 2, 4]
    for column in ("loss", "valid_loss"):
        told = table[column].dropna()
        shown = [(event.step, event.value) for event in events.Scalars(column)]
        assert [step for step, _ in shown] == told.index.tolist()
        assert [value for _, value in shown] == pytest.approx(told.tolist(), 1e-4)


# --- killed and gone on --------------------------------------------------------------------------

JOB = """
import sys
from pathlib import Path
from restage import log
from restage.training import _main
import os
os.environ["RANK"] = "0"
import torch.distributed
torch.distributed.destroy_process_group = lambda: None
_main(sys.argv[1])
"""


@pytest.fixture
def job(data, tiny, token_store, tmp_path_factory, tmp_path):
    """Start a training in a process of its own; one more time goes on from its state."""
    kept = {}

    def start(**given):
        if not kept:
            kept.update(settings(data[0], tiny("bert"), token_store, tmp_path_factory, **given))
        given = {"log": [str(tmp_path / "log"), "job"], "settings": kept}
        (tmp_path / "job.json").write_text(json.dumps(given, default=str))
        command = [sys.executable, "-c", JOB, str(tmp_path / "job.json")]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        process.log, process.output = tmp_path / "log", kept["output"]
        return process

    return start


def saved_steps(process):
    if not process.log.exists():
        return []
    return [int(n) for n in re.findall(r"state saved after step (\d+)", process.log.read_text())]


LONG = {"max_steps": 120, "validate_every": 7, "schedule": "cosine", "warmup_steps": 20}


def test_killed_at_any_moment_it_ends_in_the_same_weights(train, job):
    whole, rng = train(**LONG), random.Random(5)
    always = COMPUTE | {"save_every_minutes": 0}
    for kill in range(6):
        process = job(compute=always, **LONG)
        if kill == 5:
            assert process.wait(timeout=120) == 0
            break
        before = max(saved_steps(process), default=0)
        while max(saved_steps(process), default=0) < before + rng.randint(3, 18):
            assert process.poll() is None
        time.sleep(rng.random() * 0.05)
        process.kill()
        process.wait()
    name = "model.safetensors"
    assert (process.output / name).read_bytes() == (whole / name).read_bytes()
    tables = [pd.read_csv(folder / "training.csv") for folder in (whole, process.output)]
    assert tables[0].iloc[:, :7].equals(tables[1].iloc[:, :7])
    assert "going on after step" in process.log.read_text()
    assert not (process.output.parent / "state").exists()


def test_sigterm_saves_the_state_at_once(train, job):
    process = job(**LONG)
    while not process.log.exists() or "step 7: loss" not in process.log.read_text():
        assert process.poll() is None
    process.terminate()
    assert process.wait(timeout=60) == 143
    (step,) = saved_steps(process)
    assert f"stopped after step {step}: the same command goes on" in process.log.read_text()
    assert not process.output.exists()
    process = job()
    assert process.wait(timeout=120) == 0
    assert (process.output / "model.safetensors").read_bytes() == (
        train(**LONG) / "model.safetensors"
    ).read_bytes()


class Killed(Exception):
    pass


@pytest.mark.parametrize("spoil", ["cut", "junk", "other", "whole"])
def test_only_a_whole_state_of_the_same_training_is_taken_up(
    train, tmp_path, monkeypatch, caplog, spoil
):
    def make_step(self, step, *rest):
        if step == 5:
            raise Killed
        return original(self, step, *rest)

    original = training._Training.make_step
    monkeypatch.setattr(training._Training, "make_step", make_step)
    always, output = COMPUTE | {"save_every_minutes": 0}, tmp_path / "m"
    with pytest.raises(Killed):
        train(compute=always, output=output)
    monkeypatch.undo()
    state = tmp_path / "state"
    if spoil == "cut":
        state.write_bytes(state.read_bytes()[:-100])
    elif spoil == "junk":
        state.write_bytes(b"junk")
    caplog.set_level("INFO", logger="restage")
    train(compute=always, output=output, **({"learning_rate": 2e-3} if spoil == "other" else {}))
    told = {"whole": "going on after step 4", "other": "is of another training: starting anew"}
    assert told.get(spoil, "cannot be read") in caplog.text
    assert same(output, train()) == (spoil != "other")


def test_a_full_disk_while_the_state_is_saved_is_told(train, tmp_path):
    always = COMPUTE | {"save_every_minutes": 0}
    with room(20_000), pytest.raises(InputError, match="state: cannot be written"):
        train(compute=always, output=tmp_path / "m")
    assert not (tmp_path / "state").exists()


# --- several processes ---------------------------------------------------------------------------


def test_two_processes_give_the_weights_of_one(data, tiny, token_store, tmp_path_factory, tmp_path):
    model = load_model(tiny("bert"), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model.save_pretrained(tmp_path / "still")
    load_tokenizer(tiny("bert")).save_pretrained(tmp_path / "still")
    given = {"max_steps": 20, "validate_every": 10, "queries_per_batch": 5, "learning_rate": 1e-5}
    one, two = (
        settings(data[0], str(tmp_path / "still"), token_store, tmp_path_factory, **given)
        for _ in range(2)
    )
    start = torch.cat([w.flatten() for w in weights(tmp_path / "still").values()])
    fine_tune(**one)
    training.fine_tune_in_processes(2, tmp_path / "log", "two", **two)
    expected, found = weights(one["output"]), weights(two["output"])
    # All weights as one vector. Those whose gradient is 0 but for rounding (the last bias, say:
    # no list-wise loss sees a constant added to all scores) Adam moves as far as any.
    vectors = [torch.cat([w.flatten() for w in each.values()]) for each in (found, expected)]
    assert (vectors[0] - vectors[1]).norm() <= 1e-5 * vectors[1].norm()
    assert (vectors[0] - start).norm() > 1e-4 * vectors[1].norm()
    rows = [pd.read_csv(each["output"] / "training.csv") for each in (one, two)]
    for column in ("loss", "valid_loss", "valid_nDCG@10"):
        expected, found = (table[column].to_numpy() for table in rows)
        assert found == pytest.approx(expected, rel=1e-4, nan_ok=True)


def test_no_usable_list_is_told(train, monkeypatch):
    monkeypatch.setattr(training.ListSampler, "_usable", lambda self: np.arange(0))
    with pytest.raises(InputError, match="no list has a usable positive in its first 8"):
        train()


@pytest.mark.parametrize("in_memory", [150, 20])  # several lists at a time; none without caching
@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_equal_the_plain_padded_step_s(loss, in_memory, tiny, token_store):
    tokenizer = load_tokenizer(tiny("bert"))
    stores = token_store(QUERIES, tokenizer), token_store(PASSAGES, tokenizer)
    encoder = PairEncoder(tokenizer, *stores, 32)
    rng = np.random.default_rng(0)
    sizes = [5, 3, 6, 2, 5]
    batch = [
        TrainingList(i, rng.choice(len(PASSAGES), size, replace=False), np.arange(size)[::-1])
        for i, size in enumerate(sizes)
    ]

    def gradients(step):
        model = load_model(tiny("bert")).eval()  # no dropout
        step(model)
        return {name: w.grad for name, w in model.named_parameters() if w.grad is not None}

    def plain(model):
        width = max(sizes)
        scores = torch.zeros(len(batch), width)
        for i, item in enumerate(batch):
            inputs = encoder.batch(np.full(len(item.passages), item.query), item.passages)
            scores[i, : len(item.passages)] = model(**inputs).logits[:, 0]
        mask = torch.arange(width) < torch.tensor(sizes)[:, None]
        labels = torch.zeros(len(batch), width)
        for i, item in enumerate(batch):
            labels[i, : len(item.passages)] = torch.from_numpy(item.relevances.copy())
        LOSSES[loss](scores, labels, mask).mean().backward()

    def ours(model):
        finish_first_token_only(model)
        accelerator = training.Accelerator(cpu=True)
        compute = COMPUTE | {"tokens_per_batch": 60, "tokens_in_memory": in_memory}
        training._backward(accelerator, model, encoder, batch, {"loss": loss}, compute)

    expected, found = gradients(plain), gradients(ours)
    assert expected.keys() == found.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_finishing_the_first_token_only_changes_no_score_and_no_gradient(name, tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny(name))
    inputs = tokenizer(QUERIES[:6], PASSAGES[:6], padding=True, return_tensors="pt")
    inputs.pop("token_type_ids", None)

    def first(output):
        return output[0] if isinstance(output, tuple) else output

    found, widths = [], []
    for change in (lambda model: None, finish_first_token_only):
        model = load_model(tiny(name)).eval()  # no dropout
        change(model)
        encoder_layers(model)[-1].register_forward_hook(
            lambda _, inputs, output: widths.append(first(output).shape[1])
        )
        scores = model(**inputs).logits[:, 0]
        scores.square().sum().backward()
        gradients = {name: w.grad for name, w in model.named_parameters() if w.grad is not None}
        found.append({"scores": scores.detach(), **gradients})
    assert found[0].keys() == found[1].keys()
    for part in found[0]:
        torch.testing.assert_close(found[1][part], found[0][part], rtol=1e-5, atol=1e-7)
    length = inputs["input_ids"].shape[1]
    assert widths == [length, 1 if model.config.model_type in AFTER_ATTENTION else length]


@pytest.mark.parametrize("name", AFTER_ATTENTION)
def test_every_named_encoder_finishes_the_first_token_only(name):
    config = AutoConfig.for_model(name, **SMALL, vocab_size=50)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    inputs = {
        "input_ids": torch.arange(5, 29).reshape(2, 12),
        "attention_mask": torch.tensor([[1] * 12, [1] * 7 + [0] * 5]),
    }
    expected, widths = model(**inputs).logits, []
    finish_first_token_only(model)
    for module in encoder_layers(model)[-1].modules():
        if type(module).__name__.endswith("LayerNorm"):  # DeBERTa has its own
            module.register_forward_hook(lambda _, inputs, output: widths.append(output.shape[1]))
    torch.testing.assert_close(model(**inputs).logits, expected, rtol=1e-5, atol=1e-7)
    assert widths == [1, 1]


def test_gradient_caching_has_the_same_dropout_as_one_pass(tiny, token_store):
    tokenizer = load_tokenizer(tiny("bert"))
    stores = token_store(QUERIES, tokenizer), token_store(PASSAGES, tokenizer)
    encoder = PairEncoder(tokenizer, *stores, 32)
    batch = [TrainingList(1, np.arange(12), np.arange(12)[::-1])]
    found = []
    for in_memory in (10_000, 1):
        model = load_model(tiny("bert")).train()
        torch.manual_seed(3)
        compute = COMPUTE | {"tokens_per_batch": 60, "tokens_in_memory": in_memory}
        accelerator = training.Accelerator(cpu=True)
        training._backward(accelerator, model, encoder, batch, {"loss": "ranknet"}, compute)
        found.append({n: w.grad for n, w in model.named_parameters() if w.grad is not None})
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_any_encoder_trains_and_loads_elsewhere_with_the_same_scores(
    name, train, data, token_store, tmp_path
):
    folder = train(name, num_layers=1, max_steps=2)
    _, query_texts, passage_texts = data
    tokenizer = load_tokenizer(str(folder))
    pairs = pd.DataFrame(
        [(f"q{i % 40}", f"p{(7 * i) % 160}") for i in range(80)], columns=["query_id", "doc_id"]
    )
    scorer = Scorer(
        folder,
        token_store(QUERIES, tokenizer).folder,
        token_store(PASSAGES, tokenizer).folder,
        max_length=32,
        segment_ids=False,
        compute=COMPUTE,
        state=tmp_path / "state",
    )
    score_run(pairs, tmp_path / "s.parquet", scorer, query_texts, passage_texts)
    found = pd.read_parquet(tmp_path / "s.parquet")
    assert found[["query_id", "doc_id"]].equals(pairs)
    plain_tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    texts = [(QUERIES[int(q[1:])], PASSAGES[int(p[1:])]) for q, p in pairs.values.tolist()]
    with torch.inference_mode():
        for row, (query, passage) in enumerate(texts):
            inputs = plain_tokenizer(query, passage, truncation=True, return_tensors="pt")
            assert "token_type_ids" not in inputs
            score = model(**inputs).logits.item()
            assert found["score"][row] == pytest.approx(score, abs=1e-5)
    encoder = pytest.importorskip("sentence_transformers").CrossEncoder(str(folder), device="cpu")
    assert found["score"].to_numpy() == pytest.approx(encoder.predict(texts), abs=1e-5)


@pytest.mark.parametrize(("count", "kept"), [(1, [5]), (2, [0, 5]), (3, [0, 2, 5]), (6, range(6))])
def test_layers_are_kept_evenly_with_the_first_and_the_last(tiny, count, kept):
    model = load_model(tiny("bert"), num_hidden_layers=6)
    layers = list(model.bert.encoder.layer)
    keep_layers(model, count)
    assert list(model.bert.encoder.layer) == [layers[place] for place in kept]
    assert model.config.num_hidden_layers == count


def test_more_layers_than_there_are_is_told(tiny):
    model = load_model(tiny("bert"), num_hidden_layers=1)
    with pytest.raises(InputError, match="has 1; give that many at most"):
        keep_layers(model, 2)


def test_a_pair_s_score_does_not_depend_on_its_batch(tiny, token_store):
    tokenizer = load_tokenizer(tiny("electra"))
    stores = token_store(QUERIES, tokenizer), token_store(PASSAGES, tokenizer)
    encoder = PairEncoder(tokenizer, *stores, 32)
    model = load_model(tiny("electra")).eval()
    queries, passages = np.arange(40) % 7, np.arange(40)
    with torch.inference_mode():
        alone = score_pairs(model, encoder, queries, passages, 1)
        together = score_pairs(model, encoder, queries, passages, 4096)
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)


def test_an_unknown_passage_is_told(tiny, data, token_store, tmp_path):
    pairs = pd.DataFrame({"query_id": ["q1", "q1"], "doc_id": ["p1", "px"]})
    with pytest.raises(InputError, match="passage 'px' of a run is not among the texts"):
        score_run(pairs, tmp_path / "s.parquet", None, *data[1:])
    assert list(tmp_path.iterdir()) == []


def test_a_teacher_sees_what_its_own_tokenizer_gives_it(tiny, token_store, tmp_path):
    folder, pairs = tiny("bert"), (np.arange(20) % 7, np.arange(20))
    tokenizer = load_tokenizer(folder)
    stores = [token_store(texts, tokenizer).folder for texts in (QUERIES, PASSAGES)]
    settings = {"max_length": 32, "segment_ids": None, "compute": COMPUTE}
    with Scorer(folder, *stores, **settings, state=tmp_path / "state")(*pairs) as found:
        assert found.dtype == np.float32
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    for query, passage, score in zip(*pairs, found, strict=True):
        inputs = tokenizer(QUERIES[query], PASSAGES[passage], return_tensors="pt")
        assert inputs["token_type_ids"].sum() > 0
        with torch.inference_mode():
            assert model(**inputs).logits.item() == pytest.approx(score, abs=1e-5)


def test_a_model_that_is_no_cross_encoder_is_told(tiny, tmp_path):
    network = load_model(tiny("bert"))
    network.bert.save_pretrained(tmp_path / "headless")
    BertForSequenceClassification(BertConfig(num_labels=2)).save_pretrained(tmp_path / "two")
    with pytest.raises(InputError, match="headless: has no head; to score pairs, give a"):
        load_cross_encoder(tmp_path / "headless")
    with pytest.raises(InputError, match="two: has 2 outputs"):
        load_cross_encoder(tmp_path / "two")
    network.save_pretrained(tmp_path / "whole")
    assert load_cross_encoder(tmp_path / "whole").num_labels == 1
