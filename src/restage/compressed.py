"""Files of ranked lists and runs as they come: plain or compressed, and perhaps cut short."""

import gzip
import io
import lzma
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from restage.errors import InputError

BLOCK_BYTES = 1 << 23  # that are read at a time

# What files begin with. Their names say little: a download has the name that it is stored by.
GZIP = re.compile(rb"\x1f\x8b")
ZSTD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")
ZIP = re.compile(rb"PK(\x03\x04|\x05\x06)")

# What gzip, zstd, and zip with its encryption and its many methods of compression raise.
UNREADABLE: tuple[type[Exception], ...] = (EOFError, OSError, zlib.error, lzma.LZMAError)
UNREADABLE += (zipfile.BadZipFile, struct.error, NotImplementedError, RuntimeError, ValueError)


@contextmanager
def decompressed(path: str | os.PathLike) -> Iterator[io.BufferedIOBase]:
    """Open a file that is plain, gzip or zstd, which its content says.

    Raises:
        InputError: it cannot be opened, or read to its end.
    """
    with whole(path), _opened(path) as file:
        yield file


def begins(path: str | os.PathLike, magic: re.Pattern[bytes]) -> bool:
    """Return whether a file begins like those of a kind."""
    with open(path, "rb") as file:
        return bool(magic.match(file.read(4)))


def _opened(path: str | os.PathLike) -> io.BufferedIOBase:
    if begins(path, ZSTD):
        import pyarrow as pa  # here, for it takes a while

        # Arrow's streams know no lines.
        return io.BufferedReader(pa.input_stream(str(path), compression="zstd"), BLOCK_BYTES)
    return gzip.open(path) if begins(path, GZIP) else open(path, "rb")


@contextmanager
def whole(path: str | os.PathLike) -> Iterator[None]:
    """Say in one line if the block cannot read a file to its end.

    Raises:
        InputError: it cannot.
    """
    try:
        yield
    except InputError:
        raise
    except UNREADABLE as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path}: cannot be read to its end ({why}); fetch it again, or decompress it"
        ) from None
