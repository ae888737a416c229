# The configuration, complete and checked, and the functions that the rules share.
import json
import re
import sys
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path

from snakemake.exceptions import InputFunctionException, UnknownRuleException
from snakemake.iocontainers import Wildcards

from restage.code import Code
from restage.errors import InputError
from restage.first_stage import ENGINES
from restage.grid import times
from restage.grid.abilities import uses
from restage.grid.checks import told
from restage.grid.finished import release
from restage.grid.grid import Model
from restage.grid.load import load
from restage.grid.machine import on_hub
from restage.grid.manifests import SILENT, Beside, Contents, classes_in, inputs_of, settings_of
from restage.grid.standing import Needs, Standing
from restage.grid.layout import *
from restage.model.names import model_files, tokenizer_files
from restage.ranked_lists import FORMATS

try:
    _complete, grid = load(
        config,
        workflow.source_path("../workflow/schemas/config.schema.yaml"),
        ENGINES,
        FORMATS,
        workflow.configfiles,
    )
except InputError as error:
    # Snakemake would put its own lines around an exception; this prints the one line.
    sys.exit(f"error: {error}")
config.update(_complete)
if workflow.is_main_process:
    for line in told(grid):
        print(f"note: {line}", file=sys.stderr)


def named(names):
    """A wildcard constraint that fits these names only."""
    return "|".join(map(re.escape, names)) or "(?!)"


def first_stages(indexes):
    """The wildcard constraint of first stages that index, or that have their runs from elsewhere."""
    stages = grid.first_stages.items()
    return named(name for name, stage in stages if stage.engine.indexes == indexes)


def source_of(kind, name):
    """Where passages or queries come from."""
    if kind == "ranked_lists":
        return grid.training_queries[name]
    return getattr(grid, kind)[name].source


def files_of(kind, name):
    """What has to be there before a text store can be made."""
    source = source_of(kind, name)
    if source.ir_datasets:
        return fetched(source)
    if kind == "collections":
        return [f"{source.path}/corpus.jsonl"]
    return [f"{source.path}/queries.jsonl", *qrels_files(source)]


def qrels_files(source):
    """What has to be there before qrels can be read."""
    if not source:
        return []
    if source.ir_datasets:
        return fetched(source)
    if source.qrels:
        return [source.qrels]
    return [f"{source.path}/qrels/{source.split}.tsv"] if source.split else []


def judged_passages(dataset):
    """The collection that qrels are held against, if its text is needed for anything else."""
    indexes = any(stage.engine.indexes for stage in grid.first_stages.values())
    is_read = grid.datasets[dataset].collection and (grid.evaluated or indexes)
    return collection_of(dataset) if is_read else []


def fetched(source):
    """The mark that ir_datasets has downloaded what belongs to one of its ids."""
    return [FETCHED.of(id=source.ir_datasets)]


def tokens_of_dataset(model, dataset):
    """Token stores of a dataset's queries and of the passages that it is over."""
    collection = grid.datasets[dataset].collection
    return {
        "queries": tokens(model, "datasets", dataset),
        "passages": tokens(model, "collections", collection),
    }


def tokens_of_lists(model, lists):
    """Token stores of the queries and passages that ranked lists refer to."""
    return {
        "queries": tokens(model, "ranked_lists", grid.ranked_lists[lists].queries.folder),
        "passages": tokens(model, "collections", grid.ranked_lists[lists].collection),
    }


def tokens(model, kind, name):
    return TOKENS.of(tokenizer=folder_name(model), kind=kind, name=name)


def collection_of(dataset):
    return TEXTS.of(kind="collections", name=grid.datasets[dataset].collection)


def queries_of_lists(lists):
    return TEXTS.of(kind="ranked_lists", name=grid.ranked_lists[lists].queries.folder)


def on_disk(output):
    """A path that a job uses without declaring it: Snakemake then neither checks nor clears it."""
    return lambda wildcards: Beside(output.at(grid.roots, **wildcards))


def growing(amount):
    """A resource that grows with each attempt at a job."""
    return lambda wildcards, attempt: amount * attempt


def for_models(output, **fixed):
    """The paths of an output for every model in the tables, and for every value of ``fixed``."""
    values = [dict(zip(fixed, some)) for some in product(*fixed.values())]
    return [output.of(**model._asdict(), **some) for model in grid.evaluated for some in values]


def all_runs():
    """Every run: those of the first stages and the re-ranked ones."""
    names = {"first_stage": grid.first_stages, "dataset": grid.datasets}
    return [*expand(FIRST_STAGE_RUN, **names), *for_models(RUN, **names)]


def all_measures(datasets):
    """The measures of every run over some datasets: of the first stages, and of the models."""
    names = {"first_stage": grid.first_stages, "dataset": [d.name for d in datasets]}
    return {
        "first_stages": expand(FIRST_STAGE_MEASURES, **names),
        "models": for_models(MEASURES, **names),
    }


def published():
    """The cells that the study published numbers for: (first stage, dataset)."""
    with open(workflow.source_path("../workflow/published/in_domain.csv")) as file:
        return {tuple(line.split(",")[2:4]) for line in file}


def further_tables():
    """The tables besides those of groups that this grid has."""
    if not grid.groups:
        return []
    tables = ["significance", "equivalence"]
    if grid.sweep:
        tables.append("learning_rate")
    cells = published()
    if any((f, d) in cells for f in grid.first_stages for d in grid.datasets):
        tables.append("reproduction")
    return tables


def in_report(output, caption, category, what, group="all"):
    """An output that the report shows."""
    caption = workflow.source_path(f"../workflow/report/{caption}.rst")
    return report(output, caption=caption, category=category, labels={"what": what, "group": group})


# --- models -----------------------------------------------------------------------------------------


def files_of_model(model, choose=model_files):
    """What a job loads of a model: its files on this machine by their names, or its revision."""
    if on_hub(model):
        return {"pinned": PINNED.of(model=folder_name(model))}
    return {f"model/{name}": file for name, file in choose(model).items()}


def uses_of(model):
    """What is to be done with a model, which decides nothing of what it is."""
    return Beside(json.dumps([asdict(use) for name, use in uses(grid) if name == model]))


def files_of_encoder(first_stage):
    """The files of the model that a first stage encodes with, if it does."""
    model = grid.first_stages[first_stage].engine.encoder
    return files_of_model(model) if model else {}


# --- ranked lists -----------------------------------------------------------------------------------


def files_of_lists(lists):
    """What ranked lists are read from, by its key in their format; a mined list from its run."""
    form = grid.ranked_lists[lists].format
    if form.first_stage:
        return {"run": MINED.of(lists=lists)}
    return {
        part: file.path or DOWNLOAD.of(lists=lists, part=part) for part, file in form.files.items()
    }


def ranked_by(lists):
    """A teacher's checkpoint, if it is one of the grid, and the backbone that it has."""
    taught = grid.ranked_lists[lists].format.taught
    if not taught.checkpoint:
        return [], None
    model = grid.teacher(taught.checkpoint)
    return MODEL.of(**model._asdict()), grid.backbones[model.backbone]


def teacher_model(lists):
    """The model whose tokens a teacher reads."""
    backbone = ranked_by(lists)[1]
    return backbone.model if backbone else grid.ranked_lists[lists].format.taught.model


def files_of_teacher(lists):
    """The files of a teacher's model; a checkpoint of the grid is an input itself."""
    model = grid.ranked_lists[lists].format.taught.model
    return files_of_model(model) if model else {}


def lists_of_kind(choose):
    """The wildcard constraint of ranked lists whose format is so."""
    return named(name for name, lists in grid.ranked_lists.items() if choose(lists.format))


# --- first stages -----------------------------------------------------------------------------------


def shared_index(first_stage, collection):
    """The part of an index that all first stages of its engine share, if the engine has one."""
    stage = grid.first_stages[first_stage]
    if not stage.engine.shares_index:
        return []
    return SHARED_INDEX.of(engine=stage.kind, collection=collection)


def retrieval_gpus(first_stage):
    uses = grid.first_stages[first_stage].engine.uses_gpu
    return grid.compute.gpus_per_scoring if uses else 0


def retrieval_precision(first_stage):
    """What an engine's model computes in, if it has one."""
    return grid.compute.precision if grid.first_stages[first_stage].engine.uses_gpu else None


# --- fine-tuning ------------------------------------------------------------------------------------


def start_of(wildcards):
    """The checkpoint that a stage starts from; none: the backbone."""
    previous = grid.stage(wildcards.recipe).previous
    return MODEL.of(**{**wildcards, "recipe": previous}) if previous else []


def files_of_backbone(wildcards):
    """What a stage loads of its backbone: from the second one on, the tokenizer."""
    backbone, later = grid.backbones[wildcards.backbone], grid.stage(wildcards.recipe).previous
    return files_of_model(backbone.model, tokenizer_files if later else model_files)


def model_of(wildcards):
    return Model(wildcards.backbone, wildcards.recipe, int(wildcards.seed))


def lists_of(wildcards):
    """The ranked lists that the last stage of a recipe is trained on."""
    return grid.stage(wildcards.recipe).objective.ranked_lists


# --- the report -------------------------------------------------------------------------------------


# Figures that are made with the table of their name.
TABLE_FIGURES = ["learning_rate", "reproduction"]
PROVENANCE_TABLES = [name for name, page in PAGES.items() if page.table == PROVENANCE]


def group_figures():
    """Which figures each group has: without several recipes there is nothing to compare."""
    compares = grid.backbones and len(grid.recipes) > 1
    return list(GROUP_FIGURES) if compares else ["effectiveness"]


def single_figures():
    of_tables = [name for name in further_tables() if name in TABLE_FIGURES]
    return [*of_tables, *(["training"] if grid.evaluated else [])]


def table_pages():
    """The pages that show a table of their name."""
    return [*further_tables(), *PROVENANCE_TABLES] if grid.groups else []


def figure_of(name, category, what):
    """A figure's two files, of which the report shows one."""
    svg = FIGURE.of(figure=name, format="svg")
    return {
        "svg": in_report(svg, name, category, what),
        "pdf": FIGURE.of(figure=name, format="pdf"),
    }


# --- what still fits --------------------------------------------------------------------------------


own_code = Code(PARSED.at(grid.roots))


def needs(contents, name, wildcards):
    """What an output would be made from now; None: the grid has no such output."""
    if "recipe" in wildcards and model_of(Wildcards(fromdict=wildcards)) not in grid.trained:
        return None
    try:
        maker, wildcards = workflow.get_rule(name), Wildcards(fromdict=wildcards)
        inputs = maker.expand_input(wildcards)[0]
        params = {
            name: value(wildcards) if callable(value) else value
            for name, value in maker.params.items()
        }
    except (KeyError, InputFunctionException, UnknownRuleException):
        return None
    script = workflow.source_path(f"../workflow/scripts/{Path(maker.script).name}")
    code = own_code.fingerprints(script, classes_in(params.values()), SILENT)
    return Needs(
        settings_of(params),
        inputs_of(inputs, contents),
        [str(path) for path in inputs],
        [str(path) for path in maker.expand_output(wildcards)[0]],
        code,
    )


def as_it_stands():
    """The outputs as they and their inputs are on disk now."""
    contents = Contents(grid.roots)
    return Standing(contents, partial(needs, contents))


standing = as_it_stands()


def made_again(maker, wildcards):
    """An input that there never is; where an output of this job no longer fits it is made again."""
    job = maker.name, tuple(sorted(wildcards.items()))
    if job in standing.changed:
        workflow.dag.forcefiles.update(map(str, maker.expand_output(wildcards)[0]))
        for line in standing.told(job):
            print(line, file=sys.stderr)
    return []


def tell_of_other_code(standing):
    """Say what was made by other code: an edit makes nothing again by itself, and is never silent."""
    if note := standing.note():
        print(note, file=sys.stderr)


def mend_times():
    """See that no input of a job lies in the future: what is made from it would be removed."""
    try:
        times.mend({path for job in workflow.dag.needrun_jobs() for path in job.input}, grid.roots)
    except InputError as error:
        sys.exit(f"error: {error}")
