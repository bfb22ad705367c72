"""The keys of a rule in the file: those of every rule, and those of each kind."""

from __future__ import annotations

import math
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from leadtrace.alerts.rules import (
    HOUR,
    KINDS,
    Absence,
    Budget,
    Capacity,
    Custom,
    EnhancementDegraded,
    ErrorSpike,
    Expiry,
    HealthState,
    Rule,
    Slowdown,
    TooFew,
)
from leadtrace.catalogue.common import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leadtrace.alerts.model import Severity
    from leadtrace.alerts.rules import Credential, Group
    from leadtrace.alerts.toml_table import Table

__all__ = ["read_rule"]

_FUNCTION: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_MOST_WINDOW: Final = 31 * 24 * HOUR
_STATISTICS: Final = ("mean", "lowest", "highest", "last")
_HEALTH: Final = ("healthy", "degraded", "crisis", "unknown")

_OF_GROUPS: Final[Mapping[type[Rule], tuple[str, ...]]] = {
    Absence: ("campaign_group", "buyer", "enhancement", "flow"),
    TooFew: ("campaign_group", "buyer", "enhancement", "flow"),
    Budget: ("campaign_group", "buyer", "enhancement", "flow"),
    ErrorSpike: ("campaign_group", "buyer", "enhancement", "flow"),
    EnhancementDegraded: ("enhancement",),
    Slowdown: ("campaign_group", "buyer", "enhancement", "flow"),
}
"""The kinds that watch groups, and groups of which kinds."""


def read_rule(
    table: Table, groups: Mapping[str, Group], credentials: Mapping[str, Credential], owners: tuple[str, ...]
) -> Rule | None:
    """The rule of a table `[rules.NAME]`; None where it is not even of a kind."""
    kind = table.text("kind")
    if kind not in KINDS:
        near = get_close_matches(kind, list(KINDS), n=1)
        got = f"{kind!r}" if table.has("kind") else "nothing"
        hint = f"; did you mean {near[0]}?" if near else ""
        table.wrong(f"a rule's kind is one of {', '.join(KINDS)}, got {got}{hint}", "kind")
        return None
    of = KINDS[kind]
    usual = of(name=table.name)
    values: dict[str, Any] = {
        "name": table.name,
        "kind": kind,
        "for_ns": table.span("for", 0, zero=True),
        "keep_firing_ns": table.span("keep_firing", usual.keep_firing_ns, zero=True),
        "severity": cast("Severity", table.choice("severity", SEVERITIES, usual.severity)),
        "runbook": table.text("runbook"),
        "owners": table.texts("owners", () if of in _OF_GROUPS else owners),
        "labels": _labels(table),
        "place": table.place,
    }
    if of in _OF_GROUPS:
        values["groups"] = _groups(table, of, groups)
    if of is not Expiry:
        values["window_ns"] = table.span("window", usual.window_ns)
        if values["window_ns"] > _MOST_WINDOW:
            table.wrong("a window is 31 days at most", "window")
    if of not in (Expiry, HealthState):
        values["min_sample"] = table.whole("min_sample", usual.min_sample)
    rule = of(**values, **_READ[of](table, usual))
    _check(table, rule, groups, credentials)
    table.done()
    return rule


def _learnt(table: Table, usual: Any) -> dict[str, Any]:
    return {
        "probability": table.number("probability", usual.probability, above=0, below=1),
        "history_ns": table.span("history", usual.history_ns),
    }


def _absence(_table: Table, _usual: Any) -> dict[str, Any]:
    return {}


def _too_few(table: Table, usual: Any) -> dict[str, Any]:
    return {**_learnt(table, usual), "min_weeks": table.whole("min_weeks", usual.min_weeks, least=1)}


def _error_spike(table: Table, usual: Any) -> dict[str, Any]:
    return {
        **_learnt(table, usual),
        "factor": table.number("factor", usual.factor, above=0),
        "above": table.number("above", None, above=0, below=1),
    }


def _degraded(table: Table, usual: Any) -> dict[str, Any]:
    return {
        **_error_spike(table, usual),
        "quantile": table.number("quantile", usual.quantile, above=0, below=1),
        "slower": table.number("slower", usual.slower, above=1),
    }


def _slowdown(table: Table, usual: Any) -> dict[str, Any]:
    above = table.span("above", 0)
    return {
        **_learnt(table, usual),
        "quantile": table.number("quantile", usual.quantile, above=0, below=1),
        "factor": table.number("factor", usual.factor, above=1),
        "above_ms": above / 1e6 if above else None,
    }


def _capacity(table: Table, usual: Any) -> dict[str, Any]:
    return {
        "above": table.number("above", usual.above, above=0),
        "resources": table.texts("resources"),
        "services": table.texts("services"),
        "statistic": cast(
            Literal["mean", "lowest", "highest", "last"], table.choice("statistic", _STATISTICS, usual.statistic)
        ),
    }


def _health(table: Table, usual: Any) -> dict[str, Any]:
    states = table.texts("states", usual.states)
    for one in states:
        if one not in _HEALTH:
            near = get_close_matches(one, _HEALTH, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            table.wrong(f"{one!r} is not one of {', '.join(_HEALTH)}{hint}", "states")
    return {"states": states, "services": table.texts("services")}


def _budget(table: Table, usual: Any) -> dict[str, Any]:
    above = table.money("above")
    if not table.has("above"):
        table.wrong("a budget has above = and an amount: how much may be at risk")
    return {**_too_few(table, usual), "above": above if above is not None else usual.above}


def _expiry(table: Table, usual: Any) -> dict[str, Any]:
    return {
        "before_ns": table.span("before", usual.before_ns),
        "credentials": table.texts("credentials"),
        "periodic_errors": table.flag("periodic_errors", usual.periodic_errors),
    }


def _custom(table: Table, usual: Any) -> dict[str, Any]:
    where = table.table("where")
    conditions = {key: str(where.get(key)) for key in where.content} if where is not None else {}
    return {
        "report": table.text("report"),
        "column": table.text("column"),
        "where": conditions,
        "function": table.text("function"),
        "least": table.number("at_least", usual.least),
        "most": table.number("at_most", usual.most),
        "unit": table.text("unit"),
    }


_READ: Final[Mapping[type[Rule], Callable[[Table, Any], dict[str, Any]]]] = {
    Absence: _absence,
    TooFew: _too_few,
    ErrorSpike: _error_spike,
    EnhancementDegraded: _degraded,
    Slowdown: _slowdown,
    Capacity: _capacity,
    HealthState: _health,
    Budget: _budget,
    Expiry: _expiry,
    Custom: _custom,
}


def _labels(table: Table) -> dict[str, str]:
    inner = table.table("labels")
    if inner is None:
        return {}
    return {key: inner.text(key) for key in inner.content}


def _groups(table: Table, of: type[Rule], groups: Mapping[str, Group]) -> tuple[str, ...]:
    """The groups that a rule names; `*` is every one of a kind that the rule can watch."""
    named = table.texts("groups")
    fitting = [one.name for one in groups.values() if one.kind in _OF_GROUPS[of]]
    if not named:
        table.wrong('a rule of this kind has groups = and their names, or "*" for all', "groups")
    if "*" in named:
        if not fitting:
            table.wrong(f"no group of a kind that it can watch is declared ({', '.join(_OF_GROUPS[of])})", "groups")
        return tuple(fitting)
    for one in named:
        if one not in groups:
            near = get_close_matches(one, list(groups), n=1)
            hint = f"did you mean {near[0]}?" if near else f"declared are: {', '.join(groups) or 'none'}"
            table.wrong(f"there is no group {one!r}; {hint}", "groups")
        elif one not in fitting:
            table.wrong(
                f"{one!r} is a {groups[one].kind}; this kind watches {', '.join(_OF_GROUPS[of])} groups", "groups"
            )
    return tuple(dict.fromkeys(one for one in named if one in fitting))


def _check(table: Table, rule: Rule, groups: Mapping[str, Group], credentials: Mapping[str, Credential]) -> None:
    """What is wrong between keys, each of them being right."""
    match rule:
        case Budget():
            for one in (groups[name] for name in rule.groups):
                if one.value_per_lead is None and one.spend_per_hour is None:
                    table.wrong(f"group {one.name!r} declares neither value_per_lead nor spend_per_hour", "groups")
        case Expiry():
            for name in rule.credentials:
                if name not in credentials:
                    near = get_close_matches(name, list(credentials), n=1)
                    table.wrong(
                        f"there is no credential {name!r}" + (f"; did you mean {near[0]}?" if near else ""),
                        "credentials",
                    )
            if not credentials and not rule.periodic_errors:
                table.wrong("there is nothing to watch: no credential is declared, and periodic_errors is false")
        case Custom():
            _check_custom(table, rule)
        case _:
            pass


def _check_custom(table: Table, rule: Custom) -> None:
    if bool(rule.report) == bool(rule.function):
        table.wrong("a custom rule has either report and column, or function")
    if rule.report and not rule.column:
        table.wrong("which column of the report?", "report")
    if rule.function and not _FUNCTION.fullmatch(rule.function):
        table.wrong(f"a function is named as module:function, got {rule.function!r}", "function")
    if rule.least is None and rule.most is None:
        table.wrong("what is expected? give at_least, at_most, or both")
    least = -math.inf if rule.least is None else rule.least
    if rule.most is not None and least > rule.most:
        table.wrong("at_least is more than at_most", "at_least")
    if (rule.report and rule.column) or _FUNCTION.fullmatch(rule.function):
        from leadtrace.alerts.values import check_custom

        if lost := check_custom(rule):
            table.wrong(lost[1], *lost[0])
