"""Engines of first stages: what retrieves the candidates.

An engine is a module of this package with two functions: ``index(passages, folder, settings,
compute, state)`` writes an index of a collection and may keep in ``state`` what it goes on from if
it is killed; ``retrieve(index, queries, settings, compute)`` returns a run (query_id, doc_id,
score). ``settings`` is the first stage as configured, ``compute`` that part of the configuration.
"""

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType

from restage.errors import InputError


def engine(settings: Mapping) -> ModuleType:
    """Return the engine of a first stage; imported only when it is used.

    Raises:
        InputError: it needs a package that is not installed.
    """
    try:
        return import_module(f"{__name__}.{settings['engine']}")
    except ModuleNotFoundError as error:
        raise InputError(
            f"engine '{settings['engine']}' needs the Python package {error.name}; install it "
            "with the version in requirements.lock"
        ) from None
