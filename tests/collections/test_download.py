"""Downloads: continued where they stopped, checked when they are whole."""

import gzip
import hashlib
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from restage.collections import download as downloads
from restage.collections.download import download
from restage.errors import InputError
from tests.conftest import room

CONTENT = bytes(range(256)) * 20_000  # 5 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(downloads, "PAUSE", 0)


@pytest.fixture
def answers():
    """Give answers (status, headers, body) one after the other; the list has what was asked."""
    running, asked = [], []

    def serve(*given):
        coming = iter(given)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                status, headers, body = next(coming)
                asked.append(self.headers)
                self.send_response(status)
                if "Transfer-Encoding" not in headers:
                    headers = {"Content-Length": len(body)} | headers
                for name, value in headers.items():
                    if value is not None:
                        self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        running.append(HTTPServer(("127.0.0.1", 0), Handler))
        Thread(target=running[-1].serve_forever, args=[0.01], daemon=True).start()
        return f"http://127.0.0.1:{running[-1].server_port}"

    serve.asked = asked
    yield serve
    for each in running:
        each.shutdown()
        each.server_close()


RUN = b"".join(b"q%d Q0 p%d 1 9.5 t\n" % (n, n) for n in range(99))
OTHER = RUN.replace(b"p", b"x")
WHOLE = (200, {"ETag": '"1"'}, RUN)


def rest(content, start, **headers):
    end = len(content)
    return 206, {"Content-Range": f"bytes {start}-{end - 1}/{end}"} | headers, content[start:]


def left(folder, url, content, version='"1"'):
    """Leave what an earlier process had of a file."""
    (folder / ".a.part").write_bytes(content)
    (folder / ".a.part.json").write_text(json.dumps({"url": url, "version": version}))


@pytest.mark.parametrize(
    "given",
    [
        [(200, {"ETag": '"1"', "Content-Length": len(RUN)}, RUN[:500]), rest(RUN, 500)],
        [(200, {"Last-Modified": "x", "Content-Length": len(RUN)}, RUN[:500]), rest(RUN, 500)],
        # Nothing tells the file from others: from the start.
        [(200, {"Content-Length": len(RUN)}, RUN[:500]), WHOLE],
        [(200, {"ETag": 'W/"1"', "Content-Length": len(RUN)}, RUN[:500]), WHOLE],
        # It is another one by now: all of it.
        [(200, {"ETag": '"0"', "Content-Length": len(OTHER)}, OTHER[:500]), WHOLE],
        # Another part than was asked for, or none that is named.
        [(200, {"ETag": '"1"', "Content-Length": len(RUN)}, RUN[:500]), rest(RUN, 400), WHOLE],
        [
            (200, {"ETag": '"1"', "Content-Length": len(RUN)}, RUN[:500]),
            (206, {}, RUN[400:]),
            WHOLE,
        ],
        [
            (200, {"ETag": '"1"', "Content-Length": len(RUN)}, RUN[:500]),
            (416, {"Content-Range": "bytes */400"}, b""),
            WHOLE,
        ],
        # Too busy, or not able to.
        *([(status, {"Retry-After": "0"}, b""), WHOLE] for status in (408, 425, 429, 500, 503)),
        [(200, {"Transfer-Encoding": "chunked"}, b"%x\r\n%s\r\n0\r\n\r\n" % (len(RUN), RUN))],
        [(200, {"Content-Encoding": "gzip"}, RUN)],
    ],
)
def test_whatever_a_server_does_the_file_is_the_one_it_has(answers, tmp_path, given):
    download(answers(*given) + "/a", tmp_path / "a", "unknown")
    assert (tmp_path / "a").read_bytes() == RUN
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    assert len(answers.asked) == len(given)


def test_a_part_is_gone_on_with_only_if_it_is_of_the_same_file(answers, tmp_path):
    url = answers(rest(RUN, 500)) + "/a"
    left(tmp_path, url, RUN[:500])
    download(url, tmp_path / "a", "unknown")
    assert (tmp_path / "a").read_bytes() == RUN
    assert (answers.asked[0]["Range"], answers.asked[0]["If-Range"]) == ("bytes=500-", '"1"')


@pytest.mark.parametrize("of", ["another address", "another version", "nobody knows", "no JSON"])
def test_a_stale_part_is_not_joined(answers, tmp_path, of):
    url = answers(WHOLE) + "/a"
    left(tmp_path, url, OTHER[:500])
    if of == "another address":
        left(tmp_path, url + "b", OTHER[:500])
    if of == "nobody knows":
        (tmp_path / ".a.part.json").unlink()
    if of == "no JSON":
        (tmp_path / ".a.part.json").write_text("[")
    download(url, tmp_path / "a", "unknown")
    assert (tmp_path / "a").read_bytes() == RUN
    assert (answers.asked[0]["Range"] is None) == (of != "another version")


def test_a_whole_part_is_taken_if_the_server_has_as_many_bytes(answers, tmp_path):
    url = answers((416, {"Content-Range": f"bytes */{len(RUN)}"}, b"")) + "/a"
    left(tmp_path, url, RUN)
    download(url, tmp_path / "a", "unknown")
    assert (tmp_path / "a").read_bytes() == RUN


HTML = {"Content-Type": "text/html; charset=utf-8"}
NO_LENGTH = {"Content-Length": None}


@pytest.mark.parametrize(
    ("name", "answer", "expected"),
    [
        ("a", (200, HTML, b"sign in"), "is a web page"),
        ("a", (200, {}, b"\n <!DOCTYPE html><html>sign in</html>"), "is a web page"),
        ("a", (200, NO_LENGTH, RUN[:500]), "does not say how long it is"),
        ("a", (200, {}, b""), "is empty"),
        ("a.run.gz?download=1", (200, {}, RUN), r"is no \.gz file"),
        ("a.zip", (200, {}, gzip.compress(RUN)), r"is no \.zip file"),
        ("a", (403, {}, b""), "403"),
    ],
)
def test_what_cannot_be_the_file_is_refused(answers, tmp_path, name, answer, expected):
    url = f"{answers(answer)}/{name}"
    with pytest.raises(InputError, match=expected) as error:
        download(url, tmp_path / "a", "unknown")
    assert str(error.value).startswith(f"{url}: ") or "403" in str(error.value)
    assert "give its 'path' instead" in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("answer", [(200, HTML, RUN), (200, NO_LENGTH, RUN)])
def test_a_hash_that_is_right_says_more_than_the_server(answers, tmp_path, answer):
    download(answers(answer) + "/a", tmp_path / "a", hashlib.sha256(RUN).hexdigest())
    assert (tmp_path / "a").read_bytes() == RUN


def test_a_server_that_stays_too_busy_is_told(answers, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "ATTEMPTS", 1)
    url = answers(*[(429, {"Retry-After": "0"}, b"")] * 3) + "/a"
    with pytest.raises(InputError, match="429"):
        download(url, tmp_path / "a", "unknown")


def test_a_file_is_downloaded_and_checked(server, tmp_path):
    url = server({"a.run": CONTENT})
    download(f"{url}/a.run", tmp_path / "new/a.run", SHA256)
    assert (tmp_path / "new/a.run").read_bytes() == CONTENT
    assert len(list((tmp_path / "new").iterdir())) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_breaks_goes_on(server, tmp_path, ranges):
    url = server({"a.run": CONTENT}, break_after=2_000_000, ranges=ranges)
    download(f"{url}/a.run", tmp_path / "a.run", SHA256)
    assert (tmp_path / "a.run").read_bytes() == CONTENT
    first, second = server.requests
    assert first is None
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= 2_000_000


def test_what_an_earlier_process_left_is_continued(server, tmp_path):
    url = server({"a.run": CONTENT})
    (tmp_path / ".a.run.part").write_bytes(CONTENT[:1000])
    download(f"{url}/a.run", tmp_path / "a.run", SHA256)
    assert (tmp_path / "a.run").read_bytes() == CONTENT
    assert server.requests == ["bytes=1000-"]


def test_a_whole_file_that_waits_to_be_checked_is_not_fetched_again(server, tmp_path):
    url = server({"a.run": CONTENT})
    (tmp_path / ".a.run.part").write_bytes(CONTENT)
    download(f"{url}/a.run", tmp_path / "a.run", SHA256)
    assert (tmp_path / "a.run").read_bytes() == CONTENT


def test_a_wrong_checksum_is_told_and_nothing_is_left(server, tmp_path):
    url = server({"a.run": CONTENT})
    with pytest.raises(InputError, match=f"sha256 is {SHA256}, not 0000"):
        download(f"{url}/a.run", tmp_path / "a.run", "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_checksum_is_told(server, tmp_path, caplog):
    caplog.set_level("INFO", "restage")
    download(f"{server({'a.run': CONTENT})}/a.run", tmp_path / "a.run", "unknown")
    assert (tmp_path / "a.run").read_bytes() == CONTENT
    assert f"sha256 {SHA256} (write it into the configuration)" in caplog.text


def test_a_file_that_is_not_there_is_told_at_once(server, tmp_path):
    url = server({})
    with pytest.raises(InputError, match=r"a\.run: 404 .*give its 'path' instead"):
        download(f"{url}/a.run", tmp_path / "a.run", SHA256)
    assert len(server.requests) == 1


def test_a_full_disk_is_told_and_what_there_is_is_kept(server, tmp_path):
    url = server({"a.run": CONTENT})
    with room(3_000_000), pytest.raises(InputError, match=r"a\.run: cannot be written"):
        download(f"{url}/a.run", tmp_path / "a.run", SHA256)
    assert 0 < (tmp_path / ".a.run.part").stat().st_size <= 3_000_000
    download(f"{url}/a.run", tmp_path / "a.run", SHA256)
    assert (tmp_path / "a.run").read_bytes() == CONTENT
