"""The plan's jobs are the workflow's: its paths are those of a dry run, in every kind of grid."""

import re
from collections import defaultdict

import pandas as pd
import pytest
import yaml

from restage.demo.gazetteer import write_gazetteer
from tests.workflow.runs import ROOT, make, read_config, write_config

# What the plan leaves out, since it takes no time and no room.
SMALL = {"all", "fetch", "pin", "qrels", "measure", "measure_first_stages", "provenance"}
SMALL |= {"table_pages"}
SMALL |= {"group_table", "comparisons", "group_figures", "training_curves", "learning_rate"}
SMALL |= {"reproduction", "stale", "accept", "reject"}


def dry_run(folder, **options):
    """The outputs of each rule that a dry run lists, below the results folder."""
    outputs = defaultdict(set)
    blocks = re.split(r"\n(?=(?:local)?rule \w+:)", make(folder, dry=True, **options))
    for block in blocks[1:]:
        rule = re.match(r"(?:local)?rule (\w+):", block)[1]
        for output in (
            re.search(r"output: (.*)", block)[1].split(", ") if "output:" in block else ()
        ):
            outputs[rule].add(output)
    return {rule: paths for rule, paths in outputs.items() if rule not in SMALL}


def plan(folder, results, **options):
    make(folder, "plan", **options)
    table = pd.read_csv(folder / results / "tables/plan.csv")
    table = table[table["rule"] != "validate"]  # part of the training
    return {
        rule: {f"{results}/{job}" for job in jobs} for rule, jobs in table.groupby("rule")["job"]
    }


def several_kinds(folder, small_grid):
    """A grid with teachers, mined lists, a first stage that is imported, and one of vectors."""
    small_grid(folder)
    config = read_config(folder)
    for dataset in config["datasets"]:
        (folder / f"{dataset}.run").touch()
    config["first_stages"]["imported"] = {"engine": "run", "path": "{dataset}.run", "depth": 10}
    config["first_stages"]["dense"] = {"engine": "dense", "model": "./tiny", "depth": 10}
    write_config(folder, config)


@pytest.mark.parametrize("grid", ["paper", "demo", "several kinds", "no models"])
def test_the_plan_s_paths_are_those_of_a_dry_run(grid, small_grid, tmp_path):
    if grid == "paper":
        options, results = {"config": ROOT / "config/config.yaml"}, "results"
    elif grid == "demo":
        write_gazetteer(tmp_path / "results/demo/data")
        options, results = {"config": ROOT / "config/demo.yaml"}, "results/demo"
    else:
        several_kinds(tmp_path, small_grid) if grid == "several kinds" else small_grid(tmp_path)
        if grid == "no models":
            write_config(tmp_path, read_config(tmp_path) | {"recipes": []})
        options, results = {}, "out"
    assert plan(tmp_path, results, **options) == dry_run(tmp_path, **options)


def test_the_paper_s_grid_has_few_jobs(tmp_path):
    output = make(tmp_path, config=ROOT / "config/config.yaml", dry=True)
    assert int(re.search(r"^total +(\d+)", output, re.M)[1]) <= 650


def test_every_rule_is_in_the_plan_or_small():
    rules = [
        rule
        for file in (ROOT / "rules").glob("*.smk")
        for rule in re.findall(r"^ *(?:use rule \w+ as|rule) (\w+)", file.read_text(), re.M)
    ]
    targets = {"lists", "models", "runs", "tables", "figures", "pages", "plan"}
    planned = {"text_store", "token_store", "download", "ranked_lists", "teacher_lists", "mine"}
    planned |= {"shared_index", "index", "retrieve", "import_run", "finetune", "score", "rerank"}
    assert set(rules) | {"all"} == SMALL | targets | planned
    assert yaml.safe_load((ROOT / "config/demo.yaml").read_text())["results"] == "results/demo"
