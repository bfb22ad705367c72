"""The lead platform's nested JSON form of an event, read into attributes and written back.

    {"event_type": "enhancement.success",            enhancement.success
     "timestamp": "2024-01-15T10:30:45.456Z",        1705314645456000000
     "lead_id": "lead_7K9mHpQR3x2B5N8j",             lead.id
     "enhancement": {"name": "Phone Intelligence"},  enhancement.name
     "cost": 0.02}                                   enhancement.cost

A path of keys is the attribute of that name where one is declared, else that name under the event's namespace, else the field
that has it as an alias; what the event does not declare keeps its path as its name. Span events in the flat form are read
by the same rules.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from leadtrace.catalogue import get, problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from leadtrace.catalogue.model import EventSpec, FieldSpec

__all__ = ["Nested", "from_nested", "to_nested"]

_TOP = {"enhancement": frozenset({"outcome", "duration_ms", "cost", "cost_avoided", "currency", "cache_hit"})}
"""Fields that the form has beside the namespace's object, not in it; fields of more than one segment always are."""

_OURS = ("event_type", "lead_id", "timestamp", "attributes")
_ISO = re.compile(r"(.+?)(?:[.,](\d{1,9})\d*)?(Z|[+-]\d\d:?\d\d)?\Z", re.ASCII)
_SECOND = 1_000_000_000


class Nested(NamedTuple):
    """What an event in the nested form says."""

    name: str
    attributes: dict[str, object]
    lead_id: str
    time_ns: int
    """Unix nanoseconds, 0 where it has no time."""
    problems: list[str]
    """What was changed, left out or is wrong, in sentences."""


def from_nested(event: Mapping[str, object], *, time_ns: int = 0) -> Nested:
    """Read an event in the nested form. `time_ns` is the record's own time, where it has one: it wins, and a timestamp
    that differs is reported."""
    found: list[str] = []
    name = event.get("event_type")
    if not isinstance(name, str) or not name:
        found.append(f"event_type is {name!r}; it is the event's name")
        name = ""
    spec = get(name)
    lead = event.get("lead_id")
    attributes: dict[str, object] = {}
    times: list[tuple[str, int]] = []
    for path, value in _leaves({key: value for key, value in event.items() if key not in ("event_type", "lead_id")}):
        if path.partition(".")[0] == "timestamp":
            _read_time(path, value, times, found)
            continue
        if value is None or value == {}:
            found.append(f"{path} has no value and was left out")
            continue
        attribute = path.removeprefix("attributes.") if path.startswith("attributes.") else _attribute_of(path, spec)
        if spec is not None:
            attribute, value = _converted(attribute, value, spec, found)
        if attribute in attributes and attributes[attribute] != value:
            found.append(
                f"{path} says {value!r}, but {attribute} is {attributes[attribute]!r} already; the first is kept"
            )
            continue
        attributes[attribute] = value
    own = time_ns or (times[0][1] if times else 0)
    found += [
        f"{path} differs from the record's own time by {_difference(moment - own)}"
        for path, moment in times
        if moment != own
    ]
    found += problems(spec, attributes) if spec else problems(name, {}) if name else []
    return Nested(name, attributes, "" if lead is None else str(lead), own, found)


def to_nested(name: str, attributes: Mapping[str, object], *, lead_id: str = "", time_ns: int = 0) -> dict[str, object]:
    """Write an event in the nested form, so that `from_nested` gives the same back."""
    spec = get(name)
    event: dict[str, object] = {"event_type": name}
    if time_ns:
        event["timestamp"] = _iso(time_ns)
    if lead_id:
        event["lead_id"] = lead_id
    literal: dict[str, object] = {}
    for attribute, value in attributes.items():
        path = _path_of(attribute, name, spec)
        if path is None or not _put(event, path.split("."), value):
            literal[attribute] = value
    if literal:
        event["attributes"] = literal
    return event


def _leaves(values: Mapping[str, object], above: tuple[str, ...] = ()) -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        path = (*above, str(key))
        if isinstance(value, dict) and value:
            yield from _leaves(value, path)
        else:
            yield ".".join(path), value


def _attribute_of(path: str, spec: EventSpec | None) -> str:
    """The attribute that a path of keys stands for."""
    if spec is None or spec.field_of(path) is not None:
        return path
    under = f"{spec.namespace}.{path}"
    if spec.field_of(under) is not None:
        return under
    for field in spec.fields.values():
        if path in field.aliases or under in field.aliases:
            return field.attribute
    return path


def _path_of(attribute: str, name: str, spec: EventSpec | None) -> str | None:
    """The path of keys under which an attribute is written; None where no path would be read back as it."""
    namespace = name.rpartition(".")[0]
    paths = [attribute]
    if namespace and attribute.startswith(f"{namespace}."):
        rest = attribute.removeprefix(f"{namespace}.")
        if "." in rest or rest in _TOP.get(namespace, ()):
            paths.insert(0, rest)
    for path in paths:
        if path.partition(".")[0] not in _OURS and _attribute_of(path, spec) == attribute:
            return path
    return None


def _put(event: dict[str, object], keys: list[str], value: object) -> bool:
    """Put a value at a path; false where a value stands on the way, or an object stands where the value would."""
    place = event
    for key in keys[:-1]:
        inner = place.setdefault(key, {})
        if not isinstance(inner, dict):
            return False
        place = inner
    if keys[-1] in place or isinstance(value, dict):
        return False
    place[keys[-1]] = value
    return True


def _converted(attribute: str, value: object, spec: EventSpec, found: list[str]) -> tuple[str, object]:
    """The value in the declared type where nothing is lost by it, and a retry limit as the number of tries."""
    if attribute == "max_retries" and "max_attempts" in spec.attributes and type(value) is int:
        found.append(f"max_retries {value} is read as max_attempts {value + 1}: the first try counts")
        return "max_attempts", value + 1
    field = spec.attributes.get(attribute)
    return attribute, value if field is None else _in_type(value, field)


def _in_type(value: object, field: FieldSpec) -> object:
    if isinstance(value, bool):
        return value
    if field.type == "double" and isinstance(value, int) and int(float(value)) == value:
        return float(value)
    if field.type == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    if field.type == "string" and isinstance(value, (int, float)):
        return str(value)
    return value


def _read_time(path: str, value: object, times: list[tuple[str, int]], found: list[str]) -> None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e12:
        # By the shortest decimal form: 1705314600.25 s times a thousand million is not exact in binary.
        times.append((path, int(Decimal(repr(value)) * _SECOND)))
        return
    moment = _from_iso(value) if isinstance(value, str) else None
    if moment is None:
        found.append(f"{path} is {value!r}; it is an ISO 8601 time, or Unix seconds")
        return
    if moment[1]:
        found.append(f"{path} {value!r} has no time zone and is read as UTC")
    times.append((path, moment[0]))


def _from_iso(text: str) -> tuple[int, bool] | None:
    """A time as Unix nanoseconds, and whether its zone had to be assumed; the standard library stops at microseconds."""
    parts = _ISO.match(text.strip())
    if parts is None:
        return None
    try:
        whole = datetime.fromisoformat(parts[1] + (parts[3] or "+00:00").replace("Z", "+00:00"))
        seconds = (whole - datetime(1970, 1, 1, tzinfo=UTC)) // (datetime.resolution * 1_000_000)
    except (ValueError, OverflowError, TypeError):
        return None
    return seconds * _SECOND + int((parts[2] or "").ljust(9, "0")), parts[3] is None


def _iso(time_ns: int) -> str:
    seconds, fraction = divmod(time_ns, _SECOND)
    text = (datetime(1970, 1, 1, tzinfo=UTC) + seconds * datetime.resolution * 1_000_000).strftime("%Y-%m-%dT%H:%M:%S")
    if not fraction:
        return f"{text}Z"
    digits = f"{fraction:09d}"
    return f"{text}.{digits[:3] if digits.endswith('000000') else digits[:6] if digits.endswith('000') else digits}Z"


def _difference(by_ns: int) -> str:
    seconds = abs(by_ns) / _SECOND
    way = "later" if by_ns > 0 else "earlier"
    return f"{seconds / 60:.0f} min ({way})" if seconds >= 120 else f"{seconds:.6g} s ({way})"
