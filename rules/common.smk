# The configuration, complete and checked, and the functions that the rules share.
import re
import sys
from pathlib import Path

from restage.config import load, origin, queries_of, stage, sweep, tokenizer_folder
from restage.errors import InputError

try:
    config.update(
        load(
            config,
            workflow.source_path("../workflow/schemas/config.schema.yaml"),
            workflow.configfiles,
        )
    )
except InputError as error:
    # Snakemake would put its own lines around an exception; this prints the one line.
    sys.exit(f"error: {error}")


def named(names):
    """A wildcard constraint that fits these names only."""
    return "|".join(map(re.escape, names)) or "(?!)"


def engine(*engines):
    """The wildcard constraint of first stages with one of these engines."""
    stages = config["first_stages"].items()
    return named(name for name, stage in stages if stage["engine"] in engines)


def list_format(*formats):
    """The wildcard constraint of ranked lists in one of these formats."""
    lists = config["ranked_lists"].items()
    return named(name for name, given in lists if given["format"] in formats)


def groups():
    return list(dict.fromkeys(dataset["group"] for dataset in config["datasets"].values()))


def datasets_of(group):
    return [name for name, given in config["datasets"].items() if given["group"] == group]


def source_of(kind, name):
    """Where passages or queries come from."""
    given = config[kind][name]
    return given["queries"] if kind == "ranked_lists" else given


def files_of(kind, name):
    """What has to be there before a text store can be made."""
    source = source_of(kind, name)
    if "ir_datasets" in source:
        return fetched(source)
    if kind == "collections":
        return [f"{source['path']}/corpus.jsonl"]
    return [f"{source['path']}/queries.jsonl", *qrels_files(source)]


def qrels_files(source):
    """What has to be there before qrels can be read."""
    if not source:
        return []
    if "ir_datasets" in source:
        return fetched(source)
    if "qrels" in source:
        return [source["qrels"]]
    return [f"{source['path']}/qrels/{source['split']}.tsv"] if "split" in source else []


def fetched(source):
    """The mark that ir_datasets has downloaded what belongs to one of its ids."""
    return [f"<results>/downloads/ir_datasets/{source['ir_datasets']}.fetched"]


def model_of(tokenizer):
    lists = config["ranked_lists"].values()
    teachers = [given["model"] for given in lists if given["format"] == "model" and given["model"]]
    models = [*(given["model"] for given in config["backbones"].values()), *teachers]
    return {tokenizer_folder(model): model for model in models}[tokenizer]


def tokens(model, kind, name):
    return f"<stores>/tokens/{tokenizer_folder(model)}/{kind}/{name}"


def tokens_of_dataset(model, dataset):
    """Token stores of a dataset's queries and of the passages that it is over."""
    collection = config["datasets"][dataset]["collection"]
    return {
        "queries": tokens(model, "datasets", dataset),
        "passages": tokens(model, "collections", collection),
    }


def collection_of(dataset):
    return f"<stores>/texts/collections/{config['datasets'][dataset]['collection']}"


def tokens_of_lists(model, lists):
    """Token stores of the queries and passages that ranked lists refer to."""
    return {
        "queries": tokens(model, "ranked_lists", queries_of(config, lists)),
        "passages": tokens(model, "collections", origin(config, lists)["collection"]),
    }


def what_lists_refer_to(lists):
    """Text stores and qrels that ids in the files of ranked lists refer to."""
    given = config["ranked_lists"][lists]
    return {
        "queries": f"<stores>/texts/ranked_lists/{queries_of(config, lists)}",
        "passages": f"<stores>/texts/collections/{given['collection']}",
        "qrels": qrels_files(given["qrels"]),
    }


def list_settings(lists):
    """What the making of ranked lists depends on, besides their files.

    That is not what the plan expects of them, nor what a download must hash to: who writes that
    into the configuration afterwards need not download again.
    """
    others = ("expected", "source", "permutations", "candidates")
    settings = config["ranked_lists"][lists].items()
    return {name: value for name, value in settings if name not in others}


def teacher(lists):
    """The model that re-ranks lists: its tokenizer's model, where it lies, its segment ids."""
    given = config["ranked_lists"][lists]
    of_grid = given["checkpoint"]
    if not of_grid:
        return {"tokenizer": given["model"], "path": [], "segment_ids": None}
    backbone = config["backbones"][of_grid["backbone"]]
    seed = config["seeds"][0] if of_grid["seed"] is None else of_grid["seed"]
    return {
        "tokenizer": backbone["model"],
        "path": f"<results>/models/{of_grid['backbone']}/{of_grid['recipe']}/{seed}",
        "segment_ids": backbone["segment_ids"],
    }


def local_file(lists, part):
    """A file of ranked lists: where it lies on this machine, or where it is downloaded to."""
    return config["ranked_lists"][lists][part].get("path") or f"<results>/downloads/{lists}/{part}"


def state_of(kind, wildcards):
    """What a killed job goes on from: beside the outputs, which Snakemake removes when one fails."""
    return str(Path(config["results"], "states", kind, *wildcards))


def growing(amount):
    """A resource that grows with each attempt at a job."""
    return lambda wildcards, attempt: amount * attempt


def retrieval_gpus(first_stage):
    engine = config["first_stages"][first_stage]["engine"]
    return 0 if engine in ("pisa", "terrier") else config["compute"]["gpus_per_scoring"]


def index_settings(first_stage):
    """What an index depends on, which is not how deep or how widely it is searched."""
    settings = config["first_stages"][first_stage]
    settings = {name: value for name, value in settings.items() if name != "depth"}
    if "probes" in settings:
        settings["probes"] = settings["probes"] is not None
    return settings


def retrieval_settings(wildcards):
    """A first stage's settings, one deeper where a query's own passage is left out afterwards."""
    settings = config["first_stages"][wildcards.first_stage]
    own = config["datasets"][wildcards.dataset]["leave_out_own"]
    return {**settings, "depth": settings["depth"] + own}


def mining_settings(lists):
    """A first stage's settings at the depth that its lists are mined to."""
    lists = config["ranked_lists"][lists]
    return {**config["first_stages"][lists["first_stage"]], "depth": lists["depth"]}


def stage_of(wildcards):
    """The last stage of a recipe: the recipe it goes on from, and its objective."""
    return stage(config, wildcards.recipe)


def lists_of(wildcards):
    """The ranked lists that the last stage of a recipe is trained on."""
    return stage_of(wildcards).objective["ranked_lists"]


def evaluated(pattern, **fixed):
    """Paths of every re-ranked run, by any pattern of first stage, dataset, model and seed."""
    values = {
        "first_stage": config["first_stages"],
        "dataset": config["datasets"],
        "backbone": config["backbones"],
        "recipe": config["recipes"],
        "seed": config["seeds"],
    }
    return expand(pattern, **{**values, **fixed})


RUN = "<results>/runs/{backbone}/{recipe}/{seed}/{first_stage}/{dataset}.run.gz"
MEASURES = "<results>/measures/{backbone}/{recipe}/{seed}/{first_stage}/{dataset}.parquet"
FIRST_STAGE_RUN = "<results>/first_stage/{first_stage}/{dataset}.run.gz"
FIRST_STAGE_MEASURES = "<results>/measures/{first_stage}/{dataset}.parquet"
MODEL = "<results>/models/{backbone}/{recipe}/{seed}"


def all_runs(datasets):
    """Every run over some datasets: those of the first stages and the re-ranked ones."""
    patterns = [FIRST_STAGE_RUN, RUN]
    return [run for pattern in patterns for run in evaluated(pattern, dataset=datasets)]


def table_order(datasets):
    """The order of rows and columns in a table: that of the configuration."""
    return {
        "first_stages": list(config["first_stages"]),
        "models": [(b, r) for b in config["backbones"] for r in config["recipes"]],
        "datasets": list(datasets),
        "measures": {name: config["datasets"][name]["measures"] for name in datasets},
    }


def curves():
    """What the training curves of the models are told apart by, in the models' order."""
    models = [Path(path).parts[-3:] for path in evaluated(MODEL)]
    return [
        {"backbone": backbone, "recipe": recipe, "seed": seed, "last_loss": loss}
        for backbone, recipe, seed in models
        for loss in [stage(config, recipe).objective["loss"]]
    ]


def is_published():
    """Whether the study published numbers for any cell of this grid."""
    with open(workflow.source_path("../workflow/published/in_domain.csv")) as file:
        published = [line.split(",")[2:4] for line in file]
    return any(
        [first_stage, dataset] in published
        for first_stage in config["first_stages"]
        for dataset in config["datasets"]
    )


def further_tables():
    """The tables besides those of groups that this grid has."""
    if not groups():
        return []
    compared = ["learning_rate"] if sweep(config) else []
    return ["significance", "equivalence", *compared, *(["reproduction"] if is_published() else [])]


def group_figures():
    """Which figures each group has: without several recipes there is nothing to compare."""
    compares = config["backbones"] and len(config["recipes"]) > 1
    return ["effectiveness", *(["differences", "queries"] if compares else [])]


def single_figures():
    of_tables = [name for name in further_tables() if name in ("learning_rate", "reproduction")]
    trained = config["backbones"] and config["recipes"]
    return [*of_tables, *(["training"] if trained else [])]


FORMATS = ["svg", "pdf"]


# Categories of the report, in their order.
ON_PAR = "1. Are the recipes on par?"
EFFECTIVENESS = "2. How effective are they?"
LEARNING_RATE = "3. Is it the learning rate?"
REPRODUCTION = "4. Does it agree with the study?"
MADE = "5. How was it made?"
PAGE_CATEGORIES = {
    "significance": ON_PAR,
    "equivalence": ON_PAR,
    "learning_rate": LEARNING_RATE,
    "reproduction": REPRODUCTION,
    "runtimes": MADE,
    "provenance": MADE,
}
PROVENANCE = ["runtimes", "provenance"]
