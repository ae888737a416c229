"""The grid: stages, models, teachers and sweeps."""

from pathlib import Path

import pytest

from restage.first_stage import ENGINES
from restage.grid.checks import told
from restage.grid.grid import Model, Swept
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


def test_measures_deeper_than_what_is_kept_are_told(config):
    data = config["ranked_lists"]["mined"]["qrels"] | {"collection": "mine"}
    config["datasets"] = {
        "a": data | {"measures": ["nDCG@10", "R@1000", "AP"]},
        "b": data | {"measures": ["R@1000", "R(rel=2)@100"]},
    }
    config["rerank"] = {"depth": 50}
    config["first_stages"] = {
        name: {"engine": "pisa", "depth": depth} for name, depth in (("x", 100), ("y", 1000))
    }
    config["ranked_lists"]["mined"]["first_stage"] = "x"
    kept = "passages of a query, which is all that"
    assert [line.partition("; raise it")[0] for line in told(loaded(config))] == [
        f"R@1000: no deeper than 100 {kept} first_stages.x.depth keeps",
        f"R@1000, R(rel=2)@100: no deeper than 50 {kept} rerank.depth keeps",
    ]
    config["recipes"] = []  # nothing is re-ranked
    assert len(list(told(loaded(config)))) == 1


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


def test_a_number_is_one_setting_however_it_is_written(config):
    one = loaded(config).objectives["CL"]
    config["objectives"]["CL"]["gradient_clip"] = 10.0
    assert repr(loaded(config).objectives["CL"]) == repr(one)
