"""Measures: equal to what ir-measures makes of the files, written as pandas would, and soon."""

import gzip
import subprocess
import sys

import ir_measures
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restage.collections.sources import read_qrels
from restage.evaluate.measures import (
    Value,
    evaluate,
    relevance_by_query,
    tell_of_strangers,
    write_measures,
)
from restage.evaluate.values import read_measures
from restage.rerank.runs import write_run
from restage.rerank.trec import scores_by_query

QUICK = settings(deadline=None, max_examples=50)
MEASURES = ["AP(rel=2)", "nDCG@1", "nDCG@10", "R(rel=2)@100", "RR@10", "P@2", "Judged@5"]
QUERIES, PASSAGES = st.sampled_from("pqrs"), st.sampled_from("abcdefgh")


@QUICK
@given(
    st.dictionaries(st.tuples(QUERIES, PASSAGES), st.integers(0, 3), min_size=1),
    st.dictionaries(st.tuples(QUERIES, PASSAGES), st.integers(0, 4), min_size=1),
)
def test_equals_ir_measures_on_the_files(tmp_path_factory, judged, scored):
    folder = tmp_path_factory.mktemp("files")
    lines = [f"{query} 0 {passage} {grade}\n" for (query, passage), grade in judged.items()]
    (folder / "qrels").write_text("".join(lines))
    read_qrels(folder / "qrels").to_parquet(folder / "qrels.parquet", index=False)
    rows = [(*pair, score / 4) for pair, score in scored.items()]
    run = pd.DataFrame(rows, columns=["query_id", "doc_id", "score"])
    write_run(folder / "run.gz", run, "tag")
    (folder / "run").write_bytes(gzip.decompress((folder / "run.gz").read_bytes()))

    qrels = relevance_by_query(folder / "qrels.parquet")
    values = evaluate(scores_by_query(folder / "run.gz"), qrels, MEASURES)

    files = [
        list(ir_measures.read_trec_qrels(str(folder / "qrels"))),
        list(ir_measures.read_trec_run(str(folder / "run"))),
    ]
    parsed = [ir_measures.parse_measure(measure) for measure in MEASURES]
    expected = {
        (metric.query_id, str(metric.measure)): metric.value
        for metric in ir_measures.iter_calc(parsed, *files)
    }
    queries = sorted({query for query, _ in judged})
    cells = [(value.query_id, value.measure) for value in values]
    assert cells == [(query, measure) for query in queries for measure in MEASURES]
    measured = [value.value for value in values]
    assert measured == pytest.approx([expected[cell] for cell in cells], abs=1e-9)
    means = ir_measures.calc_aggregate(parsed, *files)
    for measure, mean in pd.DataFrame(values).groupby("measure")["value"].mean().items():
        assert mean == pytest.approx(means[ir_measures.parse_measure(measure)], abs=1e-9)


def test_a_judged_query_without_results_counts_0_and_an_unjudged_one_not_at_all():
    qrels, run = {"q": {"a": 1}, "p": {"a": 1}}, {"q": {"a": 1.0}, "x": {"a": 1.0}}
    values = evaluate(run, qrels, ["nDCG@10", "RR@10"])
    assert [value.query_id for value in values] == ["p", "p", "q", "q"]
    assert [value.value for value in values] == [0, 0, 1, 1]


def test_a_run_without_any_judged_passage_is_told(caplog):
    qrels = {"q": {"D-a": 1}, "p": {"D-b": 0}}
    tell_of_strangers("some.run", {"q": {"a": 1.0}, "p": {"D-b": 1.0}}, qrels)
    assert not caplog.records
    tell_of_strangers("some.run", {"q": {"a": 1.0, "D-b": 1.0}, "x": {"D-a": 1.0}}, qrels)
    assert "some.run: no judged passage is in the run, such as 'D-a' for query 'q'" in caplog.text


def test_two_names_of_one_measure_both_have_values():
    values = evaluate({"q": {"a": 1.0}}, {"q": {"a": 1}}, ["MAP", "AP"])
    assert values == [("q", "MAP", 1), ("q", "AP", 1)]


def test_values_come_back_and_give_the_same_bytes_which_are_pandas_own(tmp_path):
    values = [Value("1", "AP(rel=2)", 0.1), Value("é", "AP(rel=2)", 1 / 3), Value("", "P", 0.0)]
    for name in ("one", "two"):
        write_measures(tmp_path / name, values)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    frame = pd.DataFrame(values)
    pd.testing.assert_frame_equal(read_measures(tmp_path / "one"), frame)
    frame.to_parquet(tmp_path / "pandas", index=False)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "pandas").read_bytes()


def test_a_job_that_measures_imports_nothing_that_takes_longer_than_its_work(tmp_path):
    pd.DataFrame({"query_id": ["q"], "doc_id": ["a"], "relevance": [1]}).to_parquet(
        tmp_path / "qrels", index=False
    )
    write_run(
        tmp_path / "run", pd.DataFrame({"query_id": ["q"], "doc_id": ["a"], "score": 1.0}), ""
    )
    code = """
import sys
from restage.evaluate.measures import evaluate, relevance_by_query, write_measures
from restage.rerank.trec import scores_by_query
values = evaluate(scores_by_query("run"), relevance_by_query("qrels"), ["nDCG@10", "RR@10"])
write_measures("values", values)
print(*{"pandas", "scipy", "sklearn", "statsmodels", "torch", "transformers"} & {*sys.modules})
"""
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []
    assert read_measures(tmp_path / "values")["value"].tolist() == [1, 1]
