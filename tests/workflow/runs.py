"""Runs of the workflow by real snakemake processes, each in a folder of its own."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


RECIPES = ["CL", "CL-KD", "KD-CL-mined", "distil"]


ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "PYTHONHASHSEED": "random"}


def snakemake_command(folder, cores=2, config="config.yaml"):
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    return [
        *command,
        "--directory",
        str(folder),
        "--cores",
        str(cores),
        "--configfile",
        str(config),
    ]


def snakemake(folder, *targets, dry=False, **options):
    """Run snakemake in ``folder``; returns the finished process, its output as text."""
    command = snakemake_command(folder, **options) + (["--dry-run"] if dry else [])
    return subprocess.run(
        [*command, "--", *targets] if targets else command,
        cwd=folder,
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def make(folder, *targets, **options):
    process = snakemake(folder, *targets, **options)
    assert process.returncode == 0, process.stdout[-3000:]
    return process.stdout


def planned(folder, *targets, **options):
    """How many jobs of each rule a dry run lists."""
    output = make(folder, *targets, dry=True, **options)
    stats = output.partition("Job stats:")[2].partition("total")[0]
    return Counter({rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+) *$", stats, re.M)})


def read_config(folder):
    return yaml.safe_load((folder / "config.yaml").read_text())


def write_config(folder, config):
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
