"""YAML files: what could mean two things is refused with its line, and nothing else is."""

from datetime import timedelta

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from restage.errors import InputError
from restage.grid.written import read


def said_of(path, text):
    """The line number and the message about a file with such text."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as error:
        read(path)
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"{path}:")
    return line.removeprefix(f"{path}:")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("d: 1\ne: 2\nd: 3\n", "3: 'd' is written twice, first in line 1"),
        ("a:\n  d: {x: 1, 'x': 2}\n", "2: 'x' is written twice"),
        ("a: 1\nno: {}\n", "2: YAML reads the name no as a truth value (false)"),
        ("2019: {}\n", "put it in quotes: '2019'"),
        ("1: 1\n'1': 1\n", "1: YAML reads the name 1 as a number (1)"),
        ("~: 1\n", "1: YAML reads the name ~ as nothing"),
        ("2019-01-01: 1\n", "as a date"),
        ("=: 1\n", "put it in quotes: '='"),
        ("? [a]\n: 1\n", "cannot be a key"),
        ("a: 1\nseeds: [1,\n  042]\n", "3: YAML reads 042 as a number (34)"),
        ("a: -017\n", "YAML reads -017 as a number (-15)"),
        ("a: 0b11\n", "(3)"),
        ("a: 1:30\n", "(90)"),
        ("a: 1:30.5\n", "(90.5)"),
        ("a: yes\n", "write true or false, or 'yes' in quotes"),
        ("a: Off\n", "(false)"),
        ("a: 2019-01-01\n", "write '2019-01-01' in quotes"),
        ("a: 2019-02-30\n", "as a date; write"),
        ("a: !!int x\n", "1: YAML reads x as a number"),
        ("a: !!float x\n", "not YAML"),
        ("a: !!binary aGFsbG8=\n", "has a tag that is not read here"),
        ("a: !!python/tuple [1]\n", "a tag that is not read here"),
        ("a: !!set {b}\n", "a tag that is not read here"),
        ("a: =\n", "has a tag that is not read here"),
        ("a: 1\nb: &x {c: *x}\n", "2: what is named by '&' here holds itself"),
        ("a: &x [[*x]]\n", "holds itself"),
        ("- a\n", "1: no mapping"),
        ("a\n", "1: no mapping"),
        ("a: 1\nb: [\n", "not YAML"),
        ("a: *b\n", "1: not YAML (found undefined alias)"),
        ("a: 1\n---\nb: 1\n", "2: not YAML"),
        ("a: 1\n<<: 3\n", "2: not YAML"),
        (b"a: \xff\n", "not YAML ('utf-8'"),
        ("a: '\0'\n", "not YAML (unacceptable character"),
        ("a: " + "[" * 50_000, "brackets deep"),
    ],
)
def test_what_could_mean_two_things_is_one_line_with_its_place(tmp_path, text, expected):
    assert expected in said_of(tmp_path / "c.yaml", text)


@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_a_bomb_of_aliases_ends_at_once(tmp_path, brackets):
    begin, end = brackets
    names = "" if begin == "[" else "k{}: "
    lines = [f"a0: &a0 {begin}{end}"]
    for n in range(1, 30):
        many = ", ".join(f"{names.format(i)}*a{n - 1}" for i in range(10))
        lines.append(f"a{n}: &a{n} {begin}{many}{end}")
    assert "its aliases make more than 100,000" in said_of(tmp_path / "c.yaml", "\n".join(lines))


def test_what_means_one_thing_is_read(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(
        "\ufeffa: &a {n: 1_000, x: 0x1F, f: 1.0e-5, i: .inf}\nb: {<<: *a, n: 2}\n"
        "'no': 'yes'\n'042': !!str 042\nt: [True, false, ~, null, 1e5, 0o17, 09]\nn:\n",
        encoding="utf-8",
    )
    a = {"n": 1000, "x": 31, "f": 1e-5, "i": float("inf")}
    several = [True, False, None, None, "1e5", "0o17", "09"]
    known = {"a": a, "b": {**a, "n": 2}, "no": "yes", "042": "042", "t": several, "n": None}
    assert read(path) == known
    for nothing in ("", "# nothing\n", "~"):
        path.write_text(nothing)
        assert read(path) == {}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(), some, max_size=3),
)


@settings(deadline=timedelta(seconds=5))
@given(st.dictionaries(st.text(), values, max_size=4))
def test_what_a_library_writes_is_read_back(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "written.yaml"
    path.write_text(yaml.safe_dump(content))
    assert read(path) == content


@settings(deadline=timedelta(seconds=5))
@given(st.text(alphabet="ab01:-[]{},&*!<>?|'\"~ \n\t=#%@`.e+_\x00é"))
def test_any_text_is_a_mapping_or_one_line(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        assert isinstance(read(path), dict)
    except InputError as error:
        assert len(str(error).splitlines()) == 1
