"""Leases on devices: never two jobs on one, whatever becomes of a job."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
import time

import pytest

from restage import devices
from restage.devices import devices_here, leased

# Holds two of the devices for a moment and writes down when, so that overlaps can be seen.
JOB = """
    import os, sys, time
    from restage.devices import leased
    count, jobs_per_gpu, seconds, folder = sys.argv[1:]
    with leased(int(count), int(jobs_per_gpu), ["0", "1", "2"], folder) as devices:
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(devices)
        assert "torch" not in sys.modules
        begin = time.time()
        print("holds", flush=True)
        time.sleep(float(seconds))
        print(*devices, begin, time.time(), flush=True)
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    (tmp_path / "job.py").write_text(textwrap.dedent(JOB))
    started = []

    def run(count, jobs_per_gpu, seconds):
        given = [str(count), str(jobs_per_gpu), str(seconds), str(tmp_path / "leases")]
        command = [sys.executable, str(tmp_path / "job.py"), *given]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("count", "jobs_per_gpu"), [(1, 1), (2, 1), (1, 2)])
def test_processes_that_race_never_share_a_device(start, count, jobs_per_gpu):
    jobs = [start(count, jobs_per_gpu, 0.3) for _ in range(7)]
    held = []
    for job in jobs:
        *devices, begin, end = job.communicate(timeout=60)[0].split()[1:]
        assert len(set(devices)) == count
        held += [(device, float(begin), float(end)) for device in devices]
    for device, begin, _ in held:
        at_once = sum(d == device and b <= begin < e for d, b, e in held)
        assert at_once <= jobs_per_gpu


def test_a_job_without_a_gpu_does_not_wait_for_one(start):
    holder = start(3, 1, 600)
    assert holder.stdout.readline() == "holds\n"
    start(1, 1, 0)
    time.sleep(1)  # so that this one waits already
    assert "holds" in start(0, 1, 0).communicate(timeout=30)[0]


def test_a_killed_process_gives_its_device_back(start):
    holder = start(3, 1, 600)
    assert holder.stdout.readline() == "holds\n"
    waiting = start(1, 1, 0)
    time.sleep(0.5)
    assert waiting.poll() is None
    holder.send_signal(signal.SIGKILL)
    assert "holds" in waiting.communicate(timeout=30)[0]


def test_a_scheduler_s_choice_stands(monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert devices_here() == ["3"]
    with leased(1, folder=tmp_path) as held:
        assert held == ["3"]
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"


def test_processes_of_one_allocation_share_none_of_its_devices(start, monkeypatch):
    """In salloc, too: but what another job calls 0 may be another device."""
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    holder = start(3, 1, 600)
    assert holder.stdout.readline() == "holds\n"
    waiting = start(1, 1, 0)
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    assert "holds" in start(1, 1, 0).communicate(timeout=30)[0]
    assert waiting.poll() is None


@pytest.mark.parametrize(
    ("visible", "expected"),
    [("-1", []), ("0,-1,1", ["0"]), ("NoDevFiles", []), ("", []), (" 1, GPU-5", ["1", "GPU-5"])],
)
def test_what_cuda_takes_for_no_device_is_none(monkeypatch, visible, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices_here() == expected


def test_a_device_is_one_by_whatever_name(start, monkeypatch, tmp_path):
    for bus, uuid in (("0000:01:00.0", "GPU-7f1e"), ("0000:02:00.0", "GPU-5a20")):
        (tmp_path / "driver" / bus).mkdir(parents=True)
        (tmp_path / "driver" / bus / "information").write_text(f"Model: x\nGPU UUID: \t {uuid}\n")
    monkeypatch.setattr(devices, "DRIVER", tmp_path / "driver")
    monkeypatch.setattr(devices, "WAIT_SECONDS", 0.01)
    names = ["0", "GPU-7f1e", "GPU-7", "1", "GPU-5a20", "9", "MIG-1", "GPU-"]
    known = [devices._id_of(name) for name in names]
    assert known == ["GPU-7f1e"] * 3 + ["GPU-5a20"] * 2 + ["9", "MIG-1", "GPU-"]
    with leased(1, devices=["1"], folder=tmp_path / "leases"):
        held = {file.name for file in (tmp_path / "leases").iterdir()}
        assert held == {"GPU-5a20.0.lock"}
        with leased(1, devices=["GPU-5", "0"], folder=tmp_path / "leases") as chosen:
            assert chosen == ["0"]
    assert list((tmp_path / "leases").iterdir()) == []


def test_leases_are_of_the_machine_and_of_all_its_users(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(devices, "LEASES", tmp_path / "leases")
    with leased(1, devices=["0"]):
        assert stat.S_IMODE((tmp_path / "leases").stat().st_mode) == 0o1777
        assert stat.S_IMODE((tmp_path / "leases/0.0.lock").stat().st_mode) == 0o666


def test_a_job_without_a_gpu_sees_none(monkeypatch, tmp_path):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,GPU-5")
    assert devices_here() == ["0", "GPU-5"]
    with leased(0, folder=tmp_path) as held:
        assert held == []
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,GPU-5"
