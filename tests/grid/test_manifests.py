"""Manifests: what they say of a job, what comes back of it, and by what content is known."""

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, Wildcards

from restage import log
from restage.files import digest
from restage.first_stage.pisa import Pisa
from restage.grid import manifests
from restage.grid.layout import SEEN, Roots
from restage.grid.manifests import (
    SILENT,
    Beside,
    Contents,
    Manifest,
    change,
    changed_at,
    classes_in,
    manifest_of,
    record,
    settings_of,
)
from restage.grid.settings import FirstStage

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "workflow/scripts/index.py"
ROOTS = Roots.of("out", None)
MADE = Manifest(
    rule="finetune",
    wildcards={"seed": "42"},
    study=None,
    settings={},
    inputs={},
    sha256="as made",
    size=1,
    code={},
    commit="abc",
    versions={},
    device="",
    made="2026-01-01T00:00:00+00:00",
    seconds=1.5,
    cpu_seconds=2.5,
    memory_mb=3.5,
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path, text, time=None):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    if time:
        os.utime(path, (time, time))
    return path


def made(path, text, **others):
    """An output of an earlier job, whose manifest says another content than it has."""
    write(path, text, time=1000)
    replace(MADE, **others).write(manifest_of(ROOTS, path))
    return path


# --- what a job leaves ----------------------------------------------------------------------------


def inputs(*others, **named):
    """The inputs of a job as Snakemake hands them to a script."""
    files = InputFiles(fromdict=named)
    for name, paths in named.items():
        if isinstance(paths, list):
            files._insert_items(files._names[name][0], paths)
    files.extend(others)
    return files


@pytest.fixture
def job():
    """A job that makes two outputs of an output of another and of files from elsewhere."""
    log_file = write("out/logs/index.log", "2026-01-01 10:00:00,1 fact device A CPU\n")
    runs = [write("data/x/a.run", "2"), write("data/x/b.run", "3")]
    stage = FirstStage("bm25", "pisa", Pisa(), 100)
    write("out/indexes/bm25/one/a", "made")
    return SimpleNamespace(
        rule="index",
        wildcards=Wildcards(fromdict={"first_stage": "bm25", "collection": "one"}),
        params=Params(fromdict={"stage": stage, "depth": 3, "state": Beside("out/states/x")}),
        input=inputs(
            write("data/y/c.qrels", "4"), lists=made("out/mined/a.run.gz", "1"), runs=runs, start=[]
        ),
        output=OutputFiles(["out/indexes/bm25/one", write("out/indexes/bm25/two.npy", "made")]),
        log=Log([log_file]),
        config={"results": "out", "study": None},
    )


def test_each_output_of_a_job_has_a_manifest_that_says_of_what_it_is_made(job, monkeypatch):
    monkeypatch.setattr(log, "seconds", lambda: 61.23456)
    record(job, str(SCRIPT))
    one, two = (Manifest.read(f"out/manifests/{path[4:]}.json") for path in job.output)
    assert (one.rule, one.study, one.rejected) == ("index", None, False)
    assert one.wildcards == {"first_stage": "bm25", "collection": "one"}
    assert one.settings.keys() == {"stage", "depth"}  # what is beside decides nothing
    assert one.settings["stage"]["engine"]["class"] == "Pisa"
    assert one.inputs == {
        "lists": {"<results>/mined/a.run.gz": "as made"},
        "runs": {"a.run": digest("data/x/a.run"), "b.run": digest("data/x/b.run")},
        "": {"c.qrels": digest("data/y/c.qrels")},
    }
    assert (one.device, one.seconds) == ("A CPU", 61.235)
    assert one.cpu_seconds > 0 and one.memory_mb > 1
    assert "torch" in one.versions and one.commit
    for manifest, path in ((one, job.output[0]), (two, job.output[1])):
        assert (manifest.sha256, manifest.size) == (digest(path), 4)
    assert replace(two, sha256=one.sha256, size=one.size) == one


def test_a_manifest_has_the_code_of_the_script_and_of_the_engine_that_it_was_given(job):
    record(job, str(SCRIPT))
    code = Manifest.read("out/manifests/indexes/bm25/one.json").code
    assert {"index.py", "restage.first_stage.pisa", "restage.files"} <= code.keys()
    assert "restage.first_stage.dense" not in code
    assert not [name for name in code if name.startswith(tuple(SILENT))]


def test_a_study_s_own_outputs_have_their_manifests_in_the_common_folder(job):
    job.config = {"results": "out", "study": "rates"}
    job.output = OutputFiles([write("out/studies/rates/tables/x.csv", "a")])
    record(job, str(SCRIPT))
    assert Manifest.read("out/manifests/studies/rates/tables/x.csv.json").study == "rates"


# --- settings -------------------------------------------------------------------------------------


class Swept(NamedTuple):
    rate: float
    recipes: tuple[str, ...]


@dataclass(frozen=True)
class Inner:
    url: str = "here"
    sha256: str = field(default="unknown", repr=False)


@dataclass(frozen=True)
class Outer:
    inner: Inner
    sweep: tuple[Swept, ...] = ()


def test_settings_are_plain_and_without_what_decides_nothing():
    part = Outer(Inner(sha256="abc"), (Swept(1e-8, ("CL", "KD")),))
    params = {"part": part, "names": {1: None}, "state": Beside("out/states/x"), "some": ("a",)}
    assert settings_of(params) == {
        "part": {
            "class": "Outer",
            "inner": {"class": "Inner", "url": "here"},
            "sweep": [{"rate": 1e-8, "recipes": ["CL", "KD"]}],
        },
        "names": {"1": None},
        "some": ["a"],
    }
    assert settings_of({"part": Outer(Inner(sha256="other"))}) == settings_of(
        {"part": Outer(Inner())}
    )


def test_the_modules_of_a_part_are_those_of_all_parts_in_it():
    stage = FirstStage("bm25", "pisa", Pisa(), 100)
    found = set(classes_in(["a", stage, 3]))
    assert found == {"restage.grid.settings", "restage.first_stage.pisa"}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda some: st.lists(some) | st.dictionaries(st.text(), some) | st.tuples(some, some),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), VALUES), st.text(), st.booleans())
def test_a_manifest_comes_back_as_it_was(params, device, rejected):
    settings = settings_of(params)
    one = replace(MADE, settings=settings, device=device, rejected=rejected)
    one.write("m.json")
    assert Manifest.read("m.json") == one
    assert settings_of(settings) == settings


@pytest.mark.parametrize(
    "content",
    ["", '{"rule', "[]", "3", "null", '{"rule": "index"}', '{"a b": [1, 2, "c"]}', "\xff"],
)
def test_what_is_no_manifest_is_none(content):
    Path("m.json").write_bytes(content.encode("latin-1"))
    assert Manifest.read("m.json") is None
    change("m.json", rejected=True)
    assert Path("m.json").read_bytes() == content.encode("latin-1")


def test_a_manifest_that_is_not_there_is_none_and_is_not_made():
    assert Manifest.read("none/m.json") is None
    change("none/m.json", rejected=True)
    assert not Path("none").exists()


def test_a_change_is_of_what_it_names_alone():
    MADE.write("m.json")
    change("m.json", rejected=True)
    change("m.json", code={"a.py": "1"})
    assert Manifest.read("m.json") == replace(MADE, rejected=True, code={"a.py": "1"})


# --- content --------------------------------------------------------------------------------------


def content(path):
    return Contents(ROOTS)[path]


def test_an_output_s_content_is_what_its_manifest_says():
    assert content(made("out/runs/a.run.gz", "x")) == "as made"
    Path("out/runs/a.run.gz").unlink()  # what was made of it is known still
    assert content("out/runs/a.run.gz") == "as made"


def test_an_output_without_a_manifest_is_read_and_a_folder_is_not_known():
    assert content(write("out/runs/a.run.gz", "x")) == digest("out/runs/a.run.gz")
    write("out/models/m/config.json", "x")
    assert content("out/models/m") is None
    assert content("out/none") is None and content("none.run") is None


def test_an_output_that_is_newer_than_its_manifest_is_read():
    path = made("out/runs/a.run.gz", "x")
    write(path, "edited")
    file = manifest_of(ROOTS, path)
    os.utime(file, (2000, 2000))
    assert content(path) == digest(path) != "as made"
    assert file.stat().st_mtime == 2000  # not to be taken at its word
    change(file, sha256=digest(path))
    os.utime(file, (2000, 2000))
    assert content(path) == digest(path)
    assert file.stat().st_mtime >= changed_at(Path(path)) / 1e9  # from now on it is


def test_a_file_in_an_output_that_is_newer_is_seen():
    made("out/models/m/config.json", "x")
    MADE.write(file := manifest_of(ROOTS, "out/models/m"))
    os.utime(file, (2000, 2000))
    assert content("out/models/m") == "as made"
    write("out/models/m/.snakemake_timestamp", "")
    assert content("out/models/m") == "as made"
    write("out/models/m/in/weights", "y")
    assert content("out/models/m") == digest("out/models/m")


@pytest.fixture
def read(monkeypatch):
    """The files that are read, and those of 4 bytes or more are large."""
    read = []
    monkeypatch.setattr(manifests, "LARGE", 4)
    monkeypatch.setattr(manifests, "digest", lambda path: read.append(path) or digest(path))
    return read


def test_a_large_file_is_read_once_as_long_as_its_size_and_its_time_stay(read):
    for text, time, reads in (
        ("large", 1000, 1),
        ("large", 1000, 1),
        ("large", 1001, 2),
        ("larger", 1001, 3),
        ("others", 1001, 3),  # neither size nor time: nobody could see it
    ):
        path = write("big.run", text, time)
        found = content(path)
        assert len(read) == reads
    assert found == content(str(Path(path).absolute())) != digest(path)
    assert len(read) == 3
    assert [len(entry) for entry in json.loads(SEEN.at(ROOTS).read_text()).values()] == [3]


def test_a_small_file_is_read_every_time_and_noted_nowhere(read):
    write("a.run", "abc")
    assert content("a.run") == content("a.run") == digest("a.run")
    assert len(read) == 2 and not SEEN.at(ROOTS).exists()


@pytest.mark.parametrize("damage", ["", "{", "\xff"])
def test_a_damaged_note_of_large_files_is_made_anew(read, damage):
    content(write("big.run", "large"))
    SEEN.at(ROOTS).write_text(damage)
    assert content("big.run") == content("big.run") == digest("big.run")
    assert len(read) == 2
