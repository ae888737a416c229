"""What the project's own files import, read from their text; nothing is run."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"


class Import(NamedTuple):
    """An import of a module, by a function or, where that is None, by the module itself."""

    module: str
    function: str | None
    for_types: bool  # under TYPE_CHECKING, so that nothing is loaded


@cache
def modules() -> dict[str, Path]:
    """The modules of the library and their files; a package goes by its own name."""
    files = sorted((SRC / "restage").rglob("*.py"))
    parts = {file: file.relative_to(SRC).with_suffix("").parts for file in files}
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
