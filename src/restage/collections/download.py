"""Downloads that go on where they stopped and are checked when they are whole."""

import hashlib
import json
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlparse

from restage.errors import InputError
from restage.files import room_for
from restage.log import Progress, log

if TYPE_CHECKING:
    from requests import RequestException, Response, Session

CHUNK = 1 << 20
ATTEMPTS = 5
PAUSE = 1.0  # seconds after the first attempt, twice as long after each further one
LATER = [408, 425, 429, 500, 502, 503, 504]  # what a server says that may be asked again
OWN = "fetch the file yourself and give its 'path' instead"
# What files begin with, by the ending of their names.
MAGIC = {
    ".gz": b"\x1f\x8b",
    ".zip": b"PK",
    ".zst": b"\x28\xb5\x2f\xfd",
    ".xz": b"\xfd7zXZ",
    ".bz2": b"BZh",
}


def download(url: str, path: str | os.PathLike, sha256: str) -> None:
    """Download ``url`` to ``path``; what an earlier attempt left is kept and continued.

    Where ``sha256`` is "unknown" only what the server says shows that a file is whole, and the one
    whose first part is there already: what it does not vouch for is fetched anew, or refused.

    Raises:
        InputError: the server refuses, the connection keeps breaking, the disk is full, the file's
            SHA-256 is not ``sha256``, or it is unknown and the file is none that could be meant.
    """
    from requests import RequestException  # here and below, for it takes a while
    from urllib3.exceptions import HTTPError

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Part(url, path, sha256 != "unknown")
    for attempt in range(ATTEMPTS):
        try:
            with room_for(path):
                part.go_on()
            break
        except (RequestException, HTTPError) as error:
            if attempt == ATTEMPTS - 1 or _refused(error):
                message = f"{url}: {error}; check the address and the connection, or {OWN}"
                raise InputError(" ".join(message.split())) from None
            log.info("%s; going on in attempt %d", error, attempt + 2)
            time.sleep(PAUSE * 2**attempt)
    _check(part, sha256)
    os.replace(part.file, path)
    part.note.unlink(missing_ok=True)


class Sent(NamedTuple):
    """What a server sends: from which byte of how many (None: it does not say)."""

    start: int
    total: int | None


class Part:
    """What there is of a download, and the note of which file it is part of."""

    def __init__(self, url: str, path: Path, known: bool):
        self.url, self.known = url, known
        # Not names of this process's own: the next attempt must find them.
        self.file = path.with_name(f".{path.name}.part")
        self.note = path.with_name(f".{path.name}.part.json")

    def remove(self) -> None:
        self.file.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def go_on(self) -> None:
        """Fetch what is missing; all, where the server has another file by now, or may have."""
        done, version = self._done()
        headers = {"Accept-Encoding": "identity"}
        if done:
            headers["Range"] = f"bytes={done}-"
        if done and version:
            headers["If-Range"] = version
        with (
            _session() as session,
            session.get(self.url, headers=headers, stream=True, timeout=60) as response,
        ):
            if sent := self._sent(response, done):
                self._write(response, sent)

    def _done(self) -> tuple[int, str | None]:
        """How many bytes can be built upon, and what tells their file from others."""
        size = self.file.stat().st_size if self.file.exists() else 0
        try:
            note = json.loads(self.note.read_text())
            version = note["version"] if note["url"] == self.url else None
        except (OSError, ValueError, TypeError, KeyError):
            version = None
        return (size if version or self.known else 0), version

    def _sent(self, response: "Response", done: int) -> Sent | None:
        """What the server sends; None: there is nothing after what we have."""
        start, total = _range(response)
        if response.status_code == 416 and (self.known if total is None else total == done):
            return None
        if response.status_code == 416 or (response.status_code == 206 and start != done):
            self.remove()
            raise _broken(f"the server has another part than from byte {done} on")
        response.raise_for_status()
        if response.status_code == 206:
            return Sent(done, total)
        length = response.headers.get("Content-Length", "")
        return Sent(0, int(length) if length.isdecimal() else None)

    def _write(self, response: "Response", sent: Sent) -> None:
        if not self.known:
            self._refuse_unsure(response, sent)
        if not sent.start:
            self.file.unlink(missing_ok=True)
            version = _version(response)
            self.note.write_text(json.dumps({"url": self.url, "version": version}))
        progress = Progress((sent.total or 0) // CHUNK or None, "MiB")
        with self.file.open("ab") as file:
            # As it is sent: what is compressed itself stays so, whatever the server calls it.
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                file.write(chunk)
                progress.add(1)
        if sent.total is not None and self.file.stat().st_size != sent.total:
            raise _broken("the connection ended too soon")

    def _refuse_unsure(self, response: "Response", sent: Sent) -> None:
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise InputError(f"{self.url}: is a web page; give the address of the file, or {OWN}")
        if sent.total is None and response.headers.get("Transfer-Encoding") != "chunked":
            raise InputError(
                f"{self.url}: the server does not say how long it is, so that an early end could "
                f"not be told; give its sha256, or {OWN}"
            )


def _session() -> "Session":
    """What asks again, as late as the server says, where it is too busy."""
    import requests
    from urllib3.util import Retry

    again = Retry(
        ATTEMPTS,
        connect=0,
        read=0,
        other=0,
        status_forcelist=LATER,
        backoff_factor=PAUSE,
        raise_on_status=False,
    )
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=again))
    return session


def _range(response: "Response") -> tuple[int | None, int | None]:
    """From which byte on an answer is, and how many the whole file has, where it says so."""
    said = response.headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", said.strip())
    start, total = found.groups() if found else (None, None)
    return (None if start is None else int(start)), (None if total is None else int(total))


def _version(response: "Response") -> str | None:
    """What the server tells a file by from what it may have at the address another time."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified")


def _broken(message: str) -> "RequestException":
    from requests import ConnectionError

    return ConnectionError(message, response=None)


def _refused(error: Exception) -> bool:
    response = getattr(error, "response", None)
    return response is not None and 400 <= response.status_code < 500


def _check(part: Part, sha256: str) -> None:
    with part.file.open("rb") as file:
        begin = file.read(64)
        file.seek(0)
        real = hashlib.file_digest(file, "sha256").hexdigest()
    if part.known and real != sha256:
        part.remove()
        raise InputError(f"{part.url}: sha256 is {real}, not {sha256}; check the one in the config")
    if not part.known and (message := _no_such_file(part.url, begin)):
        part.remove()
        raise InputError(f"{part.url}: {message}; give the address of the file, or {OWN}")
    advice = "as it must be" if part.known else "write it into the configuration"
    log.info("sha256 %s (%s)", real, advice)


def _no_such_file(url: str, begin: bytes) -> str | None:
    """What to say of a file that begins so and is not what its address promises."""
    if not begin:
        return "is empty"
    if begin.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return "is a web page"
    ending = Path(urlparse(url).path).suffix
    if not begin.startswith(MAGIC.get(ending, b"")):
        return f"is no {ending} file"
    return None
