"""Figures and pictures that sections of both reviews have."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from leadtrace.analysis.business import Takings
from leadtrace.analysis.review_figures import mean, money, share
from leadtrace.analysis.review_rows import ReviewBars
from leadtrace.analysis.review_spoken import MOST
from leadtrace.analysis.roi import Return

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leadtrace.analysis.model import Row
    from leadtrace.analysis.review_figures import Reviewed
    from leadtrace.analysis.review_rows import Part, ReviewFigure

__all__ = ["SAMPLE", "cached", "cost_bars", "failed_tries", "failing_runs", "mean_duration", "takings"]

SAMPLE: Final = 100
"""How many runs, or leads, are read whole where an analysis does that."""

_OF_SALES: Final = ("revenue", "returned")
"""Sums of what was sold; the others are of leads."""

_TRIES: Final = """
SELECT sum(CASE WHEN kind = 'attempt_failure' THEN 1 ELSE 0 END), count(*)
FROM lead_events
WHERE name IN ('api.call.succeeded', 'api.call.failed')"""


def mean_duration(part: Part, reviewed: Reviewed) -> ReviewFigure:
    now, before = reviewed.now, reviewed.before
    told, usual = (now.mean_ms, now.timed), (before.mean_ms, before.timed)
    return mean(part, "mean duration of a flow", told, usual, "flows ended", "down")


def cached(part: Part, reviewed: Reviewed) -> ReviewFigure:
    now, before = reviewed.now, reviewed.before
    told, usual = (now.hits, now.enhancements), (before.hits, before.enhancements)
    return share(part, "enhancements answered by a cache", told, usual, "enhancements", "up")


def failing_runs(part: Part, reviewed: Reviewed) -> ReviewFigure:
    now, before = reviewed.now, reviewed.before
    return share(part, "runs with a failure", (now.failed, now.runs), (before.failed, before.runs), "runs", "down")


def failed_tries(part: Part, reviewed: Reviewed) -> ReviewFigure:
    """Single tries of calls; most that fail are made good by the next."""
    tries, before = (rows[0] for rows in reviewed.query(_TRIES))
    return share(
        part, "tries of calls that failed", (tries[0] or 0, tries[1]), (before[0] or 0, before[1]), "tries", "down"
    )


def takings(part: Part, reviewed: Reviewed) -> Iterable[Row]:
    now, before = (
        {one.currency: one for one in report.of(Takings)} for report in reviewed.both("business", by="total")
    )
    for currency in sorted(now | before):
        for name in ("revenue", "returned", "cost", "margin"):
            one, other = now.get(currency), before.get(currency)
            amount, usual = _amount(one, name), _amount(other, name)
            if not (amount[0] or usual[0]):
                continue  # nothing was returned, or nothing costs in the currency of revenue
            yield money(
                reviewed,
                part,
                name,
                amount,
                usual,
                currency,
                "deliveries accepted" if name in _OF_SALES else "leads",
                "down" if name in ("returned", "cost") else "up",
            )


def _amount(one: Takings | None, name: str) -> tuple[Decimal, int]:
    if one is None:
        return Decimal(0), 0
    amount = getattr(one, name)
    return (amount if amount is not None else Decimal(0)), (one.accepted if name in _OF_SALES else one.leads)


def cost_bars(part: Part, now: Any, before: Any) -> Iterable[Row]:
    for currency in sorted({one.currency for one in now.of(Return)}):
        costs = {one.enhancement: float(one.cost) for one in now.of(Return) if one.currency == currency and one.cost}
        usual = {one.enhancement: float(one.cost) for one in before.of(Return) if one.currency == currency}
        names = sorted(costs, key=lambda one: (-costs[one], one))[:MOST]
        if names:
            yield ReviewBars(
                part,
                f"cost by enhancement, {currency}",
                "money",
                currency,
                tuple(names),
                tuple(costs[one] for one in names),
                tuple(usual.get(one, 0.0) for one in names),
            )
