"""What a configuration takes over: from its bases, from other objectives; and what sweeps make."""

import itertools
import math
import os
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from restage.grid.origin import Origin, Wrong, unknown
from restage.grid.recipes import Recipe
from restage.grid.written import read

LATER_RATE = "later_learning_rate"
RESULTS = "results"  # where none is written, as the schema has it


def inherited(config: dict[str, Any], origin: Origin) -> dict[str, Any]:
    """Return the configuration over its bases: mappings merged, lists replaced, ``~`` left out.

    ``base`` is a path beside the file that names it. The bases' files are added to the origin's.

    Raises:
        Wrong: a base is not there or its own base, or the configuration would write its tables
            over those of its base.
    """
    chain = [config, *_bases(config, origin)]
    whole: dict[str, Any] = {}
    for part in reversed(chain):
        whole = _merged(whole, part)
    if len(chain) > 1:
        whole = _without_nulls(whole)
        _refuse_two_in_one_place(config, chain[1:])
    return whole


def _bases(config: Mapping[str, Any], origin: Origin) -> list[dict[str, Any]]:
    """The bases that are below a configuration, nearest first."""
    file = next((f for f in reversed(origin.files) if "base" in read(f)), None)
    folder, seen = (Path(file).parent, [Path(file)]) if file else (Path(), [])
    bases, above = [], config
    while (name := above.get("base")) is not None:
        path = folder / str(name)
        if path.resolve() in [one.resolve() for one in seen]:
            raise Wrong(("base",), f"'{name}' is its own base in the end; take one 'base' out")
        if not path.is_file():
            message = f"there is no file {path}; give a path beside the configuration"
            raise Origin(seen[-1:]).line(Wrong(("base",), message))
        above, folder = read(path), path.parent
        bases.append(above)
        seen.append(path)
        origin.files.append(str(path))
    return bases


def _merged(base: Any, own: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(own, dict):
        return own
    return base | {key: _merged(base.get(key), value) for key, value in own.items()}


def _without_nulls(part: Any, *key: str) -> Any:
    """Take out what a null removes. In an objective it stays: it also hides what it ``extends``."""
    if not isinstance(part, dict) or (len(key) == 2 and key[0] == "objectives"):
        return part
    return {k: _without_nulls(v, *key, k) for k, v in part.items() if v is not None}


def _refuse_two_in_one_place(config: Mapping[str, Any], bases: list[dict[str, Any]]) -> None:
    """Refuse a configuration whose tables would be written over those of one of its bases."""
    chain = [config, *bases]
    places = [
        (
            os.path.normpath(next((p["results"] for p in chain[i:] if p.get("results")), RESULTS)),
            next((p["study"] for p in chain[i:] if p.get("study")), None),
        )
        for i in range(len(chain))
    ]
    if places[0] in places[1:]:
        raise Wrong(
            ("base",),
            "its tables would be written over those of its base; give 'study', a name for the "
            "folder that they are in, or a folder of its own as 'results'",
        )


def resolve_extends(config: dict[str, Any]) -> None:
    """Give each objective what it takes over from the one that it ``extends``."""
    objectives = config.get("objectives")
    if not isinstance(objectives, dict):
        return

    def resolve(name: str, seen: tuple[str, ...]) -> Any:
        own = objectives[name]
        if not isinstance(own, dict) or "extends" not in own:
            return own
        key, base = ("objectives", name, "extends"), own["extends"]
        if base in seen:
            raise Wrong(key, f"'{name}' extends itself; take one 'extends' out")
        if not isinstance(base, str) or base not in objectives:
            raise Wrong(key, unknown("objective", base, objectives))
        own = {k: v for k, v in own.items() if k != "extends"}
        extended = resolve(base, (*seen, base))
        if not isinstance(extended, dict):
            raise Wrong(("objectives", base), f"{extended!r} is not of type 'object'")
        return extended | own

    config["objectives"] = {name: resolve(name, (name,)) for name in objectives}


def sweep(config: dict[str, Any], origin: Origin) -> None:
    """Replace objectives that have lists where values stand by one for each value.

    Recipes are replaced by those of the new objectives. A list of ``later_learning_rate`` counts
    where the objective is not the first of its recipe; there it stays one objective.

    Raises:
        Wrong: a list is empty, or what it makes has the name of something else.
    """
    objectives, recipes = config.get("objectives"), config.get("recipes")
    if not isinstance(objectives, dict) or not isinstance(recipes, list):
        return
    first: dict[str, list[str]] = {}
    later: dict[str, list[str]] = {}
    swept: dict[str, Any] = {}
    for name, settings in objectives.items():
        lists = _lists_in(name, settings)
        rates = {key: lists.pop(key) for key in [LATER_RATE] if key in lists}
        ones = _variants(name, settings, lists)
        alone = {n: {**one, LATER_RATE: None} for n, one in ones.items()} if rates else ones
        many = {k: v for n, one in ones.items() for k, v in _variants(n, one, rates).items()}
        first[name], later[name] = list(alone), list(many)
        for made in dict.fromkeys((*alone, *many)):
            if made in swept or (made != name and made in objectives):
                message = f"a sweep makes '{made}', which is another objective; rename one of them"
                raise Wrong(("objectives", name), message)
        swept |= alone | many
        origin.swept |= dict.fromkeys((*alone, *many), name)
    config["objectives"] = swept
    config["recipes"] = _swept_recipes(recipes, first, later)


def _swept_recipes(
    recipes: list, first: Mapping[str, list[str]], later: Mapping[str, list[str]]
) -> list[str]:
    made: list[str] = []
    for i, written in enumerate(recipes):
        some = [str(Recipe(chosen)) for chosen in _choices(written, first, later)]
        if twice := [recipe for recipe in some if recipe in made]:
            raise Wrong(("recipes", i), f"'{written}' makes '{twice[0]}' again; take one out")
        made += some
    return made


def _lists_in(name: str, settings: Any) -> dict[str, list]:
    if not isinstance(settings, dict):
        return {}
    lists = {key: value for key, value in settings.items() if isinstance(value, list)}
    for key, values in lists.items():
        if not values:
            raise Wrong(("objectives", name, key), "an empty list sweeps nothing; give a value")
    return lists


def _variants(name: str, settings: Any, lists: Mapping[str, list]) -> dict[str, Any]:
    """The objectives with each combination of the lists' values, named by them."""
    if not lists:
        return {name: settings}
    made: dict[str, Any] = {}
    for values in itertools.product(*lists.values()):
        variant = "_".join([name, *map(value_name, values)])
        if variant in made:
            message = f"two values of a sweep are both called '{variant}'; take one out"
            raise Wrong(("objectives", name), message)
        made[variant] = settings | dict(zip(lists, values, strict=True))
    return made


def value_name(value: object) -> str:
    """How a swept value stands in a name, where a dash would join objectives: 6e-12 is 6em12."""
    if isinstance(value, float) and math.isfinite(value):
        number = Decimal(repr(value))
        small = 0 < abs(value) < 0.01
        value = f"{number.normalize():e}" if small else f"{number.normalize():f}"
    return str(value).replace("-", "m").replace("None", "none")


def _choices(
    recipe: object, first: Mapping[str, list[str]], later: Mapping[str, list[str]]
) -> Iterator[tuple[str, ...]]:
    """The recipes that sweeps make of one; names that are no objectives stay as they are."""
    names = Recipe.of(str(recipe)).objectives
    tables = [first, *[later] * (len(names) - 1)]
    return itertools.product(
        *(table.get(name, [name]) for table, name in zip(tables, names, strict=True))
    )
