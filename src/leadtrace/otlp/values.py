"""What a user passes, as a value that OTLP can carry. Nothing here raises: telemetry never hurts the host."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import cast
from uuid import UUID

from leadtrace.otlp.records import Value

__all__ = ["clean", "flat"]

_PLAIN = (str, bool, int, float, bytes)
_INT64 = range(-(2**63), 2**63)
_DEPTH = 8
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def clean(value: object, depth: int = 0) -> Value | None:
    """The value as OTLP carries it; None where it is absent.

    Aware datetimes become int Unix nanoseconds; UUIDs, naive dates and times text; Decimals floats; Enums their value;
    sequences and sets lists; what is none of these, its `str()`. An int beyond 64 bits becomes text.
    """
    kind = type(value)
    if kind is str or kind is bool or kind is float or kind is bytes:
        return cast(Value, value)
    if kind is int:
        return cast(int, value) if value in _INT64 else str(value)
    if value is None:
        return None
    if isinstance(value, Enum):
        return clean(value.value, depth)
    if isinstance(value, _PLAIN):  # a subclass of a plain type travels as that type
        return clean(next(plain(value) for plain in _PLAIN if isinstance(value, plain)))  # type: ignore[arg-type]
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() else str(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return value.isoformat()
        since = value - _EPOCH
        return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds() * 1_000
    if depth < _DEPTH:
        try:
            if isinstance(value, Mapping):
                pairs = ((str(key), clean(one, depth + 1)) for key, one in value.items())
                return {key: one for key, one in pairs if one is not None}
            if isinstance(value, (list, tuple, set, frozenset)):
                return _alike([one for one in (clean(one, depth + 1) for one in value) if one is not None])
        except Exception:  # noqa: BLE001 - a user's container may do anything; its text below is what is left
            return _text(value)
    return _text(value)


def flat(value: Value) -> Value:
    """The value as a span attribute can hold it: maps as JSON text, everything else as it is."""
    if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], (dict, list))):
        import json

        return json.dumps(value, default=str, ensure_ascii=False)
    return value


def _alike(values: list[Value]) -> list[Value]:
    """A list is homogeneous: ints beside floats become floats, any other mixture text."""
    kinds = {type(one) for one in values}
    if len(kinds) <= 1:
        return values
    if kinds == {int, float}:
        return [float(cast(float, one)) for one in values]
    return [one if isinstance(one, str) else _text(one) for one in values]


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as problem:  # noqa: BLE001 - a host's __str__ may raise anything
        return f"<{type(value).__name__}: str() raised {type(problem).__name__}>"
