"""Jobs that are killed, that share GPUs, and mistakes that are told before any of them."""

import os
import re
import signal
import subprocess
import time
from uuid import uuid4

import pandas as pd
import pytest

from tests.workflow.runs import (
    ENVIRONMENT,
    make,
    read_config,
    snakemake,
    snakemake_command,
    write_config,
)


def test_a_workflow_killed_while_it_trains_goes_on_from_there(small_grid, tmp_path):
    folder = small_grid(tmp_path)
    config = read_config(folder)
    config["compute"]["save_every_minutes"] = 0
    config["objectives"]["CL"]["max_steps"] = 40
    write_config(folder, config)
    target, log = "out/models/tiny/CL/42", folder / "out/logs/models/tiny/CL/42.log"
    command = [*snakemake_command(folder), "--", target]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | ENVIRONMENT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )
    while not log.exists() or "state saved after step 3" not in log.read_text():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(
        [*snakemake_command(folder), "--unlock"],
        cwd=folder,
        env=os.environ | ENVIRONMENT,
        check=True,
    )
    make(folder, target)
    assert "going on after step" in log.read_text()
    assert (folder / target / "model.safetensors").is_file()


def test_two_gpus_hold_one_job_each_and_neither_idles(small_grid, tmp_path, monkeypatch):
    """With devices that are none: two jobs at a time, never two on one device."""
    folder = small_grid(tmp_path)
    config = read_config(folder)
    config["compute"] |= {"gpus_per_training": 1, "gpus_per_scoring": 1}
    config["recipes"] = ["CL", "KD", "mined"]
    config["datasets"] = {"test": config["datasets"]["test"]}
    for name in ("CL", "KD"):
        config["objectives"][name]["max_steps"] = 60
    write_config(folder, config)
    fakes = [f"fake-{uuid4()}" for _ in range(2)]  # leases of its own
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(fakes))
    make(folder, "runs", cores=4, options=["--resources", "gpu=2"])
    leases = []
    for log in (folder / "out/logs").rglob("*.log"):
        found = re.findall(r"^(\S+ \S+) (holds|gives back) GPUs (\S+)$", log.read_text(), re.M)
        if found and found[0][2] != "none":
            (begin, _, device), (end, _, other) = found
            assert device == other
            leases.append((device, *map(pd.to_datetime, (begin, end))))
    table = pd.DataFrame(leases, columns=["device", "begin", "end"]).sort_values("begin")
    assert len(table) == 3 + 3  # trainings, scorings
    assert set(table["device"]) == set(fakes)
    for _, held in table.groupby("device"):
        assert (held["end"].iloc[:-1].to_numpy() <= held["begin"].iloc[1:].to_numpy()).all()
    # Two trainings are ready at once; neither waits for the other's device.
    first, second = table.iloc[:2].itertuples()
    assert first.device != second.device and second.begin < first.end


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"sedes": [1]}, "unknown key 'sedes'; did you mean 'seeds'?"),
        ({"recipes": ["CL", "CL-XX"]}, "recipe 'CL-XX': there is no objective 'XX'"),
        ({"collections": {"gazetteer": {"path": "no/such"}}}, "there is no file no/such/corpus"),
        (
            {"datasets": {"test": {"path": "data/collection", "split": "test"}}},
            "'collection' is missing",
        ),
        (
            {
                "datasets": {
                    "test": {
                        "path": "data/collection",
                        "split": "test",
                        "collection": "gazetteer",
                        "measures": ["nDGC@10"],
                    }
                }
            },
            "cannot parse 'nDGC@10'",
        ),
        ({"rerank": {"depth": 50}}, "provides 10 passages, but rerank.depth asks for 50"),
    ],
)
def test_a_mistake_is_one_clear_line_before_any_job(small_grid, tmp_path, change, expected):
    small_grid(tmp_path)
    write_config(tmp_path, read_config(tmp_path) | change)
    process = snakemake(tmp_path)
    assert process.returncode != 0
    told = [line for line in process.stdout.splitlines() if line.startswith("error: ")]
    (line,) = told
    assert expected in line
    assert re.match(r"error: \S*config\.yaml:\d+: ", line)
    assert "Traceback" not in process.stdout
    assert not (tmp_path / "out").exists()
