"""Write docs/configuration.md, the reference of the configuration, from its schema.

python docs/configuration.py
"""

import json
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
HEAD = """# Configuration

Made from [`workflow/schemas/config.schema.yaml`](../workflow/schemas/config.schema.yaml) by
`python docs/configuration.py`. A key that is not here is refused, with file and line, before any
job starts; a key that is left out has its default.
"""
TABLE = "\n| key | what | values | default |\n| --- | --- | --- | --- |"


def reference(schema: dict) -> str:
    """Return the reference as markdown."""
    lines = [HEAD]
    for name, part in schema["properties"].items():
        lines += [f"## {name}\n", part["description"]]
        lines += _section(part, schema["$defs"], name)
    return "\n".join(lines).rstrip() + "\n"


def _section(part: dict, definitions: dict, name: str) -> Iterator[str]:
    """What stands under a top-level key: its own keys, or those of each of its entries."""
    entry = part.get("additionalProperties")
    if isinstance(entry, dict):
        entry = _resolved(entry, definitions)
        about = entry.get("description", "")
        yield f"\nEach entry is written `{name}: {{NAME: …}}`. {about}".rstrip()
        kinds = [rule["then"] for rule in entry.get("allOf", [])]
        if kinds:
            for kind in dict.fromkeys(map(json.dumps, kinds)):
                kind = _resolved(json.loads(kind), definitions)
                key = next(iter(kind["properties"]))
                values = _values(kind["properties"][key])
                yield f"\n### {key}: {values}\n\n{kind['description']}"
                yield from _table(kind, definitions)
        else:
            yield from _table(entry, definitions)
    elif "properties" in part:
        yield from _table(part, definitions)
    else:
        yield f"\nDefault: {_default(part)}"
    yield ""


def _resolved(part: dict, definitions: dict) -> dict:
    reference = part.get("$ref", "").rpartition("/")[2]
    return {**definitions.get(reference, {}), **part}


def _table(part: dict, definitions: dict) -> Iterator[str]:
    yield TABLE
    for name, key in _keys(part, definitions):
        if "description" not in key:  # the kind, which the heading names
            continue
        required = name in part.get("required", [])
        default = "**required**" if required else _default(key) if "default" in key else ""
        what = key["description"].replace("|", "\\|")
        yield f"| `{name}` | {what} | {_values(key)} | {default} |"


def _keys(part: dict, definitions: dict, before: str = "") -> Iterator[tuple[str, dict]]:
    """Every key of a part, those of parts in it with a dot."""
    for name, key in part["properties"].items():
        resolved = _resolved(key, definitions)
        if "anyOf" in resolved:
            resolved = {**_resolved(resolved["anyOf"][0], definitions), **resolved}
        yield f"{before}{name}", resolved
        if "properties" in resolved:
            yield from _keys(resolved, definitions, f"{before}{name}.")


def _values(key: dict) -> str:
    if "const" in key:
        return f"`{key['const']}`"
    if "enum" in key:
        return ", ".join(f"`{value}`" for value in key["enum"] if value is not None)
    kinds = [key["type"]] if isinstance(key.get("type"), str) else key.get("type", [])
    kinds = [{"object": "keys below"}.get(kind, kind) for kind in kinds if kind != "null"]
    bounds = [
        ("minimum", "≥"),
        ("exclusiveMinimum", ">"),
        ("maximum", "≤"),
        ("exclusiveMaximum", "<"),
    ]
    return ", ".join([*kinds, *(f"{sign} {key[name]}" for name, sign in bounds if name in key)])


def _default(key: dict) -> str:
    default = key.get("default")
    return "none" if default is None else f"`{json.dumps(default)}`" if default != {} else ""


if __name__ == "__main__":
    text = reference(yaml.safe_load(SCHEMA.read_text()))
    (ROOT / "docs/configuration.md").write_text(text)
