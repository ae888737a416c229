"""The paper's grid, by dry runs."""

import re

import pytest

from tests.workflow.runs import ROOT, make, planned


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    return make(folder, config=ROOT / "config/config.yaml", dry=True, cores=8)


def test_the_paper_s_grid_is_complete(paper):
    for backbone in ("electra", "roberta"):
        for recipe in ("CL", "KD", "CL-KD", "KD-CL"):
            assert f"output: results/models/{backbone}/{recipe}/42\n" in paper
    outputs = ", ".join(re.findall(r"^    output: (.*)$", paper, re.M)).split(", ")
    runs = [output for output in outputs if output.startswith("results/runs/")]
    assert len(set(runs)) == len(runs) == 11 * 4 * 8
    first = [output for output in outputs if output.startswith("results/first_stage/")]
    assert len(set(first)) == len(first) == 11 * 4
    assert {name.split("/")[2] for name in first} == {"bm25", "colbert", "tasb", "contriever"}


def job(output, file):
    """The lines of a dry run about the job that makes ``file``."""
    blocks = re.split(r"\n(?=(?:local)?rule \w+:)", output)
    (block,) = [block for block in blocks if re.search(rf"output: .*\b{file}\b(?![-/])", block)]
    return block


def test_a_second_stage_needs_the_first(paper):
    block = job(paper, "results/models/electra/KD-CL/42")
    inputs = re.search(r"input: (.*)", block)[1].split(", ")
    assert "results/models/electra/KD/42" in inputs
    assert "results/ranked_lists/colbert" in inputs
    first = re.search(r"input: (.*)", job(paper, "results/models/electra/KD/42"))[1]
    assert "results/models" not in first
    assert "results/ranked_lists/rankgpt" in first


def test_jobs_tell_their_resources(paper):
    block = job(paper, "results/models/electra/KD-CL/42")
    assert re.search(r"threads: 4", block)
    assert {"gpu=1", "mem_mb=16000", "runtime=2880"} <= set(re.findall(r"\w+=\w+", block))
    assert "gpu" not in job(paper, "results/runs/electra/KD-CL/42/bm25/dl19.run.gz")


def test_the_catalog_s_snakefile_makes_the_same(tmp_path):
    config = ROOT / "config/config.yaml"
    jobs = planned(tmp_path, config=config, snakefile=ROOT / "workflow/Snakefile")
    expected = planned(tmp_path, config=config)
    expected["everything"] = expected.pop("all")
    assert jobs == expected
