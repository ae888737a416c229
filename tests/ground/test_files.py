"""What tells the content of files and folders."""

import hashlib
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restage.files import HOST, complete, digest, files_in, reserve, size

NAMES = st.sampled_from(["a", "b", "in/a", "in/b"])
FOLDERS = st.dictionaries(NAMES, st.binary(max_size=2))


def written(folder, files):
    for name, content in files.items():
        Path(folder, name).parent.mkdir(parents=True, exist_ok=True)
        Path(folder, name).write_bytes(content)
    return Path(folder)


@settings(deadline=None)
@given(FOLDERS, FOLDERS)
def test_folders_are_told_from_each_other_by_names_and_content(one, other):
    with TemporaryDirectory() as first, TemporaryDirectory() as second:
        both = digest(written(first, one)), digest(written(second, other))
        assert (both[0] == both[1]) == (one == other)


def test_dot_files_and_times_do_not_count(tmp_path):
    folder = written(tmp_path / "x", {"a": b"1", "in/b": b"22"})
    before = digest(folder)
    assert size(folder) == 3
    written(folder, {".snakemake_timestamp": b"", "in/.b.7.part": b"333"})
    os.utime(folder / "a", (1, 1))
    assert digest(folder) == before and size(folder) == 3
    assert files_in(folder) == [folder / "a", folder / "in/b"]


def test_a_file_is_known_by_its_bytes_alone(tmp_path):
    folder = written(tmp_path, {"a": b"text", "b": b"text"})
    assert digest(folder / "a") == digest(folder / "b") == hashlib.sha256(b"text").hexdigest()
    assert size(folder / "a") == 4


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    left = [f".a.{HOST}.{ended.pid}.part", f".a.{HOST}.{ended.pid}.part/x"]
    others = [f".a.{HOST}.1.part", f".a.elsewhere.{ended.pid}.part", f".aa.{HOST}.{ended.pid}.part"]
    (tmp_path / left[0]).mkdir()
    for name in [left[1], *others]:
        (tmp_path / name).touch()
    with complete(tmp_path / "a") as part:
        part.write_text("whole")
    assert {file.name for file in tmp_path.iterdir()} == {"a", *others}


@pytest.mark.parametrize("name", ["in/b", "a"])
def test_what_has_its_name_is_on_the_disk_with_all_its_folders(tmp_path, monkeypatch, name):
    synced, renamed = set(), []

    def sync(descriptor):
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))

    def replace(source, target):
        parts = {str(source), *map(str, source.rglob("*"))}
        assert synced == parts
        renamed.append(rename(source, target))

    rename = os.replace
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    with complete(tmp_path / "x") as part:
        written(part, {name: b"1", "c": b"2"})
    assert renamed and str(tmp_path) in synced


def test_room_is_taken_without_a_change(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        file.write(b"head")
        file.truncate(1 << 20)
    reserve(tmp_path / "a")
    assert (tmp_path / "a").stat().st_blocks * 512 >= 1 << 20
    assert (tmp_path / "a").read_bytes() == b"head" + bytes((1 << 20) - 4)
