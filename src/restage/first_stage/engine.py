"""What an engine of first stages is, and what the lexical ones and the neural ones share.

Whoever reads a configuration imports every engine. So their modules import nothing that takes long
(torch, faiss, pandas, ...): their methods do, when they work.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

from restage.errors import InputError
from restage.grid.machine import missing_model
from restage.grid.settings import Compute, Part, Problem
from restage.log import log

if TYPE_CHECKING:
    import pandas as pd

    from restage.collections.texts import TextStore


class Cost(NamedTuple):
    """What the index of a collection costs: operations of a model, and bytes on disk."""

    flop: float
    size: float
    shared: float = 0  # bytes of the part that is one for all first stages of the engine


class Engine(Part, ABC):
    """What retrieves candidates: a frozen dataclass whose fields are its keys in the configuration.

    The depth is none of them: it is the same for all engines.
    """

    indexes: ClassVar[bool] = True
    shares_index: ClassVar[bool] = False  # the bulk of its index is one for all its first stages
    uses_gpu: ClassVar[bool] = False

    @property
    def encoder(self) -> str | None:
        """The model that makes vectors of texts, if one does."""
        return None

    def for_index(self) -> Self:
        """The engine as far as its index depends on it."""
        return self

    def problems(self, datasets: Iterable[str]) -> Iterator[Problem]:
        """What is wrong with the settings, seen from this machine and for these datasets."""
        return iter(())

    @abstractmethod
    def cost(self, passages: int, length: float) -> Cost:
        """The cost of an index of so many passages of so many tokens, as measured or reckoned."""

    @classmethod
    def share(cls, passages: "TextStore", folder: Path, compute: Compute) -> None:
        """Write what the indexes of a collection share; it depends on no first stage's settings.

        Only an engine that ``shares_index`` has this.
        """
        raise NotImplementedError

    @abstractmethod
    def index(
        self,
        passages: "TextStore",
        folder: Path,
        compute: Compute,
        state: Path,
        shared: Path | None,
    ) -> None:
        """Write an index of a collection.

        Args:
            folder: what the index is.
            state: a folder for what is finished, from which a killed job goes on.
            shared: what ``share`` wrote, if the engine shares.

        Raises:
            InputError: this machine lacks what the engine needs.
        """

    @abstractmethod
    def retrieve(
        self, index: Path, queries: "TextStore", depth: int, compute: Compute
    ) -> "pd.DataFrame":
        """Return a run (query_id, doc_id, score) of the ``depth`` best passages per query.

        Raises:
            InputError: this machine lacks what the engine needs.
        """


# Of words with other letters than ASCII's such a share may be lost: names and loanwords in English.
MOST_LOST = 0.05
READ = re.compile("[A-Za-z0-9]")
FOREIGN = re.compile(r"[^\W\d_A-Za-z]")


def refuse_lost(engine: str, passages: "TextStore") -> None:
    """Tell what an engine that reads ASCII letters and digits only loses of a collection.

    Raises:
        InputError: that is much of it, or all.
    """
    import pyarrow.compute as pc

    words, lost, unread, read = 0, 0, 0, False
    for texts in passages.batches_of_texts():
        read = read or pc.any(pc.match_substring_regex(texts, READ.pattern)).as_py()
        ascii = pc.string_is_ascii(texts)
        plain, others = texts.filter(ascii), texts.filter(pc.invert(ascii))
        words += len(plain) + (pc.sum(pc.count_substring(plain, " ")).as_py() or 0)
        for text in others.to_pylist():
            parts = text.split()
            foreign = sum(not part.isascii() and bool(FOREIGN.search(part)) for part in parts)
            words, lost = words + len(parts), lost + foreign
            unread += foreign > 0 and not READ.search(text)
    what = f"engine '{engine}' reads ASCII letters and digits only"
    if not read or lost > MOST_LOST * words:
        share = f"{min(lost / words, 1):.0%} of the words have others" if lost else "there are none"
        raise InputError(
            f"{what}, and in collection {passages.folder.name} {share}; use 'engine: unicode', "
            "which reads any letters"
        )
    if lost:
        log.warning(
            f"{what}: {lost:,} of about {words:,} words and {unread:,} passages have others"
        )


# Of each weighting model, with their defaults.
PARAMETERS: dict[str, dict[str, float]] = {
    "bm25": {"k1": 0.9, "b": 0.4},
    "qld": {"mu": 1000},
    "pl2": {"c": 1},
    "dph": {},
}


@dataclass(frozen=True)
class Lexical(Engine):
    """A weighting model over an inverted index, through PyTerrier's transformer interface.

    It has its own model's parameters, and those of no other.
    """

    model: str = "bm25"
    k1: float | None = None
    b: float | None = None
    mu: float | None = None
    c: float | None = None

    def __post_init__(self) -> None:
        for name, default in PARAMETERS[self.model].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, default)

    def problems(self, datasets: Iterable[str]) -> Iterator[Problem]:
        own = PARAMETERS[self.model]
        for name in (name for names in PARAMETERS.values() for name in names):
            if name not in own and getattr(self, name) is not None:
                has = " and ".join(own) or "no parameter"
                yield name, f"{self.model} has {has}; take '{name}' out"

    @property
    def parameters(self) -> dict[str, float]:
        """The parameters of its model, by the names that PyTerrier has for them too."""
        return {name: getattr(self, name) for name in PARAMETERS[self.model]}


@dataclass(frozen=True)
class Neural(Engine):
    """A search among what a model encodes each passage into."""

    uses_gpu: ClassVar[bool] = True

    model: str

    @property
    def encoder(self) -> str:
        return self.model

    def problems(self, datasets: Iterable[str]) -> Iterator[Problem]:
        if message := missing_model(self.model):
            yield "model", message
