"""Fine-tuning and scoring: gradients, checkpoints, determinism, and other programs' scores."""

import csv

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ARCHITECTURES, TEXTS
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
)

from restage import training
from restage.errors import InputError
from restage.log import Progress
from restage.losses import LOSSES
from restage.ranked_lists import Stats, ingest, read_trec_run
from restage.sampling import TrainingList
from restage.scoring import Scorer, load_cross_encoder, load_model, score_pairs, score_run
from restage.tokens import PairEncoder, load_tokenizer
from restage.training import fine_tune, keep_layers

COMPUTE = {
    "threads": 1,
    "precision": "bf16",
    "tokens_per_batch": 256,
    "tokens_in_memory": 512,
}
OBJECTIVE = {
    "loss": "localized_contrastive",
    "ranked_lists": "lists",
    "labels": "qrels",
    "list_size": 4,
    "sample_depth": 8,
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

    def run(name="bert", start=None, seed=1, num_layers=None, compute=COMPUTE, **objective):
        backbone = {"model": tiny(name), "num_layers": num_layers, "segment_ids": False}
        tokenizer = load_tokenizer(tiny(name))
        output = tmp_path_factory.mktemp("model") / "m"
        fine_tune(
            start,
            output,
            backbone=backbone,
            objective={**OBJECTIVE, **objective},
            lists=folder / "lists",
            queries=token_store(QUERIES, tokenizer).folder,
            passages=token_store(PASSAGES, tokenizer).folder,
            seed=seed,
            compute=compute,
            about=ABOUT,
        )
        return output

    return run


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
    with (folder / "training.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["20", "40", "60"]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"]) < np.log(4) + 0.1


def test_the_best_step_is_what_is_kept(train, monkeypatch):
    losses = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(training, "_validate", lambda *_: (next(losses), 0.5))
    best = train()
    monkeypatch.undo()
    assert same(best, train(max_steps=4))
    assert not same(best, train(max_steps=6, validate_every=6))
    assert "these weights are from step 4" in (best / "README.md").read_text()


def test_patience_ends_a_training(train, monkeypatch):
    losses = iter([1.0, 2.0, 2.0, 0.0])
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
    with (folder / "training.csv").open() as file:
        rates = [float(row["learning_rate"]) / 1e-3 for row in csv.DictReader(file)]
    assert rates == pytest.approx(expected, abs=1e-5)


def test_no_usable_list_is_told(train, monkeypatch):
    monkeypatch.setattr(training.ListSampler, "_usable", lambda self: np.arange(0))
    with pytest.raises(InputError, match="no list has a usable positive in its first 8"):
        train()


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_equal_the_plain_padded_step_s(loss, tiny, token_store):
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
        accelerator = training.Accelerator(cpu=True)
        compute = COMPUTE | {"tokens_per_batch": 60, "tokens_in_memory": 150}
        training._backward(accelerator, model, encoder, batch, {"loss": loss}, compute)

    expected, found = gradients(plain), gradients(ours)
    assert expected.keys() == found.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-7)


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


def test_a_teacher_sees_what_its_own_tokenizer_gives_it(tiny, token_store):
    folder, pairs = tiny("bert"), (np.arange(20) % 7, np.arange(20))
    tokenizer = load_tokenizer(folder)
    stores = [token_store(texts, tokenizer).folder for texts in (QUERIES, PASSAGES)]
    settings = {"max_length": 32, "segment_ids": None, "compute": COMPUTE}
    found = Scorer(folder, *stores, **settings)(*pairs, Progress(20, "pairs"))
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
