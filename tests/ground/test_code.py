"""Fingerprints of code: they change with what a script computes, and with nothing else."""

import ast
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restage import code
from restage.code import Code, Import, imports_of, modules

SCRIPT = "from pack import fits\nfrom pack.room import ENGINES, engine\nprint(fits.fit(engine))\n"
FITS = '''
"""What fits."""

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pack.room.table import Table

LIMIT = 10  # at most


def fit(one, deep=2):
    """Fit one."""
    from pack.room.late import halve

    return halve(one, "low") + LIMIT
'''
FILES = {
    "pack/__init__.py": "VERSION = 1\n",
    "pack/fits.py": FITS,
    "pack/room/__init__.py": "from pack.room import engine, other\n\nENGINES = [engine, other]\n",
    "pack/room/engine.py": "from pack import fits, log\n\n\ndef make():\n    return 7\n",
    "pack/room/late.py": "def halve(one, how):\n    return one // 2\n",
    "pack/room/other.py": "def make():\n    return 8\n",
    "pack/room/table.py": "class Table: ...\n",
    "pack/log.py": "def say(line):\n    print(line)\n",
}


def prints(script=SCRIPT, computing=(), silent=(), **texts):
    """The fingerprints of a script of a small package, some of whose modules have other texts."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for name, text in (FILES | {f"pack/{n}.py": text for n, text in texts.items()}).items():
            Path(folder, name).parent.mkdir(parents=True, exist_ok=True)
            Path(folder, name).write_text(text)
        Path(folder, "a.py").write_text(script)
        patch.setattr(code, "PACKAGE", Path(folder, "pack"))
        modules.cache_clear()
        try:
            return Code(f"{folder}/known").fingerprints(f"{folder}/a.py", computing, silent)
        finally:
            modules.cache_clear()


MADE = prints()


def changed(**others):
    """Which fingerprints others have."""
    found = prints(**others)
    return {name for name in MADE | found if MADE.get(name) != found.get(name)}


def test_a_script_and_what_it_imports_wherever_it_does_have_fingerprints():
    assert list(MADE) == ["a.py", "pack.fits", "pack.log", "pack.room.engine", "pack.room.late"]
    assert len(set(MADE.values())) == 5


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("LIMIT = 10", "LIMIT = 11"),
        ("deep=2", "deep=3"),
        ('"low"', '"high"'),
        ("+ LIMIT", "- LIMIT"),
        ("return halve", "print(halve)\n    return halve"),
    ],
)
def test_what_computes_otherwise_has_another_fingerprint(before, after):
    assert FITS.count(before) == 1
    assert changed(fits=FITS.replace(before, after)) == {"pack.fits"}


def test_an_edited_function_that_is_imported_is_seen():
    assert changed(**{"room/late": "def halve(one, how):\n    return one / 2\n"}) == {
        "pack.room.late"
    }
    assert changed(script=SCRIPT.replace("fit(", "fitted(")) == {"a.py"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("  # at most", ""),
        ('"""What fits."""', '"""What fits,\n\nand what does not."""'),
        ('"""What fits."""', ""),
        ('    """Fit one."""\n', ""),
        ('halve(one, "low")', "(halve(\n        one, 'low',\n    ))"),
        ("def fit", "# To be renamed.\n\n\ndef fit"),
    ],
)
def test_comments_docstrings_and_formatting_do_not_count(before, after):
    assert FITS.count(before) == 1
    assert changed(fits=FITS.replace(before, after)) == set()


def test_what_a_script_does_not_use_does_not_count():
    other = "def make():\n    return 9\n"
    assert (
        changed(**{"room/other": other, "room/table": "class Table:\n    wide = True\n"}) == set()
    )
    assert changed(**{"room/new": other, "room/__init__": "ENGINES = []\n"}) == set()
    assert changed(log="def say(line): ...\n") == {"pack.log"}


def test_what_decides_nothing_is_left_out_and_what_is_not_imported_can_be_named():
    assert list(prints(silent=["pack.room", "pack.log"])) == ["a.py", "pack.fits"]
    assert {*prints(silent=["pack.lo"])} == {*MADE}  # no part of a name
    assert {*prints(computing=["pack.room.other", "json"])} - {*MADE} == {"pack.room.other"}


REAL = sorted(path for path in modules().values() if path.name != "__init__.py")


def of_text(text):
    """The fingerprint of a script."""
    with TemporaryDirectory() as folder:
        Path(folder, "a.py").write_text(text)
        code = Code(f"{folder}/known")
        return code.fingerprints(f"{folder}/a.py", (), silent=["restage"])["a.py"]


def constants(tree):
    """The constants that compute something: no docstrings, no pieces of formatted strings."""
    nodes = list(ast.walk(tree))
    others = {node.value for node in nodes if isinstance(node, ast.Expr)}
    others |= {part for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    return [node for node in nodes if isinstance(node, ast.Constant) and node not in others]


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(REAL), st.data())
def test_a_module_in_another_form_is_the_same_and_with_any_other_constant_is_not(path, data):
    tree = ast.parse(path.read_text())
    plain = of_text(path.read_text())
    assert of_text(ast.unparse(tree)) == plain
    if some := constants(tree):
        data.draw(st.sampled_from(some)).value = 31.25
        assert of_text(ast.unparse(tree)) != plain


@pytest.fixture
def parsed(monkeypatch):
    """The files that are parsed."""
    parsed, fingerprint = [], code._fingerprint
    monkeypatch.setattr(code, "_fingerprint", lambda file: parsed.append(file) or fingerprint(file))
    return parsed


def test_what_files_do_is_known_by_their_bytes_and_parsed_once(tmp_path, parsed):
    def found(name, text):
        (tmp_path / name).write_text(text)
        known = Code(tmp_path / "manifests/known.json")
        return known.fingerprints(tmp_path / name, (), ["restage.errors", "restage.processes"])

    before = found("a.py", "from restage import files\n")
    assert [file.name for file in parsed] == ["a.py", "files.py"]
    assert found("b.py", "from restage import files\n") == {
        "b.py": before["a.py"],
        "restage.files": before["restage.files"],
    }
    assert len(parsed) == 2
    assert found("a.py", "from restage import files, errors\n")["a.py"] != before["a.py"]
    assert len(parsed) == 3


@pytest.mark.parametrize("damage", ["", "{", "\xff"])
def test_what_is_known_is_found_again_where_it_is_damaged(tmp_path, parsed, damage):
    (tmp_path / "a.py").write_text("print(1)\n")
    for times in (1, 2, 2):
        made = Code(tmp_path / "known").fingerprints(tmp_path / "a.py", ())
        assert len(parsed) == times and list(made) == ["a.py"]
        if times == 1:
            (tmp_path / "known").write_text(damage)


def test_fingerprints_need_no_place_to_be_kept(tmp_path):
    (tmp_path / "a.py").write_text("print(1)\n")
    found = Code("/dev/null/known").fingerprints(tmp_path / "a.py", ())
    assert found == Code(tmp_path / "known").fingerprints(tmp_path / "a.py", ())


def test_imports_tell_who_imports_and_whether_it_is_for_types_alone():
    found = imports_of(modules()["restage.grid.checks"])
    assert Import("restage.grid.settings", None, False) in found
    assert Import("ir_measures", "parse_measure", False) in found
    assert Import("ir_measures", None, True) in found
