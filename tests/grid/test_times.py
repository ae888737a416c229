"""Files from the future: mended, waited for or refused."""

import os
import time
from pathlib import Path

import pytest

from restage.errors import InputError
from restage.grid.layout import Roots
from restage.grid.times import mend, time_of

ROOTS = Roots.of("out", "rates")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def ahead(path, seconds, folder=False):
    """A file, or a folder as Snakemake leaves it, that was made in so many seconds."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if folder:
        Path(path).mkdir()
    carrier = Path(path, ".snakemake_timestamp") if folder else Path(path)
    carrier.touch()
    os.utime(carrier, (time.time() + seconds,) * 2)
    return path


def test_outputs_of_the_workflow_are_mended(caplog):
    store = ahead("out/stores/x", 86400, folder=True)
    table = ahead("out/studies/rates/tables/x.csv", 86400)
    past = ahead("out/runs/x.run", -86400)
    before, stays = time.time_ns(), time_of(past)
    mend([store, table, past, "out/no/such"], ROOTS)
    assert before <= time_of(store) <= time.time_ns() and before <= time_of(table) <= time.time_ns()
    assert time_of(past) == stays
    told = [record.getMessage().partition(":")[0] for record in caplog.records]
    assert told == ["out/stores/x", "out/studies/rates/tables/x.csv"]


def test_a_file_of_somebody_else_s_is_refused(caplog):
    made = time_of(ahead("data/corpus.jsonl", 86400))
    with pytest.raises(InputError, match=r"^data/corpus.jsonl: is from the future \(20.*touch it"):
        mend(["data/corpus.jsonl"], ROOTS)
    assert time_of("data/corpus.jsonl") == made


def test_a_clock_that_is_a_little_ahead_is_waited_for(monkeypatch):
    made, slept = time_of(ahead("data/corpus.jsonl", 9)), []
    monkeypatch.setattr(time, "sleep", slept.append)
    mend(["data/corpus.jsonl"], ROOTS)
    assert 8 < slept[0] <= 9 and time_of("data/corpus.jsonl") == made
