"""What the parts of a configuration say of each other and of this machine, checked before any job.

Each check raises ``Wrong`` with the key and one line: what is wrong and what to write instead.
"""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from restage.errors import InputError
from restage.grid.abilities import inability, uses
from restage.grid.build import circle
from restage.grid.grid import Grid
from restage.grid.layout import FILES_AND_FOLDERS, TAKEN
from restage.grid.machine import local_folder, missing_file, missing_model, unfit
from restage.grid.origin import Key, Wrong, unknown
from restage.grid.recipes import Recipe
from restage.grid.settings import Dataset, File, Objective, RankedLists, Source

if TYPE_CHECKING:
    import ir_measures

LONGEST = 200  # characters of a recipe; a file's name may have 255 bytes


def check(grid: Grid) -> None:
    """Check all parts, in the order in which they build on each other.

    Raises:
        Wrong: the first thing that is wrong.
    """
    _check_results(grid)
    _check_names(grid)
    _check_collections(grid)
    _check_datasets(grid)
    _check_first_stages(grid)
    _check_ranked_lists(grid)
    _check_objectives(grid)
    _check_circles(grid)
    _check_recipes(grid)
    _check_backbones(grid)
    _check_models(grid)


def _check_results(grid: Grid) -> None:
    folder = Path(grid.results)
    if message := unfit(grid.results):
        raise Wrong(("results",), f"{message}; give another folder")
    if grid.results.startswith("~"):
        message = f"there is no home folder {grid.results.partition('/')[0]!r}"
        raise Wrong(("results",), f"{message}; write ./ before it if it is a folder's name")
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not os.access(there, os.W_OK):
        raise Wrong(("results",), f"'{folder}' cannot be written to; mend its rights")


def _check_names(grid: Grid) -> None:
    """Check that no two outputs would meet in one place, by the names of what they are of."""
    kinds = ("collections", "datasets", "first_stages", "ranked_lists", "objectives", "backbones")
    names: list[tuple[str, Key, str]] = [
        (kind, (kind, name), name) for kind in kinds for name in getattr(grid, kind)
    ]
    names += [("groups", ("datasets", d.name, "group"), d.group) for d in grid.datasets.values()]
    seen: dict[tuple[str, str], str] = {}
    for kind, key, name in names:
        if name.endswith(FILES_AND_FOLDERS):
            raise Wrong(key, f"'{name}' ends like a file that stands beside folders; rename it")
        other = seen.setdefault((kind, name.lower()), name)
        if other != name:
            alike = f"'{name}' and '{other}' are one on a file system that ignores case"
            raise Wrong(key, f"{alike}; rename one of them")


def _check_collections(grid: Grid) -> None:
    for name, collection in grid.collections.items():
        key, source = ("collections", name), collection.source
        if _one_of(key, ir_datasets=source.ir_datasets, path=source.path) == "path":
            _check_file((*key, "path"), Path(source.path or "", "corpus.jsonl"))
        else:
            _check_ir_datasets(key, source.ir_datasets or "", "docs")


def _check_datasets(grid: Grid) -> None:
    needs_text = bool(grid.backbones and grid.recipes) or any(
        stage.engine.indexes for stage in grid.first_stages.values()
    )
    for name, dataset in grid.datasets.items():
        key, source = ("datasets", name), dataset.source
        sources = {k: getattr(source, k) for k in ("ir_datasets", "path", "qrels")}
        if _one_of(key, **sources) == "qrels":
            _check_file((*key, "qrels"), source.qrels or "")
            if needs_text:
                raise Wrong(key, "qrels alone can only measure runs; give ir_datasets or path")
        else:
            _check_texts(key, source, "queries", "qrels")
        if dataset.group.lower() in TAKEN:
            message = f"'{dataset.group}' is another table; rename the group"
            raise Wrong((*key, "group"), message)
        if dataset.collection is not None:
            _check_name((*key, "collection"), "collection", dataset.collection, grid.collections)
        elif needs_text:
            raise Wrong(key, "'collection' is missing: the collection its passages are in")
        _check_measures(key, dataset)


def _check_measures(key: Key, dataset: Dataset) -> None:
    for i, measure in enumerate(dataset.measures):
        try:
            parse_measure(measure)
        except InputError as error:
            raise Wrong((*key, "measures", i), str(error)) from None


def parse_measure(text: str) -> "ir_measures.Measure":
    """Return the ir-measures measure that ``text`` names, such as nDCG@10 or AP(rel=2).

    Raises:
        InputError: ir-measures cannot parse it, or knows no way to compute it.
    """
    import ir_measures  # here, for it takes a while and a configuration without datasets lacks it

    example = "write it like nDCG@10 or AP(rel=2)"
    try:
        measure = ir_measures.parse_measure(text)
        supported = ir_measures.DefaultPipeline.supports(measure)
    except (ValueError, NameError, TypeError, AssertionError) as error:
        wrong = re.sub("<object object at .*?>", "nothing", str(error))
        raise InputError(f"ir-measures cannot parse {text!r} ({wrong}); {example}") from None
    if not supported:
        raise InputError(
            f"ir-measures cannot compute {text!r} with what is installed; {example}, "
            "or install what provides it"
        )
    return measure


def told(grid: Grid) -> Iterator[str]:
    """Yield what to say of measures that look deeper than what is kept of a run."""
    texts = dict.fromkeys(text for dataset in grid.datasets.values() for text in dataset.measures)
    cutoffs = {text: parse_measure(text).params.get("cutoff", 0) for text in texts}
    kept = {f"first_stages.{name}.depth": s.depth for name, s in grid.first_stages.items()}
    if grid.evaluated:
        kept["rerank.depth"] = grid.rerank.depth
    for key, depth in kept.items():
        if deep := [text for text, cutoff in cutoffs.items() if cutoff > depth]:
            yield (
                f"{', '.join(deep)}: no deeper than {depth} passages of a query, which is all that "
                f"{key} keeps; raise it, or lower the cutoff"
            )


def _check_first_stages(grid: Grid) -> None:
    for name, stage in grid.first_stages.items():
        key = ("first_stages", name)
        if grid.rerank.depth > stage.depth:
            raise Wrong(
                (*key, "depth"),
                f"provides {stage.depth} passages, but rerank.depth asks for "
                f"{grid.rerank.depth}; raise the one or lower the other",
            )
        for part, message in stage.engine.problems(grid.datasets):
            raise Wrong((*key, part), message)


def _check_ranked_lists(grid: Grid) -> None:
    for name, lists in grid.ranked_lists.items():
        key = ("ranked_lists", name)
        for part, message in lists.format.problems():
            raise Wrong((*key, part) if part else key, message)
        if lists.format.taught:
            _check_checkpoint(grid, (*key, "checkpoint"), lists)
            continue
        _check_name((*key, "collection"), "collection", lists.collection, grid.collections)
        _check_texts((*key, "queries"), lists.queries, "queries")
        if lists.qrels:
            _check_texts((*key, "qrels"), lists.qrels, "qrels")
        for part, file in lists.format.files.items():
            _check_download((*key, part), file)
        _check_mined(grid, (*key, "first_stage"), lists.format.first_stage)


def _check_checkpoint(grid: Grid, key: Key, lists: RankedLists) -> None:
    taught = lists.format.taught
    if taught and taught.checkpoint:
        _check_name((*key, "backbone"), "backbone", taught.checkpoint.backbone, grid.backbones)
        _check_recipe(grid, (*key, "recipe"), Recipe.of(taught.checkpoint.recipe))


def _check_download(key: Key, file: File) -> None:
    if _one_of(key, path=file.path, url=file.url) == "path":
        _check_file((*key, "path"), file.path or "")
    elif file.sha256 is None:
        message = "'sha256' is missing: what the file must hash to, or 'unknown' if you do not know"
        raise Wrong(key, message)


def _check_mined(grid: Grid, key: Key, first_stage: str | None) -> None:
    if first_stage is None:
        return
    _check_name(key, "first stage", first_stage, grid.first_stages)
    if not grid.first_stages[first_stage].engine.indexes:
        raise Wrong(key, f"'{first_stage}' is imported and cannot retrieve lists")


def _check_objectives(grid: Grid) -> None:
    for name, objective in grid.objectives.items():
        key = ("objectives", name)
        lists = objective.ranked_lists
        _check_name((*key, "ranked_lists"), "ranked list", lists, grid.ranked_lists)
        _check_labels((*key, "labels"), objective, grid.ranked_lists[lists])
        if objective.max_steps is None and objective.epochs is None:
            raise Wrong(key, "give max_steps or epochs, so that training ends")
        _check_depths(key, objective, grid.ranked_lists[lists].format.deepest)


def _check_labels(key: Key, objective: Objective, lists: RankedLists) -> None:
    if objective.labels == "qrels" and not lists.qrels:
        raise Wrong(key, f"ranked lists '{lists.name}' have no qrels")
    if objective.labels == "scores" and not lists.format.has_scores:
        raise Wrong(key, f"ranked lists '{lists.name}' have ranks, but no scores")


def _check_depths(key: Key, objective: Objective, depth: int | None) -> None:
    deepest = objective.sample_depth or depth or objective.list_size
    if objective.list_size > deepest:
        raise Wrong((*key, "list_size"), f"larger than the {deepest} passages to sample from")
    if objective.sample_depth and depth and objective.sample_depth > depth:
        raise Wrong((*key, "sample_depth"), f"the lists are {depth} passages deep")


def _check_circles(grid: Grid) -> None:
    """Check that no lists are made, in the end, from themselves, by way of a teacher's training."""

    def follow(name: str, before: list[str]) -> None:
        if name in before:
            raise circle([*before, name])
        taught = grid.ranked_lists[name].format.taught
        if not taught:
            return
        recipe = taught.checkpoint.recipe if taught.checkpoint else None
        objectives = Recipe.of(recipe).objectives if recipe else ()
        for lists in (taught.ranked_lists, *(grid.objectives[o].ranked_lists for o in objectives)):
            follow(lists, [*before, name])

    for name in grid.ranked_lists:
        follow(name, [])


def _check_recipes(grid: Grid) -> None:
    for i, recipe in enumerate(grid.recipes):
        _check_recipe(grid, ("recipes", i), recipe)
    baseline, recipes = grid.statistics.baseline_recipe, [str(r) for r in grid.recipes]
    if baseline is not None and baseline not in recipes:
        message = unknown("recipe", baseline, recipes)
        raise Wrong(("statistics", "baseline_recipe"), message)


def _check_recipe(grid: Grid, key: Key, recipe: Recipe) -> None:
    if len(str(recipe)) > LONGEST:
        raise Wrong(key, f"its name has more than {LONGEST} characters; shorten its objectives'")
    for objective in recipe.objectives:
        if objective not in grid.objectives:
            message = unknown("objective", objective, grid.objectives)
            raise Wrong(key, f"recipe '{recipe}': {message}")


def _check_backbones(grid: Grid) -> None:
    for name, backbone in grid.backbones.items():
        if message := missing_model(backbone.model):
            raise Wrong(("backbones", name, "model"), message)


def _check_models(grid: Grid) -> None:
    """Check what is on this machine; a model of the hub is looked at when it is downloaded."""
    for model, use in uses(grid):
        folder = local_folder(model)
        if folder and (message := inability(folder, use)):
            raise Wrong(use.key, f"{model} {message}")


# --- what the checks share -----------------------------------------------------------------------


def _one_of(key: Key, **values: str | None) -> str:
    chosen = [name for name, value in values.items() if value is not None]
    if len(chosen) != 1:
        raise Wrong(key, f"give exactly one of {', '.join(values)}")
    return chosen[0]


def _check_name(key: Key, kind: str, name: str, known: Mapping[str, object]) -> None:
    if name not in known:
        raise Wrong(key, unknown(kind, name, known))


def _check_file(key: Key, path: str | os.PathLike) -> None:
    if message := missing_file(path):
        raise Wrong(key, message)


def _check_texts(key: Key, source: Source, *parts: str) -> None:
    """Check where queries or qrels come from: an ir_datasets id, or a folder and a split."""
    if _one_of(key, ir_datasets=source.ir_datasets, path=source.path) == "ir_datasets":
        if source.split is not None:
            raise Wrong((*key, "split"), "an ir_datasets id has its split in it; take 'split' out")
        _check_ir_datasets(key, source.ir_datasets or "", *parts)
        return
    if "qrels" in parts and source.split is None:
        raise Wrong(key, "'split' is missing: which qrels/SPLIT.tsv of the folder to take")
    _check_file((*key, "path"), Path(source.path or "", "queries.jsonl"))
    if source.split is not None:
        _check_file((*key, "split"), Path(source.path or "", "qrels", f"{source.split}.tsv"))


def _check_ir_datasets(key: Key, name: str, *parts: str) -> None:
    """Check an ir_datasets id and that it has such parts, which asks no network."""
    key = (*key, "ir_datasets")
    try:
        import ir_datasets  # here, for it takes a while and many configurations do not need it

        dataset = ir_datasets.load(name)
    except OSError as error:
        message = f"ir_datasets cannot use its folder ({error})"
        raise Wrong(key, f"{message}; set IR_DATASETS_HOME to one that can be written to") from None
    except KeyError:
        close = difflib.get_close_matches(name, list(ir_datasets.registry), n=1)
        hint = f"did you mean '{close[0]}'?" if close else "https://ir-datasets.com lists them"
        raise Wrong(key, f"there is no ir_datasets id '{name}'; {hint}") from None
    for part in parts:
        if not getattr(dataset, f"has_{part}")():
            raise Wrong(key, f"'{name}' has no {part}; give an id that has")
