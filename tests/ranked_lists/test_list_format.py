"""The formats as the grid sees them: their keys, what they answer, what importing them costs."""

import subprocess
import sys
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

import pytest
import yaml

from restage.grid.settings import Checkpoint, File, Taught
from restage.ranked_lists import FORMATS
from restage.ranked_lists.ingest import Stats, blocks_of
from restage.ranked_lists.list_format import ListFormat
from restage.ranked_lists.mined import Mined
from restage.ranked_lists.rankgpt import RankGPT
from restage.ranked_lists.teacher import Teacher
from restage.ranked_lists.trec_run import TrecRun
from tests.ranked_lists.runs import lists_of, write_run

SCHEMA = Path(__file__).parents[2] / "workflow" / "schemas" / "config.schema.yaml"
OF_ALL = {"format", "collection", "queries", "qrels", "valid_fraction", "split_seed", "expected"}
HEAVY = {"numpy", "pandas", "pyarrow", "sklearn", "torch", "transformers"}


def test_an_import_of_the_formats_is_light():
    code = "import sys, restage.ranked_lists; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "restage.ranked_lists.rankgpt" in modules
    assert not HEAVY & set(modules)


def definitions():
    """The schema's definition of each format, by the format's name."""
    parts = yaml.safe_load(SCHEMA.read_text())["$defs"]
    return {
        each["if"]["properties"]["format"]["const"]: parts[each["then"]["$ref"].split("/")[-1]]
        for each in parts["ranked_lists"]["allOf"]
    }


def test_the_schema_knows_the_formats():
    assert list(definitions()) == list(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_the_fields_of_a_format_are_its_keys(name):
    properties = definitions()[name]["properties"].items()
    own = {key: value for key, value in properties if key not in OF_ALL}
    assert [field.name for field in fields(FORMATS[name])] == list(own)
    for field in fields(FORMATS[name]):
        if field.default is not MISSING:
            assert field.default == own[field.name]["default"]


RUN = {"path": "a.run"}
ZIP = {"url": "https://example.org/c.zip", "sha256": "unknown"}


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("trec_run", {"source": RUN}, TrecRun(File("a.run"))),
        (
            "rankgpt",
            {"permutations": RUN, "candidates": ZIP, "invalid": "repair"},
            RankGPT(File("a.run"), File(url=ZIP["url"], sha256="unknown"), "repair"),
        ),
        ("first_stage", {"first_stage": "bm25", "depth": 9}, Mined("bm25", 9)),
        (
            "model",
            {"ranked_lists": "a", "model": "m", "checkpoint": None, "depth": 9, "max_length": 8},
            Teacher("a", "m", None, 9, 8),
        ),
        (
            "model",
            {
                "ranked_lists": "a",
                "model": None,
                "checkpoint": {"backbone": "b", "recipe": "CL-KD"},
                "depth": 9,
                "max_length": 8,
            },
            Teacher("a", None, Checkpoint("b", "CL-KD"), 9, 8),
        ),
    ],
)
def test_a_format_is_built_from_its_yaml(name, settings, expected):
    others = {"format": name, "collection": "c", "queries": {"path": "q"}, "valid_fraction": 0.01}
    assert FORMATS[name].of(settings | others) == expected


def test_what_the_grid_asks():
    file, other = File("a"), File("b")
    run, gpt, mined = TrecRun(file), RankGPT(file, other), Mined("bm25", 9)
    teacher = Teacher("a", "m", None, 7, 8)
    formats = run, gpt, mined, teacher
    assert [f.has_scores for f in formats] == [True, False, True, True]
    assert [f.first_stage for f in formats] == [None, None, "bm25", None]
    assert [f.deepest for f in formats] == [None, None, 9, 7]
    assert [f.files for f in formats] == [
        {"source": file},
        {"permutations": file, "candidates": other},
        {},
        {},
    ]
    assert [f.taught for f in formats] == [None, None, None, teacher]
    assert isinstance(teacher, Taught)
    assert [list(f.problems()) for f in formats] == [[], [], [], []]


def test_a_teacher_is_one_model_that_is_there():
    one_of = [("", "give exactly one of model, checkpoint")]
    checkpoint = Checkpoint("b", "CL")
    assert list(Teacher("a", None, None, 9, 8).problems()) == one_of
    assert list(Teacher("a", "m", checkpoint, 9, 8).problems()) == one_of
    assert list(Teacher("a", None, checkpoint, 9, 8).problems()) == []
    ((key, message),) = Teacher("a", "package:no-such-package", None, 9, 8).problems()
    assert key == "model"
    assert "no installed package 'no-such-package'" in message


def test_files_are_read_by_their_keys(tmp_path):
    path = str(write_run(tmp_path / "a.run", {"q1": ["p1", "p2"]}))
    expected = [("q1", ["p1", "p2"], [99.0, 98.0])]
    assert lists_of(TrecRun(File(path)).read({"source": path}, Stats())) == expected
    assert lists_of(Mined("bm25").read({"run": path}, Stats())) == expected
    (tmp_path / "p.json").write_text('["[2] > [1]", "?"]')
    passages = '[{"docid": "p1", "rank": 1}, {"docid": "p2", "rank": 2}]'
    lines = [f'{{"query_id": "q{i}", "retrieved_passages": {passages}}}\n' for i in (1, 2)]
    (tmp_path / "c.jsonl").write_text("".join(lines))
    paths = {"permutations": str(tmp_path / "p.json"), "candidates": str(tmp_path / "c.jsonl")}
    gpt = RankGPT(*map(File, paths.values()))
    assert lists_of(gpt.read(paths, stats := Stats())) == [("q1", ["p2", "p1"], None)]
    assert stats.dropped == {"malformed permutation": 1}
    with pytest.raises(TypeError, match="rescore"):
        Teacher("a", "m", None, 9, 8).read({}, Stats())


def test_a_format_says_only_what_is_its_own(tmp_path):
    @dataclass(frozen=True)
    class OneLine(ListFormat):
        separator: str

        def read(self, paths, stats):
            query, *passages = Path(paths["line"]).read_text().split(self.separator)
            return blocks_of([(query, passages)])

    (tmp_path / "line").write_text("q1,p2,p1")
    commas = OneLine.of({"format": "one_line", "separator": ","})
    assert lists_of(commas.read({"line": tmp_path / "line"}, Stats())) == [
        ("q1", ["p2", "p1"], None)
    ]
    assert (commas.has_scores, commas.files, commas.taught, commas.deepest) == (
        True,
        {},
        None,
        None,
    )
    assert (commas.first_stage, list(commas.problems())) == (None, [])
