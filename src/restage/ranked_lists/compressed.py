"""Files of ranked lists as they come: plain or compressed, and perhaps cut short."""

import gzip
import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from restage.errors import InputError

BLOCK_BYTES = 1 << 23  # that are read at a time


@contextmanager
def decompressed(path: str | os.PathLike) -> Iterator[io.BufferedIOBase]:
    """Open a plain, .gz or .zst file.

    Raises:
        InputError: it cannot be opened, or read to its end.
    """
    with whole(path), _opened(path) as file:
        yield file


def _opened(path: str | os.PathLike) -> io.BufferedIOBase:
    suffix = Path(path).suffix
    if suffix == ".zst":
        import pyarrow as pa  # here, for it takes a while (see restage.ranked_lists)

        return pa.input_stream(str(path), compression="zstd")
    return gzip.open(path) if suffix == ".gz" else open(path, "rb")


@contextmanager
def whole(path: str | os.PathLike) -> Iterator[None]:
    """Say in one line if the block cannot read a file to its end.

    Raises:
        InputError: it cannot.
    """
    try:
        yield
    except (EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read to its end ({error}); fetch it again") from None
