"""What the project's own files must agree on."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

import restage

ROOT = Path(__file__).parents[1]


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


PINS = {
    canonical(name): pin
    for name, pin in re.findall(r"(\S+)==(\S+)", (ROOT / "requirements.lock").read_text())
}


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_environments_have_the_pins_of_the_lock_file(path):
    *_, pip = yaml.safe_load(path.read_text())["dependencies"]
    for requirement in pip["pip"]:
        name, pin = requirement.split("==")
        assert PINS[canonical(name)] == pin, requirement


def test_every_dependency_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    for requirement in project["dependencies"] + extras:
        assert canonical(re.match(r"[\w-]+", requirement)[0]) in PINS, requirement


def test_the_citation_names_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert cited == restage.__version__ == version("restage")
