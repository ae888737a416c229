"""A study in the results folder of the grid that it takes over."""

import re
import shutil

import pandas as pd
import yaml

from tests.workflow.runs import make, planned, snakemake


def test_a_study_shares_models_and_runs_and_has_tables_of_its_own(made_grid, tmp_path):
    folder = shutil.copytree(made_grid, tmp_path / "grid", symlinks=True)
    tables = {file: file.read_bytes() for file in (folder / "out/tables").iterdir()}

    # The stages before the last one are the grid's, and so are scores, runs and measures of CL.
    study = {"base": "config.yaml", "study": "rates", "recipes": ["CL", "KD", "KD-CL"]}
    study |= {"datasets": {"valid": None}, "first_stages": {"qld": None}}
    study["objectives"] = {"CL": {"later_learning_rate": [1e-8, 1e-5]}}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    new = {"finetune": 2, "score": 3, "rerank": 3, "measure": 3}
    tests = {"group_table": 1, "comparisons": 1, "learning_rate": 1, "tables": 1}
    # With fewer first stages the jobs of CL come again; they find every score.
    shared = {"score": 1, "rerank": 1, "measure": 1, "measure_first_stages": 1}
    made = {rule: new.get(rule, 0) + shared.get(rule, 0) for rule in new | shared}
    assert planned(folder, "tables", config="study.yaml") == made | tests
    make(folder, "tables", config="study.yaml")
    table = pd.read_csv(folder / "out/studies/rates/tables/small.csv")
    assert list(table["recipe"].unique()) == ["-", "CL", "KD", "KD-CL_1em8", "KD-CL_1em5"]
    rates = pd.read_csv(folder / "out/studies/rates/tables/learning_rate.csv")
    assert set(rates["learning_rate"]) == {1e-8, 1e-5}
    log = (folder / "out/logs/scores/tiny/CL/42/test.log").read_text()
    [(there, pairs)] = re.findall(r"(\d+) of (\d+) pairs have a score already", log)
    assert there == pairs

    # The grid's own tables stand as they were.
    assert {file: file.read_bytes() for file in tables} == tables

    # What would make the grid's lists otherwise is refused before any job.
    study["ranked_lists"] = {"colbert": {"split_seed": 7}}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    refused = snakemake(folder, "tables", config="study.yaml")
    assert refused.returncode != 0 and "Traceback" not in refused.stdout
    [line] = re.findall(r"^error: .*", refused.stdout, re.M)
    assert "out/ranked_lists/colbert was made by the grid without 'study'" in line
    assert "lists.split_seed: 42 -> 7" in line
