"""Rules, replays and verdicts as lines for people and as JSON."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

from leadtrace.alerts.spoken import span_text
from leadtrace.cli.tables import lines_of
from leadtrace.query.model import decimal_text
from leadtrace.query.printable import moment, money

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from leadtrace.alerts.evaluate import Said
    from leadtrace.alerts.replay import Incident, Replay
    from leadtrace.alerts.rules import Rules
    from leadtrace.query.model import Json

__all__ = ["judged_json", "judged_lines", "replay_json", "replay_lines", "rule_lines"]

_TEST_SCHEMA = "leadtrace.alerts.test/1"


def rule_lines(rules: Rules) -> Iterator[str]:
    """What a file that is right says."""
    yield f"{rules.file}: {_counted(rules)}; nothing is wrong"
    yield ""
    cells = [
        [
            one.name,
            one.kind,
            ", ".join(one.groups),
            span_text(one.window_ns) if one.window_ns else "",
            span_text(one.for_ns) if one.for_ns else "at once",
            one.severity,
        ]
        for one in rules.rules.values()
    ]
    yield from lines_of(["rule", "kind", "groups", "window", "for", "severity"], cells)


def replay_lines(rules: Rules, played: Replay) -> Iterator[str]:
    """What would have been told, a line each, and what it cost."""
    yield (
        f"{_when(played.since_ns)} to {_when(played.until_ns)} UTC, {played.evaluations:,} evaluations "
        f"{span_text(played.every_ns)} apart: {_counted(rules)}"
    )
    yield ""
    if not played.incidents:
        yield "nothing would have fired"
        return
    cells = [
        [
            one.alert.rule,
            one.alert.group,
            _when(one.alert.began_ns),
            span_text(one.delay_ns),
            _when(one.alert.ended_ns) if one.alert.ended_ns else "still firing",
            span_text(one.alert.duration_ns(played.until_ns)),
            money(one.alert.money_at_risk, one.alert.currency) if one.alert.money_at_risk is not None else "",
            one.alert.why,
        ]
        for one in played.incidents
    ]
    yield from lines_of(["rule", "group", "began", "told after", "ended", "lasted", "at risk", "last seen"], cells)
    yield ""
    quiet = [name for name in rules.rules if name not in {one.alert.rule for one in played.incidents}]
    yield f"{len(played.incidents)} alerts" + (f"; never fired: {', '.join(quiet)}" if quiet else "")
    for currency, (whole, before) in _costs(played.incidents).items():
        yield f"at risk in all {money(whole, currency)}, of it {money(before, currency)} before it was told"


def replay_json(rules: Rules, played: Replay) -> dict[str, Json]:
    return {
        "schema": _TEST_SCHEMA,
        "file": rules.file,
        "since_unix_nano": played.since_ns,
        "until_unix_nano": played.until_ns,
        "every_ns": played.every_ns,
        "evaluations": played.evaluations,
        "alerts": [one.as_json() for one in played.incidents],
        "cost": [
            {"currency": currency, "at_risk": decimal_text(whole), "before_told": decimal_text(before)}
            for currency, (whole, before) in _costs(played.incidents).items()
        ],
        "notes": list(played.notes),
    }


def judged_lines(rules: Rules, said: Sequence[Said], at_ns: int) -> Iterator[str]:
    """What every rule says, and why."""
    yield f"at {_when(at_ns)} UTC: {_counted(rules)}"
    yield ""
    words = {True: "wrong", False: "well", None: "unknown"}
    cells = [[one.rule.name, one.target, words[one.verdict.holds], one.verdict.why] for one in said]
    yield from lines_of(["rule", "group", "says", "because"], cells)


def judged_json(rules: Rules, said: Sequence[Said], at_ns: int, notes: Sequence[str]) -> dict[str, Json]:
    return {
        "schema": _TEST_SCHEMA,
        "file": rules.file,
        "at_unix_nano": at_ns,
        "verdicts": [
            {
                "rule": one.rule.name,
                "group": one.target,
                "kind": one.rule.kind,
                "holds": one.verdict.holds,
                "why": one.verdict.why,
                "observed": one.verdict.observed,
                "expected": one.verdict.expected,
                "unit": one.verdict.unit,
                "text": one.verdict.text,
                "closed": one.verdict.closed,
                "money_at_risk": None if one.verdict.money_at_risk is None else decimal_text(one.verdict.money_at_risk),
                "currency": one.verdict.currency,
            }
            for one in said
        ],
        "notes": list(notes),
    }


def _costs(incidents: Iterable[Incident]) -> dict[str, tuple[Decimal, Decimal]]:
    """Per currency: at risk in all, and before it was told; of several rules on one group the dearest counts.

    Two rules that tell the same silence tell the same money.
    """
    of_group: dict[tuple[str, str, int], tuple[Decimal, Decimal]] = {}
    told = sorted(incidents, key=lambda one: one.alert.began_ns)
    ends: dict[tuple[str, str], tuple[int, int]] = {}
    for one in told:
        alert = one.alert
        if alert.money_at_risk is None:
            continue
        key = (alert.currency, alert.group)
        number, end = ends.get(key, (0, 0))
        if alert.began_ns >= end:
            number += 1
        last = alert.ended_ns or 2**63
        ends[key] = (number, max(last, end))
        whole, before = of_group.get((*key, number), (Decimal(), Decimal()))
        first = one.money_when_told or Decimal()
        before = min(before, first) if whole else first
        of_group[*key, number] = (max(whole, alert.money_at_risk), before)
    found: dict[str, tuple[Decimal, Decimal]] = defaultdict(lambda: (Decimal(), Decimal()))
    for (currency, _, _), (whole, before) in of_group.items():
        found[currency] = (found[currency][0] + whole, found[currency][1] + before)
    return dict(found)


def _counted(rules: Rules) -> str:
    parts = ((len(rules.rules), "rule"), (len(rules.groups), "group"), (len(rules.credentials), "credential"))
    return ", ".join(f"{count} {name}{'s' if count != 1 else ''}" for count, name in parts if count)


def _when(time_ns: int) -> str:
    """To the minute."""
    return moment(time_ns)[:16]
