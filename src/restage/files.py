"""Files and folders that are whole whenever they exist."""

import errno
import gzip
import hashlib
import json
import os
import platform
import re
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from restage.errors import InputError
from restage.processes import is_gone

HOST = platform.node()
PROBE = 1 << 20  # bytes
FULL = [re.escape(os.strerror(code)) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)]
FULL += [r"\d requested and \d+ written"]  # all that numpy says


@contextmanager
def complete(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it takes that name only when the block ends well.

    The block may write a file or make a folder there. On an error what it wrote is removed and
    an older ``path`` stays as it was. The temporary name is the process's own, so two processes
    that write the same ``path`` never mix their bytes; what a killed one left is removed. What has
    the name is on the disk, so that a power cut leaves the older one or the new one.

    Raises:
        InputError: the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{HOST}.{os.getpid()}.part")
    _sweep(path)
    remove(part)
    try:
        with room_for(path):
            yield part
            _to_disk(part)
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(part, path)
        _sync(path.parent)
    finally:
        remove(part)


def _sweep(path: Path) -> None:
    """Remove what processes of this machine left of ``path`` when they were killed."""
    left = re.compile(rf"\.{re.escape(f'{path.name}.{HOST}.')}(\d+)\.part")
    for file in os.listdir(path.parent):
        if (found := left.fullmatch(file)) and is_gone(int(found[1])):
            remove(path.with_name(file))


def _to_disk(path: Path) -> None:
    """Have the system write out a file, or a folder with all that is in it."""
    for root, _, names in os.walk(path):
        for name in names:
            if not os.path.islink(file := Path(root, name)):
                _sync(file)
        _sync(Path(root))
    if path.is_file():
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fingerprint(settings: object, *files: str | os.PathLike) -> str:
    """Return what tells a computation from others: a hash of its settings (JSON) and its files.

    Of a file, its name and the time it was made.
    """
    made = [(str(file), Path(file).stat().st_mtime_ns) for file in files]
    return hashlib.sha256(json.dumps([settings, made], sort_keys=True).encode()).hexdigest()


def digest(path: str | os.PathLike) -> str:
    """Return what tells the content of a file or of a folder from any other (SHA-256).

    Of a folder: the names and the content of its files, without those whose name begins with a dot.
    """
    path = Path(path)
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    parts = {str(file.relative_to(path)): digest(file) for file in files_in(path)}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def size(path: str | os.PathLike) -> int:
    """Return how many bytes there are in a file or in a folder's files."""
    path = Path(path)
    files = files_in(path) if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def files_in(folder: Path) -> list[Path]:
    """Return the files of a folder and of those in it, without Snakemake's own (.snakemake...)."""
    found = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return sorted(file for file in found if not file.name.startswith("."))


def read_text(path: str | os.PathLike) -> str:
    """Return the text of a plain or gzip-compressed UTF-8 file.

    Raises:
        InputError: the file is a broken gzip file or not UTF-8.
    """
    data = Path(path).read_bytes()
    try:
        data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
        return data.decode("utf-8-sig")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: not a whole gzip file ({error}); fetch it again") from None
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(f"{path}:{line}: not UTF-8; convert the file") from None


def link(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Give a file a second name, or copy it where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def reserve(path: str | os.PathLike) -> None:
    """Give a file all the room that its size says, so that writing to its memory map cannot fail.

    Else the system ends a process that finds the disk full then (SIGBUS), and nobody tells why.
    """
    with open(path, "r+b") as file:
        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)


def expect_room(path: str | os.PathLike, count: float) -> None:
    """Check that the disk has room for so many bytes, before the work that writes them.

    Raises:
        InputError: it has not.
    """
    folder = next(folder for folder in Path(path).absolute().parents if folder.exists())
    free = shutil.disk_usage(folder).free
    if free < count:
        raise InputError(
            f"{path}: cannot be written: it takes about {count / 1e6:,.0f} MB, and the disk has "
            f"{free / 1e6:,.0f} MB left; make room on the disk and run again"
        )


def probe(folder: Path) -> None:
    """See that more can be written into a folder: then the disk was not full before, either.

    Raises:
        OSError: the disk is full.
    """
    with (folder / ".probe").open("wb") as file:
        file.write(bytes(PROBE))
        file.flush()
        os.fsync(file.fileno())
    (folder / ".probe").unlink()


@contextmanager
def room_for(path: str | os.PathLike) -> Iterator[None]:
    """Tell in one line if the block finds the disk full while it writes ``path``.

    Raises:
        InputError: it does.
    """
    try:
        yield
    except Exception as error:
        if full := full_disk(error, path):
            raise full from None
        raise


def full_disk(error: BaseException, path: str | os.PathLike = "a file") -> InputError | None:
    """Return the one line to tell if ``error`` comes from a full disk."""
    # Libraries in other languages have errors of their own; all say what the system said.
    if isinstance(error, InputError) or not re.search("|".join(FULL), str(error)):
        return None
    return InputError(
        f"{path}: cannot be written ({error}); make room on the disk and run again: what is "
        "finished is kept"
    )


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
