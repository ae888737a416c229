"""The configuration: defaults, inheritance, and one clear line for each thing that is wrong."""

from pathlib import Path

import pytest
import yaml

from restage.errors import InputError
from restage.first_stage import ENGINES
from restage.grid.load import load
from restage.grid.settings import Backbone, Rerank
from restage.ranked_lists import FORMATS

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"


@pytest.fixture
def data(tmp_path):
    (tmp_path / "qrels").mkdir()
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv", "lists.run", "given.run"):
        (tmp_path / name).write_text("")
    return tmp_path


@pytest.fixture
def config(data):
    folder = {"path": str(data), "split": "test"}
    return {
        "collections": {"mine": {"path": str(data)}},
        "datasets": {"test": {**folder, "collection": "mine"}},
        "first_stages": {"bm25": {"engine": "pisa"}},
        "ranked_lists": {
            "lists": {
                "format": "trec_run",
                "source": {"path": str(data / "lists.run")},
                "collection": "mine",
                "queries": folder,
                "qrels": folder,
            }
        },
        "objectives": {
            "CL": {"loss": "localized_contrastive", "ranked_lists": "lists", "max_steps": 10},
            "KD": {"extends": "CL", "loss": "ranknet", "later_learning_rate": 1e-8},
        },
        "backbones": {"tiny": {"model": "hub/tiny"}},
        "recipes": ["CL", "CL-KD"],
    }


def loaded(config, files=()):
    return load(config, SCHEMA, ENGINES, FORMATS, files)[1]


def problem(config, tmp_path):
    """The one line that says what is wrong with a configuration."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    with pytest.raises(InputError) as error:
        loaded(config, [str(path)])
    (line,) = str(error.value).splitlines()
    file, number, _ = line.split(":", 2)
    assert file == str(path)
    assert int(number) > 0
    return line


def test_defaults_are_filled_in_everywhere(config):
    whole, grid = load(config, SCHEMA, ENGINES, FORMATS)
    assert grid.seeds == (42,)
    assert grid.rerank == Rerank(depth=100, max_length=256)
    assert grid.first_stages["bm25"].engine.k1 == 0.9
    assert grid.first_stages["bm25"].depth == 100
    assert grid.ranked_lists["lists"].valid_fraction == 0.01
    assert grid.statistics.baseline_recipe == config["recipes"][0]
    assert grid.backbones["tiny"] == Backbone("hub/tiny", num_layers=None, segment_ids=False)
    assert whole["statistics"]["baseline_recipe"] == config["recipes"][0]
    assert whole["rerank"] == {"depth": 100, "max_length": 256}


def test_an_empty_configuration_is_one():
    assert loaded({}).recipes == ()


def test_a_complete_configuration_is_its_own(config):
    whole, grid = load(config, SCHEMA, ENGINES, FORMATS)
    assert load(whole, SCHEMA, ENGINES, FORMATS) == (whole, grid)


def test_the_paper_s_grid_is_the_study_s():
    paper = loaded(yaml.safe_load((ROOT / "config/config.yaml").read_text()))
    assert (len(paper.backbones), len(paper.recipes)) == (2, 4)
    assert (len(paper.first_stages), len(paper.datasets)) == (4, 11)
    contrastive = paper.objectives["CL"]
    assert (contrastive.list_size, contrastive.sample_depth) == (100, 200)
    assert (contrastive.queries_per_batch, contrastive.max_steps) == (16, 2_000_000)


@pytest.mark.parametrize("name", ["a{b}.run", "{dataset}{x}.run", "a<b>.run", "a\nb.run"])
def test_a_path_that_snakemake_would_read_as_another_is_refused(config, tmp_path, name):
    (tmp_path / name.replace("{dataset}", "test")).touch()
    config["first_stages"]["given"] = {"engine": "run", "path": str(tmp_path / name)}
    assert "which Snakemake reads as its own; rename it" in problem(config, tmp_path)


def test_so_is_the_folder_of_a_model(config, tmp_path):
    (tmp_path / "{x}").mkdir()
    (tmp_path / "{x}/config.json").write_text("{}")
    config["backbones"]["tiny"]["model"] = str(tmp_path / "{x}")
    assert "backbones.tiny.model: there is '{' in the path" in problem(config, tmp_path)


def test_a_tilde_is_the_home_folder_in_every_path(config, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = {"path": "~", "split": "test"}
    config |= {"results": "~/out", "collections": {"mine": {"path": "~"}}}
    config["datasets"] |= {
        "test": {**folder, "collection": "mine"},
        "qrels": {"qrels": "~/qrels/test.tsv", "collection": "mine"},
    }
    config["ranked_lists"]["lists"] |= {"source": {"path": "~/lists.run"}, "queries": folder}
    del config["first_stages"]["bm25"], config["backbones"]
    config["first_stages"]["given"] = {"engine": "run", "path": "~/given.run"}
    config["datasets"].pop("test")
    whole, grid = load(config, SCHEMA, ENGINES, FORMATS)
    assert whole["results"] == grid.results == f"{tmp_path}/out"
    assert grid.datasets["qrels"].source.qrels == f"{tmp_path}/qrels/test.tsv"
    assert grid.ranked_lists["lists"].format.source.path == f"{tmp_path}/lists.run"
    assert grid.ranked_lists["lists"].queries.path == str(tmp_path)
    assert grid.first_stages["given"].engine.path == f"{tmp_path}/given.run"


def test_a_folder_that_ir_datasets_cannot_use_is_told(config, tmp_path, monkeypatch):
    def denied(name):
        raise PermissionError(13, "Permission denied", "/home/nobody")

    monkeypatch.setattr("ir_datasets.load", denied)
    config["collections"]["mine"] = {"ir_datasets": "vaswani"}
    assert "'/home/nobody'); set IR_DATASETS_HOME" in problem(config, tmp_path)


def test_a_whole_number_may_have_a_point(config):
    config["seeds"] = [1.0, 2]
    config["objectives"]["CL"]["max_steps"] = 1.0e1
    config["first_stages"]["bm25"]["depth"] = 200.0
    config["ranked_lists"]["lists"]["split_seed"] = 3.0
    whole, grid = load(config, SCHEMA, ENGINES, FORMATS)
    assert [repr(seed) for seed in (*grid.seeds, *whole["seeds"])] == ["1", "2"] * 2
    assert repr(grid.objectives["CL"].max_steps) == "10"
    assert repr(grid.first_stages["bm25"].depth) == "200"
    assert repr(grid.ranked_lists["lists"].split_seed) == "3"


def test_what_yaml_reads_as_another_thing_is_refused_in_any_of_the_files(tmp_path):
    base, own = tmp_path / "base.yaml", tmp_path / "own.yaml"
    own.write_text("base: base.yaml\nstudy: s\n")
    base.write_text("rerank: {depth: 10}\nrerank: {max_length: 64}\n")
    with pytest.raises(InputError, match=r"base\.yaml:2: 'rerank' is written twice"):
        loaded(yaml.safe_load(own.read_text()), [own])
    own.write_text("seeds: [042]\n")
    with pytest.raises(InputError, match=r"own\.yaml:1: YAML reads 042 as a number \(34\)"):
        loaded(yaml.safe_load(own.read_text()), [own])


def test_extends_takes_what_is_not_written(config):
    objective = loaded(config).objectives["KD"]
    assert objective.ranked_lists == "lists"
    assert objective.loss == "ranknet"


def test_a_null_hides_what_is_extended(config):
    config["objectives"]["KD"] |= {"max_steps": None, "epochs": 3}
    objective = loaded(config).objectives["KD"]
    assert (objective.max_steps, objective.epochs) == (None, 3)


def change(config, *keys, value):
    for key in keys[:-1]:
        config = config[key]
    config[keys[-1]] = value


def unset(config, *keys):
    for key in keys[:-1]:
        config = config[key]
    del config[keys[-1]]


@pytest.mark.parametrize(
    ("keys", "value", "expected"),
    [
        (("backbones", "tiny", "modle"), "x", "unknown key 'modle'; did you mean 'model'?"),
        (("sedes",), [1], "did you mean 'seeds'?"),
        (("recipes", 1), "CL-XX", "recipe 'CL-XX': there is no objective 'XX'"),
        (("datasets", "test", "collection"), "mein", "did you mean 'mine'?"),
        (("datasets", "test", "collection"), None, "'collection' is missing"),
        (("datasets", "test", "measures"), ["nDGC@10"], "cannot parse 'nDGC@10'"),
        (("datasets", "test", "split"), "dev", "dev.tsv"),
        (("datasets", "test", "ir_datasets"), "x", "exactly one of"),
        (
            ("ranked_lists", "lists", "queries"),
            {"ir_datasets": "beir/quora", "split": "test"},
            "an ir_datasets id has its split in it",
        ),
        (("collections", "mine"), {"ir_datasets": "beir/quoro"}, "did you mean 'beir/quora'?"),
        (("collections", "mine"), {"ir_datasets": "x"}, "no ir_datasets id 'x'; https://ir-d"),
        (
            ("datasets", "test"),
            {"ir_datasets": "beir/quora", "collection": "mine"},
            "'beir/quora' has no qrels",
        ),
        (("rerank",), {"depth": 200}, "provides 100 passages, but rerank.depth asks for 200"),
        (("ranked_lists", "lists", "source"), {"path": "no/such.run"}, "no file no/such.run"),
        (("ranked_lists", "lists", "source"), {}, "exactly one of path, url"),
        (("ranked_lists", "lists", "qrels"), None, "have no qrels"),
        (("ranked_lists", "lists", "format"), "csv", "'csv' is not one of"),
        (("ranked_lists", "lists", "source"), {"url": "http://a"}, "'sha256' is missing"),
        (("ranked_lists", "lists", "source"), {"url": "http://a", "sha256": "0"}, "64 digits"),
        (("objectives", "CL", "max_steps"), None, "give max_steps or epochs"),
        (("objectives", "CL", "learning_rate"), "1e-5", "write 1.0e-5"),
        (("objectives", "CL", "list_size"), 1, "less than the minimum"),
        (("objectives", "CL", "sample_depth"), 50, "larger than the 50 passages"),
        (("objectives", "KD", "extends"), "XX", "there is no objective 'XX'"),
        (("objectives", "KD", "extends"), ["CL"], "there is no objective '['CL']'"),
        (("objectives", "CL"), 5, "is not of type 'object'"),
        (("objectives", "C-L"), {"extends": "CL"}, "'C-L' cannot be a name here"),
        (("backbones", ".."), {"model": "hub/tiny"}, "'..' cannot be a name here"),
        (("objectives", "CL", "ranked_lists"), "list", "did you mean 'lists'?"),
        (("backbones", "tiny", "model"), "package:no-such", "no installed package 'no-such'"),
        (("backbones", "tiny", "model"), "package:no.such", "no installed package 'no.such'"),
        (("backbones", "tiny", "model"), "package:tabulate", "has no config.json of a model in it"),
        (("backbones", "tiny", "model"), "./no/such", "no folder ./no/such"),
        (("backbones", "tiny", "model"), "a/b/c", "no name that the hub could have"),
        (("backbones", "tiny", "model"), "/proc", "the folder /proc has no config.json"),
        (("statistics",), {"baseline_recipe": "KDD"}, "there is no recipe 'KDD'"),
        (("first_stages", "bm25", "k2"), 1, "unknown key 'k2'"),
        (("first_stages", "bm25", "mu"), 5, "bm25 has k1 and b; take 'mu' out"),
        (
            ("first_stages", "bm25"),
            {"engine": "terrier", "model": "dph", "b": 0.5},
            "dph has no parameter; take 'b' out",
        ),
        (("first_stages", "bm25", "k1"), float("nan"), "give a finite one"),
        (("objectives", "CL", "learning_rate"), float("inf"), "give a finite one"),
        (("objectives", "CL", "learning_rate"), [1e-5, float("inf")], "give a finite one"),
        (("statistics",), {"alpha": float("nan")}, "give a finite one"),
        (("first_stages", ".bm25"), {"engine": "pisa"}, "'.bm25' cannot be a name here"),
        (("backbones", "."), {"model": "hub/tiny"}, "'.' cannot be a name here"),
        (("backbones", "a\n"), {"model": "hub/tiny"}, "'a\\n' cannot be a name here"),
        (("objectives", "C\n"), {"extends": "CL"}, "'C\\n' cannot be a name here"),
        (("datasets", "test", "group"), "a\n", "'a\\n' does not match"),
        (("datasets", "test", "group"), "Verdicts", "'Verdicts' is another table"),
        (("study",), "a\n", "'a\\n' does not match"),
        (("backbones", "a" * 101), {"model": "hub/tiny"}, "cannot be a name here"),
        (("recipes",), ["-".join(["CL"] * 99)], "has more than 200 characters"),
        (("results",), "out{x}", "there is '{' in the path 'out{x}'"),
        (("results",), "<study>", "there is '<' in the path"),
        (("results",), "a\n", "there is '\\n' in the path"),
        (("results",), "~nobody-has-this/out", "there is no home folder '~nobody-has-this'"),
        (("seeds",), [2**32], "greater than the maximum"),
        (("first_stages", "BM25"), {"engine": "pisa"}, "'BM25' and 'bm25' are one on a file"),
        (("objectives", "cl"), {"extends": "CL"}, "'cl' and 'CL' are one on a file system"),
        (("objectives", "test.parquet"), {"extends": "CL"}, "ends like a file that stands"),
        (("backbones", "test.log"), {"model": "hub/tiny"}, "ends like a file that stands"),
        (
            ("first_stages", "given"),
            {"engine": "run", "path": "no-{dataset}.run"},
            "no file no-test.run",
        ),
    ],
)
def test_each_mistake_is_one_line_with_its_place(config, tmp_path, keys, value, expected):
    change(config, *keys, value=value)
    assert expected in problem(config, tmp_path)


TAUGHT = {"format": "model", "ranked_lists": "lists"}
BY_CL = {"backbone": "tiny", "recipe": "CL"}


def test_lists_by_a_teacher_have_what_they_were_made_from(config):
    config["ranked_lists"]["taught"] = TAUGHT | {"checkpoint": BY_CL}
    config["ranked_lists"]["again"] = TAUGHT | {"ranked_lists": "taught", "model": "hub/teacher"}
    config["objectives"]["KD"]["ranked_lists"] = "again"
    lists = loaded(config).ranked_lists
    for field in ("collection", "queries", "qrels", "valid_fraction", "split_seed"):
        assert getattr(lists["again"], field) == getattr(lists["lists"], field)
    assert lists["again"].format.depth == 100


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        (TAUGHT, "give exactly one of model, checkpoint"),
        (TAUGHT | {"model": "m", "checkpoint": BY_CL}, "give exactly one of model, checkpoint"),
        (TAUGHT | {"model": "m", "ranked_lists": "list"}, "did you mean 'lists'?"),
        (TAUGHT | {"model": "m", "collection": "mine"}, "unknown key 'collection'"),
        (TAUGHT | {"model": "./no/such"}, "no folder ./no/such"),
        (TAUGHT | {"checkpoint": BY_CL | {"backbone": "tinny"}}, "did you mean 'tiny'?"),
        (TAUGHT | {"checkpoint": BY_CL | {"recipe": "CL-XX"}}, "there is no objective 'XX'"),
        (TAUGHT | {"model": "m", "ranked_lists": "taught"}, "in a circle: taught from taught"),
        (TAUGHT | {"checkpoint": {**BY_CL, "recipe": "CL-KD"}}, "made in a circle: taught from"),
    ],
)
def test_each_mistake_in_a_teacher_is_one_line_with_its_place(config, tmp_path, lists, expected):
    config["ranked_lists"]["taught"] = lists
    if "circle" in expected:
        config["objectives"]["KD"]["ranked_lists"] = "taught"
    assert expected in problem(config, tmp_path)


def test_labels_from_scores_need_lists_with_scores(config, tmp_path):
    files = {
        part: {"url": "http://localhost", "sha256": "unknown"}
        for part in ("permutations", "candidates")
    }
    lists = {"format": "rankgpt", **files, "collection": "mine"}
    lists["queries"] = config["ranked_lists"]["lists"]["queries"]
    config["ranked_lists"]["rankgpt"] = lists
    config["objectives"]["KD"] |= {"ranked_lists": "rankgpt", "labels": "scores"}
    assert "'rankgpt' have ranks, but no scores" in problem(config, tmp_path)


def test_objectives_that_extend_each_other(config, tmp_path):
    change(config, "objectives", "CL", "extends", value="KD")
    assert "extends itself" in problem(config, tmp_path)


def test_a_missing_key_is_told_with_what_it_is_for(config, tmp_path):
    unset(config, "backbones", "tiny", "model")
    assert "'model' is missing" in problem(config, tmp_path)


def test_the_line_is_that_of_the_mistake(config, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("seeds: [1]\nrerank:\n  depth: 10\n  deep: 3\n")
    with pytest.raises(InputError, match=r"c\.yaml:4: rerank\.deep: unknown key"):
        loaded(yaml.safe_load(path.read_text()), [str(path)])


def test_qrels_alone_measure_runs_but_nothing_else(config, data, tmp_path):
    alone = {"datasets": {"test": {"qrels": str(data / "qrels/test.tsv")}}}
    alone["first_stages"] = {"given": {"engine": "run", "path": str(data / "given.run")}}
    assert loaded(alone).datasets["test"].collection is None
    config["datasets"] = alone["datasets"]
    assert "qrels alone can only measure runs" in problem(config, tmp_path)
