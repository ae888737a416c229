"""What processes know of each other: locked files, and children that die with their parent."""

import ctypes
import fcntl
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1


@contextmanager
def locked(path: str | os.PathLike, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock that a file stands for, waiting while others hold it; then there is no file.

    The system unlocks it when the last process that has its descriptor ends, however it ends.
    Processes that this one starts have it if they close no descriptor (``close_fds=False``).

    Args:
        waiting: called once if others hold it.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    descriptor = lock(path)
    if descriptor is None:
        waiting()
        while (descriptor := lock(path, wait=True)) is None:
            pass
    try:
        yield
    finally:
        unlock(path, descriptor)


def lock(path: str | os.PathLike, wait: bool = False) -> int | None:
    """Lock a file, making it if there is none; return its descriptor, or None if others hold it."""
    descriptor = _opened(path)
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        if _is_at(path, descriptor):
            os.set_inheritable(descriptor, True)
            return descriptor
    os.close(descriptor)
    return None


def unlock(path: str | os.PathLike, descriptor: int) -> None:
    """Remove a locked file and give its lock back, also where a child has its descriptor still."""
    with suppress(OSError):  # another user's, in a sticky folder
        os.unlink(path)
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _opened(path: str | os.PathLike) -> int:
    """A descriptor of a file that everybody may lock."""
    flags = os.O_RDWR | os.O_NOFOLLOW
    while True:
        # Linux lets nobody open another user's file in a sticky folder with O_CREAT.
        with suppress(FileNotFoundError):
            return os.open(path, flags)
        with suppress(FileExistsError):
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL)
            os.fchmod(descriptor, 0o666)
            return descriptor


def _is_at(path: str | os.PathLike, descriptor: int) -> bool:
    """Whether the file that was opened is still there: who held it may have removed it."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    return False


def die_with(parent: int) -> None:
    """Have the system kill this process as soon as its parent ends, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)


def is_gone(process: int) -> bool:
    """Whether there is no process of this number on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def how_it_ended(code: int) -> str:
    """What to say of a child's exit status: the signal that killed it has a name."""
    return f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
