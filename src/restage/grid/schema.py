"""The configuration as one mapping: all it inherits, valid by the schema, defaults filled in."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError, best_match

from restage.grid.inherit import inherited, resolve_extends, sweep
from restage.grid.origin import Key, Origin, Wrong, unknown
from restage.grid.written import LOADER, read

PATHS = ("path", "qrels", "results")


def complete(
    config: Mapping[str, Any], schema: str | os.PathLike, files: Sequence[str | os.PathLike] = ()
) -> tuple[dict[str, Any], Origin]:
    """Return the configuration with all that it leaves unsaid, and where it was read.

    Args:
        config: as read from YAML.
        schema: the JSON schema, as YAML.
        files: the YAML files it was read from.

    Raises:
        InputError: one line with the place, what is wrong there and what to write instead.
    """
    origin = Origin(files)
    for file in files:
        read(file)  # Snakemake, which has read them, says nothing of what could mean two things
    try:
        whole = inherited(deepcopy(dict(config)), origin)
        resolve_extends(whole)
        sweep(whole, origin)
        _validate(whole, yaml.load(Path(schema).read_text(), LOADER))
    except Wrong as wrong:
        raise origin.line(wrong) from None
    return _as_meant(whole), origin


def _as_meant(value: Any, key: str = "") -> Any:
    """Return a value as others write it: 10.0 as 10, and of a path ``~`` as the home folder."""
    if isinstance(value, dict):
        return {name: _as_meant(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [_as_meant(one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return os.path.expanduser(value) if isinstance(value, str) and key in PATHS else value


def _validate(config: dict, schema: dict) -> None:
    error = best_match(_validator(schema["$defs"])(schema).iter_errors(config))
    if error:
        raise Wrong(*_explained(error))


def _validator(definitions: dict[str, Any]) -> type[Draft202012Validator]:
    """The standard validator, which also fills in the schema's defaults as it goes.

    What is infinite or not a number is no number here.
    """
    check = Draft202012Validator.VALIDATORS["properties"]

    def with_defaults(
        validator: Any, properties: dict[str, Any], instance: Any, schema: dict[str, Any]
    ) -> Iterator[ValidationError]:
        if isinstance(instance, dict):
            for name, sub in properties.items():
                sub = {**definitions.get(sub.get("$ref", "").rpartition("/")[2], {}), **sub}
                if "default" in sub and instance.get(name) is None:
                    instance[name] = deepcopy(sub["default"])
        yield from check(validator, properties, instance, schema)

    types = Draft202012Validator.TYPE_CHECKER
    finite = types.redefine(
        "number", lambda _, value: types.is_type(value, "number") and math.isfinite(value)
    )
    return validators.extend(
        Draft202012Validator, {"properties": with_defaults}, type_checker=finite
    )


def _explained(error: ValidationError) -> tuple[Key, str]:
    """The key that is wrong, and what to say about it."""
    key = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        name = next(k for k in error.instance if k not in known)
        return (*key, name), unknown("key", name, known).replace("there is no", "unknown")
    if error.validator == "required":
        missing = next(k for k in error.validator_value if k not in error.instance)
        about = error.schema.get("properties", {}).get(missing, {}).get("description", "")
        return key, f"'{missing}' is missing{f': {about}' if about else ''}"
    if "propertyNames" in error.absolute_schema_path:
        return (*key, error.instance), (
            f"{error.instance!r} cannot be a name here; use letters, digits, '_', '+' and, but not "
            "first, '.': 100 at most"
        )
    return key, _with_hint(error)


def _with_hint(error: ValidationError) -> str:
    hint = error.schema.get("description", "")
    if error.validator == "type" and isinstance(error.instance, str) and _is_float(error.instance):
        hint = f"YAML reads {error.instance} as text; write {_yaml_float(error.instance)}"
    if isinstance(error.instance, float) and not math.isfinite(error.instance):
        hint = "give a finite one"
    return f"{error.message.splitlines()[0]}{f'; {hint}' if hint else ''}"


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _yaml_float(text: str) -> str:
    mantissa, _, exponent = text.lower().partition("e")
    return f"{float(mantissa)}e{int(exponent or 0):+d}"
