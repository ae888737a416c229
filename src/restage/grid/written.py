"""YAML files, read as they are written: what could mean two things is refused with its line.

YAML 1.1, which PyYAML and Snakemake read, takes the last of two equal keys, ``no`` for false and
042 for 34, none of which its writer can have meant.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from restage.errors import InputError

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the first one is ten times as fast
NODES = 100_000  # with all that aliases repeat; a configuration has thousands at most
DEEPEST = 50  # brackets in brackets; the C library has no limit but the stack
TAG = "tag:yaml.org,2002:"
MERGE = f"{TAG}merge"
# What plain values look like where every reader of YAML takes them for the same, and what they are.
SAME = {
    "str": (r"(?s).*", "text"),
    "null": (r".*", "nothing"),
    "bool": (r"(?i)true|false", "a truth value"),
    "int": (r"[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F]+)", "a number"),
    "float": (r"[^:]*", "a number"),
    "timestamp": (r"(?!)", "a date"),
}


def read(path: str | os.PathLike) -> dict[str, Any]:
    """Return the mapping that a YAML file holds; an empty file is an empty one.

    Raises:
        InputError: one line with file and line: it is not YAML, or holds something else, a key
            twice, an alias that holds itself, or a value that YAML reads as another one.
    """
    with _told(path):
        node = compose(path)
        for mark, message in _problems(node) if node else ():
            raise InputError(f"{path}:{mark.line + 1}: {message}")
        return _construct(node) or {} if node else {}


def compose(path: str | os.PathLike) -> yaml.Node | None:
    """Return a YAML file as nodes, which know their lines.

    Raises:
        InputError: it is not YAML.
    """
    with _told(path):
        text, depth = Path(path).read_text(encoding="utf-8"), 0
        for event in yaml.parse(text, LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                line = event.start_mark.line + 1
                raise InputError(f"{path}:{line}: {depth} brackets deep; mend the brackets")
        return yaml.compose(text, LOADER)


@contextmanager
def _told(path: str | os.PathLike) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}:{line}: not YAML ({error.problem}); mend it") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"{path}: not YAML ({said}); mend it") from None


def _construct(node: yaml.Node) -> Any:
    loader = LOADER("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _problems(root: yaml.Node) -> Iterator[tuple[yaml.Mark, str]]:
    """What is wrong with a file, and where; the first is enough."""
    if not isinstance(root, yaml.MappingNode) and root.tag != f"{TAG}null":
        yield root.start_mark, "no mapping; write keys with a colon and their values"
    for seen, (node, above) in enumerate(_walk(root, ())):
        if seen > NODES:
            yield root.start_mark, f"its aliases make more than {NODES:,} values of it; write less"
        elif node in above:
            yield node.start_mark, "what is named by '&' here holds itself; take its alias out"
        elif isinstance(node, yaml.MappingNode):
            yield from _keys(node)
        elif isinstance(node, yaml.ScalarNode) and (said := _misread(node)):
            yield node.start_mark, said
        elif not isinstance(node, yaml.ScalarNode) and node.tag != f"{TAG}seq":
            yield node.start_mark, f"a tag that is not read here ({node.tag}); take it out"


def _walk(
    node: yaml.Node, above: tuple[yaml.Node, ...]
) -> Iterator[tuple[yaml.Node, tuple[yaml.Node, ...]]]:
    """Yield all values as often as they are meant, each with those that it is in."""
    yield node, above
    if isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from _walk(value, (*above, node))
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _walk(value, (*above, node))


def _keys(node: yaml.MappingNode) -> Iterator[tuple[yaml.Mark, str]]:
    if node.tag != f"{TAG}map":
        yield node.start_mark, f"a tag that is not read here ({node.tag}); take it out"
    lines: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            yield key.start_mark, "a list or mapping cannot be a key; write a name"
        elif key.tag not in (f"{TAG}str", MERGE):
            said = f"YAML reads the name {key.value or 'that is left out'} as {_kind(key)}"
            yield key.start_mark, f"{said}; put it in quotes: '{key.value}'"
        elif key.value in lines:
            said = f"'{key.value}' is written twice, first in line {lines[key.value]}"
            yield key.start_mark, f"{said}; of the two only one would count: take one out"
        lines[key.value if isinstance(key.value, str) else ""] = key.start_mark.line + 1


def _misread(node: yaml.ScalarNode) -> str | None:
    """What to say of a value that its writer can have meant in another way."""
    kind = node.tag.removeprefix(TAG)
    if kind not in SAME:
        return f"{node.value!r} has a tag that is not read here ({node.tag}); take it out"
    if re.fullmatch(SAME[kind][0], node.value):
        return None
    plainly = {"bool": "write true or false, or", "timestamp": "write"}
    how = plainly.get(kind, "write the number without leading zeros or colons, or")
    return f"YAML reads {node.value} as {_kind(node)}; {how} '{node.value}' in quotes if it is text"


def _kind(node: yaml.ScalarNode) -> str:
    """What YAML takes a plain value for."""
    what, value = SAME.get(node.tag.removeprefix(TAG), ("", node.tag))[1], ""
    with suppress(ValueError, yaml.YAMLError):
        value = f" ({json.dumps(_construct(node), default=str)})"
    return what + value
