"""What a training leaves behind: a checkpoint that other programs take as it is."""

import pandas as pd
import pytest
import torch
import yaml
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from restage.grid.settings import Backbone, Objective
from restage.model.names import load_tokenizer
from restage.model.scoring import Scorer
from restage.rerank.scores import score_run
from tests.conftest import ARCHITECTURES
from tests.finetune.runs import COMPUTE, OBJECTIVE, PASSAGES, QUERIES


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_any_encoder_trains_and_loads_elsewhere_with_the_same_scores(
    name, train, data, token_store, tmp_path
):
    folder = train(name, num_layers=1, max_steps=2)
    assert {file.stat().st_mode & 0o044 for file in folder.iterdir()} == {0o044}  # as others' files
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
    scored = pd.read_parquet(tmp_path / "s.parquet")
    assert scored[["query_id", "doc_id"]].equals(pairs)
    plain_tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    texts = [(QUERIES[int(q[1:])], PASSAGES[int(p[1:])]) for q, p in pairs.values.tolist()]
    with torch.inference_mode():
        for row, (query, passage) in enumerate(texts):
            inputs = plain_tokenizer(query, passage, truncation=True, return_tensors="pt")
            assert "token_type_ids" not in inputs
            score = model(**inputs).logits.item()
            assert scored["score"][row] == pytest.approx(score, abs=1e-5)
    encoder = pytest.importorskip("sentence_transformers").CrossEncoder(str(folder), device="cpu")
    assert scored["score"].to_numpy() == pytest.approx(encoder.predict(texts), abs=1e-5)


def test_the_card_tells_how_it_was_made(train, tiny):
    first = train(max_steps=2)
    card = (train(start=first) / "README.md").read_text()
    lines = card.splitlines()
    for line in (
        "# tiny/CL/1",
        "- objective: `localized_contrastive` on the ranked lists `lists`, labels from qrels",
        f"- starts from: the checkpoint `{first}`",
        "- lists: 15 to train on (9 without a usable positive left out),",
        "  4 to validate on",
    ):
        assert line in lines
    assert "stage 1 of recipe **CL** on" in card and "steps: 6; these weights are from" in card
    settings = yaml.safe_load(card.split("```yaml\n")[1].split("```")[0])
    assert Backbone.of(settings["backbone"]) == Backbone(tiny("bert"))
    assert Objective.of(settings["objective"]) == OBJECTIVE
    assert "- starts from: the backbone" in (first / "README.md").read_text().splitlines()
