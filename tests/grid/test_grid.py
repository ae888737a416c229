"""The grid: stages, models, teachers, sweeps, and models that another study has trained."""

import copy
import json
import re
from pathlib import Path

import pytest

from restage.errors import InputError
from restage.first_stage import ENGINES
from restage.grid.grid import Model, Swept
from restage.grid.layout import MODEL
from restage.grid.load import load
from restage.grid.recipes import Recipe
from restage.ranked_lists import FORMATS

SCHEMA = Path(__file__).parents[2] / "workflow/schemas/config.schema.yaml"


@pytest.fixture
def config(tmp_path):
    (tmp_path / "data/qrels").mkdir(parents=True)
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/train.tsv"):
        (tmp_path / "data" / name).touch()
    train = {"path": str(tmp_path / "data"), "split": "train"}
    lists = {"collection": "mine", "queries": train, "qrels": train}
    return {
        "results": str(tmp_path / "out"),
        "collections": {"mine": {"path": str(tmp_path / "data")}},
        "first_stages": {"bm25": {"engine": "pisa"}},
        "ranked_lists": {"mined": {"format": "first_stage", "first_stage": "bm25", **lists}},
        "objectives": {
            "CL": {"loss": "localized_contrastive", "ranked_lists": "mined", "max_steps": 10},
            "KD": {"extends": "CL", "loss": "ranknet", "later_learning_rate": 1e-8},
        },
        "backbones": {"tiny": {"model": "hub/tiny"}},
        "recipes": ["CL", "CL-KD"],
    }


def loaded(config):
    return load(config, SCHEMA, ENGINES, FORMATS)[1]


def test_a_recipe_is_a_sequence_of_objectives():
    recipe = Recipe.of("CL-KD-CL")
    assert str(recipe) == "CL-KD-CL"
    assert (str(recipe.previous), recipe.last) == ("CL-KD", "CL")
    assert [str(prefix) for prefix in recipe.prefixes] == ["CL", "CL-KD", "CL-KD-CL"]
    assert Recipe.of("CL").previous is None


def test_a_stage_is_the_last_objective_at_the_rate_of_its_place(config):
    grid = loaded(config)
    assert grid.stage("KD").previous is None
    assert grid.stage("KD").objective.learning_rate == 1e-5
    assert str(grid.stage("CL-KD").previous) == "CL"
    assert grid.stage("CL-KD").objective.learning_rate == 1e-8
    assert str(grid.stage("KD-CL-KD").previous) == "KD-CL"


def test_models_are_trained_once_for_all_that_need_them(config):
    config["recipes"] = ["CL-KD", "CL"]
    config["seeds"] = [1, 2]
    by = {"backbone": "tiny", "recipe": "KD-CL"}
    config["ranked_lists"]["taught"] = {
        "format": "model",
        "ranked_lists": "mined",
        "checkpoint": by,
    }
    grid = loaded(config)
    assert grid.evaluated == [Model("tiny", r, s) for r in ("CL-KD", "CL") for s in (1, 2)]
    trained = [(r, s) for s in (1, 2) for r in ("CL", "CL-KD")] + [("KD", 1), ("KD-CL", 1)]
    assert set(grid.trained) == {Model("tiny", *model) for model in trained}
    assert len(grid.trained) == len(trained)


def test_steps_are_the_fewer_of_max_steps_and_epochs(config):
    config["objectives"]["CL"] |= {"max_steps": 10, "epochs": 3, "queries_per_batch": 4}
    objective = loaded(config).objectives["CL"]
    assert (objective.steps(9), objective.steps(16)) == (9, 10)


def test_a_sweep_is_the_recipes_that_differ_in_their_last_rate_alone(config):
    config["objectives"]["KD"]["later_learning_rate"] = [1e-8, 1e-6]
    config["recipes"] = ["CL", "KD", "CL-KD", "KD-CL"]
    assert loaded(config).sweep == [
        Swept("CL", "KD", 1e-8, "CL-KD_1em8"),
        Swept("CL", "KD", 1e-6, "CL-KD_1em6"),
    ]
    config["recipes"] = ["CL", "KD-CL"]
    assert loaded(config).sweep == []


def trained_by(config, study, **changes):
    """Leave a checkpoint of CL as a training of another study would; changes are of objectives."""
    there = copy.deepcopy(config) | {"study": study}
    there["objectives"]["CL"] |= changes
    grid = loaded(there)
    folder = MODEL.at(grid.roots, backbone="tiny", recipe="CL", seed=42)
    folder.mkdir(parents=True)
    record = {"study": study, "trained": grid.training(Model("tiny", "CL", 42))}
    (folder / "settings.json").write_text(json.dumps(record))
    return folder


def test_a_model_of_another_study_with_other_settings_is_refused(config):
    trained_by(config, None, learning_rate=2e-5, list_size=8)
    config["study"] = "mine"
    with pytest.raises(InputError) as error:
        loaded(config)
    (line,) = str(error.value).splitlines()
    assert "objectives.CL: " in line and "/models/tiny/CL/42 was trained by the grid" in line
    assert "objective.learning_rate 2e-05, not 1e-05" in line
    assert "objective.list_size 8, not 100" in line
    assert "max_steps" not in line and line.endswith("or remove the folder")


@pytest.mark.parametrize(
    ("keys", "value", "expected"),
    [
        (("ranked_lists", "mined", "split_seed"), 43, "ranked_lists.split_seed 42, not 43"),
        (("ranked_lists", "mined", "depth"), 9, "ranked_lists.format.depth 200, not 9"),
        (("first_stages", "bm25", "k1"), 1.2, "ranked_lists.retrieved_by.k1 0.9, not 1.2"),
        (("backbones", "tiny", "num_layers"), 1, "backbone.num_layers None, not 1"),
    ],
)
def test_a_model_of_other_lists_is_refused_too(config, keys, value, expected):
    trained_by(config, None)
    config["study"] = "mine"
    part = config
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    if keys[-1] == "depth":
        config["objectives"]["CL"]["list_size"] = config["objectives"]["KD"]["list_size"] = 9
    with pytest.raises(InputError, match=re.escape(expected)):
        loaded(config)


def test_what_a_teacher_is_trained_with_counts_for_its_pupils(config):
    by = {"backbone": "tiny", "recipe": "CL"}
    taught = {"format": "model", "ranked_lists": "mined", "checkpoint": by}
    config["ranked_lists"]["taught"] = taught
    config["objectives"]["KD"]["ranked_lists"] = "taught"
    one = loaded(config).training(Model("tiny", "KD", 42))
    assert one["ranked_lists"]["teacher"]["objective"]["loss"] == "localized_contrastive"
    config["objectives"]["CL"]["patience"] = 3
    assert loaded(config).training(Model("tiny", "KD", 42)) != one


def test_a_number_is_one_setting_however_it_is_written(config):
    one = loaded(config).objectives["CL"]
    config["objectives"]["CL"]["gradient_clip"] = 10.0
    assert repr(loaded(config).objectives["CL"]) == repr(one)


def test_a_damaged_record_is_one_line(config):
    folder = trained_by(config, None)
    for content in ('{"ba', "{}", "[]"):
        (folder / "settings.json").write_text(content)
        with pytest.raises(InputError, match="is damaged; remove the folder"):
            loaded(config)


def test_a_model_of_another_study_with_the_same_settings_is_shared(config):
    trained_by(config, "theirs")
    config["study"] = "mine"
    assert loaded(config).study == "mine"


def test_a_setting_that_was_changed_in_the_same_study_is_no_mistake(config):
    trained_by(config, None, learning_rate=2e-5)
    assert loaded(config).study is None
