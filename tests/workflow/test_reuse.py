"""The workflow as a module of another one, which adds a backbone and a dataset of its own."""

import subprocess
import sys

import pandas as pd

from tests.workflow.runs import ROOT, make, read_config, snakemake_command, write_config

SECOND = """
configfile: "config.yaml"

module restage:
    snakefile:
        "{snakefile}"
    config:
        config

use rule * from restage as restage_*

rule count:
    default_target: True
    input:
        "out/tables/small.csv",
        "out/tables/own.csv",
    output:
        "lines.txt",
    shell:
        "wc -l {{input}} > {{output}}"
"""


def test_another_workflow_takes_this_one_as_a_module(small_grid, tmp_path):
    alone = small_grid(tmp_path / "alone")
    config = read_config(alone)
    config["recipes"] = ["CL"]
    write_config(alone, config)
    make(alone, "tables")

    second = small_grid(tmp_path / "second")
    config["backbones"]["own"] = {"model": "./tiny", "num_layers": 1}
    config["datasets"]["mine"] = config["datasets"]["test"] | {"group": "own"}
    write_config(second, config)
    (second / "Snakefile").write_text(SECOND.format(snakefile=ROOT / "Snakefile"))
    command = snakemake_command(second)
    command[command.index("--snakefile") + 1] = str(second / "Snakefile")
    command = command[: command.index("--configfile")]
    done = subprocess.run(command, cwd=second, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "out/tables/own.csv" in (second / "lines.txt").read_text()

    ours, theirs = (pd.read_csv(f / "out/tables/small.csv") for f in (alone, second))
    assert set(theirs["backbone"]) == {"-", "tiny", "own"}
    both = theirs[theirs["backbone"] != "own"].reset_index(drop=True)
    pd.testing.assert_frame_equal(both, ours, check_exact=True)


def test_a_mistake_in_a_module_s_configuration_is_one_line(tmp_path):
    (tmp_path / "config.yaml").write_text("recipes: [CL]\n")
    (tmp_path / "Snakefile").write_text(SECOND.format(snakefile=ROOT / "Snakefile"))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--directory", str(tmp_path)]
    command += ["--snakefile", str(tmp_path / "Snakefile")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "config.yaml:1: recipes.0: recipe 'CL': there is no objective 'CL'" in done.stderr
    assert "Traceback" not in done.stderr
