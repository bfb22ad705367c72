"""A report back from its JSON: what a server answered becomes the same typed result that the analysis gave there."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from leadtrace.analysis.model import REPORT_SCHEMA, Rate, Report, Sample, Window
from leadtrace.errors import SourceError

if TYPE_CHECKING:
    from leadtrace.analysis.registry import Analysis

__all__ = ["report_from_json"]


def report_from_json(asked: Analysis[Any, Any], told: Mapping[str, Any]) -> Report[Any]:
    """The report that `Report.as_json` wrote. Raises `SourceError` where it is none, or of a newer form."""
    try:
        if told["schema"] != REPORT_SCHEMA or told["report"] != asked.name:
            raise SourceError(
                "not the report that was asked for", expected=f"{REPORT_SCHEMA} {asked.name}", got=told["schema"]
            )
        sorts = {one.section: one for one in asked.rows}
        return Report(
            asked.name,
            Window(told["window"]["since_unix_nano"] or 0, told["window"]["until_unix_nano"] or 0),
            Sample(dict(told["sample"])),
            tuple(_dataclass(sorts[one.get("section", "")], one) for one in told["rows"]),
            tuple(told["notes"]),
            tuple(told["incomplete"]),
        )
    except (KeyError, TypeError, AttributeError, ValueError, InvalidOperation) as cause:
        raise SourceError(f"not a report {asked.name} as this leadtrace knows it", cause=repr(cause)) from cause


@cache
def _hints(sort: type) -> dict[str, Any]:
    return get_type_hints(sort)


def _dataclass(sort: type, told: Mapping[str, Any]) -> Any:
    hints = _hints(sort)
    return sort(**{one.name: _value(hints[one.name], told[one.name]) for one in dataclasses.fields(sort) if one.init})


def _value(hint: Any, told: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        if told is None:
            return None
        return _value(next(one for one in args if one is not type(None)), told)
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(_value(args[0], one) for one in told)
        return tuple(_value(one, part) for one, part in zip(args, told, strict=True))
    if origin in (dict, Mapping):
        return {_value(args[0], key): _value(args[1], one) for key, one in told.items()}
    if origin is Literal or hint is Any:
        return told
    if hint is Decimal:
        return Decimal(told)
    if hint is float:
        return float(told)
    if hint is Rate:
        return Rate(told["numerator"], told["denominator"], told["of"], told["least"])
    if dataclasses.is_dataclass(hint):
        return _dataclass(hint, told)  # type: ignore[arg-type]
    if not isinstance(told, hint):
        raise TypeError(f"expected {hint.__name__}, got {told!r}")
    return told
