import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from restage.files import fingerprint
from restage.pieces import Pieces
from restage.processes import is_gone


def squares(record, process, numbers):
    """Make pieces of squares, and note which were made; a file per piece, as processes share it."""

    def make(number):
        (record / f"{number}-{process}-{len(numbers)}").touch()
        return np.arange(number, number + 3) ** 2

    return make


def broken_at(number, record, process, numbers):
    def make(piece):
        if piece == number:
            raise RuntimeError("as if it were killed")
        return squares(record, process, numbers)(piece)

    return make


@pytest.fixture
def record(tmp_path):
    (tmp_path / "record").mkdir()
    return tmp_path / "record"


def made(record):
    return sorted(int(file.name.split("-")[0]) for file in record.iterdir())


@pytest.mark.parametrize("processes", [1, 2, 9])
def test_pieces_are_made_once_whatever_the_number_of_processes(tmp_path, record, processes):
    files = Pieces(tmp_path / "state", "a", 5).make(partial(squares, record), processes)
    found = [np.load(file).tolist() for file in files]
    assert found == [[n**2, (n + 1) ** 2, (n + 2) ** 2] for n in range(5)]
    assert made(record) == [0, 1, 2, 3, 4]
    assert len({file.name.split("-")[1] for file in record.iterdir()}) == min(processes, 5)


def test_finished_pieces_are_not_made_again(tmp_path, record):
    pieces = Pieces(tmp_path / "state", "a", 5)
    with pytest.raises(RuntimeError):
        pieces.make(partial(broken_at, 3, record))
    assert made(record) == [0, 1, 2]
    files = Pieces(tmp_path / "state", "a", 5).make(partial(squares, record))
    assert made(record) == [0, 1, 2, 3, 4]
    assert np.load(files[4]).tolist() == [16, 25, 36]


def test_pieces_of_another_computation_are_not_taken(tmp_path, record):
    Pieces(tmp_path / "state", "a", 2).make(partial(squares, record))
    assert Pieces(tmp_path / "state", "b", 2).missing() == [0, 1]
    assert Pieces(tmp_path / "state", "a", 2).missing() == [0, 1]


def test_a_process_killed_at_any_moment_leaves_whole_pieces(tmp_path):
    program = f"""
import numpy as np
from restage.pieces import Pieces
def start(process, numbers):
    return lambda number: np.full(3_000_000, number)
Pieces({str(tmp_path / "state")!r}, "a", 400).make(start)
"""
    process = subprocess.Popen([sys.executable, "-c", program])
    while not list((tmp_path / "state").glob("0*.npy")):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    pieces = Pieces(tmp_path / "state", "a", 400)
    missing = pieces.missing()
    assert 0 < len(missing) < 400
    for number in sorted(set(range(400)) - set(missing)):
        assert (np.load(pieces.path(number)) == number).all()


WORK = """
import os, sys, time
import numpy as np
from restage.pieces import Pieces
def start(process, numbers):
    open(f"{sys.argv[1]}.{process}", "w").write(str(os.getpid()))
    def make(number):
        time.sleep(0.2)
        return np.zeros(1)
    return make
Pieces(sys.argv[1], "a", 1000).make(start, 2)
"""


@pytest.fixture
def workers(tmp_path):
    """A process that makes pieces in two others, and the numbers of these."""
    state = tmp_path / "state"
    command = [sys.executable, "-c", WORK, str(state)]
    parent = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while len(list(state.glob("0*.npy"))) < 2:
        assert parent.poll() is None
        time.sleep(0.02)
    yield parent, [int(Path(f"{state}.{n}").read_text()) for n in range(2)]
    parent.kill()
    parent.communicate()


def test_the_others_die_with_a_process_that_is_killed(workers):
    parent, others = workers
    parent.kill()
    parent.wait()
    end = time.monotonic() + 10
    while not all(map(is_gone, others)) and time.monotonic() < end:
        time.sleep(0.02)
    assert all(map(is_gone, others))


def test_the_signal_that_killed_one_is_told(workers):
    parent, others = workers
    os.kill(others[1], signal.SIGSEGV)
    told = parent.communicate(timeout=60)[1]
    assert "died of SIGSEGV:" in told.splitlines()[-1]


def test_a_fingerprint_changes_with_the_settings_and_the_files(tmp_path):
    file = tmp_path / "a"
    file.write_text("a")
    found = [fingerprint([1], file), fingerprint([1], file), fingerprint([2], file)]
    os.utime(file, (1, 1))
    found.append(fingerprint([1], file))
    assert found[0] == found[1]
    assert len(set(found)) == 3
