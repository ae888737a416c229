"""Runs of the workflow by real snakemake processes, each in a folder of its own."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import yaml

from tests.workflow import warm

ROOT = Path(__file__).parents[2]


RECIPES = ["CL", "CL-KD", "KD-CL-mined", "distil"]


ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "PYTHONHASHSEED": "random"}


def snakemake_command(folder, cores=2, config="config.yaml", snakefile=ROOT / "Snakefile"):
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile)]
    command += ["--directory", str(folder), "--cores", str(cores)]
    return command + (["--configfile", str(config)] if config else [])


def snakemake(folder, *targets, dry=False, python=None, options=(), environment=None, **others):
    """Run snakemake in ``folder``; returns the finished process, its output as text.

    ``python`` is a warm one where nothing else is said: what it has imported has read the
    environment already, so that a test of HF_HUB_CACHE, say, needs ``sys.executable``.
    """
    command = [*snakemake_command(folder, **others), *options, *(["--dry-run"] if dry else [])]
    command[0] = python or warm.python()
    return subprocess.run(
        [*command, "--", *targets] if targets else command,
        cwd=folder,
        env=os.environ | ENVIRONMENT | (environment or {}),
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
