"""Downloads: continued where they stopped, checked when they are whole."""

import hashlib

import pytest

from restage.collections.download import download
from restage.errors import InputError
from tests.conftest import room

CONTENT = bytes(range(256)) * 20_000  # 5 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


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
