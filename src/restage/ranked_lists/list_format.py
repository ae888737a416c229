"""What a format of ranked lists is, and what holds of most of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from restage.grid.settings import File, Part, Problem, Taught

if TYPE_CHECKING:
    from restage.ranked_lists.ingest import Block, Stats


class ListFormat(Part, ABC):
    """A format is a frozen dataclass of this: its fields are its own keys in the configuration.

    What a format does not say for itself is that of lists with scores that lie in a file. The grid
    asks for all but ``read`` (see ``restage.grid.settings.ListFormat``).
    """

    has_scores: ClassVar[bool] = True
    first_stage: str | None = None  # no property, since it is a field of mined lists

    def problems(self) -> Iterator[Problem]:
        return iter(())

    @property
    def files(self) -> Mapping[str, File]:
        return {}

    @property
    def taught(self) -> Taught | None:
        return None

    @property
    def deepest(self) -> int | None:
        return None

    @abstractmethod
    def read(self, paths: Mapping[str, str], stats: "Stats") -> "Iterator[Block]":
        """Stream the lists as blocks, in memory bounded by the block, counting into ``stats``.

        Args:
            paths: where the ``files`` lie, by their keys; of mined lists that of the ``run``.

        Raises:
            InputError: with the file: it is not of this format, or broken.
        """
