"""The parts of a configuration as objects.

A field has the meaning, the unit and the default that the schema
(workflow/schemas/config.schema.yaml) gives the key of its name.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from restage.grid.layout import folder_name
from restage.grid.recipes import Recipe

Problem = tuple[str, str]  # the key that is wrong, and the rest of the line that says so


class Part:
    """What a part of the configuration has in common with the others: its keys are its fields."""

    @classmethod
    def of(cls, settings: Mapping[str, Any], **others: Any) -> Self:
        """The part from its YAML; ``others`` are fields that are no keys or not as written."""
        names = {one.name for one in fields(cls)}  # type: ignore[arg-type]
        own = {name: value for name, value in settings.items() if name in names}
        return cls(**own | others)


@dataclass(frozen=True)
class Source(Part):
    """Where passages, queries or qrels come from: an ir_datasets id, a folder, or qrels alone."""

    ir_datasets: str | None = None
    path: str | None = None
    split: str | None = None
    qrels: str | None = None

    @property
    def folder(self) -> str:
        """The name of the folder of its texts."""
        if self.ir_datasets:
            return folder_name(self.ir_datasets)
        return folder_name(self.path or "", self.split or "")


@dataclass(frozen=True)
class File(Part):
    """A file on this machine, or one to download."""

    path: str | None = None
    url: str | None = None
    # Who writes it down after the download need not download again: see ``repr`` in common.smk.
    sha256: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Collection:
    name: str
    source: Source


@dataclass(frozen=True)
class Dataset(Part):
    name: str
    source: Source
    collection: str | None
    leave_out_own: bool
    group: str
    measures: tuple[str, ...]


class Engine(Protocol):
    """What the grid and the rules ask of a first stage's engine; ``first_stage.ENGINES`` has all.

    An engine is a dataclass whose fields are its keys in the configuration.
    """

    indexes: ClassVar[bool]  # False: it has its runs from elsewhere, and needs no text
    shares_index: ClassVar[bool]  # the bulk of its index is one for all its first stages
    uses_gpu: ClassVar[bool]

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """The engine from its YAML."""

    @property
    def encoder(self) -> str | None:
        """The model that makes vectors of texts, if one does."""

    def for_index(self) -> Self:
        """The engine as far as its index depends on it."""

    def problems(self, datasets: Iterable[str]) -> Iterator[Problem]:
        """What is wrong with the settings, seen from this machine and for these datasets."""


@dataclass(frozen=True)
class FirstStage:
    name: str
    kind: str  # the engine's name
    engine: Engine
    depth: int


@dataclass(frozen=True)
class Checkpoint(Part):
    """A model of the grid: a backbone, trained by a recipe with a seed (None: the first)."""

    backbone: str
    recipe: str
    seed: int | None = None


class ListFormat(Protocol):
    """What the grid and the rules ask of a format of ranked lists (all: ``ranked_lists.FORMATS``).

    A format is a dataclass whose fields are its own keys in the configuration, without those that
    all formats have.
    """

    has_scores: ClassVar[bool]  # labels may be taken from the lists' scores

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """The format from its YAML."""

    def problems(self) -> Iterator[Problem]:
        """What is wrong with its own settings."""

    @property
    def files(self) -> Mapping[str, File]:
        """The files it is read from, by their key in the configuration."""

    @property
    def first_stage(self) -> str | None:
        """The first stage that retrieves the lists, if one does."""

    @property
    def taught(self) -> "Taught | None":
        """Whose lists a teacher ranks anew, if it does."""

    @property
    def deepest(self) -> int | None:
        """Passages of a list at most; None where only the files tell."""


@dataclass(frozen=True)
class Taught:
    """Lists that a cross-encoder ranks: a model's name, or a checkpoint of the grid."""

    ranked_lists: str
    model: str | None
    checkpoint: Checkpoint | None
    depth: int
    max_length: int


@dataclass(frozen=True)
class Expected(Part):
    lists: int | None = None
    lines: int | None = None


@dataclass(frozen=True)
class RankedLists:
    """Ranked lists; those of a teacher have collection, queries, qrels and split of its source."""

    name: str
    kind: str  # the format's name
    format: ListFormat
    collection: str
    queries: Source
    qrels: Source | None
    valid_fraction: float
    split_seed: int
    expected: Expected = field(repr=False)  # the plan's business, not that of what is made


@dataclass(frozen=True)
class Objective(Part):
    loss: str
    ranked_lists: str
    labels: str = "qrels"
    negatives: str = "random"
    list_size: int = 100
    sample_depth: int | None = None
    queries_per_batch: int = 16
    max_length: int = 256
    learning_rate: float = 1e-5
    schedule: str = "constant"
    warmup_steps: int = 0
    weight_decay: float = 0.01
    gradient_clip: float = 10
    max_steps: int | None = None
    epochs: int | None = None
    validate_every: int = 1000
    patience: int | None = None

    def steps(self, lists: int) -> int:
        """The most optimiser steps there can be on so many lists: by max_steps or by epochs.

        An epoch's last batch may be smaller.
        """
        limits = [self.max_steps] if self.max_steps else []
        if self.epochs:
            limits.append(self.epochs * -(-lists // self.queries_per_batch))
        return min(limits)


@dataclass(frozen=True)
class Backbone(Part):
    model: str
    num_layers: int | None = None
    segment_ids: bool = False


@dataclass(frozen=True)
class Rerank(Part):
    depth: int = 100
    max_length: int = 256


@dataclass(frozen=True)
class Statistics(Part):
    correction: str = "bonferroni"
    alpha: float = 0.01
    equivalence_margin: float = 0.02
    baseline_recipe: str | None = None


@dataclass(frozen=True)
class Reckoning(Part):
    """What the plan reckons with (``plan:``)."""

    device: str = "A100"
    share_of_peak: float = 0.35
    tokens_per_pair: float = 85


@dataclass(frozen=True)
class Compute(Part):
    gpus_per_training: int = 1
    gpus_per_scoring: int = 1
    jobs_per_gpu: int = 1
    save_every_minutes: float = 10
    precision: str = "bf16"
    threads: int = 4
    tokens_per_batch: int = 16384
    tokens_in_memory: int = 65536


class Stage(NamedTuple):
    """One fine-tuning step: its recipe, the one it goes on from, its objective at its rate."""

    recipe: Recipe
    previous: Recipe | None
    objective: Objective


class TableOrder(NamedTuple):
    """The order of rows and columns in a table: that of the configuration."""

    first_stages: tuple[str, ...]
    models: tuple[tuple[str, str], ...]  # backbone, recipe
    measures: Mapping[str, tuple[str, ...]]  # by dataset
