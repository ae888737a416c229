"""A study in the results folder of the grid that it takes over."""

import re

import pandas as pd
import yaml

from tests.workflow.runs import make, planned, read_config, snakemake, write_config


def test_a_study_shares_models_and_runs_and_has_tables_of_its_own(small_grid, tmp_path):
    folder = small_grid(tmp_path)
    config = read_config(folder) | {"recipes": ["CL"]}
    write_config(folder, config | {"datasets": {"test": config["datasets"]["test"]}})
    make(folder, "tables")
    tables = {file: file.read_bytes() for file in (folder / "out/tables").iterdir()}

    # The single-stage model, its scores, runs and measures are the grid's.
    study = {"base": "config.yaml", "study": "rates", "recipes": ["CL", "KD", "KD-CL"]}
    study["objectives"] = {"CL": {"later_learning_rate": [1e-8, 1e-5]}}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    made = {"finetune": 3, "score": 3, "rerank": 3, "measure": 3}
    made |= {"ranked_lists": 1, "group_table": 1, "comparisons": 1, "learning_rate": 1}
    assert planned(folder, "tables", config="study.yaml") == made | {"tables": 1}
    make(folder, "tables", config="study.yaml")
    table = pd.read_csv(folder / "out/studies/rates/tables/small.csv")
    assert list(table["recipe"].unique()) == ["-", "CL", "KD", "KD-CL_1em8", "KD-CL_1em5"]
    rates = pd.read_csv(folder / "out/studies/rates/tables/learning_rate.csv")
    assert set(rates["learning_rate"]) == {1e-8, 1e-5}

    # The grid's own tables stand as they were, and there is nothing to do for them.
    assert {file: file.read_bytes() for file in tables} == tables
    assert planned(folder, "tables") == {}

    # What would train the grid's model otherwise is refused before any job.
    study["ranked_lists"] = {"colbert": {"split_seed": 7}}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    refused = snakemake(folder, "tables", config="study.yaml")
    assert refused.returncode != 0 and "Traceback" not in refused.stdout
    [line] = re.findall(r"^error: .*", refused.stdout, re.M)
    by = "out/ranked_lists/colbert was made by the grid without 'study', and would be made anew"
    assert f"{by} for this one: lists.split_seed: 42 -> 7; " in line
