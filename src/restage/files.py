"""Files and folders that are whole whenever they exist."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def complete(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it takes that name only when the block ends well.

    The block may write a file or make a folder there. On an error what it wrote is removed and
    an older ``path`` stays as it was. The temporary name is the process's own, so two processes
    that write the same ``path`` never mix their bytes.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    _remove(part)
    try:
        yield part
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(part, path)
    finally:
        _remove(part)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
