"""The workflow on a real SLURM: two nodes on this machine, one dummy GPU each (make test-slurm)."""

import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.workflow import slurm_cluster
from tests.workflow.runs import ROOT, make, read_config, write_config

pytestmark = pytest.mark.slurm
GPU_RULES = {"finetune", "score", "teacher_lists"}


@pytest.fixture(scope="module")
def cluster():
    if what := slurm_cluster.missing():
        pytest.skip(what)
    # A short path: munge's socket has to fit into 107 characters.
    with (
        tempfile.TemporaryDirectory(prefix="slurm-") as folder,
        slurm_cluster.cluster(Path(folder)) as environment,
    ):
        yield Path(folder), environment
        for process in Submitted.started:  # those of tests that failed
            process.kill()


class Submitted:
    """snakemake with the profile for SLURM, running; ``jobs`` are those seen so far, by id."""

    started = []  # noqa: RUF012

    def __init__(self, cluster, folder, *targets, **resources):
        self.cluster, self.environment = cluster
        self.jobs = {}
        profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
        profile["slurm-init-seconds-before-status-checks"] = 5
        profile["set-resources"]["finetune"] |= resources
        (folder / "profile").mkdir()
        (folder / "profile/config.yaml").write_text(yaml.safe_dump(profile))
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        command += ["--directory", str(folder), "--profile", str(folder / "profile")]
        command += ["--configfile", "config.yaml", "--", *targets]
        self.output = folder / "snakemake.out"
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                command, cwd=folder, env=self.environment, stdout=output, stderr=output
            )
        self.started.append(self.process)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        while self.process.poll() is None:
            for text in self._run("scontrol", "show", "job", "-d", "-o").splitlines():
                said = dict(re.findall(r"(\S+?)=(\S+)", text))
                if said.get("JobState") == "RUNNING" and "Comment" in said:
                    job = {"rule": re.match(r"rule_(.+?)(_wildcards|$)", said["Comment"])[1]}
                    job |= {"what": said["Comment"], "node": said["NodeList"]}
                    self.jobs[said["JobId"]] = job | {"device": said.get("GRES", "")}
            time.sleep(0.3)

    def _run(self, *command):
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        return done.stdout

    def cancel(self, number):
        self._run("scancel", number)

    def node(self, name, state):
        self._run("scontrol", "update", f"nodename={name}", f"state={state}", "reason=test")

    def wait_for(self, condition, seconds=240):
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert self.process.poll() is None, self.output.read_text()[-3000:]
            assert time.monotonic() < end, self.output.read_text()[-3000:]
            time.sleep(0.2)
        return found

    def finish(self):
        assert self.process.wait(600) == 0, self.output.read_text()[-5000:]
        ended = pd.DataFrame(slurm_cluster.jobs(self.cluster))
        ended = ended.drop_duplicates("JobId", keep="last").set_index("JobId")
        jobs = pd.DataFrame.from_dict(self.jobs, orient="index").join(ended)
        jobs["start"], jobs["end"] = map(pd.to_datetime, (jobs["StartTime"], jobs["EndTime"]))
        return jobs.sort_values("start")


def on_gpus(folder, **changes):
    config = read_config(folder)
    config["compute"] |= {"gpus_per_training": 1, "gpus_per_scoring": 1}
    for name, settings in changes.items():
        config["objectives"][name] |= settings
    write_config(folder, config)
    return folder


def smaller(folder):
    """The grid with one dataset and two recipes: a chain, and one that has a teacher before it."""
    config = read_config(folder)
    config["recipes"] = ["CL-KD", "distil"]
    config["datasets"] = {"test": config["datasets"]["test"]}
    write_config(folder, config)
    return folder


def running(submitted, rule):
    jobs = list(submitted.jobs.items())
    return [number for number, job in jobs if job["rule"] == rule]


def test_the_small_grid_on_two_nodes_one_of_which_goes_down(cluster, small_grid, tmp_path):
    folder = on_gpus(smaller(small_grid(tmp_path / "slurm")))
    submitted = Submitted(cluster, folder)
    submitted.wait_for(lambda: len(running(submitted, "finetune")) > 1)
    finished = {path: path.stat().st_mtime_ns for path in folder.glob("out/models/tiny/*/42")}
    submitted.node("node2", "down")
    time.sleep(10)
    submitted.node("node2", "resume")
    jobs = submitted.finish()
    print(jobs[["rule", "node", "device", "start", "end", "JobState"]].to_string())

    planned = make(folder, dry=True)
    assert "Nothing to be done" in planned
    # What was finished when the node went down was not made again.
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    local = {"measure", "rerank", "group_table", "comparisons", "all"}
    assert not local & set(jobs["rule"]) and set(jobs["rule"]) > GPU_RULES
    stats = submitted.output.read_text().partition("Job stats:")[2].partition("total")[0]
    remote = GPU_RULES | {"text_store", "token_store", "retrieve", "mine"}
    remote |= {"ranked_lists"}
    done = jobs[jobs["JobState"] == "COMPLETED"]
    for rule, count in re.findall(r"^(\w+) +(\d+)$", stats, re.M):
        if rule in remote:
            assert (done["rule"] == rule).sum() == int(count), rule

    with_gpu = jobs[jobs["rule"].isin(GPU_RULES)]
    assert set(with_gpu["device"]) == {"gpu:1(IDX:0)"}
    assert not jobs[~jobs["rule"].isin(GPU_RULES)]["device"].str.contains("IDX").any()
    assert set(with_gpu["node"]) == {"node1", "node2"}
    for _, on_node in done[done["rule"].isin(GPU_RULES)].groupby("node"):
        for (_, one), (_, next_one) in pairwise(on_node.sort_values("start").iterrows()):
            assert one["end"] <= next_one["start"]

    alone = smaller(small_grid(tmp_path / "alone"))
    make(alone, "tables")
    for table in (folder / "out/tables").iterdir():
        assert table.read_bytes() == (alone / "out/tables" / table.name).read_bytes()


def test_a_cancelled_training_goes_on_in_another_job(cluster, small_grid, tmp_path):
    folder = on_gpus(small_grid(tmp_path / "slurm"), CL={"max_steps": 1500, "validate_every": 1500})
    config = read_config(folder)
    config["compute"]["save_every_minutes"] = 0.02
    write_config(folder, config)
    submitted = Submitted(cluster, folder, "out/models/tiny/CL/42")
    log = folder / "out/logs/models/tiny/CL/42.log"
    submitted.wait_for(lambda: log.exists() and "state saved" in log.read_text())
    [number] = running(submitted, "finetune")
    submitted.cancel(number)
    jobs = submitted.finish()
    states = jobs[jobs["rule"] == "finetune"]["JobState"]
    assert list(states) == ["CANCELLED", "COMPLETED"]
    assert "going on after step" in log.read_text()
    assert trained_steps(folder) == 1500


def test_a_time_limit_that_is_too_short_is_survived(cluster, small_grid, tmp_path):
    # SLURM may send the signal a minute early: so two minutes, for the training to have begun.
    long = {"max_steps": 12000, "validate_every": 12000}
    folder = on_gpus(small_grid(tmp_path / "slurm"), CL=long)
    resources = {"runtime": "2 * attempt", "slurm_extra": "'--signal=TERM@20'"}
    submitted = Submitted(cluster, folder, "out/models/tiny/CL/42", **resources)
    log = folder / "out/logs/models/tiny/CL/42.log"
    jobs = submitted.finish()
    trainings = jobs[jobs["rule"] == "finetune"]
    print(trainings[["node", "start", "end", "TimeLimit", "JobState"]].to_string())
    assert len(trainings) > 1 and trainings["JobState"].iloc[-1] == "COMPLETED"
    assert "going on after step" in log.read_text()
    assert trained_steps(folder) == 12000


def trained_steps(folder):
    model = folder / "out/models/tiny/CL/42"
    assert json.loads((model / "config.json").read_text())
    return pd.read_csv(model / "training.csv")["step"].iloc[-1]
