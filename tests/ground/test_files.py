"""What tells the content of files and folders."""

import hashlib
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from restage.files import digest, files_in, size

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
