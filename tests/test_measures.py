"""Measures: parsed or refused, read, and equal to what ir-measures makes of the files."""

import gzip

import ir_measures
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restage.errors import InputError
from restage.measures import evaluate, parse_measure, read_measures, read_qrels, write_measures
from restage.runs import read_run, write_run

QUICK = settings(deadline=None, max_examples=50)
MEASURES = ["AP(rel=2)", "nDCG@1", "nDCG@10", "R(rel=2)@100", "RR@10", "P@2", "Judged@5"]
QUERIES, PASSAGES = st.sampled_from("pqrs"), st.sampled_from("abcdefgh")


def frame(rows, last):
    return pd.DataFrame(rows, columns=["query_id", "doc_id", last])


@pytest.mark.parametrize("text", [*MEASURES, "MAP", "SetP", "nDCG(dcg='exp-log2')@10"])
def test_parses(text):
    assert parse_measure(text) == ir_measures.parse_measure(text)


@pytest.mark.parametrize(
    "text",
    [
        *["", "1", "ndcg@10", "nDCG@", "nDCG@x", "nDCG@-1", "nDCG@10 AP", "AP(rel=2", "AP(2)"],
        *["AP(foo=1)", "P", "NERR8@10", "import os", "alpha_nDCG@10", None, "AP\n(rel=2)@"],
    ],
)
def test_refuses_what_is_no_measure(text):
    with pytest.raises(InputError) as error:
        parse_measure(text)
    assert "ir-measures cannot" in str(error.value)
    assert "\n" not in str(error.value) and " at 0x" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "q 0 a 2\nq 0 b -1\np Q0 07 0\n",
        "q\t0\ta\t2\r\nq\t0\tb\t-1\r\n\np\t0\t07\t0",
        "query-id\tcorpus-id\tscore\nq\ta\t2\nq\tb\t-1\np\t07\t0\n",
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reads_qrels(tmp_path, text, pack):
    path = tmp_path / "qrels"
    path.write_bytes(pack(text.encode()))
    expected = frame([("q", "a", 2), ("q", "b", -1), ("p", "07", 0)], "relevance")
    pd.testing.assert_frame_equal(read_qrels(path), expected)


@pytest.mark.parametrize(
    "data, what",
    [
        (b"q 0 a 1\nq 0 b\t\n", ":2: neither .*'q 0 b"),
        (b"q 0 a high\n", ":1: neither"),
        (b"q 0 a 1 1\n", ":1: neither"),
        (b"q 1\n", ":1: neither"),
        (b"query-id\tcorpus-id\tscore\n", "has no judgment"),
        (b"", "has no judgment"),
        (b"\xff", ":1: not UTF-8"),
        (gzip.compress(b"q 0 a 1\n")[:-9], "not a whole gzip file"),
    ],
)
def test_refuses_qrels(tmp_path, data, what):
    path = tmp_path / "qrels"
    path.write_bytes(data)
    with pytest.raises(InputError, match=what):
        read_qrels(path)


@QUICK
@given(
    st.dictionaries(st.tuples(QUERIES, PASSAGES), st.integers(0, 3), min_size=1),
    st.dictionaries(st.tuples(QUERIES, PASSAGES), st.integers(0, 4), min_size=1),
)
def test_equals_ir_measures_on_the_files(tmp_path_factory, judged, scored):
    folder = tmp_path_factory.mktemp("files")
    lines = [f"{query} 0 {passage} {grade}\n" for (query, passage), grade in judged.items()]
    (folder / "qrels").write_text("".join(lines))
    run = frame([(*pair, score / 4) for pair, score in scored.items()], "score")
    write_run(folder / "run.gz", run, "tag")
    (folder / "run").write_bytes(gzip.decompress((folder / "run.gz").read_bytes()))

    values = evaluate(read_run(folder / "run.gz"), read_qrels(folder / "qrels"), MEASURES)

    files = [
        list(ir_measures.read_trec_qrels(str(folder / "qrels"))),
        list(ir_measures.read_trec_run(str(folder / "run"))),
    ]
    parsed = [ir_measures.parse_measure(measure) for measure in MEASURES]
    expected = {
        (found.query_id, str(found.measure)): found.value
        for found in ir_measures.iter_calc(parsed, *files)
    }
    queries = sorted({query for query, _ in judged})
    cells = list(zip(values["query_id"], values["measure"], strict=True))
    assert cells == [(query, measure) for query in queries for measure in MEASURES]
    assert list(values["value"]) == pytest.approx([expected[cell] for cell in cells], abs=1e-9)
    means = ir_measures.calc_aggregate(parsed, *files)
    for measure, mean in values.groupby("measure")["value"].mean().items():
        assert mean == pytest.approx(means[ir_measures.parse_measure(measure)], abs=1e-9)


def test_a_judged_query_without_results_counts_0_and_an_unjudged_one_not_at_all():
    qrels = frame([("p", "a", 1), ("q", "a", 1)], "relevance")
    run = frame([("q", "a", 1.0), ("x", "a", 1.0)], "score")
    values = evaluate(run, qrels, ["nDCG@10", "RR@10"])
    assert list(values["query_id"]) == ["p", "p", "q", "q"]
    assert list(values["value"]) == [0, 0, 1, 1]


def test_two_names_of_one_measure_both_have_values():
    one = frame([("q", "a", 1)], "relevance"), frame([("q", "a", 1.0)], "score")
    values = evaluate(one[1], one[0], ["MAP", "AP"])
    assert list(values["measure"]) == ["MAP", "AP"] and list(values["value"]) == [1, 1]


def test_values_come_back_and_give_the_same_bytes(tmp_path):
    values = pd.DataFrame({"query_id": ["1"], "measure": ["AP(rel=2)"], "value": [0.1]})
    for name in ("one", "two"):
        write_measures(tmp_path / name, values)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    pd.testing.assert_frame_equal(read_measures(tmp_path / "one"), values)


def test_refuses_another_table(tmp_path):
    (tmp_path / "text").write_text("no table")
    pd.DataFrame({"query_id": ["1"]}).to_parquet(tmp_path / "other")
    for name in ("text", "other"):
        with pytest.raises(InputError, match="no measures"):
            read_measures(tmp_path / name)
