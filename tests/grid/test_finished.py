"""What a job has made outlives the workflow that ran it."""

import shutil
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, Wildcards

from restage.grid import finished
from restage.grid.finished import once, release
from restage.grid.layout import Roots
from restage.grid.manifests import Beside, Manifest

ROOTS = Roots.of("out", None)
STATE = Path("out/states/models/a/CL/1")
KEPT = Path(f"{STATE}.finished")
SCRIPT = str(Path(__file__).parents[2] / "workflow/scripts/finetune.py")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def written(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    return str(path)


class Job(SimpleNamespace):
    """A training of two outputs, of which each says how often it was made."""

    def __init__(self, rate=1, lists="1"):
        super().__init__(
            rule="finetune",
            wildcards=Wildcards(fromdict={"seed": "1"}),
            params=Params(fromdict={"rate": rate, "state": Beside(STATE)}),
            input=InputFiles([written("lists.run", lists)]),
            output=OutputFiles(["out/models/a/CL/1", "out/b.csv"]),
            log=Log([written("out/logs/x.log", "")]),
            config={"results": "out", "study": None},
        )
        self.done = 0

    def train(self):
        self.done += 1
        written(STATE, "the last step")
        for path in self.content():
            written(path, f"made {self.params.rate}")

    def content(self):
        return ["out/models/a/CL/1/in/weights", "out/b.csv"]

    def run(self):
        """As Snakemake does: it removes what there is."""
        shutil.rmtree("out/models", ignore_errors=True)
        Path("out/b.csv").unlink(missing_ok=True)
        done = self.done
        with suppress(SystemExit), once(self, SCRIPT):
            self.train()
        for path in self.content():
            assert Path(path).read_text() == f"made {self.params.rate}"
        assert Manifest.read("out/manifests/models/a/CL/1.json").settings == {
            "rate": self.params.rate
        }
        assert not STATE.exists() and not Path(f"{STATE}.lock").exists()
        return self.done - done


def test_a_job_that_ended_well_is_not_done_again_until_it_was_accepted(caplog):
    caplog.set_level("INFO", logger="restage")
    job = Job()
    assert [job.run(), job.run(), job.run()] == [1, 0, 0]
    assert "finished when the workflow was stopped" in caplog.text
    assert Path("out/b.csv").samefile(KEPT / "b.csv")  # it takes no room
    release(ROOTS, {"out/b.csv"})
    assert job.run() == 0
    release(ROOTS, {"out/b.csv", "out/models/a/CL/1", "out/c.csv"})
    assert not KEPT.exists() and Path("out/b.csv").exists()
    assert job.run() == 1


def test_what_was_made_otherwise_is_not_taken(monkeypatch):
    Job().run()
    assert Job(rate=2).run() == 1
    assert Job(rate=2, lists="2").run() == 1
    assert Job(rate=2, lists="2").run() == 0
    monkeypatch.setattr(finished.manifests.versions, "versions", lambda: {"torch": "other"})
    assert Job(rate=2, lists="2").run() == 1


@pytest.mark.parametrize("file", ["b.csv", "models/a/CL/1/in/weights", "manifests/b.csv.json"])
@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"{}")])
def test_what_is_damaged_is_not_taken(file, spoil):
    Job().run()
    spoil(KEPT / file)
    assert Job().run() == 1


def test_a_failed_job_leaves_its_state_and_nothing_kept():
    job = Job()
    with pytest.raises(KeyboardInterrupt), once(job, SCRIPT):
        written(STATE, "a step")
        raise KeyboardInterrupt
    assert STATE.exists() and not KEPT.exists() and not Path(f"{STATE}.lock").exists()
    assert job.run() == 1
