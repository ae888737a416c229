"""What the project's own files must agree on."""

import importlib.util
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
    assert cited == restage.__version__ == version("restage-ir")


def test_the_reference_of_the_configuration_is_that_of_the_schema():
    path = ROOT / "docs/configuration.py"
    spec = importlib.util.spec_from_file_location("configuration", path)
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    schema = yaml.safe_load(module.SCHEMA.read_text())
    text = (ROOT / "docs/configuration.md").read_text()
    assert text == module.reference(schema), "run python docs/configuration.py"
    for name in schema["properties"]:
        assert f"\n## {name}\n" in text
    for part in (*schema["$defs"].values(), *schema["properties"].values()):
        for key in part.get("properties", {}):
            assert f"{key}` |" in text or key in ("engine", "format"), key


def test_the_list_of_failures_names_tests_that_exist():
    text = (ROOT / "docs/failures.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(test_\w+)::(test_\w+)`", row)
        assert named, row
        for file, test in named:
            texts = [path.read_text() for path in (ROOT / "tests").rglob(f"{file}.py")]
            assert any(f"def {test}(" in text for text in texts), test
