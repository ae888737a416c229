"""The rooms of the library: who may import whom, and how large what they hold may be."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

from restage.code import imports_of, modules
from restage.grid import layout

ROOT = Path(__file__).parents[1]

# A room may import those before it and the ground floor, which uses none of them.
GROUND = {"children", "code", "compressed", "devices", "errors", "files", "log", "pieces"}
GROUND |= {"processes", "trec_rows", "versions"}
ROOMS = ["grid", "collections", "model", "ranked_lists", "first_stage", "finetune", "rerank"]
ROOMS += ["evaluate", "report", "demo"]
ENTRY = "restage.pyterrier"  # like a script: it uses the rooms, and nothing uses it
DATA = {"src/restage/demo/words.py"}

FILES = {path: path.relative_to(ROOT).as_posix() for path in modules().values()}
SCRIPTS = {path: path.name for path in sorted((ROOT / "workflow/scripts").glob("*.py"))}
USES = {
    name: {found.module for found in imports_of(file) if found.module.split(".")[0] == "restage"}
    for name, file in modules().items()
}


def room(module: str) -> str:
    return (*module.split("."), "")[1]


def floor(module: str) -> int:
    """The place of a module's room in the order, the ground floor being 0."""
    return ROOMS.index(room(module)) + 1 if room(module) in ROOMS else 0


def test_every_module_is_in_a_room():
    rooms = {*ROOMS, *GROUND, ""}
    assert {name for name in USES if room(name) not in rooms} == {ENTRY}


def test_no_room_uses_a_later_one():
    arrows = [(name, used) for name in USES.keys() - {ENTRY} for used in USES[name]]
    assert {used for _, used in arrows if used == ENTRY} == set()
    others = [(name, used) for name, used in arrows if room(name) != room(used)]
    assert [(a, b) for a, b in others if floor(b) and floor(b) >= floor(a)] == []


def test_no_circle_of_imports():
    TopologicalSorter(USES).prepare()  # raises a CycleError that names the modules


def test_the_library_knows_no_snakemake():
    for path, name in FILES.items():
        assert not any(found.module.startswith("snakemake") for found in imports_of(path)), name
        nodes = ast.walk(ast.parse(path.read_text()))
        assert "snakemake" not in {node.id for node in nodes if isinstance(node, ast.Name)}, name


# --- sizes ---------------------------------------------------------------------------------------


def test_no_file_is_long():
    long = {name for file, name in FILES.items() if len(file.read_text().splitlines()) > 350}
    assert long <= DATA


def test_a_script_is_short_and_only_translates():
    for path, name in SCRIPTS.items():
        assert len(path.read_text().splitlines()) <= 40, name
        assert not re.search(r"^ *(def|class|while) ", path.read_text(), re.MULTILINE), name


def functions() -> Iterator[tuple[str, int]]:
    """Every function with its lines, without its docstring, comments and empty lines."""
    for path, name in FILES.items():
        text = path.read_text().splitlines()
        for node in ast.walk(ast.parse("\n".join(text))):
            if isinstance(node, ast.FunctionDef):
                numbers = set(range(node.lineno, (node.end_lineno or 0) + 1))
                if ast.get_docstring(node):
                    numbers -= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
                lines = (text[number - 1].strip() for number in numbers)
                code = [line for line in lines if line and not line.startswith("#")]
                yield f"{name}:{node.lineno} {node.name}", len(code)


def test_functions_are_short():
    sizes = dict(functions())
    ordered = sorted(sizes.values())
    assert median(ordered) <= 10
    assert ordered[len(ordered) * 9 // 10] <= 25
    assert {name: size for name, size in sizes.items() if size > 60} == {}


# --- paths ---------------------------------------------------------------------------------------

OUTPUTS = [value for value in vars(layout).values() if isinstance(value, layout.Output)]
TEMPLATES = [output.partition("/")[2] for output in OUTPUTS]
FOLDERS = {template.split("/")[0] for template in TEMPLATES} | {"logs", "states"}
ENDINGS = {ending for t in TEMPLATES for ending in re.findall(r"\}(\.\w+(?:\.gz)?)$", t)}
ANY_FOLDER, ANY_ENDING = "|".join(sorted(FOLDERS)), "|".join(map(re.escape, sorted(ENDINGS)))
# What a string says that is the path of an output, its wildcards in braces.
TEMPLATE = re.compile(
    r"<\w+>/"  # below a root
    rf"|\b(?:{ANY_FOLDER})/\S*[{{*(]"  # wildcards, or a pattern, in a folder of outputs
    rf"|\}}(?:{ANY_ENDING})\b"  # a file named by a wildcard
    r"|\}/[{*]|\*/\{"  # a wildcard in the folder of another
)
# Code that puts such a path together, or takes it apart.
BY_PARTS = re.compile(
    rf"(?:Path\([^()]*, *|/ *)f?[\"'](?:{ANY_FOLDER})(?:/[^\"']*)?[\"']"
    r"|\.(?:parts|parents)\[-?[2-9]"
)


def strings(path: Path) -> Iterator[str]:
    """The string literals of a file, without prose: docstrings, comments and addresses."""
    if path.suffix != ".py":
        code = re.sub(r"# .*", "", path.read_text())
        return (literal[1] for literal in re.finditer(r"\"([^\"]*)\"", code))
    nodes = list(ast.walk(ast.parse(path.read_text())))
    formatted = [node for node in nodes if isinstance(node, ast.JoinedStr)]
    others = {node.value for node in nodes if isinstance(node, ast.Expr)}
    others |= {part for node in formatted for part in node.values}
    plain = {node for node in nodes if isinstance(node, ast.Constant)} - others
    return (ast.unparse(node) for node in (*plain, *formatted) if "://" not in ast.unparse(node))


def templates(path: Path) -> list[str]:
    """What looks like the path of an output."""
    written = [text for text in strings(path) if TEMPLATE.search(text)]
    return written + [line for line in path.read_text().splitlines() if BY_PARTS.search(line)]


def test_paths_of_outputs_are_written_in_the_layout_alone():
    library = [path for name, path in modules().items() if name != layout.__name__]
    files = [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk")), *SCRIPTS, *library]
    assert {str(path): templates(path) for path in files if templates(path)} == {}


# Lines that there were before the layout, and lines that only look alike.
@pytest.mark.parametrize(
    ("line", "is_path"),
    [
        ('RUN = "<results>/runs/{backbone}/{recipe}/{seed}/{first_stage}/{dataset}.run.gz"', True),
        ('return f"<stores>/tokens/{folder_name(model)}/{kind}/{name}"', True),
        ('return str(Path(config["results"], "states", kind, *wildcards))', True),
        ('path = Path(results, f"models/{backbone}/{recipe}/{seed}")', True),
        ('others = sorted(Path(folder).parents[2].glob(f"*/{kind}/{name}"))', True),
        ('table = results / "tables" / f"{group}.csv"', True),
        ('match = re.search(r"measures/(.+)/(.+)/(.+)", path)', True),
        ("backbone, recipe, seed, _, _ = Path(path).parts[-5:]", True),
        ('message = f"write {path}/corpus.jsonl or one of qrels/{split}.tsv"', False),
        ('log.info(f"{done} of {total} pairs, see the runs/models of the study")', False),
        ('np.save(part / "hashes.npy", hashes[order])', False),
    ],
)
def test_the_search_for_paths_sees_them(tmp_path, line, is_path):
    (tmp_path / "a.py").write_text(line + "\n")
    assert bool(templates(tmp_path / "a.py")) == is_path
