"""Engines of first stages: what retrieves the candidates."""

from collections.abc import Iterator
from contextlib import contextmanager

from restage.errors import InputError
from restage.first_stage.dense import Dense
from restage.first_stage.late_interaction import LateInteraction
from restage.first_stage.pisa import Pisa
from restage.first_stage.run import Run
from restage.first_stage.terrier import Terrier
from restage.first_stage.unicode import Unicode
from restage.grid.settings import Engine

# By the name that a configuration calls it.
ENGINES: dict[str, type[Engine]] = {
    "pisa": Pisa,
    "unicode": Unicode,
    "terrier": Terrier,
    "dense": Dense,
    "late_interaction": LateInteraction,
    "run": Run,
}


@contextmanager
def packages_of(engine: type[Engine]) -> Iterator[None]:
    """Tell in one line if the block, which calls an engine, finds a package missing.

    Raises:
        InputError: it does.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        name = next(name for name, kind in ENGINES.items() if kind is engine)
        raise InputError(
            f"engine '{name}' needs the Python package {error.name}; install it with the version "
            "in requirements.lock"
        ) from None
