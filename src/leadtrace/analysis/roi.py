"""What enhancements cost and what they are worth: calls, cache, billed failures; value measured or declared; return on cost."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from leadtrace.analysis.declared import read_declared
from leadtrace.analysis.misspelt import Names
from leadtrace.analysis.model import Rate, Report, Row, Sample, Window, from_micro, limited, major
from leadtrace.analysis.options import Options, option
from leadtrace.analysis.registry import Analysis
from leadtrace.analysis.roi_measured import Measured, measured_values
from leadtrace.analysis.sales import bounds
from leadtrace.store.relations.interface import END_OF_TIME

if TYPE_CHECKING:
    from leadtrace.analysis.declared import Declared
    from leadtrace.store.relations.interface import Relations

__all__ = ["ROI", "Calls", "Measured", "Return", "RoiOptions", "calls_and_returns", "roi"]

_DAY: Final = 86_400 * 10**9
_MONDAY: Final = 4 * _DAY
"""The first Monday after 1970 began."""

# A bulk call is one call, billed once, however many leads it served: its end events share their span.
_CALL: Final = """CASE WHEN word = 'enhancement' AND span_id <> '' THEN trace_id || span_id
  ELSE CAST(arrival AS VARCHAR) END"""
_CALLS: Final = f"""
SELECT {{piece}}, {{named}}, min({{also}}), max({{also}}), currency,
  sum(CASE WHEN name = 'enhancement.success' THEN 1 ELSE 0 END),
  sum(CASE WHEN name = 'enhancement.failed' THEN 1 ELSE 0 END),
  sum(CASE WHEN name = 'enhancement.cancelled' THEN 1 ELSE 0 END),
  sum(CASE WHEN name = 'enhancement.success' AND cache_hit = 1 THEN 1 ELSE 0 END),
  count(DISTINCT CASE WHEN cost_micro > 0 THEN {_CALL} END),
  count(DISTINCT CASE WHEN cost_micro > 0 AND name <> 'enhancement.success' THEN {_CALL} END),
  coalesce(sum(cost_micro), 0),
  coalesce(sum(CASE WHEN name <> 'enhancement.success' THEN cost_micro END), 0),
  coalesce(sum(cost_avoided_micro), 0)
FROM lead_events
WHERE name IN ('enhancement.success', 'enhancement.failed', 'enhancement.cancelled') AND {{chosen}}
GROUP BY 1, 2, currency
ORDER BY 1, 2, currency"""  # noqa: S608 - of constants alone

_NOT_ENDED: Final = {
    "open_calls": """
SELECT tenant, trace_id, span_id
FROM lead_events
WHERE name IN ('enhancement.started', 'enhancement.success', 'enhancement.failed', 'enhancement.cancelled') AND span_id <> ''
GROUP BY tenant, trace_id, span_id
HAVING min(CASE WHEN name = 'enhancement.started' THEN 1 ELSE 0 END) = 1""",
    "ended_later": """
SELECT DISTINCT tenant, trace_id, span_id
FROM all_events
WHERE name IN ('enhancement.success', 'enhancement.failed', 'enhancement.cancelled') AND time_ns >= $until
  AND span_id IN (SELECT span_id FROM open_calls)""",
}
_UNFINISHED: Final = """
SELECT {named}, count(*)
FROM (
  SELECT max(s.enhancement_name) AS enhancement_name, max(s.enhancement_service) AS enhancement_service
  FROM lead_events s CROSS JOIN open_calls o  -- in this order: rows would be gone through again for each call
  LEFT JOIN ended_later l ON l.span_id = o.span_id AND l.trace_id = o.trace_id AND l.tenant = o.tenant
  WHERE o.span_id = s.span_id AND o.trace_id = s.trace_id AND o.tenant = s.tenant AND s.name = 'enhancement.started'
    AND l.span_id IS NULL
  GROUP BY s.tenant, s.trace_id, s.span_id
) unfinished
WHERE {chosen} GROUP BY 1"""


_CALLED: Final = Names(
    "enhancement or service",
    """
SELECT enhancement_name FROM all_events WHERE name IN ('enhancement.success', 'enhancement.failed') AND enhancement_name <> ''
UNION
SELECT enhancement_service FROM all_events
WHERE name IN ('enhancement.success', 'enhancement.failed') AND enhancement_service <> ''""",
)


@dataclass(slots=True, frozen=True, kw_only=True)
class RoiOptions(Options):
    over: Literal["none", "day", "week", "month"] = option(
        "none", "Cut time into periods (UTC; weeks begin on Monday)."
    )
    by: Literal["enhancement", "service"] = option("enhancement", "What the figures are told of.")
    enhancement: str = option("", "Only this enhancement, or service.", names=_CALLED)
    declared: str = option("", "A TOML or CSV file of values that no event carries.", file=True)


@dataclass(slots=True, frozen=True)
class Calls(Row):
    """How often an enhancement was asked, and how it ended: counted per lead, also where one call served several."""

    section: ClassVar[str] = "calls"
    piece_ns: int | None
    """When the period begins; None where time is not cut."""
    enhancement: str
    service: str
    """The other of the two names, '' where there are several."""
    attempts: int
    """Ended in success or failure; what was cancelled or is unfinished is in no rate."""
    successes: Rate
    cache_hits_of_attempts: Rate
    cache_hits_of_successes: Rate
    failures: int
    cancelled: int
    unfinished: int | None
    """Begun in the window and not ended by now; None where time is cut."""


@dataclass(slots=True, frozen=True)
class Return(Row):
    """What it cost in one currency, and what that returned: value that is declared and value that is measured, each apart."""

    section: ClassVar[str] = "return"
    piece_ns: int | None
    enhancement: str
    currency: str
    billed_calls: int
    """Calls that cost something; one that served several leads is one."""
    cost: Decimal
    """Summed from the events, failures included."""
    billed_failures: int
    billed_failure_cost: Decimal
    cache_savings: Decimal
    """What the answers from the cache would have cost."""
    declared_value: Decimal | None
    declared_return_on_cost: Decimal | None
    """Value ÷ cost, times."""
    declared_net_roi_percent: Decimal | None
    """(Value less cost) ÷ cost, in percent."""
    measured_value: Decimal | None
    """Net revenue that the matched leads with it had more than those without."""
    measured_low: Decimal | None
    """At 95 %, as `measured_high`."""
    measured_high: Decimal | None
    measured_return_on_cost: Decimal | None
    measured_net_roi_percent: Decimal | None


@dataclass(slots=True)
class _Spending:
    """Sums of one enhancement in one currency."""

    billed: int = 0
    billed_failures: int = 0
    cost: int = 0
    failure_cost: int = 0
    avoided: int = 0


@dataclass(slots=True)
class _Counted:
    services: set[str] = field(default_factory=set)
    successes: int = 0
    failures: int = 0
    cancelled: int = 0
    hits: int = 0
    spent: dict[str, _Spending] = field(default_factory=lambda: defaultdict(_Spending))


def roi(relations: Relations, options: RoiOptions) -> Report[Row]:
    """Count calls and cost of the window, and set value beside them."""
    return _reckoned(relations, options, whole=True)


def calls_and_returns(relations: Relations, options: RoiOptions) -> Report[Row]:
    """The same without what is unfinished, which takes a search of its own."""
    return _reckoned(relations, options, whole=False)


def _reckoned(relations: Relations, options: RoiOptions, whole: bool) -> Report[Row]:
    stated = read_declared(options.declared)
    cut = options.over != "none"
    counted = _counted(relations, options)
    whole = whole and not cut
    unfinished = _unfinished(relations, options) if whole else {}
    notes: list[str] = []
    names = sorted({name for _, name in counted} - {""})
    measured = {} if cut else measured_values(relations, _columns(options)[0], names, bounds(options))
    declared = _declared_values(stated, counted, options, notes)
    rows: list[Row] = []
    for (piece, name), one in counted.items():
        attempts = one.successes + one.failures
        rows.append(
            Calls(
                piece if cut else None,
                name,
                one.services.pop() if len(one.services) == 1 else "",
                attempts,
                Rate(one.successes, attempts, "attempts"),
                Rate(one.hits, attempts, "attempts"),
                Rate(one.hits, one.successes, "successes"),
                one.failures,
                one.cancelled,
                unfinished.pop(name, 0) if whole else None,
            )
        )
    rows += [
        _return(
            piece if cut else None, name, currency, counted[piece, name].spent.get(currency), declared, measured, piece
        )
        for piece, name in counted
        for currency in _currencies(counted[piece, name], declared, measured, piece, name)
    ]
    rows += [one for several in measured.values() for one in several]
    rows, left_out = limited(
        [[one for one in rows if isinstance(one, sort)] for sort in (Calls, Return, Measured)], options.limit
    )
    notes += left_out
    notes += _notes(cut, unfinished, measured, stated)
    return Report(
        ROI.name,
        Window(options.since_ns, options.until_ns),
        Sample(
            {
                "attempts": sum(one.successes + one.failures for one in counted.values()),
                "cancelled": sum(one.cancelled for one in counted.values()),
                "enhancements": len({name for _, name in counted}),
            }
        ),
        tuple(rows),
        tuple(notes),
    )


def _columns(options: RoiOptions) -> tuple[str, str]:
    named, also = "enhancement_name", "enhancement_service"
    return (named, also) if options.by == "enhancement" else (also, named)


def _chosen(options: RoiOptions, column: str) -> tuple[str, dict[str, str | int]]:
    return f"($named = '' OR {column} = $named)", {"named": options.enhancement, "since": options.since_ns}


def _counted(relations: Relations, options: RoiOptions) -> dict[tuple[int, str], _Counted]:
    named, also = _columns(options)
    chosen, given = _chosen(options, named)
    piece = f"time_ns - time_ns % {_DAY}" if options.over != "none" else "0"
    found: dict[tuple[int, str], _Counted] = defaultdict(_Counted)
    for row in relations.query(_CALLS.format(piece=piece, named=named, also=also, chosen=chosen), given):
        day, name, first, last, currency, successes, failures, cancelled, hits, billed, bad, cost, bad_cost, avoided = (
            row
        )
        one = found[_piece(day, options.over), name]
        one.services |= {first, last}
        one.successes += successes
        one.failures += failures
        one.cancelled += cancelled
        one.hits += hits
        spent = one.spent[currency]
        spent.billed += billed
        spent.billed_failures += bad
        spent.cost += cost
        spent.failure_cost += bad_cost
        spent.avoided += avoided
    return dict(
        sorted(found.items(), key=lambda item: (item[0][0], -sum(s.cost for s in item[1].spent.values()), item[0][1]))
    )


def _piece(day_ns: int, over: str) -> int:
    if over == "week":
        return day_ns - (day_ns - _MONDAY) % (7 * _DAY)
    if over == "month":
        day = datetime.fromtimestamp(day_ns // 10**9, UTC)
        return int(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp()) * 10**9
    return day_ns


def _after(piece_ns: int, over: str, options: RoiOptions) -> int:
    """When a period ends."""
    if over == "none":
        return options.until_ns or END_OF_TIME
    return _piece(piece_ns + {"day": 1, "week": 7, "month": 31}[over] * _DAY, over)


def _unfinished(relations: Relations, options: RoiOptions) -> dict[str, int]:
    named, _ = _columns(options)
    chosen, given = _chosen(options, named)
    until = options.until_ns or END_OF_TIME
    asked = _UNFINISHED.format(named=named, chosen=chosen)
    return dict(relations.query(asked, {**given, "until": until}, _NOT_ENDED))


def _declared_values(
    stated: tuple[Declared, ...],
    counted: dict[tuple[int, str], _Counted],
    options: RoiOptions,
    notes: list[str],
) -> dict[tuple[int, str, str], Decimal]:
    """Declared amounts by period, enhancement and currency. One with dates counts where its time lies in the period."""
    found: dict[tuple[int, str, str], Decimal] = defaultdict(Decimal)
    names = {name for _, name in counted}
    left_out = 0
    for one in stated:
        if options.enhancement and one.enhancement != options.enhancement:
            continue
        if one.enhancement not in names:
            notes.append(f"a value is declared for {one.enhancement!r}, which was not called in the window")
            continue
        used = False
        for piece, name in counted:
            since = piece if options.over != "none" else options.since_ns
            fits = since <= one.since_ns and one.until_ns <= _after(piece, options.over, options)
            if name == one.enhancement and (fits if one.until_ns else options.over == "none"):
                found[piece, name, one.currency] += one.amount
                used = True
        left_out += not used
    if left_out:
        notes.append(f"{left_out} declared values are of no one period of this answer, and are in none")
    return found


def _currencies(
    counted: _Counted,
    declared: dict[tuple[int, str, str], Decimal],
    measured: dict[tuple[str, str], list[Measured]],
    piece: int,
    name: str,
) -> list[str]:
    told = {one for one, spent in counted.spent.items() if spent.cost or spent.avoided or spent.billed}
    told |= {currency for at, of, currency in declared if (at, of) == (piece, name)}
    told |= {currency for (of, currency), one in measured.items() if of == name and one[0].difference is not None}
    return sorted(told or set(counted.spent))


def _return(
    shown: int | None,
    name: str,
    currency: str,
    spent: _Spending | None,
    declared: dict[tuple[int, str, str], Decimal],
    measured: dict[tuple[str, str], list[Measured]],
    piece: int,
) -> Return:
    spent = spent or _Spending()
    cost = from_micro(spent.cost)
    stated = declared.get((piece, name, currency))
    gained = measured.get((name, currency))
    value, low, high = _gain(gained[0]) if gained is not None else (None, None, None)
    return Return(
        shown,
        name,
        currency,
        spent.billed,
        cost,
        spent.billed_failures,
        from_micro(spent.failure_cost),
        from_micro(spent.avoided),
        None if stated is None else major(stated),
        _times(stated, cost),
        _percent(stated, cost),
        value,
        low,
        high,
        _times(value, cost),
        _percent(value, cost),
    )


def _gain(net: Measured) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    """The whole difference over all matched leads with it."""
    parts = (net.difference, net.low, net.high)
    value, low, high = (None if one is None else (one * net.leads_with).quantize(Decimal("0.01")) for one in parts)
    return value, low, high


def _times(value: Decimal | None, cost: Decimal) -> Decimal | None:
    return None if value is None or not cost else (value / cost).quantize(Decimal("0.01"))


def _percent(value: Decimal | None, cost: Decimal) -> Decimal | None:
    return None if value is None or not cost else ((value - cost) / cost * 100).quantize(Decimal("0.1"))


def _notes(
    cut: bool,
    unfinished: dict[str, int],
    measured: dict[tuple[str, str], list[Measured]],
    stated: tuple[Declared, ...],
) -> list[str]:
    notes = []
    if unfinished:
        notes.append(
            "begun and not ended by now, and no other call ended: "
            + ", ".join(f"{name} {number}" for name, number in sorted(unfinished.items()))
        )
    if cut:
        notes.append("value is measured over a whole window only: ask without --over")
    if any(one[0].difference is not None for one in measured.values()):
        notes.append(
            "measured: of leads offered to a buyer, those for which it succeeded against those of the same flow, source and "
            "campaign for which it did not; whatever else differs between them is in the difference too"
        )
    if stated:
        notes.append("declared values are as they were stated, and in no measured figure")
    return notes


ROI: Final = Analysis(
    "roi",
    roi,
    RoiOptions,
    (Calls, Return, Measured),
    hidden=("measured_low", "measured_high"),
    beneath=("note",),
)
