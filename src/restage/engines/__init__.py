"""Engines of first stages: what retrieves the candidates.

An engine is a module of this package with two functions: ``index(passages, folder, settings)``
writes an index of a collection, ``retrieve(index, queries, settings, threads)`` returns a run
(query_id, doc_id, score). ``settings`` is the first stage as configured.
"""

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType


def engine(settings: Mapping) -> ModuleType:
    """Return the engine of a first stage; imported only when it is used."""
    return import_module(f"{__name__}.{settings['engine']}")
