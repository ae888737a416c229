"""Bases and sweeps: what a configuration takes over, and which recipes a list of values makes."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from restage.errors import InputError
from restage.grid.inherit import inherited, sweep, value_name
from restage.grid.origin import Origin, Wrong
from restage.grid.recipes import Recipe
from restage.grid.schema import complete

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"


def write(folder, **files):
    for name, content in files.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    return folder


def read(path):
    return inherited(yaml.safe_load(path.read_text()), Origin([path]))


def test_mappings_merge_lists_replace_and_nulls_remove(tmp_path):
    write(
        tmp_path,
        base={"seeds": [1, 2], "rerank": {"depth": 5, "max_length": 64}, "backbones": {"a": {}}},
        own={"base": "base.yaml", "results": "own", "seeds": [3], "rerank": {"depth": 9}},
    )
    whole = read(tmp_path / "own.yaml")
    assert (whole["seeds"], whole["rerank"]) == ([3], {"depth": 9, "max_length": 64})
    own = yaml.safe_load((tmp_path / "own.yaml").read_text())
    write(tmp_path, own=own | {"backbones": {"a": None, "b": {}}, "rerank": {"depth": None}})
    whole = read(tmp_path / "own.yaml")
    assert (whole["backbones"], whole["rerank"]) == ({"b": {}}, {"max_length": 64})


def test_bases_have_bases_each_beside_the_file_that_names_it(tmp_path):
    write(tmp_path / "deep/er", first={"results": "r", "seeds": [1], "plan": {"device": "T4"}})
    write(tmp_path / "deep", second={"base": "er/first.yaml", "study": "two", "seeds": [2]})
    write(tmp_path, third={"base": "deep/second.yaml", "study": "three"})
    whole = read(tmp_path / "third.yaml")
    assert (whole["results"], whole["study"], whole["seeds"]) == ("r", "three", [2])
    assert whole["plan"] == {"device": "T4"}


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"base": "own.yaml"}, "'own.yaml' is its own base in the end"),
        ({"base": "none.yaml"}, "there is no file"),
        ({"base": "base.yaml"}, "its tables would be written over those of its base"),
        ({"base": "base.yaml", "results": "r"}, "give 'study'"),
        ({"base": "base.yaml", "results": "./r/"}, "give 'study'"),
    ],
)
def test_a_base_that_cannot_be_is_one_line_with_its_place(tmp_path, own, expected):
    path = write(tmp_path, base={"results": "r"}, own=own) / "own.yaml"
    with pytest.raises(InputError) as error:
        complete(yaml.safe_load(path.read_text()), SCHEMA, [path])
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"{path}:1: base: ")
    assert expected in line


def test_a_study_of_the_base_s_own_name(tmp_path):
    write(tmp_path, base={"study": "s"}, own={"base": "base.yaml", "study": "s"})
    with pytest.raises(Wrong, match="give 'study'"):
        read(tmp_path / "own.yaml")


def test_a_base_of_a_base_that_is_not_there_is_told_where_it_is_named(tmp_path):
    write(tmp_path, own={"base": "mid.yaml", "study": "s"}, mid={"seeds": [1], "base": "no.yaml"})
    with pytest.raises(InputError, match=r"mid\.yaml:1: base: there is no file .*no\.yaml"):
        read(tmp_path / "own.yaml")


def test_a_circle_of_bases(tmp_path):
    write(tmp_path, a={"base": "b.yaml"}, b={"base": "c.yaml"}, c={"base": "b.yaml"})
    with pytest.raises(Wrong, match=r"'b\.yaml' is its own base"):
        read(tmp_path / "a.yaml")


def test_a_mistake_in_a_base_is_told_with_its_file_and_line(tmp_path):
    write(tmp_path, own={"base": "base.yaml", "study": "s"})
    (tmp_path / "base.yaml").write_text("seeds: [1]\nrerank:\n  deep: 3\n")
    own = tmp_path / "own.yaml"
    with pytest.raises(InputError, match=r"base\.yaml:3: rerank\.deep: unknown key"):
        complete(yaml.safe_load(own.read_text()), SCHEMA, [own])


def swept(objectives, recipes):
    config = {"objectives": objectives, "recipes": recipes}
    sweep(config, Origin([]))
    return config


def test_a_list_of_later_rates_makes_a_recipe_per_rate_where_it_counts():
    rates = [6e-12, 1e-8, 1e-5]
    config = swept(
        {"CL": {"loss": "a", "later_learning_rate": rates}, "KD": {"loss": "b"}},
        ["CL", "KD", "CL-KD", "KD-CL"],
    )
    later = ["KD-CL_6em12", "KD-CL_1em8", "KD-CL_1em5"]
    assert config["recipes"] == ["CL", "KD", "CL-KD", *later]
    assert config["objectives"]["CL"] == {"loss": "a", "later_learning_rate": None}
    for name, rate in zip(("6em12", "1em8", "1em5"), rates, strict=True):
        assert config["objectives"][f"CL_{name}"] == {"loss": "a", "later_learning_rate": rate}


def test_any_value_can_be_swept_and_several_together():
    config = swept({"CL": {"list_size": [4, 8], "negatives": ["random", "top"]}}, ["CL", "CL-CL"])
    names = ["CL_4_random", "CL_4_top", "CL_8_random", "CL_8_top"]
    assert list(config["objectives"]) == names
    assert config["objectives"]["CL_8_top"] == {"list_size": 8, "negatives": "top"}
    assert config["recipes"] == [*names, *(f"{a}-{b}" for a in names for b in names)]


@pytest.mark.parametrize(
    ("objectives", "recipes", "expected"),
    [
        ({"CL": {"a": [1, 2]}, "CL_2": {}}, ["CL"], "makes 'CL_2', which is another objective"),
        ({"CL_2": {}, "CL": {"a": [1, 2]}}, ["CL"], "makes 'CL_2', which is another objective"),
        ({"CL": {"a": [1, 1.0]}}, ["CL"], "both called 'CL_1'"),
        ({"CL": {"a": [2, 2]}}, ["CL"], "both called 'CL_2'"),
        ({"CL": {"a": []}}, ["CL"], "an empty list sweeps nothing"),
        ({"CL": {"later_learning_rate": []}}, ["CL"], "an empty list sweeps nothing"),
        ({"CL": {"later_learning_rate": [1, 2]}}, ["CL-CL", "CL-CL_1"], "makes 'CL-CL_1' again"),
    ],
)
def test_a_sweep_that_would_mean_two_things_is_refused(objectives, recipes, expected):
    with pytest.raises(Wrong, match=expected):
        swept(objectives, recipes)


def test_what_is_not_swept_stays_as_it_is():
    config = swept({"CL": {"list_size": 4}}, ["CL", "CL-XX"])
    assert config == {"objectives": {"CL": {"list_size": 4}}, "recipes": ["CL", "CL-XX"]}


@given(st.lists(st.floats(1e-14, 1e3), min_size=2, max_size=5, unique=True))
def test_values_have_names_of_their_own_without_a_dash(values):
    names = [value_name(value) for value in values]
    assert len(set(names)) == len(names)
    for name in names:
        assert Recipe.of(name).objectives == (name,)


def test_a_mistake_in_a_sweep_is_told_at_the_objective_it_is_written_in(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("objectives:\n  CL:\n    loss: ranknet\n    list_size: [4, 0]\nrecipes: []\n")
    with pytest.raises(InputError, match=r"c\.yaml:\d+: objectives\.CL_"):
        complete(yaml.safe_load(path.read_text()), SCHEMA, [path])


@pytest.mark.parametrize("name", ["stage2_learning_rate", "demo_learning_rate"])
def test_the_sweeps_of_the_project_are_short_and_swept(name):
    path = ROOT / f"config/{name}.yaml"
    lines = [line for line in path.read_text().splitlines() if line and line[0] != "#"]
    assert len(lines) <= 15
    whole, _ = complete(yaml.safe_load(path.read_text()), SCHEMA, [path])
    assert len(whole["recipes"]) == 14
    assert len([r for r in whole["recipes"] if r.startswith("KD-CL_")]) == 6
