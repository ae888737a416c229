"""The grid from a complete configuration, its engines and list formats made objects."""

from collections.abc import Mapping
from typing import Any

from restage.grid.grid import Grid
from restage.grid.origin import Wrong, unknown
from restage.grid.recipes import Recipe
from restage.grid.settings import (
    Backbone,
    Collection,
    Compute,
    Dataset,
    Engine,
    Expected,
    FirstStage,
    ListFormat,
    Objective,
    RankedLists,
    Reckoning,
    Rerank,
    Source,
    Statistics,
)

Settings = Mapping[str, Any]


def build(
    config: Settings, engines: Mapping[str, type[Engine]], formats: Mapping[str, type[ListFormat]]
) -> Grid:
    """Return the grid of a complete configuration (``schema.complete``).

    Args:
        engines, formats: what ``engine`` and ``format`` may name.

    Raises:
        Wrong: ranked lists are made from none that are there, or from themselves.
    """
    recipes = tuple(map(Recipe.of, config["recipes"]))
    baseline = config["statistics"]["baseline_recipe"] or (config["recipes"] or [None])[0]
    return Grid(
        results=config["results"],
        study=config["study"],
        seeds=tuple(config["seeds"]),
        collections={n: Collection(n, Source.of(s)) for n, s in config["collections"].items()},
        datasets={name: _dataset(name, s) for name, s in config["datasets"].items()},
        first_stages={
            name: FirstStage(name, s["engine"], engines[s["engine"]].of(s), s["depth"])
            for name, s in config["first_stages"].items()
        },
        ranked_lists=_ranked_lists(config["ranked_lists"], formats),
        objectives={name: Objective.of(s) for name, s in config["objectives"].items()},
        later_rates={n: s["later_learning_rate"] for n, s in config["objectives"].items()},
        backbones={name: Backbone.of(s) for name, s in config["backbones"].items()},
        recipes=recipes,
        rerank=Rerank.of(config["rerank"]),
        statistics=Statistics.of(config["statistics"], baseline_recipe=baseline),
        plan=Reckoning.of(config["plan"]),
        compute=Compute.of(config["compute"]),
    )


def _dataset(name: str, settings: Settings) -> Dataset:
    measures = tuple(settings["measures"])
    return Dataset.of(settings, name=name, source=Source.of(settings), measures=measures)


def _ranked_lists(
    config: Mapping[str, Settings], formats: Mapping[str, type[ListFormat]]
) -> dict[str, RankedLists]:
    made = {name: formats[s["format"]].of(s) for name, s in config.items()}
    lists = {}
    for name, settings in config.items():
        first = config[_origin(name, made)]
        lists[name] = RankedLists(
            name,
            settings["format"],
            made[name],
            collection=first["collection"],
            queries=Source.of(first["queries"]),
            qrels=Source.of(first["qrels"]) if first["qrels"] else None,
            valid_fraction=first["valid_fraction"],
            split_seed=first["split_seed"],
            expected=Expected.of(first.get("expected") or {}),
        )
    return lists


def _origin(name: str, formats: Mapping[str, ListFormat]) -> str:
    """The lists that some lists are made from in the end: those with queries and qrels."""
    way = [name]
    while taught := formats[way[-1]].taught:
        if taught.ranked_lists not in formats:
            key = ("ranked_lists", way[-1], "ranked_lists")
            raise Wrong(key, unknown("ranked list", taught.ranked_lists, list(formats)))
        if taught.ranked_lists in way:
            raise circle([*way, taught.ranked_lists])
        way.append(taught.ranked_lists)
    return way[-1]


def circle(way: list[str]) -> Wrong:
    """What to say of ranked lists that are made, in the end, from themselves."""
    way = way[way.index(way[-1]) :]
    message = f"made in a circle: {' from '.join(way)}; take one step out"
    return Wrong(("ranked_lists", way[0]), message)
