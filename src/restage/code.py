"""What code computes: fingerprints of scripts and of the modules that they import.

Read from the files' text, so nothing is run. Formatting, comments and docstrings do not count.
"""

import ast
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from restage.files import complete

PACKAGE = Path(__file__).parent
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Import(NamedTuple):
    """An import of a module, by a function or, where that is None, by the module itself."""

    module: str
    function: str | None
    for_types: bool  # under TYPE_CHECKING, so that nothing is loaded


@cache
def modules() -> dict[str, Path]:
    """The modules of the library and their files; a package goes by its own name."""
    files = sorted(PACKAGE.rglob("*.py"))
    parts = {file: file.relative_to(PACKAGE.parent).with_suffix("").parts for file in files}
    return {".".join(p for p in parts[file] if p != "__init__"): file for file in files}


@cache
def imports_of(path: Path) -> list[Import]:
    """The imports of a file, wherever they stand in it."""
    return list(_imports(ast.parse(path.read_text()), None, False))


def _imports(node: ast.AST, function: str | None, for_types: bool) -> Iterator[Import]:
    if isinstance(node, ast.FunctionDef):
        function = node.name
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        for_types = True
    if isinstance(node, ast.Import):
        for name in node.names:
            yield Import(name.name, function, for_types)
    if isinstance(node, ast.ImportFrom):
        for name in node.names:  # a module of a package, or something in a module
            inner = f"{node.module}.{name.name}"
            yield Import(inner if inner in modules() else str(node.module), function, for_types)
    for child in ast.iter_child_nodes(node):
        yield from _imports(child, function, for_types)


class Code:
    """Fingerprints of scripts and modules.

    Args:
        known: a file that keeps what is known of files by their bytes, for to parse them all takes
            longer than most jobs.
    """

    def __init__(self, known: str | os.PathLike):
        self.file = Path(known)
        self.known: dict[str, list] = _read(self.file)
        self.about = cache(self._about)

    def fingerprints(
        self, script: str | os.PathLike, computing: Iterable[str], silent: Iterable[str] = ()
    ) -> dict[str, str]:
        """Return what tells a script and each module that it works with from any others.

        A package's own file is none of them: it names what the package has, and a job takes but one
        of those.

        Args:
            computing: modules that the script takes without importing them.
            silent: modules and packages that decide nothing of what is computed.
        """
        fingerprint, used = self.about(Path(script))
        found, left = {Path(script).name: fingerprint}, [*computing, *used]
        while left:
            name = left.pop()
            file = modules().get(name)
            if not file or file.name == "__init__.py" or name in found or _below(name, silent):
                continue
            found[name], used = self.about(file)
            left += used
        return dict(sorted(found.items()))

    def _about(self, file: Path) -> tuple[str, list[str]]:
        """A file's fingerprint, and the modules that it imports."""
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        if content not in self.known:
            used = sorted({one.module for one in imports_of(file) if not one.for_types})
            self.known[content] = [_fingerprint(file), used]
            with suppress(OSError), complete(self.file) as part:
                part.write_text(json.dumps(self.known))
        fingerprint, used = self.known[content]
        return fingerprint, used


def _read(file: Path) -> dict[str, list]:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return {}


def _below(name: str, packages: Iterable[str]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


def _fingerprint(file: Path) -> str:
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]
