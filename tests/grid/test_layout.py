"""Paths: what is formatted is parsed back; logs, states and studies have places of their own."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restage.grid import layout
from restage.grid.layout import (
    FIRST_STAGE_MEASURES,
    FIRST_STAGE_RUN,
    GROUP_TABLE,
    MANIFEST,
    MEASURES,
    MODEL,
    RUN,
    Output,
    Roots,
    folder_name,
)
from restage.grid.settings import Source

OUTPUTS = {name: output for name, output in vars(layout).items() if isinstance(output, Output)}
NAMES = st.text("aZ09_.+-", min_size=1, max_size=8).filter(lambda name: name.strip("."))


def wildcards_of(output):
    return [name for _, name, _, _ in string.Formatter().parse(output) if name]


@given(st.data(), st.sampled_from(sorted(OUTPUTS)), st.sampled_from(["results", "a/b", "/x/y"]))
def test_a_path_is_parsed_into_what_it_was_made_of(data, name, results):
    output = OUTPUTS[name]
    wildcards = {wildcard: data.draw(NAMES) for wildcard in wildcards_of(output)}
    if name in ("GROUP_FIGURE", "GROUP_TABLE", "FIGURE"):  # two parts of one name
        return
    path = output.at(Roots.of(results, None), **wildcards)
    assert str(path).startswith(results)
    assert output.parse(path) == wildcards


def test_a_path_of_another_kind_is_no_path_of_this_one():
    with pytest.raises(ValueError, match="is not of the form"):
        layout.FIRST_STAGE_MEASURES.parse("out/measures/a/CL/42/bm25/dl19.parquet")


def test_models_and_runs_are_shared_and_tables_are_a_study_s_own():
    roots = Roots.of("results", "rates")
    model = {"backbone": "a", "recipe": "CL-KD", "seed": 42}
    assert str(MODEL.at(roots, **model)) == "results/models/a/CL-KD/42"
    table = GROUP_TABLE.at(roots, group="in_domain", format="csv")
    assert str(table) == "results/studies/rates/tables/in_domain.csv"


def test_braces_in_the_results_folder_are_no_wildcards():
    assert (
        str(MODEL.at(Roots.of("a{b}", None), backbone="x", recipe="y", seed=1))
        == "a{b}/models/x/y/1"
    )


def test_logs_go_by_the_job():
    assert (
        RUN.over("first_stage").log
        == "<results>/logs/runs/{backbone}/{recipe}/{seed}/{dataset}.log"
    )
    assert GROUP_TABLE.log == "<study>/logs/tables/{group}.log"
    assert MODEL.state == "<results>/states/models/{backbone}/{recipe}/{seed}"


@pytest.mark.parametrize(
    ("path", "of_the_grid", "of_a_study"),
    [
        ("a/out/models/x", "<results>/models/x", "<results>/models/x"),
        ("a/out/tables/x.csv", "<results>/tables/x.csv", "<results>/tables/x.csv"),
        ("a/out/studies/b/x.csv", "<results>/studies/b/x.csv", "<study>/x.csv"),
        ("a/output/x.run", "x.run", "x.run"),
        ("/elsewhere/a/out/x.run", "x.run", "x.run"),
    ],
)
def test_a_path_is_told_from_its_root_and_any_other_by_its_name(path, of_the_grid, of_a_study):
    assert Roots.of("a/out", None).relative(path) == of_the_grid
    assert Roots.of("a/out", "b").relative(path) == of_a_study


def test_a_manifest_is_beside_the_results_and_hides_nothing_of_the_path():
    path = "models/tiny/CL/42"
    assert str(MANIFEST.at(Roots.of("out", "b"), path=path)) == f"out/manifests/{path}.json"


def test_no_two_outputs_have_one_place():
    assert len(set(OUTPUTS.values())) == len(OUTPUTS)
    logs = [output.log for output in (FIRST_STAGE_RUN, MEASURES.over("first_stage"), RUN, MODEL)]
    assert len(set(logs)) == len(logs)


WILDCARDS = sorted({name for output in OUTPUTS.values() for name in wildcards_of(output)})
# First stages may be called like engines or backbones, and so on.
ALIKE = st.sampled_from(["a", "pisa", "42", "a.parquet", "a.log", "a.json", "a.run.gz"]).filter(
    lambda name: not name.endswith(layout.FILES_AND_FOLDERS)
)


@given(st.fixed_dictionaries(dict.fromkeys(WILDCARDS, ALIKE)))
def test_no_output_is_in_the_place_of_another_nor_below_it(drawn):
    artifacts = [output for output in OUTPUTS.values() if output.startswith("<results>/")]
    artifacts = [output for output in artifacts if "manifests" not in output]
    artifacts.remove(layout.STATES)  # whose folders are looked at one by one
    jobs = [*artifacts, MEASURES.over("first_stage"), FIRST_STAGE_MEASURES.over("first_stage")]
    jobs = [job for job in jobs if job not in (MEASURES, FIRST_STAGE_MEASURES)]
    paths = [*artifacts, *(Output(job.log) for job in jobs)]
    paths += [output.state for output in (MODEL, layout.SCORES, layout.INDEX, layout.LISTS)]
    places = {path.of(**drawn) for path in paths}
    assert len(places) == len(paths)
    assert not [(a, b) for a in places for b in places if b.startswith(f"{a}/")]


def test_others_are_those_that_differ_in_one_wildcard(tmp_path):
    roots = Roots.of(str(tmp_path), None)
    stores = [
        layout.TOKENS.at(roots, tokenizer=tokenizer, kind="datasets", name=name)
        for tokenizer, name in (("a", "x"), ("b", "x"), ("b", "y"))
    ]
    for store in stores:
        store.mkdir(parents=True)
    assert layout.TOKENS.others(stores[0], "tokenizer") == stores[:2]


# What people call models: few characters, so that names are drawn that are nearly the same.
MODELS = st.lists(st.text("aAb1-_./~: ä\n", min_size=1, max_size=7), min_size=2, max_size=2)


@given(MODELS)
def test_two_names_never_have_one_folder_even_where_case_is_ignored(names):
    folders = {folder_name(name).casefold() for name in names}
    assert len(folders) == len(set(names))
    assert all("/" not in folder and folder.strip(".") for folder in folders)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("./m a", "./m/a"),
        ("org/name", "org--name"),
        ("Org/name", "org/name"),
        ("package:a", "package--a"),
        ("./m", "m"),
        ("a" * 300 + "b", "a" * 300 + "c"),
        ("m!", folder_name("m!")),
    ],
)
def test_names_that_look_alike_have_folders_of_their_own(one, other):
    assert folder_name(one).casefold() != folder_name(other).casefold()
    assert len(folder_name(one)) < 200


def test_a_hub_name_is_its_folder_s():
    assert folder_name("google/electra-base_x.1") == "google--electra-base_x.1"
    assert folder_name("msmarco-passage/train/judged") == "msmarco-passage--train--judged"
    assert folder_name("package:gt-a").startswith("package--gt-a+")


NAME = st.sampled_from(["a", "b", "a/b", "a--b", "./a", "A"])
SOURCES = st.builds(Source, ir_datasets=NAME) | st.builds(Source, path=NAME, split=st.none() | NAME)


@given(SOURCES, SOURCES)
def test_two_sources_never_have_one_folder(one, other):
    assert (one.folder.casefold() == other.folder.casefold()) == (one == other)
