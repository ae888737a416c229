"""A checkpoint in pipelines of PyTerrier."""

import pandas as pd
import pyterrier as pt
import pytest
from ir_measures import RR, nDCG

from restage.collections.tokens import leave_out_segment_ids
from restage.errors import InputError
from restage.grid.settings import Compute
from restage.model.heads import load_model
from restage.model.names import load_tokenizer
from restage.model.scoring import Scorer
from restage.pyterrier import CrossEncoder
from restage.rerank.runs import rerank
from restage.rerank.scores import score_run
from tests.conftest import TEXTS

QUERIES, PASSAGES = TEXTS[1:5], TEXTS[20:60]
COMPUTE = Compute(threads=1, tokens_per_batch=256, gpus_per_scoring=0)


@pytest.fixture(scope="module")
def checkpoint(tiny, tmp_path_factory):
    """A cross-encoder as training saves it: its tokenizer knows where to cut."""
    folder = tmp_path_factory.mktemp("checkpoint") / "model"
    load_model(tiny("bert")).save_pretrained(folder)
    tokenizer = load_tokenizer(tiny("bert"))
    tokenizer.model_max_length = 12
    leave_out_segment_ids(tokenizer)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def results():
    """Candidates of a first stage, as PyTerrier has them."""
    rows = [
        (str(q), text, f"p{p:02}", PASSAGES[p], float(-p))
        for q, text in enumerate(QUERIES)
        for p in range(q, 40, 2)
    ]
    frame = pd.DataFrame(rows, columns=["qid", "query", "docno", "text", "score"])
    return pt.model.add_ranks(frame)


def test_it_gives_the_workflow_s_run(checkpoint, results, store, token_store, tmp_path):
    tokenizer = load_tokenizer(str(checkpoint))
    queries = store((str(i), text) for i, text in enumerate(QUERIES))
    passages = store((f"p{i:02}", text) for i, text in enumerate(PASSAGES))
    scorer = Scorer(
        checkpoint,
        *(token_store(texts, tokenizer).folder for texts in (QUERIES, PASSAGES)),
        max_length=12,
        segment_ids=False,
        compute=COMPUTE,
        state=tmp_path / "state",
    )
    candidates = results.rename(columns={"qid": "query_id", "docno": "doc_id"})
    candidates = candidates[["query_id", "doc_id"]].assign(score=0.0)
    score_run(candidates, tmp_path / "scores.parquet", scorer, queries, passages)
    scores = pd.read_parquet(tmp_path / "scores.parquet")[["query_id", "doc_id", "score"]]
    expected = rerank(candidates, scores, 100)
    found = CrossEncoder(checkpoint)(results)
    assert set(found.columns) == set(results.columns)
    both = found.merge(expected, left_on=["qid", "docno"], right_on=["query_id", "doc_id"])
    assert len(both) == len(found) == len(expected)
    assert both["score_x"].to_numpy() == pytest.approx(both["score_y"].to_numpy(), abs=1e-5)
    # The rankings are the same but for passages whose scores are.
    for query, ours in found.sort_values("rank").groupby("qid"):
        theirs = expected[expected["query_id"] == query]
        assert ours["score"].to_numpy() == pytest.approx(theirs["score"].to_numpy(), abs=1e-5)


def test_it_works_in_a_pipeline_and_an_experiment(checkpoint, results):
    first = pt.Transformer.from_df(results)
    reranker = CrossEncoder(checkpoint)
    topics = results[["qid", "query"]].drop_duplicates()
    found = (first % 5 >> reranker)(topics)
    assert len(found) == 5 * len(QUERIES)
    alone = reranker(results[results["rank"] < 5])
    assert found.sort_values(["qid", "docno"])["score"].to_numpy() == pytest.approx(
        alone.sort_values(["qid", "docno"])["score"].to_numpy(), abs=1e-5
    )
    qrels = results.groupby("qid").head(3)[["qid", "docno"]].assign(label=1)
    table = pt.Experiment(
        [first, first >> reranker], topics, qrels, [nDCG @ 10, RR @ 10], names=["first", "new"]
    )
    assert table["name"].tolist() == ["first", "new"]
    assert table["nDCG@10"][0] == 1
    assert 0 <= table["nDCG@10"][1] < 1


def test_a_long_text_is_cut_where_the_tokenizer_says(tiny, results, tmp_path):
    load_model(tiny("modernbert")).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tiny("modernbert"))

    def scores(limit):
        tokenizer.model_max_length = limit
        tokenizer.save_pretrained(tmp_path)
        # They differ only beyond the 512 tokens that many other models take.
        texts = ["bridge " * 560 + "bread " * 40, "bridge " * 560 + "wind " * 40]
        return CrossEncoder(tmp_path)(results.head(2).assign(text=texts))["score"].tolist()

    first, second = scores(700)
    assert first != second
    first, second = scores(500)
    assert first == second


def test_no_results_stay_none(checkpoint, results):
    found = CrossEncoder(checkpoint)(results.head(0))
    assert len(found) == 0
    assert set(found.columns) == set(results.columns)


def test_a_missing_text_is_pyterrier_s_own_error(checkpoint, results):
    with pytest.raises(pt.validate.InputValidationError, match="text"):
        CrossEncoder(checkpoint)(results.drop(columns="text"))


@pytest.mark.parametrize("nothing", [None, float("nan"), pd.NA, 7])
@pytest.mark.parametrize(("column", "such"), [("text", "docno 'p01'"), ("query", "qid '1'")])
def test_a_passage_or_query_that_has_no_text_is_told(checkpoint, results, column, such, nothing):
    results[column] = results[column].astype(object)
    results.loc[results["qid"] == "1", column] = nothing
    with pytest.raises(InputError, match=f"^20 of 78 results have no {column}, such as .*{such}"):
        CrossEncoder(checkpoint)(results)


def test_the_order_of_the_results_does_not_matter(checkpoint, results):
    mixed = results.sample(frac=1, random_state=3)
    reranker = CrossEncoder(checkpoint)
    found, expected = (reranker(frame).sort_values(["qid", "docno"]) for frame in (mixed, results))
    assert found["docno"].tolist() == expected["docno"].tolist()
    assert found["score"].to_numpy() == pytest.approx(expected["score"].to_numpy(), abs=1e-5)
