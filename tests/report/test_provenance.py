"""Provenance: what the manifests of all outputs say together."""

from dataclasses import replace

import pytest

from restage.grid.manifests import Manifest, read_manifests
from restage.report.provenance import behind, provenance, runtimes

OLD, NEW = {"torch": "2.9", "restage": "1"}, {"torch": "2.10", "restage": "1"}


@pytest.fixture
def made(tmp_path):
    """The manifests of a training and of a job with two outputs."""

    def write(path, rule, wildcards, versions, device, seconds):
        Manifest(
            **{"rule": rule, "wildcards": wildcards, "study": None, "settings": {}, "inputs": {}},
            **{"sha256": "", "size": 1, "code": {}, "commit": "abc", "versions": versions},
            **{"device": device, "made": "", "seconds": seconds, "cpu_seconds": 58.2},
            memory_mb=1024.5,
        ).write(tmp_path / f"{path}.json")

    wildcards = {"recipe": "CL"}
    write("models/tiny/CL/42", "finetune", wildcards, OLD, "NVIDIA H100", 61.5)
    write("measures/bm25/x.parquet", "measure", {"dataset": "x"}, NEW, "A CPU", 0.2)
    write("measures/qld/x.parquet", "measure", {"dataset": "x"}, NEW, "A CPU", 0.2)
    (tmp_path / "models/tiny/CL/43.json").write_text("{")
    (tmp_path / ".seen.json").write_text('{"/data/a.run": [5, 7, "abc"]}')
    return read_manifests(tmp_path)


def test_manifests_go_by_the_paths_of_their_outputs(made):
    assert list(made) == [
        "measures/bm25/x.parquet",
        "measures/qld/x.parquet",
        "models/tiny/CL/42",
    ]


def test_each_version_commit_and_device_with_how_many_outputs_it_made(made):
    assert list(provenance(made).itertuples(index=False, name=None)) == [
        ("device", "A CPU", 2),
        ("device", "NVIDIA H100", 1),
        ("restage", "1", 3),
        ("torch", "2.10", 2),
        ("torch", "2.9", 1),
        ("workflow", "abc", 3),
    ]


def test_runtimes_of_each_job_once_with_its_device(made):
    table = runtimes(made)
    assert list(table) == ["job", "seconds", "cpu_seconds", "memory_mb", "device"]
    assert list(table.itertuples(index=False, name=None)) == [
        ("measures/bm25/x.parquet", 0.2, 58.2, 1024.5, "A CPU"),
        ("models/tiny/CL/42", 61.5, 58.2, 1024.5, "NVIDIA H100"),
    ]


def test_without_manifests_the_tables_are_empty(tmp_path):
    none = read_manifests(tmp_path / "none")
    assert list(provenance(none)) == ["what", "is", "outputs"] and provenance(none).empty
    assert "seconds" in runtimes(none) and runtimes(none).empty


def test_only_what_some_outputs_came_from_is_told(made):
    score = replace(
        made["models/tiny/CL/42"], inputs={"model": {"<results>/models/tiny/CL/42": "a"}}
    )
    inputs = {"runs": {"<results>/scores/x.parquet": "b", "x.run": "c"}}
    measure = replace(made["measures/bm25/x.parquet"], inputs=inputs)
    all_made = made | {"scores/x.parquet": score, "measures/bm25/x.parquet": measure}
    assert list(behind(all_made, ["measures/bm25/x.parquet", "none"])) == [
        "measures/bm25/x.parquet",
        "models/tiny/CL/42",
        "scores/x.parquet",
    ]
