"""Downloads that go on where they stopped and are checked when they are whole."""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from restage.errors import InputError
from restage.files import room_for
from restage.log import Progress, log

if TYPE_CHECKING:
    from requests import RequestException

CHUNK = 1 << 20
ATTEMPTS = 5


def download(url: str, path: str | os.PathLike, sha256: str) -> None:
    """Download ``url`` to ``path``; what an earlier attempt left is kept and continued.

    Raises:
        InputError: the server refuses, the connection keeps breaking, the disk is full, or the
            file's SHA-256 is not ``sha256``, unless that is "unknown".
    """
    from requests import RequestException  # here and below, for it takes a while

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not a name of this process's own: the next attempt must find it.
    part = path.with_name(f".{path.name}.part")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with room_for(path):
                _continue(url, part)
            break
        except RequestException as error:
            if attempt == ATTEMPTS or _refused(error):
                raise InputError(
                    f"{url}: {error}; check the address and the connection, or fetch the file "
                    "yourself and give its 'path' instead"
                ) from None
            log.info("%s; going on in attempt %d", error, attempt + 1)
    _check(part, url, sha256)
    os.replace(part, path)


def _check(part: Path, url: str, sha256: str) -> None:
    with part.open("rb") as file:
        real = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 not in (real, "unknown"):
        part.unlink()
        raise InputError(f"{url}: sha256 is {real}, not {sha256}; check the one in the config")
    advice = "write it into the configuration" if sha256 == "unknown" else "as it must be"
    log.info("sha256 %s (%s)", real, advice)


def _refused(error: "RequestException") -> bool:
    return error.response is not None and 400 <= error.response.status_code < 500


def _continue(url: str, part: Path) -> None:
    import requests

    done = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={done}-"} if done else {}
    with requests.get(url, headers=headers, stream=True, timeout=60) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # there is nothing after what we have
        response.raise_for_status()
        goes_on = response.status_code == requests.codes.partial_content
        length = int(response.headers.get("Content-Length") or 0)
        total = (done if goes_on else 0) + length
        progress = Progress(total // CHUNK or None, "MiB")
        with part.open("ab" if goes_on else "wb") as file:
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                progress.add(1)
    if length and part.stat().st_size < total and "Content-Encoding" not in response.headers:
        raise requests.ConnectionError("the connection ended too soon", response=None)
