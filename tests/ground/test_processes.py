"""Locked files, and children that die with their parent."""

import os
import signal
import subprocess
import sys
import time

from restage.processes import how_it_ended, is_gone, lock, locked, unlock

# A parent with a lock, which starts a child that has it too and ends with it.
FAMILY = """
import os, subprocess, sys, time
from restage.processes import die_with, locked
if len(sys.argv) > 2:
    die_with(int(sys.argv[2]))
    print(os.getpid(), flush=True)
    time.sleep(600)
with locked(sys.argv[1]):
    subprocess.run([sys.executable, __file__, *sys.argv[1:], str(os.getpid())], close_fds=False)
"""


def wait_for(happened):
    end = time.monotonic() + 30
    while not (found := happened()) and time.monotonic() < end:
        time.sleep(0.01)
    return found


def test_a_child_holds_the_lock_of_its_parent_and_dies_with_it(tmp_path):
    (tmp_path / "family.py").write_text(FAMILY)
    command = [sys.executable, str(tmp_path / "family.py"), str(tmp_path / "lock")]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    os.kill(child, signal.SIGSTOP)  # it has no time to die
    parent.kill()
    parent.wait()
    gone = wait_for(lambda: state_of(child) in (None, "Z"))
    assert gone
    descriptor = wait_for(lambda: lock(tmp_path / "lock"))
    unlock(tmp_path / "lock", descriptor)
    assert not (tmp_path / "lock").exists()


def state_of(process):
    try:
        return open(f"/proc/{process}/stat").read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def test_a_lock_is_the_child_s_while_it_lives(tmp_path):
    with locked(tmp_path / "lock"):
        child = subprocess.Popen(["sleep", "600"], close_fds=False)
        other = subprocess.Popen(["sleep", "600"])
    descriptor = lock(tmp_path / "lock")  # given back, not left to the child
    assert descriptor is not None
    held = subprocess.Popen(["sleep", "600"], close_fds=False)
    os.close(descriptor)  # as if this process had died
    try:
        assert lock(tmp_path / "lock") is None
        held.kill()
        held.wait()
        assert lock(tmp_path / "lock") is not None
    finally:
        for process in (child, other, held):
            process.kill()
            process.wait()


def test_who_waits_is_told_once_and_gets_the_lock(tmp_path):
    command = "import sys; from restage.processes import locked\n"
    command += "with locked(sys.argv[1]): print('holds', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    holder = subprocess.Popen([sys.executable, "-c", command, tmp_path / "lock"], **pipes)
    assert holder.stdout.readline() == b"holds\n"
    told = []
    with locked(tmp_path / "lock", lambda: [told.append(1), holder.stdin.close()]):
        assert told == [1] and holder.wait() == 0
    assert list(tmp_path.iterdir()) == []


def test_a_process_whose_parent_has_ended_ends():
    program = "from restage.processes import die_with; die_with(1 << 22); print('goes on')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True)
    assert done.returncode == 1 and done.stdout == b""


def test_processes_that_there_are_and_that_there_are_not():
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert [is_gone(number) for number in (1, os.getpid(), ended.pid)] == [False, False, True]


def test_a_signal_has_its_name():
    assert [how_it_ended(code) for code in (-7, 3)] == ["died of SIGBUS", "ended with 3"]
