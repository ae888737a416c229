"""The environments of the rules (envs/): each holds what its rules' scripts import, and no more."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from restage.code import imports_of, modules

ROOT = Path(__file__).parents[1]
DISTRIBUTIONS = packages_distributions()  # of each package that can be imported
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
# What no import shows.
HIDDEN = {"model": {"tensorboard": "torch.utils.tensorboard writes with it"}}
# Snakemake puts its own packages behind those of an environment, for what it hands to a script.
OF_SNAKEMAKE = {"snakemake"}
# Of engines and list formats, the plan asks what they cost; their other functions import much.
ASKED = {"plan": {"cost"}}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def scripts() -> Iterator[tuple[str, Path]]:
    """The environments of the rules that run a script, and the scripts."""
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for rule in re.split(r"^ *(?=(?:use )?rule )", path.read_text(), flags=re.MULTILINE):
            if script := re.search(r"^ *script:\s+\"(.+)\"", rule, re.MULTILINE):
                environment = re.search(r"^ *conda:\s+\"(.+)\"", rule, re.MULTILINE)
                assert environment, f"{path}: a script without an environment: {rule}"
                yield Path(environment[1]).stem, path.parent / script[1]


SCRIPTS = list(scripts())


def imported(script: Path) -> set[str]:
    """The distributions that a script and all modules of the library that it reaches import."""
    known, seen, packages = modules(), set(), set()
    waiting = [script]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for name, function, for_types in imports_of(path):
            if for_types or not is_called(script.stem, path.parent.name, function):
                continue
            parts = name.split(".")
            packages.add(parts[0])
            around = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
            waiting += [known[package] for package in around if package in known]
    packages -= {"restage", *OF_SNAKEMAKE, *sys.stdlib_module_names}
    return {canonical(DISTRIBUTIONS[package][0]) for package in packages}


def is_called(script: str, room: str, function: str | None) -> bool:
    if function and script in ASKED and room in ("first_stage", "ranked_lists"):
        return function in ASKED[script]
    return True


def pinned(environment: Path) -> set[str]:
    *_, pip = yaml.safe_load(environment.read_text())["dependencies"]
    return {canonical(requirement.split("==")[0]) for requirement in pip["pip"]}


def test_every_script_has_an_environment():
    used = {script.name for _, script in SCRIPTS}
    assert used == {path.name for path in (ROOT / "workflow/scripts").glob("*.py")}
    assert {name for name, _ in SCRIPTS} == {path.stem for path in ENVIRONMENTS}


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_an_environment_holds_what_its_rules_import_and_no_more(environment):
    needs = {script.stem: imported(script) for name, script in SCRIPTS if name == environment.stem}
    needs["nothing that shows it"] = set(HIDDEN.get(environment.stem, {}))
    held = pinned(environment)
    assert {script: some - held for script, some in needs.items() if some - held} == {}
    assert held - set().union(*needs.values()) == set()


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_an_environment_gets_the_library_too(environment, tmp_path):
    """Snakemake runs the script of this name once it has made an environment."""
    (tmp_path / "pip").write_text('#!/bin/sh\necho "$@"')
    (tmp_path / "pip").chmod(0o755)
    script = environment.with_suffix(".post-deploy.sh")
    for variable, source in (({}, tmp_path), ({"RESTAGE_SOURCE": str(ROOT)}, ROOT)):
        environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", **variable}
        command = ["/usr/bin/env", "bash", str(script)]
        ran = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True)
        assert ran.stdout == f"install --quiet --no-deps --editable {source}\n"
