"""Provenance: versions, commit, and what jobs left behind."""

import subprocess
from importlib.metadata import version

from restage import __version__
from restage.report.provenance import provenance, runtimes


def facts(folder):
    return dict(provenance(folder).itertuples(index=False, name=None))


def test_versions_and_commit(tmp_path):
    assert facts(tmp_path)["restage"] == __version__
    assert facts(tmp_path)["pyterrier"] == version("pyterrier")
    assert facts(tmp_path)["git commit"] == "not in a git repository"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    commit = facts(tmp_path)["git commit"]
    assert len(commit) == 40
    (tmp_path / "new").touch()
    assert facts(tmp_path)["git commit"] == f"{commit} with changes"


HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def test_runtimes_of_each_job_with_its_device(tmp_path):
    benchmarks, logs = tmp_path / "benchmarks", tmp_path / "logs"
    for name in ("models/electra/CL-KD/42", "scores/a/b"):
        (benchmarks / name).parent.mkdir(parents=True)
    (benchmarks / "models/electra/CL-KD/42.tsv").write_text(
        f"{HEAD}61.5\t0:01:01\t1024.5\t0\t0\t0\t0\t0\t93.1\t58.2\n"
    )
    # A job that was too quick to be looked at.
    (benchmarks / "scores/a/b.tsv").write_text(f"{HEAD}0.2\t0:00:00" + "\t-" * 7 + "\t0.1\n")
    log = logs / "models/electra/CL-KD/42.log"
    log.parent.mkdir(parents=True)
    lines = ["fact device A CPU", "at work on data", "fact device NVIDIA H100", "on it"]
    log.write_text("".join(f"2026-01-01 10:00:00,1 {line}\n" for line in lines))
    table = runtimes(benchmarks, logs)
    assert table["job"].tolist() == ["models/electra/CL-KD/42", "scores/a/b"]
    assert table["seconds"].tolist() == [61.5, 0.2]
    assert table["memory_mb"].isna().tolist() == [False, True]
    assert table["device"].tolist() == ["NVIDIA H100", ""]
    assert runtimes(tmp_path / "none", logs).empty
