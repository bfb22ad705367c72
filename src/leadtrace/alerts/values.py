"""The numbers of custom rules: a column of a report's rows, or what a user's function says."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

from leadtrace.alerts.model import Point, Series
from leadtrace.analysis.answer import answer
from leadtrace.analysis.model import Rate, Report
from leadtrace.analysis.options import checked
from leadtrace.analysis.registry import analysis
from leadtrace.errors import LeadtraceError, SettingsError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from leadtrace.alerts.asking import Asking
    from leadtrace.alerts.model import Signal
    from leadtrace.alerts.rules import Custom

__all__ = ["check_custom", "values_of"]


def values_of(asking: Asking, rule: Custom, moments: Sequence[int]) -> tuple[dict[tuple[Signal, str], Series], str]:
    """The series of one rule, a point for each moment; and why one has none, '' where all have. Raises `SourceError` only."""
    points: dict[str, list[Point]] = defaultdict(list)
    problem = ""
    for until in moments:
        found, wrong = _values(asking, rule, until)
        problem = problem or wrong
        for row, (value, count) in found.items():
            points[row].append(Point(until, until, count, value=value))
    series: dict[tuple[Signal, str], Series] = {
        ("custom", rule.name if not row else f"{rule.name}/{row}"): Series(tuple(several))
        for row, several in points.items()
    }
    return series, problem


def _values(asking: Asking, rule: Custom, until_ns: int) -> tuple[dict[str, tuple[float, int]], str]:
    since = until_ns - rule.window_ns
    try:
        found = (
            _from_report(asking, rule, since, until_ns)
            if rule.report
            else _from_function(asking, rule, since, until_ns)
        )
    except SourceError:
        raise
    except LeadtraceError as problem:
        return {}, str(problem)
    except Exception as problem:  # noqa: BLE001 - a user's function may raise anything, and others' rules go on
        return {}, f"{rule.function or rule.report} raised {type(problem).__name__}: {problem}"
    return found, "" if found else "there is no such row"


def check_custom(rule: Custom) -> tuple[tuple[str, ...], str] | None:
    """The key (with those around it) that names something which is not there, and a sentence; None where all is.

    A function's module is imported to see.
    """
    try:
        if rule.function:
            _function(rule.function)
            return None
        rows = analysis(rule.report).rows
    except LeadtraceError as problem:
        return ("function" if rule.function else "report",), str(problem)
    for key, name in ((("column",), rule.column), *((("where", one), one) for one in rule.where)):
        fields = {field.name for row in rows for field in dataclasses.fields(row)}
        if name.partition(".")[0] not in fields:
            near = get_close_matches(name, sorted(fields), n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has: {', '.join(sorted(fields))}"
            return key, f"the report {rule.report} has no column {name!r}; {hint}"
    return None


def _from_report(asking: Asking, rule: Custom, since: int, until: int) -> dict[str, tuple[float, int]]:
    asked = analysis(rule.report)
    given = {"since_ns": since, "until_ns": until, "tenant": asking.tenant, "now_ns": until}
    report = answer(asking.source, asked, checked(rule.report, asked.options, given))
    found: dict[str, tuple[float, int]] = {}
    rows = [row for row in report.rows if all(_text(_at(row, name)) == text for name, text in rule.where.items())]
    for row in rows:
        value = _at(row, rule.column)
        count = value.denominator if isinstance(value, Rate) else max(report.sample.counts.values(), default=0)
        number = _number(value)
        if number is not None:
            found[_name_of(row, rule) if len(rows) > 1 else ""] = (number, count)
    return found


def _from_function(asking: Asking, rule: Custom, since: int, until: int) -> dict[str, tuple[float, int]]:
    """`function(report, since_ns, until_ns)`: a number, None, or numbers by name; `report(name, **options)` asks the source."""

    def report(name: str, **options: object) -> Report[Any]:
        asked = analysis(name)
        given = {"since_ns": since, "until_ns": until, "tenant": asking.tenant, "now_ns": until} | options
        return answer(asking.source, asked, checked(name, asked.options, given))

    told = _function(rule.function)(report, since, until)
    several = told if isinstance(told, Mapping) else {"": told}
    found = {}
    for name, value in several.items():
        number = _number(value)
        if number is None and value is not None:
            raise SettingsError(f"{rule.function} gave no number", got=repr(value))
        if number is not None:
            found[str(name)] = (number, rule.min_sample)
    return found


def _function(name: str) -> Callable[..., Any]:
    module, _, path = name.partition(":")
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as problem:
        raise SettingsError(f"{name!r} is not there: {problem}") from problem
    if not callable(found):
        raise SettingsError(f"{name!r} is no function", got=type(found).__name__)
    return found  # type: ignore[no-any-return]


def _at(row: Any, path: str) -> Any:
    for part in path.split("."):
        row = getattr(row, part, None)
    return row


def _number(value: Any) -> float | None:
    if isinstance(value, Rate):
        value = value.value
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    return float(value)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _name_of(row: Any, rule: Custom) -> str:
    """What tells a row from others: its texts, those that the rule chose by left out."""
    texts = (
        getattr(row, one.name)
        for one in dataclasses.fields(row)
        if one.name not in rule.where and isinstance(getattr(row, one.name), str)
    )
    return " / ".join(text for text in texts if text)
