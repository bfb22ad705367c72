"""JSON Schema over payloads: read once, checked quickly, and its findings told without the values that it found."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from leadtrace.errors import SettingsError
from leadtrace.otlp.lead_event import Problem

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_by_schema", "problem_of", "read_schema"]

_KEPT = 200
_validators: dict[str, Any] = {}
_files: dict[str, tuple[tuple[int, int], Mapping[str, object] | bool]] = {}


def read_schema(schema: Mapping[str, object] | bool | str | Path) -> Mapping[str, object] | bool:
    """The schema itself; a file is read once, and again when it has changed.

    Raises `SettingsError` where the file cannot be read, where it is no schema, or where jsonschema is not installed.
    """
    if isinstance(schema, (str, os.PathLike)):
        path = os.fspath(schema)
        try:
            there = os.stat(path)
            stamp = (there.st_mtime_ns, there.st_size)
            known = _files.get(path)
            if known is not None and known[0] == stamp:
                return known[1]
            with open(path, "rb") as file:
                found = json.load(file)
        except OSError as why:
            raise SettingsError("the JSON Schema cannot be read", path=path, cause=why.strerror or str(why)) from why
        except ValueError as why:
            raise SettingsError("the JSON Schema's file is not JSON", path=path, cause=str(why)) from why
        _validator(found)
        _files[path] = (stamp, found)
        return found  # type: ignore[no-any-return]
    _validator(schema)
    return schema


def check_by_schema(payload: Any, schema: Mapping[str, object] | bool) -> Problem | None:
    """What the schema finds wrong, the finding that says most; None where nothing is."""
    from jsonschema.exceptions import best_match

    found = best_match(_validator(schema).iter_errors(payload))
    return problem_of(found) if found is not None else None


def _validator(schema: object) -> Any:
    try:
        key = json.dumps(schema, sort_keys=True)
    except (TypeError, ValueError) as why:
        raise SettingsError("a JSON Schema is JSON", cause=str(why)) from why
    known = _validators.get(key)
    if known is not None:
        return known
    try:
        from jsonschema import Draft202012Validator, FormatChecker
        from jsonschema.exceptions import SchemaError
        from jsonschema.validators import validator_for
    except ImportError as why:
        raise SettingsError(
            "checking payloads by a JSON Schema needs jsonschema: pip install 'leadtrace[lead-events]'",
            missing=why.name,
        ) from why
    if not isinstance(schema, (Mapping, bool)):
        raise SettingsError("a JSON Schema is an object, or true or false", got=type(schema).__name__)
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)  # type: ignore[arg-type]
    except SchemaError as why:
        raise SettingsError(f"this is no JSON Schema: {why.message}", at=why.json_path) from why
    if len(_validators) >= _KEPT:
        _validators.clear()
    made = _validators[key] = kind(schema, format_checker=FormatChecker())
    return made


def problem_of(found: Any) -> Problem:
    """A finding of jsonschema as a field and a reason that repeats the schema only, never the payload."""
    where = _path(found.absolute_path)
    rule, said, value = found.validator, found.validator_value, found.instance
    match rule:
        case "required":
            lacking = [name for name in said if isinstance(value, Mapping) and name not in value]
            name = next((one for one in lacking if found.message.startswith(repr(one))), "")
            return Problem("is missing", f"{where}.{name}" if where and name else where or name)
        case "type":
            return Problem(f"is {_kind(value)}, not {' or '.join([said] if isinstance(said, str) else said)}", where)
        case "enum":
            return Problem(f"is none of {_told(said)}", where)
        case "const":
            return Problem(f"is not {_told(said)}", where)
        case "pattern":
            return Problem(f"does not match {said}", where)
        case "format":
            return Problem(f"is not in the format {said}", where)
        case "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties":
            return Problem(f"{'has too few' if rule.startswith('min') else 'has too many'} {_UNITS[rule[3:]]}", where)
        case "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum" | "multipleOf":
            return Problem(f"breaks {rule} {said}", where)
        case "additionalProperties" | "unevaluatedProperties":
            return Problem("has a key that the schema does not know", where)
        case None:
            return Problem("is never allowed there", where)
    return Problem(f"breaks the schema's rule {rule}", where)


_UNITS = {"Length": "characters", "Items": "items", "Properties": "keys"}


def _path(path: Any) -> str:
    text = ""
    for one in path:
        text += f"[{one}]" if isinstance(one, int) else f".{one}" if text else str(one)
    return text


def _kind(value: object) -> str:
    for kinds, name in (
        (bool, "boolean"),
        (str, "string"),
        (int, "integer"),
        (float, "number"),
        (Mapping, "object"),
        (list, "array"),
    ):
        if isinstance(value, kinds):
            return name
    return "null"


def _told(said: object) -> str:
    text = ", ".join(str(one) for one in said) if isinstance(said, list) else json.dumps(said)
    return text if len(text) <= 200 else text[:199] + "…"
