"""Payloads of lead events: read as JSON, checked by what the user gives, and told of without quoting them.

A check is a JSON Schema (a dict, or the path of a file) or a callable that gets the payload: it returns None where all is
well, or what is wrong, or raises. A reason never repeats a value of the payload: it goes into records that are not sealed.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload
from uuid import UUID

from leadtrace.errors import SettingsError
from leadtrace.otlp.lead_event import Problem, utf8
from leadtrace.otlp.personal import plain_name, sort_of
from leadtrace.words import runtime
from leadtrace.words.json_schema import check_by_schema, read_schema

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "Check",
    "Schema",
    "check_payload",
    "checks_for",
    "payload_schema",
    "read_payload",
    "schema_given",
    "without_values",
]

Check: TypeAlias = "Callable[[Any], object]"
Schema: TypeAlias = "Mapping[str, object] | bool | str | Path | Check"
"""A JSON Schema as a dict (or true and false, which are schemas too), the path of one, or a callable over the payload."""

C = TypeVar("C", bound="Callable[[Any], object]")

_DEEPEST = 64
_checks: dict[tuple[str, str], Mapping[str, object] | bool | Check] = {}


@overload
def payload_schema(type: str = "*", schema: None = None, *, destination: str = "*") -> Callable[[C], C]: ...
@overload
def payload_schema(type: str, schema: Schema, *, destination: str = "*") -> None: ...
def payload_schema(type: str = "*", schema: Schema | None = None, *, destination: str = "*") -> Any:  # noqa: A002 - the event's own word
    """Check every payload of lead events of that type (and for that platform) by this, from now on in this process.

    `schema` is a JSON Schema, the path of one, or a callable; without it this is a decorator for the callable. `"*"`
    stands for every type, or every platform; where several apply, all must pass. Given again, it takes the place of the
    one before. A schema that is none raises `SettingsError` here.
    """
    if schema is None:

        def keep(check: C) -> C:
            _checks[type, destination] = check
            return check

        return keep
    _checks[type, destination] = schema if callable(schema) else read_schema(schema)
    return None


def checks_for(type: str, destination: str) -> list[Mapping[str, object] | bool | Check]:  # noqa: A002 - as above
    """What was registered for that type and platform, the most general first."""
    asked = (("*", "*"), ("*", destination), (type, "*"), (type, destination))
    return [_checks[one] for one in dict.fromkeys(asked) if one in _checks]


def check_payload(payload: Any, check: Mapping[str, object] | bool | Check) -> Problem | None:
    """What that check finds wrong with a payload; None where nothing is."""
    if not callable(check):
        found = check_by_schema(payload, check)
        return found and Problem(found.reason, _scrubbed(found.field))
    try:
        said = check(payload)
    except Exception as problem:  # noqa: BLE001 - a check says no by raising whatever it likes
        return _raised(problem, payload)
    return _returned(said, payload, getattr(check, "__name__", "the check"))


def read_payload(payload: object) -> tuple[Any, str | None, Problem | None]:
    """A payload as JSON; where it is none, its text as it came and what is wrong with it.

    Bytes and text are read as JSON. In anything else, dates and times become ISO text, UUIDs text, Enums their value,
    Decimals numbers where a float holds them exactly and text otherwise, dataclasses objects.
    """
    if isinstance(payload, (bytes, bytearray, memoryview, str)):
        raw = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else bytes(payload)
        try:
            return json.loads(raw, parse_constant=_no_constant), None, None
        except json.JSONDecodeError as why:
            told = f"{why.msg} at line {why.lineno}, column {why.colno}"
        except UnicodeDecodeError as why:
            told = f"not {why.encoding}: {why.reason}"
        except RecursionError:
            told = "nested too deeply"
        except ValueError as why:
            told = str(why)  # of ours, or of an int with too many digits
        return None, raw.decode("latin-1"), Problem(f"is not JSON: {told}")
    try:
        return _plain(payload, "", 0), None, None
    except _NoJson as no:
        return None, _shown(payload), no.problem


class _NoJson(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.reason)
        self.problem = problem


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def _shown(payload: object) -> str:
    try:
        return repr(payload).encode("utf-8", "backslashreplace").decode("latin-1")
    except Exception as why:  # noqa: BLE001 - a host's object may do anything when it is looked at
        return f"<{type(payload).__name__}: repr() raised {type(why).__name__}>"


def _plain(value: object, at: str, depth: int) -> Any:
    """The value as JSON has it; raises `_NoJson` with the field that JSON has no word for."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, at, depth)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise _NoJson(Problem("is not a number that JSON has", at))
        return float(value)
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() and Decimal(repr(float(value))) == value else str(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if depth >= _DEEPEST:
        raise _NoJson(Problem(f"is nested more than {_DEEPEST} deep", at))
    try:
        if isinstance(value, Mapping):
            return {_key(key, at): _plain(one, _below(at, str(key)), depth + 1) for key, one in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [_plain(one, f"{at}[{number}]", depth + 1) for number, one in enumerate(value)]
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [one.name for one in dataclasses.fields(value)]
            return {name: _plain(getattr(value, name), _below(at, name), depth + 1) for name in names}
    except _NoJson:
        raise
    except Exception as why:
        raise _NoJson(Problem(f"cannot be read: {type(why).__name__}", at)) from why
    raise _NoJson(Problem(f"is of the type {type(value).__name__}, which JSON does not have", at))


def _key(key: object, at: str) -> str:
    if isinstance(key, (str, int, float, bool)) or key is None:
        return str(key)
    raise _NoJson(Problem(f"has a key of the type {type(key).__name__}", at))


def _below(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key


def _raised(problem: Exception, payload: Any) -> Problem:
    """What a check said by raising; of validation libraries that list their errors, the first with its field."""
    if type(problem).__name__ == "ValidationError":
        if hasattr(problem, "validator") and hasattr(problem, "absolute_path"):
            from leadtrace.words.json_schema import problem_of

            return problem_of(problem)
        try:
            first = problem.errors()[0]  # type: ignore[attr-defined]
            where = ".".join(str(one) for one in first["loc"])
            return Problem(without_values(str(first["msg"]), payload)[:500], _scrubbed(where))
        except Exception:  # noqa: BLE001, S110 - it was another library's
            pass
    return Problem(without_values(str(problem).strip() or type(problem).__name__, payload)[:500])


def _returned(found: object, payload: Any, name: str) -> Problem | None:
    if found is None or found is True:
        return None
    if found is False:
        return Problem(f"{name} says no")
    if isinstance(found, Problem):
        found = {"reason": found.reason, "field": found.field}
    if isinstance(found, Mapping):
        if not found:
            return None
        reason, where = str(found.get("reason") or f"{name} says no"), str(found.get("field") or "")
        return Problem(without_values(reason, payload)[:500], _scrubbed(where))
    if isinstance(found, BaseException):
        return _raised(found, payload) if isinstance(found, Exception) else Problem(type(found).__name__)
    if isinstance(found, str):
        return Problem(without_values(found, payload)[:500]) if found.strip() else None
    if isinstance(found, Sequence | Iterable):
        listed = [str(one) for one in found]
        return Problem(without_values("; ".join(listed), payload)[:500]) if listed else None
    return Problem(f"{name} says no") if found else None


def without_values(text: str, payload: Any) -> str:
    """A text without any value of the payload: what another side says of a payload often quotes it.

    Values under keys that `configure(allow=…)` names may stay.
    """
    running = runtime.active()
    text = utf8(text)
    if running.redactor is None:
        return text
    contacts_first = running.redactor.text(text)  # an address holds a name, which alone would leave the rest of it
    values = sorted(set(_values(payload, "", running.allow)), key=len, reverse=True)
    return running.redactor.text(contacts_first, values)


def _scrubbed(field: str) -> str:
    """The path of a field; keys of a payload may be contacts too."""
    redactor = runtime.active().redactor
    field = utf8(field)
    return (redactor.text(field) if redactor is not None else field)[:200]


def _values(value: Any, key: str, allowed: Collection[str], depth: int = 0) -> Iterator[str]:
    """All texts and long numbers in it; of names also their parts."""
    if key in allowed:
        return
    if isinstance(value, str):
        text = value.strip()[:1_000]
        if len(text) > 2:
            yield text
            if sort_of(plain_name(key)) == "name":
                yield from (part for part in text.split() if len(part) > 2)
    elif isinstance(value, bool):
        return
    elif isinstance(value, (int, float)):
        if abs(value) > 99_999:
            yield str(value)
    elif depth < _DEEPEST:
        if isinstance(value, Mapping):
            for inner, one in value.items():
                yield from _values(one, str(inner), allowed, depth + 1)
        elif isinstance(value, (list, tuple)):
            for one in value:
                yield from _values(one, key, allowed, depth + 1)


def schema_given(schema: Schema) -> Mapping[str, object] | bool | Check:
    """What was given as `schema=`, ready to check by. Raises `SettingsError` where it cannot be read or is none."""
    if callable(schema):
        return schema
    if isinstance(schema, (Mapping, bool, str, os.PathLike)):
        return read_schema(schema)
    raise SettingsError(
        "schema= is a JSON Schema, the path of one, or a callable over the payload", got=type(schema).__name__
    )
