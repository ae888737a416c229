"""Which outputs still fit, which are made again and why, and what is said of them."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restage.errors import InputError
from restage.files import digest
from restage.grid import manifests
from restage.grid.layout import Roots
from restage.grid.manifests import Contents, Manifest, change, manifest_of
from restage.grid.standing import Needs, Standing, differences

LISTS, MODEL, SCORES, RUN = "ranked_lists/a", "models/tiny/CL/42", "scores/x.parquet", "runs/x.run"
TABLE = "tables/x.csv"
CODE = {"a.py": "1", "restage.files": "1"}


class Workflow:
    """A few jobs, in the order in which they are made; each has one output, of its own time.

    Whatever is changed in it is what its outputs would be made from now.
    """

    def __init__(self, study=None):
        self.roots, self.time, self.jobs = Roots.of("out", study), 1000, {}
        write("data/a.run", "list", 900)
        self.job("ranked_lists", LISTS, {"source": ["data/a.run"]}, lists={"split_seed": 42})
        self.job("finetune", MODEL, {"lists": [f"out/{LISTS}"]}, rate=1e-5)
        self.job("score", SCORES, {"model": [f"out/{MODEL}"]})
        self.job("rerank", RUN, {"": [f"out/{SCORES}"]}, depth=100)
        self.job("group_table", TABLE, {"runs": [f"out/{RUN}"]}, order=[["tiny", "CL"]])

    def job(self, rule, output, inputs, **settings):
        wildcards = {"name": Path(output).name}
        self.jobs[rule, wildcards["name"]] = [inputs, settings, dict(CODE), [output]]
        self.time += 10
        needs = self.needs(rule, wildcards)
        folder = Path("out", output).suffix == ""
        write(f"out/{output}/a" if folder else f"out/{output}", output, self.time)
        os.utime(f"out/{output}", (self.time, self.time))
        Manifest(
            **{"rule": rule, "wildcards": wildcards, "study": None, "rejected": False},
            **{"settings": needs.settings, "inputs": needs.inputs, "code": needs.code},
            **{"sha256": digest(f"out/{output}"), "size": 1, "commit": "", "versions": {}},
            **{"device": "", "made": "", "seconds": 1, "cpu_seconds": 1, "memory_mb": 1},
        ).write(self.manifest(output))
        os.utime(self.manifest(output), (self.time, self.time))

    def needs(self, rule, wildcards):
        if (rule, wildcards["name"]) not in self.jobs:
            return None
        inputs, settings, code, outputs = self.jobs[rule, wildcards["name"]]
        contents = Contents(self.roots)
        known = {
            name: {self.roots.relative(path): contents[path] for path in paths}
            for name, paths in inputs.items()
        }
        paths = [path for some in inputs.values() for path in some]
        root = self.roots.study if rule == "group_table" else self.roots.results
        return Needs(settings, known, paths, [f"{root}/{path}" for path in outputs], code)

    def of(self, output):
        """Inputs, settings, code and outputs of the job that makes an output."""
        return next(job for (_, name), job in self.jobs.items() if name == Path(output).name)

    def manifest(self, output):
        return manifest_of(self.roots, f"out/{output}")

    @property
    def standing(self):
        """As another run would find it."""
        return Standing(Contents(self.roots), self.needs)

    @property
    def changes(self):
        """What changed, by output."""
        outputs = self.standing.outputs.items()
        return {path.partition("/")[2]: made.changes for path, made in outputs if made.changes}

    @property
    def again(self):
        return {path.partition("/")[2]: why for path, (_, why) in self.standing.again().items()}

    def times(self):
        return {name: int(os.stat(f"out/{name}").st_mtime) for name in (LISTS, MODEL, RUN, TABLE)}


def write(path, text, time=None):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    if time:
        os.utime(path, (time, time))


@pytest.fixture
def flow(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Workflow()


def test_what_is_as_it_was_fits(flow):
    assert len(flow.standing.outputs) == 5
    assert (flow.changes, flow.again, flow.standing.changed) == ({}, {}, {})
    assert flow.standing.note() is None
    flow.standing.refuse("another")


# --- what changed ---------------------------------------------------------------------------------


def setting(output, **settings):
    return lambda flow: flow.of(output)[1].update(settings)


def inputs(output, **paths):
    return lambda flow: flow.of(output)[0].update(paths)


def edit(path):
    return lambda _: write(path, "edited")


@pytest.mark.parametrize(
    ("edits", "output", "line"),
    [
        ([setting(MODEL, rate=2e-5)], MODEL, "rate: 1e-05 -> 2e-05"),
        ([setting(MODEL, clip=1)], MODEL, "clip: None -> 1"),
        ([setting(LISTS, lists={"split_seed": 7})], LISTS, "lists.split_seed: 42 -> 7"),
        ([setting(TABLE, order=[["tiny", "KD"]])], TABLE, "order: - tiny/CL, + tiny/KD"),
        ([edit("data/a.run")], LISTS, "a.run: other content"),
        (
            [lambda _: write("b.run", "other"), inputs(LISTS, source=["b.run"])],
            LISTS,
            "b.run: other content",
        ),
        ([inputs(RUN, **{"": []})], RUN, f"without <results>/{SCORES}"),
        ([inputs(MODEL, start=["out/models/x"])], MODEL, "with <results>/models/x"),
        ([edit(f"out/{TABLE}")], TABLE, "it was changed after it was made"),
        ([edit(f"out/{MODEL}/a")], MODEL, "it was changed after it was made"),
        ([lambda flow: change(flow.manifest(RUN), rejected=True)], RUN, "it was rejected"),
    ],
)
def test_each_kind_of_change_has_its_line(flow, edits, output, line):
    for edit in edits:
        edit(flow)
    assert flow.changes[output] == [line]
    job = flow.standing.outputs[f"<results>/{output}"].job
    assert flow.standing.changed[job] == [line]


def test_an_edited_output_changes_what_is_made_from_it_too(flow):
    write(f"out/{RUN}", "edited")
    assert flow.changes == {
        RUN: ["it was changed after it was made"],
        TABLE: [f"<results>/{RUN}: other content"],
    }


def test_a_file_that_moved_and_what_moved_with_the_results_are_no_change(flow):
    Path("data/a.run").rename("data/b.run")
    inputs(LISTS, source=["data/b.run"])(flow)
    assert flow.changes == {}


def test_the_same_bytes_anew_are_no_change(flow):
    write("data/a.run", "list")
    write(f"out/{RUN}", RUN)
    assert flow.changes == {}


def test_what_is_not_known_is_no_change_and_not_certain(flow):
    Path("data/a.run").unlink()
    flow.manifest(SCORES).unlink()
    Path(f"out/{SCORES}").unlink()
    assert flow.changes == {}
    outputs = flow.standing.outputs
    certain = {path.partition("/")[2] for path, made in outputs.items() if made.certain}
    assert certain == {MODEL, TABLE}


def test_what_the_grid_no_longer_has_and_damaged_manifests_are_left_alone(flow):
    del flow.jobs["rerank", Path(RUN).name]
    flow.manifest(MODEL).write_text("{")
    assert set(flow.standing.outputs) == {f"<results>/{one}" for one in (LISTS, SCORES, TABLE)}


def test_a_table_of_another_study_is_not_this_one_s(flow):
    write("out/studies/rates/tables/x.csv", "other")
    manifest = Manifest.read(flow.manifest(TABLE))
    other = replace(manifest, study="rates", settings={"order": []})
    other.write(flow.manifest("studies/rates/tables/x.csv"))
    assert flow.changes == {}
    flow.roots = Roots.of("out", "rates")
    assert flow.standing.outputs["<study>/tables/x.csv"].changes == ["order: + tiny/CL"]
    assert f"<results>/{TABLE}" not in flow.standing.outputs
    assert f"<results>/{MODEL}" in flow.standing.outputs


NAMES = st.sampled_from("xyz")
SETTINGS = st.recursive(
    st.none() | st.integers(0, 2) | st.sampled_from("ab"),
    lambda some: st.lists(some) | st.dictionaries(NAMES, some, min_size=1),
    max_leaves=4,
)
MAPPINGS = st.dictionaries(NAMES, SETTINGS, max_size=3)


def without_nothing(value):
    """A setting that is not there and one that is None are the same."""
    if not isinstance(value, dict):
        return value
    plain = {name: without_nothing(one) for name, one in value.items()}
    return {name: one for name, one in plain.items() if one not in (None, {})}


@given(MAPPINGS, MAPPINGS)
def test_settings_differ_where_there_is_a_line(one, other):
    assert list(differences(one, one)) == []
    lines = list(differences(one, other))
    assert bool(lines) == (without_nothing(one) != without_nothing(other))
    names = [line.partition(":")[0] for line in lines]
    assert len(set(names)) == len(names)


# --- what is made again ---------------------------------------------------------------------------


def test_what_is_made_from_a_change_is_made_again(flow):
    setting(MODEL, rate=2e-5)(flow)
    assert flow.again == {
        MODEL: "rate: 1e-05 -> 2e-05",
        SCORES: "after finetune",
        RUN: "after score",
        TABLE: "after rerank",
    }
    assert flow.standing.again()[f"<results>/{SCORES}"] == ("score", "after finetune")


def test_what_is_missing_is_made_again_and_scores_that_are_missing_are_not_missed(flow):
    Path(f"out/{SCORES}").unlink()
    assert flow.again == {}
    Path(f"out/{RUN}").unlink()
    assert flow.again == {RUN: "missing", TABLE: "after rerank"}


def test_missing_scores_are_made_again_for_what_they_are_made_from(flow):
    Path(f"out/{SCORES}").unlink()
    setting(MODEL, rate=2e-5)(flow)
    assert flow.again[SCORES] == "after finetune"
    assert flow.again[RUN] == "after score"
    setting(MODEL, rate=1e-5)(flow)
    setting(SCORES, max_length=9)(flow)
    assert flow.again[SCORES] == "max_length: None -> 9"
    assert flow.again[RUN] == "after score"


def test_all_outputs_of_a_job_are_made_again_together(flow):
    flow.of(RUN)[3].append("runs/y.run")
    write("out/runs/y.run", "y", 1)
    manifest = Manifest.read(flow.manifest(RUN))
    replace(manifest, sha256=digest("out/runs/y.run")).write(flow.manifest("runs/y.run"))
    write("out/runs/y.run", "edited")
    assert flow.again["runs/y.run"] == flow.again[RUN] == "it was changed after it was made"
    assert flow.again[TABLE] == "after rerank"


def test_a_reason_is_told_once_for_all_jobs_of_a_rule_that_have_it(flow):
    for name in "bcdef":
        flow.job("rerank", f"runs/{name}", {"": [f"out/{SCORES}"]}, depth=100)
        setting(f"runs/{name}", depth=5 if name == "f" else 9)(flow)
    setting(MODEL, rate=2e-5, clip=1, warm=2, epochs=3)(flow)
    standing = flow.standing
    told = [line for job in standing.changed for line in standing.told(job)]
    assert told == [
        "again: finetune 42: rate: 1e-05 -> 2e-05; clip: None -> 1; warm: None -> 2; 1 more",
        "again: rerank b, c, d, 1 more: depth: 100 -> 9",
        "again: rerank f: depth: 100 -> 5",
    ]
    assert [line for job in standing.changed for line in standing.told(job)] == []


def test_jobs_that_differ_in_their_own_names_have_one_reason(flow):
    for name, new in (("b", "b.run"), ("c", "c.run"), ("d", "b.run")):
        flow.job("rerank", f"runs/{name}", {"": [f"out/{SCORES}"]})
        inputs(f"runs/{name}", others=[f"out/mined/{new}"])(flow)
    standing = flow.standing
    assert [line for job in standing.changed for line in standing.told(job)] == [
        "again: rerank b, c: with <results>/mined/{name}.run",
        "again: rerank d: with <results>/mined/b.run",
    ]


def test_a_reason_that_two_rules_have_is_told_of_each(flow):
    for output in (MODEL, SCORES):
        setting(output, clip=1)(flow)
    standing = flow.standing
    assert {line for job in standing.changed for line in standing.told(job)} == {
        "again: finetune 42: clip: None -> 1",
        "again: score x.parquet: clip: None -> 1",
    }


# --- other code -----------------------------------------------------------------------------------


def test_what_other_code_made_stands_and_is_told(flow):
    for output, code in ((LISTS, {"a.py": "2"}), (MODEL, CODE | {"restage.new": "1"})):
        flow.of(output)[2].clear()
        flow.of(output)[2].update(code)
    setting(MODEL, rate=2e-5)(flow)  # is made again anyhow
    flow.of(RUN)[2]["a.py"] = flow.of(TABLE)[2]["a.py"] = "2"
    Path(f"out/{TABLE}").unlink()
    standing = flow.standing
    assert MODEL in flow.changes and LISTS not in flow.changes
    assert standing.by_other_code() == {LISTS: ["a.py", "restage.files"], RUN: ["a.py"]}
    assert standing.note().startswith(
        "2 outputs were made by other code (ranked_lists 1, rerank 1) and stand; "
    )
    code = {LISTS: {"a.py": "2"}, RUN: CODE | {"a.py": "2"}}
    assert standing.code_of_stale() == {str(flow.manifest(one)): code[one] for one in code}
    for manifest, now in standing.code_of_stale().items():
        change(manifest, code=now)
    assert flow.standing.by_other_code() == {} and flow.standing.note() is None


# --- other studies --------------------------------------------------------------------------------


def test_what_another_study_made_is_not_made_otherwise(flow):
    setting(MODEL, rate=2e-5, clip=1)(flow)
    flow.standing.refuse(None)
    with pytest.raises(InputError) as error:
        flow.standing.refuse("rates")
    assert str(error.value) == (
        f"out/{MODEL} was made by the grid without 'study', and would be made anew for this one: "
        "rate: 1e-05 -> 2e-05; clip: None -> 1; give what differs another name, or remove it"
    )
    change(flow.manifest(MODEL), study="losses")
    with pytest.raises(InputError, match="was made by study 'losses', and"):
        flow.standing.refuse(None)
    flow.standing.refuse("losses")


def test_what_was_removed_is_no_other_study_s_any_more(flow):
    setting(MODEL, rate=2e-5)(flow)
    Path(f"out/{MODEL}/a").unlink()
    Path(f"out/{MODEL}").rmdir()
    flow.standing.refuse("rates")


@pytest.mark.parametrize("output", [SCORES, RUN])
def test_scores_and_runs_are_every_study_s(flow, output):
    setting(output, depth=9)(flow)
    assert output in flow.changes
    flow.standing.refuse("rates")


# --- times ----------------------------------------------------------------------------------------


def test_outputs_are_no_older_than_what_they_are_known_to_be_made_from(flow):
    os.utime("data/a.run", (5000, 5000))
    flow.standing.settle()
    assert set(flow.times().values()) == {5000}
    assert flow.changes == {}
    before = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")}
    flow.standing.settle()
    assert {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")} == before


def test_outputs_whose_time_was_set_are_not_read_for_it(flow, monkeypatch):
    os.utime("data/a.run", (5000, 5000))
    flow.standing.settle()
    read = []
    monkeypatch.setattr(manifests, "digest", lambda path: read.append(str(path)) or digest(path))
    assert flow.changes == {} and set(read) == {"data/a.run"}


def test_outputs_from_the_future_are_as_old_as_today_and_what_is_made_from_them_too(flow):
    begin, before = time.time(), flow.times()
    os.utime(f"out/{SCORES}", (begin + 86400,) * 2)
    flow.standing.settle()
    times = flow.times()
    assert times[LISTS] == before[LISTS] and times[MODEL] == before[MODEL]
    made = os.stat(f"out/{SCORES}").st_mtime
    assert begin - 1 <= made <= time.time() and times[RUN] == times[TABLE] == int(made)
    assert flow.changes == {}


def test_what_is_new_enough_keeps_its_time(flow):
    before = flow.times()
    os.utime(f"out/{RUN}", (1045, 1045))  # the table is of 1050
    flow.standing.settle()
    assert flow.times() == before | {RUN: 1045}


def test_what_has_changed_stays_older_and_what_is_made_from_it_keeps_its_time(flow):
    before = flow.times()
    write("data/a.run", "other", 5000)
    setting(RUN, depth=9)(flow)
    os.utime(f"out/{SCORES}", (6000, 6000))
    flow.standing.settle()
    assert flow.times() == before


def test_what_is_not_known_to_fit_keeps_its_time(flow):
    before = flow.times()
    flow.manifest(LISTS).unlink()  # what a folder has without it nobody knows
    os.utime(f"out/{LISTS}", (5000, 5000))
    flow.standing.settle()
    assert flow.times() == before | {LISTS: 5000}


def test_what_is_missing_has_no_time(flow):
    Path(f"out/{SCORES}").unlink()
    os.utime(f"out/{MODEL}", (5000, 5000))
    flow.standing.settle()
    assert flow.times()[RUN] == 1040 and not Path(f"out/{SCORES}").exists()


def test_snakemake_s_own_mark_carries_the_time_of_a_folder(flow):
    mark = Path("out", MODEL, ".snakemake_timestamp")
    write(mark, "", 1020)
    os.utime("data/a.run", (5000, 5000))
    flow.standing.settle()
    assert mark.stat().st_mtime == 5000 == flow.times()[TABLE]
