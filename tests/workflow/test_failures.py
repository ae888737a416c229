"""Faults that we promise to survive, by real snakemake processes (make test-failures).

docs/failures.md lists them all, with the tests that show each.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pandas as pd
import pytest

from restage.devices import LEASES
from restage.grid.layout import folder_name
from tests.workflow.runs import (
    ENVIRONMENT,
    ROOT,
    make,
    planned,
    read_config,
    snakemake,
    snakemake_command,
    write_config,
)

pytestmark = pytest.mark.failures
KILLS = int(os.environ.get("RESTAGE_KILLS", "3"))
MARK = "RESTAGE_TEST_IN"  # in the environment of all processes of a run
TOKENS = f"out/stores/tokens/{folder_name('./tiny')}/collections/gazetteer"
# Each rule's script, and what it makes, in an order in which one can be made after the other.
ARTIFACTS = [
    ("text_store", "out/stores/texts/collections/gazetteer"),
    ("token_store", TOKENS),
    ("qrels", "out/stores/qrels/test.parquet"),
    ("shared_index", "out/stores/indexes/pisa/gazetteer"),
    ("index", "out/indexes/bm25/gazetteer"),
    ("retrieve", "out/first_stage/bm25/test.run.gz"),
    ("index", "out/indexes/dense/gazetteer"),
    ("import_run", "out/first_stage/given/test.run.gz"),
    ("retrieve", "out/mined/bm25.run.gz"),
    ("ranked_lists", "out/ranked_lists/colbert"),
    ("ranked_lists", "out/ranked_lists/rankgpt"),
    ("finetune", "out/models/tiny/CL/42"),
    ("teacher_lists", "out/ranked_lists/given"),
    ("score", "out/scores/tiny/CL/42/test.parquet"),
    ("rerank", "out/runs/tiny/CL/42/bm25/test.run.gz"),
    ("measure", "out/measures/tiny/CL/42/bm25/test.parquet"),
    ("group_table", "out/tables/small.csv"),
    ("comparisons", "out/tables/equivalence.csv"),
    ("group_figures", "out/figures/small_queries.pdf"),
    ("training_curves", "out/figures/training.pdf"),
    ("provenance", "out/provenance/provenance.csv"),
    ("table_pages", "out/pages/equivalence.html"),
    ("plan", "plan"),  # it declares no output
]


def small(folder, recipes=("CL",)):
    """The small grid with fewer recipes and datasets, for speed."""
    config = read_config(folder)
    config["recipes"] = list(recipes)
    config["datasets"] = {"test": config["datasets"]["test"]}
    write_config(folder, config)
    return folder


@contextmanager
def running(folder, *targets):
    process = subprocess.Popen(
        [*snakemake_command(folder), "--", *targets],
        cwd=folder,
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def script_process(folder, name, seconds=120):
    """The process that runs a rule's script in a folder."""
    pattern = rf"{re.escape(str(folder))}/\.snakemake/scripts/\w+\.{name}\.py"
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = subprocess.run(
            ["pgrep", "-f", pattern], capture_output=True, text=True
        ).stdout.split()
        if found:
            return int(found[0])
        time.sleep(0.02)
    raise TimeoutError(name)


def content(path):
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(p.relative_to(path)): p.read_bytes() for p in files if p.name[0] != "."}


def with_every_engine(folder):
    """The small grid with first stages of each kind, and two recipes to compare."""
    qrels = pd.read_csv(folder / "data/collection/qrels/test.tsv", sep="\t", dtype=str)
    lines = [
        f"{row[0]} Q0 {row[1]} 1 1.0 given\n" for row in qrels.drop_duplicates("query-id").values
    ]
    (folder / "given.run").write_text("".join(lines))
    config = read_config(small(folder, recipes=("CL", "mined")))
    config["first_stages"] |= {
        "dense": {"engine": "dense", "model": "./tiny", "pooling": "cls", "depth": 10},
        "given": {"engine": "run", "path": "given.run"},
    }
    write_config(folder, config)
    return folder


def test_kill_9_in_every_rule_s_job(small_grid, tmp_path):
    folder, whole = (with_every_engine(small_grid(tmp_path / name)) for name in ("killed", "whole"))
    targets = [target for _, target in ARTIFACTS]
    make(whole, *targets)
    killed = 0
    for i, (script, target) in enumerate(ARTIFACTS):
        artifact = folder / target
        with running(folder, target) as process:
            number = script_process(folder, script)
            time.sleep(0.2 * (i % 4))  # at its start, or later
            with suppress(ProcessLookupError):  # it was too quick
                os.kill(number, signal.SIGKILL)
            process.communicate()
            killed += process.returncode != 0
        first_try = content(artifact) if artifact.exists() else None
        make(folder, target)
        # Models have their speed in training.csv, a plan the sizes of such files.
        if not target.startswith("out/models") and script != "plan":
            expected = content(whole / target)
            assert content(artifact) == expected, target
            assert first_try in (None, expected), target
    assert killed > len(ARTIFACTS) / 2
    assert planned(folder, *targets[:-1]) == {}  # a plan is always made anew
    leftovers = [p for p in (folder / "out").rglob("*.part") if p.exists()]
    assert all(p.name.startswith(".") for p in leftovers)


def processes_of(folder):
    """What runs for a folder, whoever started it: by the name of the folder that it was handed."""
    mark, found = f"{MARK}={folder}\0".encode(), []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it has ended, or is another user's
            if mark in environment.read_bytes():
                found.append(int(environment.parent.name))
    return found


def kill(process, how, rng):
    """Kill all at once, snakemake alone, or one of the processes that it has started, if any."""
    mine = processes_of(process.args[process.args.index("--directory") + 1])
    if how == "a child":
        mine = [rng.choice([one for one in mine if one != process.pid] or [0])]
    for one in [process.pid] if how == "snakemake" else filter(None, mine):
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def finished_trainings(folder):
    """When each training that ended well was made, as its manifest says, in place or kept."""
    return {
        (str(file).rpartition("/models/")[2], json.loads(file.read_text())["made"])
        for place in ("manifests/models", "states/models")
        for file in (folder / "out" / place).rglob("42.json")
    }


def test_kills_at_any_moment(small_grid, tmp_path, monkeypatch):
    """RESTAGE_KILLS of them, in turn of the whole group, of snakemake alone and of one child."""
    fakes = [f"fake-{uuid4()}" for _ in range(2)]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(fakes))
    killed, whole = (small(small_grid(tmp_path / name)) for name in ("killed", "whole"))
    for folder in (killed, whole):
        config = read_config(folder)
        config["compute"] |= {"gpus_per_training": 2, "save_every_minutes": 0}
        config["objectives"]["CL"]["max_steps"] = 20
        write_config(folder, config)
    begin = time.monotonic()
    make(whole, "tables", python=sys.executable)
    lasts, rng, ended = time.monotonic() - begin, random.Random(KILLS), set()
    monkeypatch.setenv(MARK, str(killed))
    for number in range(KILLS):
        how = ("the group", "snakemake", "a child")[number % 3]
        with running(killed, "tables") as process:
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=rng.uniform(0.1, 0.9) * lasts)
            kill(process, how, rng)
            if how == "a child":
                process.communicate()
            process.wait()
        for lock in (killed / ".snakemake/locks").glob("*"):
            lock.unlink()  # as --unlock does
        ended |= finished_trainings(killed)
    make(killed, "tables", python=sys.executable)
    assert content(killed / "out/tables") == content(whole / "out/tables")
    assert planned(killed, "tables") == {}
    assert ended <= finished_trainings(killed)  # none was repeated
    left = [path for path in (killed / "out/states").rglob("*") if path.is_file()]
    assert left + list((killed / "out").rglob("*.part")) == []
    end = time.monotonic() + 60
    while processes_of(killed) and time.monotonic() < end:  # of a job that the last kill left alone
        time.sleep(0.1)
    assert processes_of(killed) == []
    for file in (LEASES / f"{fake}.0.lock" for fake in fakes):
        file.unlink(missing_ok=True)  # no lease: nobody has locked it


def test_two_snakemakes_at_once(small_grid, tmp_path):
    folder = small(small_grid(tmp_path))
    with running(folder, "models") as first:
        script_process(folder, "finetune")
        second = snakemake(folder, "models")
        assert second.returncode != 0 and "Directory cannot be locked" in second.stdout
        output, _ = first.communicate()
        assert first.returncode == 0, output[-3000:]
    assert "Nothing to be done" in make(folder, "models")


def refused(folder, *targets):
    """The output of a run that ends with one clear line."""
    process = snakemake(folder, *targets)
    assert process.returncode != 0 and "Traceback" not in process.stdout
    return process.stdout


@contextmanager
def mounted(folder, *options):
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("may not mount a tmpfs here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("left", [8_000, 40_000], ids=["for the log", "for a part of the model"])
def test_a_disk_that_is_full(small_grid, tmp_path, left):
    folder = small(small_grid(tmp_path / "grid"))
    with mounted(tmp_path / "disk", "-o", "size=20m") as disk:
        (folder / "out").symlink_to(disk)
        make(folder, "out/ranked_lists/colbert", TOKENS)
        fill = disk / "fill"
        fill.write_bytes(bytes(shutil.disk_usage(disk).free - left))
        told = refused(folder, "models")
        assert re.search(r"cannot be written .*make room on the disk and run again", told)
        fill.unlink()
        make(folder, "runs")
        assert planned(folder, "runs") == {}


def test_a_results_folder_that_is_read_only(small_grid, tmp_path):
    folder = small(small_grid(tmp_path / "grid"))
    with mounted(tmp_path / "disk", "-o", "ro") as disk:
        (folder / "out").symlink_to(disk)
        [line] = [line for line in refused(folder, "runs").splitlines() if "error:" in line]
        assert line.endswith("config.yaml:1: results: 'out' cannot be written to; mend its rights")


def test_a_damaged_checkpoint_is_trained_again(small_grid, tmp_path):
    folder = small(small_grid(tmp_path))
    model = folder / "out/models/tiny/CL/42"
    make(folder, "models")
    weights = model / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    told = make(folder, "runs")
    assert "again: finetune tiny/CL/42: it was changed after it was made" in told
    assert weights.read_bytes() == whole


def test_names_with_blanks_and_unicode(small_grid, tmp_path):
    plain = small(small_grid(tmp_path / "plain"))
    folder = small(small_grid(tmp_path / "mit Leerzeichen, größer & 日本 $HOME 'quoted'"))
    for part in ("corpus.jsonl", "queries.jsonl"):  # ids too
        file = folder / "data/collection" / part
        file.write_text(re.sub(r'("_id": ")', r"\1日本-ß-", file.read_text()))
    for file in (folder / "data/collection/qrels").iterdir():
        head, *lines = file.read_text().splitlines()
        lines = ["日本-ß-" + line.replace("\t", "\t日本-ß-", 1) for line in lines]
        file.write_text("\n".join([head, *lines]) + "\n")
    config = read_config(folder)
    config["recipes"], config["ranked_lists"] = ["mined"], {"bm25": config["ranked_lists"]["bm25"]}
    config["objectives"] = {"mined": config["objectives"]["CL"] | {"ranked_lists": "bm25"}}
    config["results"] = "Ergebnisse ö"
    write_config(folder, config)
    make(folder, "tables")
    same = read_config(plain)
    same |= {name: config[name] for name in ("recipes", "ranked_lists", "objectives")}
    write_config(plain, same)
    make(plain, "tables")
    one, other = (
        pd.read_csv(path / "tables/small.csv") for path in (plain / "out", folder / "Ergebnisse ö")
    )
    first_stage = one["backbone"] == "-"
    assert first_stage.sum() == 4
    pd.testing.assert_frame_equal(one[first_stage], other[first_stage])


@pytest.fixture(scope="module")
def measured():
    """A grid without models, with a copy of the workflow that may be changed."""

    def write(folder):
        for name in ("Snakefile", "rules", "workflow", "envs", "config", "profiles"):
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / name)
        (folder / "x.qrels").write_text("1 0 a 1\n2 0 b 1\n3 0 c 1\n")
        (folder / "x.run").write_text("1 Q0 a 1 2.0 x\n2 Q0 a 1 2.0 x\n3 Q0 a 1 2.0 x\n")
        config = {
            "results": "out",
            "datasets": {"mine": {"qrels": "x.qrels"}},
            "first_stages": {"given": {"engine": "run", "path": "x.run"}},
        }
        write_config(folder, config)
        make_copy(folder)
        return folder

    return write


def make_copy(folder, *more):
    command = snakemake_command(folder)
    command[command.index("--snakefile") + 1] = str(folder / "Snakefile")
    done = subprocess.run([*command, *more], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def test_a_clock_that_goes_backwards(measured, tmp_path):
    folder, past = measured(tmp_path), time.time() - 86400
    for file in (folder / "out/tables").iterdir():
        os.utime(file, (past, past))
    assert "Nothing to be done" in make_copy(folder, "--dry-run")


def test_inputs_from_the_future(measured, tmp_path):
    """The workflow's own are mended before a job, others' are told before any job."""
    folder, future = measured(tmp_path), time.time() + 86400
    table = folder / "out/tables/results.csv"
    whole = table.read_bytes()
    os.utime(folder / "out/measures/given/mine.parquet", (future, future))
    table.unlink()
    make_copy(folder)
    assert table.read_bytes() == whole and "Nothing to be done" in make_copy(folder)
    (folder / "x.run").write_text((folder / "x.run").read_text().replace("2.0", "3.0"))
    os.utime(folder / "x.run", (future, future))
    process = snakemake(folder, snakefile=folder / "Snakefile")
    [told] = [line for line in process.stdout.splitlines() if line.startswith("error: ")]
    assert process.returncode and "x.run: is from the future" in told
    assert "Traceback" not in process.stdout and "rule import_run" not in process.stdout
    assert table.read_bytes() == whole
