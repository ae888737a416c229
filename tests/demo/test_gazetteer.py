"""The generator of the demo's data: the same bytes for the same seed, in the formats it claims."""

import json
import re
import zipfile
from itertools import groupby
from pathlib import Path

import pandas as pd
import pytest

from restage.demo import gazetteer
from restage.demo.gazetteer import write_gazetteer
from restage.errors import InputError

PLACES = 60
SPLITS = ("train", "valid", "test")


def _json_lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def _bytes(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("gazetteer")
    write_gazetteer(folder, seed=7, places=PLACES)
    return folder


@pytest.fixture(scope="module")
def passages(folder) -> dict[str, dict]:
    lines = _json_lines((folder / "collection" / "corpus.jsonl").read_text())
    return {passage["_id"]: passage for passage in lines}


@pytest.fixture(scope="module")
def queries(folder) -> dict[str, str]:
    lines = _json_lines((folder / "collection" / "queries.jsonl").read_text())
    return {query["_id"]: query["text"] for query in lines}


@pytest.fixture(scope="module")
def qrels(folder) -> dict[str, pd.DataFrame]:
    folder = folder / "collection" / "qrels"
    return {split: pd.read_csv(folder / f"{split}.tsv", sep="\t") for split in SPLITS}


@pytest.fixture(scope="module")
def candidates(folder) -> list[dict]:
    with zipfile.ZipFile(folder / "rankgpt-candidates.jsonl.zip") as archive:
        return _json_lines(archive.read("rankgpt-candidates.jsonl").decode())


@pytest.fixture(scope="module")
def permutations(folder) -> list[str]:
    return json.loads((folder / "rankgpt-permutations.json").read_text())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(folder, tmp_path):
    write_gazetteer(tmp_path / "same", seed=7, places=PLACES)
    write_gazetteer(tmp_path / "other", seed=8, places=PLACES)
    first, same, other = _bytes(folder), _bytes(tmp_path / "same"), _bytes(tmp_path / "other")
    assert same == first
    assert other.keys() == first.keys()
    assert all(other[name] != first[name] for name in first)


def test_what_is_there_already_is_left_alone(folder):
    record = json.loads((folder / "gazetteer.json").read_text())
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert write_gazetteer(folder, seed=7, places=PLACES) == record
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("change", [{"seed": 2}, {"places": 7}, {"generator": "older"}])
def test_what_was_made_from_something_else_is_made_anew(tmp_path, change):
    expected = write_gazetteer(tmp_path, seed=1, places=6)
    wanted = _bytes(tmp_path)
    (tmp_path / "gazetteer.json").write_text(json.dumps(expected | change))
    (tmp_path / "colbert.run").write_text("old")
    assert write_gazetteer(tmp_path, seed=1, places=6) == expected
    assert _bytes(tmp_path) == wanted


def test_the_record_counts_what_was_written(folder, passages, qrels):
    record = json.loads((folder / "gazetteer.json").read_text())
    assert (record["seed"], record["places"], record["passages"]) == (7, PLACES, len(passages))
    assert record["queries"] == {s: qrels[s]["query-id"].nunique() for s in SPLITS}


def test_passages_and_queries_are_plain_sentences(passages, queries):
    texts = [passage["text"] for passage in passages.values()] + list(queries.values())
    for text in texts:
        assert re.fullmatch(r"[A-Z].*[.?]", text), text
        assert not re.search(r"[{}]|  |\.\.|[.?] [a-z]|\b(\w+) \1\b", text), text
    assert len(set(queries.values())) == len(queries)


def test_every_query_has_judgments_of_existing_passages(passages, queries, qrels):
    judged = pd.concat(qrels.values())
    assert list(judged.columns) == ["query-id", "corpus-id", "score"]
    assert set(judged["corpus-id"]) <= passages.keys()
    assert set(judged["query-id"]) == queries.keys()
    assert set(judged["score"]) == {0, 1, 2}
    assert not judged.duplicated(["query-id", "corpus-id"]).any()
    assert (judged.groupby("query-id")["score"].max() == 2).all()


def test_no_place_is_in_two_splits(passages, qrels):
    places = {s: {i.rsplit("-", 1)[0] for i in qrels[s]["corpus-id"]} for s in SPLITS}
    assert all(places.values())
    assert sum(map(len, places.values())) == len(set.union(*places.values())) == PLACES


def test_the_colbert_run_ranks_the_training_queries(folder, passages, qrels):
    lines = (folder / "colbert.run").read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    lists = {query: list(rows) for query, rows in groupby(rows, key=lambda row: row[0])}
    assert lists.keys() == set(qrels["train"]["query-id"])
    for ranked in lists.values():
        _, zeros, ids, ranks, scores, tags = zip(*ranked, strict=True)
        assert set(zeros) == {"0"} and set(tags) == {"ColBERT"}
        assert len(set(ids)) == len(ids) == 50 and set(ids) <= passages.keys()
        assert [int(rank) for rank in ranks] == list(range(1, 51))
        assert sorted(map(float, scores), reverse=True) == list(map(float, scores))


def test_every_candidate_list_has_a_permutation(candidates, permutations, passages, queries, qrels):
    assert [c["query_id"] for c in candidates] == list(dict.fromkeys(qrels["train"]["query-id"]))
    assert len(permutations) == len(candidates)
    for candidate in candidates:
        listed = candidate["retrieved_passages"]
        assert candidate["query"] == queries[candidate["query_id"]]
        assert [passage["rank"] for passage in listed] == list(range(1, 21))
        assert len({passage["docid"] for passage in listed} & passages.keys()) == 20


def _fault(permutation: str) -> str:
    if not permutation.startswith("["):
        return "prose"
    if permutation.endswith((".", " >")):
        return permutation[-1]
    entries = [int(entry.strip("[]")) for entry in permutation.split(" > ")]
    if len(entries) == 20:
        return "none" if sorted(entries) == list(range(1, 21)) else "unforeseen"
    assert set(entries) < set(range(1, 21)) or len(entries) == 21
    return "lost" if len(entries) == 19 else "repeated"


def test_some_permutations_are_malformed_in_every_way(permutations):
    faults = pd.Series([_fault(permutation) for permutation in permutations])
    assert set(faults) == {"none", "lost", "repeated", ".", ">", "prose"}
    assert 0.03 < (faults != "none").mean() < 0.2


def test_the_teacher_prefers_what_states_the_fact(candidates, permutations, qrels):
    grades = qrels["train"].set_index(["query-id", "corpus-id"])["score"]
    first = []
    for candidate, permutation in zip(candidates, permutations, strict=True):
        if _fault(permutation) == "none":
            best = int(re.match(r"\[(\d+)\]", permutation)[1])
            passage = candidate["retrieved_passages"][best - 1]["docid"]
            first.append(grades.get((candidate["query_id"], passage), 0))
    assert 0.5 < (pd.Series(first) == 2).mean() < 1


def test_the_zip_has_a_fixed_date(folder):
    with zipfile.ZipFile(folder / "rankgpt-candidates.jsonl.zip") as archive:
        assert [entry.date_time for entry in archive.infolist()] == [(2024, 1, 1, 0, 0, 0)]


@pytest.mark.parametrize("places", [5, 481])
def test_a_number_of_places_without_names_is_one_clear_line(tmp_path, places):
    with pytest.raises(InputError, match=f"^--places {places}: give a number from 6 to 480$"):
        write_gazetteer(tmp_path / "new", places=places)
    assert not (tmp_path / "new").exists()


def test_a_folder_with_something_else_is_not_overwritten(tmp_path):
    (tmp_path / "thesis.tex").write_text("four years of work")
    with pytest.raises(InputError, match="exists and is no gazetteer"):
        write_gazetteer(tmp_path)
    assert _bytes(tmp_path) == {"thesis.tex": b"four years of work"}


def test_the_command_line_says_what_it_did(tmp_path, monkeypatch, capsys):
    arguments = ["gazetteer", str(tmp_path / "new"), "--seed", "3", "--places", "6"]
    monkeypatch.setattr("sys.argv", arguments)
    gazetteer.main()
    gazetteer.main()
    monkeypatch.setattr("sys.argv", [*arguments[:-1], "5"])
    with pytest.raises(SystemExit, match="error: --places 5"):
        gazetteer.main()
    wrote, there = capsys.readouterr().out.splitlines()
    assert wrote == f"Wrote the gazetteer in {tmp_path / 'new'}"
    assert there == f"Already there: the gazetteer in {tmp_path / 'new'}"
