"""Work in other processes, which log where this one does, and whose death is told in one line.

They are what computes on a GPU of its own, and what native code may end without a word.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from restage import log as logs
from restage.errors import InputError
from restage.processes import die_with

T = TypeVar("T")


def in_a_child(path: str | os.PathLike, work: Callable[..., T], *arguments: Any) -> T:
    """Return what ``work`` returns in a process of its own, which makes ``path``.

    Raises:
        InputError: it was killed.
    """
    with death_told(path), ProcessPoolExecutor(1) as executor:
        return executor.submit(there, os.getpid(), logs.started, work, *arguments).result()


def there(
    parent: int,
    logged: tuple[str | os.PathLike, str] | None,
    work: Callable[..., T],
    *arguments: Any,
) -> T:
    """Work in a child of ``parent``, which logs where its parent does and dies with it."""
    die_with(parent)
    if logged:
        path, job = logged
        logs.start(path, job, append=True)
    return work(*arguments)


@contextmanager
def death_told(path: str | os.PathLike) -> Iterator[None]:
    """Tell in one line if a child of the block that makes ``path`` is killed.

    Raises:
        InputError: one is.
    """
    try:
        yield
    except TerminatedWorkerError as error:
        named = re.search(r"SIG\w+|$", str(error))
        raise InputError(
            f"{path}: a process that makes it died of {named and named[0]}: for want of memory or "
            "of room on the disk, or of a fault in native code, of which its log may tell more; "
            "what is finished is kept"
        ) from None
