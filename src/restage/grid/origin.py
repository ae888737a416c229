"""What is wrong with a configuration, as one line that says in which file and line."""

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence

import yaml

from restage.errors import InputError
from restage.grid.written import compose

Key = tuple[str | int, ...]


class Wrong(Exception):
    """Something is wrong under ``key``; ``Origin.line`` adds file and line."""

    def __init__(self, key: Key, message: str):
        dotted = ".".join(str(part) for part in key).replace("\n", "\\n")
        super().__init__(f"{dotted}: {message}" if dotted else message)
        self.key = key


class Origin:
    """The files that a configuration was read from, to tell the line of an error.

    Args:
        files: the YAML files; of two that have a key, the first one's line is told.
    """

    def __init__(self, files: Sequence[str | os.PathLike]):
        self.files = [str(file) for file in files]
        self.swept: dict[str, str] = {}  # objectives that a sweep made, and what it made them of

    def line(self, wrong: Wrong) -> InputError:
        """The one line about what is wrong: file and line of its key, or the innermost part."""
        key = wrong.key
        if key[:1] == ("objectives",):
            key = tuple(self.swept.get(str(part), part) for part in key)
        best = (-1, 1, self.files[-1] if self.files else "configuration")
        for file in self.files:
            for depth, line in enumerate(_lines(compose(file), key)):
                best = max(best, (depth, line, file), key=lambda place: place[0])
        where = f"{best[2]}:{best[1]}" if self.files else best[2]
        return InputError(f"{where}: {wrong}")


def _lines(node: yaml.Node | None, key: Key) -> Iterator[int]:
    """The lines of the key's parts, from the file's first to the innermost that is written."""
    yield node.start_mark.line + 1 if node else 1
    for part in key:
        if isinstance(node, yaml.MappingNode):
            entries = [(k, v) for k, v in node.value if k.value == str(part)]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            entries = [(v, v) for v in node.value[part : part + 1]]
        else:
            return
        if not entries:
            return
        yield entries[-1][0].start_mark.line + 1
        node = entries[-1][1]


def unknown(kind: str, name: object, known: Mapping | Sequence) -> str:
    """Say that there is no such name, and which one may be meant."""
    close = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known are: {', '.join(known) or 'none'}"
    return f"there is no {kind} '{name}'; {hint}"
