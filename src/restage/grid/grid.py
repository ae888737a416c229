"""The whole grid: every part by name, the models that are trained and the rows of the tables."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from restage.grid.layout import Roots, folder_name
from restage.grid.recipes import Recipe
from restage.grid.settings import (
    Backbone,
    Checkpoint,
    Collection,
    Compute,
    Dataset,
    FirstStage,
    Objective,
    RankedLists,
    Reckoning,
    Rerank,
    Source,
    Stage,
    Statistics,
    TableOrder,
)


class Model(NamedTuple):
    """What tells a checkpoint of the grid from the others; its fields are its path's wildcards."""

    backbone: str
    recipe: str
    seed: int


class Swept(NamedTuple):
    """A recipe among those that differ in the learning rate of their last stage alone."""

    previous: str
    objective: str  # the first one that is so but for the rate
    learning_rate: float
    recipe: str


@dataclass(frozen=True)
class Grid:
    """A whole configuration."""

    results: str
    study: str | None
    seeds: tuple[int, ...]
    collections: Mapping[str, Collection]
    datasets: Mapping[str, Dataset]
    first_stages: Mapping[str, FirstStage]
    ranked_lists: Mapping[str, RankedLists]
    objectives: Mapping[str, Objective]
    later_rates: Mapping[str, float | None]
    backbones: Mapping[str, Backbone]
    recipes: tuple[Recipe, ...]
    rerank: Rerank
    statistics: Statistics
    plan: Reckoning
    compute: Compute

    @property
    def roots(self) -> Roots:
        return Roots.of(self.results, self.study)

    @cached_property
    def groups(self) -> dict[str, list[Dataset]]:
        """The datasets of each group, in the configuration's order."""
        found: dict[str, list[Dataset]] = {}
        for dataset in self.datasets.values():
            found.setdefault(dataset.group, []).append(dataset)
        return found

    def stage(self, recipe: str | Recipe) -> Stage:
        """The last stage of a recipe, at the learning rate that holds for its place in it."""
        recipe = recipe if isinstance(recipe, Recipe) else Recipe.of(recipe)
        objective, later = self.objectives[recipe.last], self.later_rates[recipe.last]
        if recipe.previous and later is not None:
            objective = replace(objective, learning_rate=later)
        return Stage(recipe, recipe.previous, objective)

    @cached_property
    def models(self) -> dict[str, str]:
        """The models that are not trained here, by the names of their folders."""
        taught = (lists.format.taught for lists in self.ranked_lists.values())
        models = [backbone.model for backbone in self.backbones.values()]
        models += [t.model for t in taught if t and t.model]
        encoders = (stage.engine.encoder for stage in self.first_stages.values())
        models += [encoder for encoder in encoders if encoder]
        return {folder_name(model): model for model in models}

    @cached_property
    def sweep(self) -> list[Swept]:
        """The recipes that differ in nothing but the learning rate of their last stage.

        They come together, in the configuration's order.
        """
        kinds: dict[tuple[Recipe, Objective], list[Swept]] = {}
        for stage in map(self.stage, self.recipes):
            if stage.previous:
                alike = replace(stage.objective, learning_rate=0)
                name = next(
                    n for n, o in self.objectives.items() if replace(o, learning_rate=0) == alike
                )
                rate = stage.objective.learning_rate
                swept = Swept(str(stage.previous), name, rate, str(stage.recipe))
                kinds.setdefault((stage.previous, alike), []).append(swept)
        return [one for alike in kinds.values() if len(alike) > 1 for one in alike]

    @cached_property
    def evaluated(self) -> list[Model]:
        """The models that are rows of the tables."""
        return [
            Model(backbone, str(recipe), seed)
            for backbone in self.backbones
            for recipe in self.recipes
            for seed in self.seeds
        ]

    @cached_property
    def trained(self) -> list[Model]:
        """Every model that is trained for them: earlier stages and teachers among them."""
        taught = (lists.format.taught for lists in self.ranked_lists.values())
        teachers = [self.teacher(t.checkpoint) for t in taught if t and t.checkpoint]
        return list(
            dict.fromkeys(
                Model(model.backbone, str(recipe), model.seed)
                for model in [*self.evaluated, *teachers]
                for recipe in Recipe.of(model.recipe).prefixes
            )
        )

    def order(self, datasets: Iterable[Dataset]) -> TableOrder:
        """The rows and columns of a table about some datasets."""
        models = tuple((b, str(recipe)) for b in self.backbones for recipe in self.recipes)
        measures = {dataset.name: dataset.measures for dataset in datasets}
        return TableOrder(tuple(self.first_stages), models, measures)

    def teacher(self, checkpoint: Checkpoint) -> Model:
        """The model that a checkpoint means."""
        seed = self.seeds[0] if checkpoint.seed is None else checkpoint.seed
        return Model(checkpoint.backbone, checkpoint.recipe, seed)

    @cached_property
    def training_queries(self) -> dict[str, Source]:
        """Where the queries of ranked lists come from, by the folders of their stores."""
        sources = [lists.queries for lists in self.ranked_lists.values()]
        return {source.folder: source for source in sources}
