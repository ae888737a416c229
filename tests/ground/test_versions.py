"""The versions of what computes, and the commit of the workflow."""

import platform
import subprocess
from importlib.metadata import version

from restage import __version__
from restage.versions import commit, versions


def test_versions_of_the_project_and_of_what_is_installed(monkeypatch):
    monkeypatch.setattr("restage.versions.PACKAGES", ["pyterrier", "no-such-package"])
    assert versions() == {
        "restage": __version__,
        "python": platform.python_version(),
        "pyterrier": version("pyterrier"),
    }


def test_the_commit_of_a_folder_and_whether_files_differ_from_it(tmp_path):
    def told():
        commit.cache_clear()
        return commit(tmp_path)

    assert told() == "not in a git repository"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    at = told()
    assert len(at) == 40
    (tmp_path / "new").touch()
    assert told() == f"{at} with changes"
