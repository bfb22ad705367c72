"""The weekly and the monthly review: the other analyses over one period, each beside the period before."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from leadtrace.analysis.business import sold_and_spent
from leadtrace.analysis.health import HealthHour, HealthOptions, thresholds
from leadtrace.analysis.health_figures import HOUR, read_hours
from leadtrace.analysis.model import Report, Row, Sample, Window
from leadtrace.analysis.options import Options, checked, option
from leadtrace.analysis.registry import Analysis, analysis
from leadtrace.analysis.review_figures import Period, Reviewed
from leadtrace.analysis.review_parts import parts_of
from leadtrace.analysis.review_rows import (
    MONTHLY,
    WEEKLY,
    ReviewAdvice,
    ReviewBars,
    ReviewFigure,
    ReviewHours,
    ReviewLinks,
    ReviewSeries,
    ReviewTable,
)
from leadtrace.analysis.roi import calls_and_returns
from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from leadtrace.store.relations.interface import Relations

__all__ = ["REVIEW", "ReviewOptions", "period_of", "review"]

_DAY: Final = 24 * HOUR
_WITHOUT_THE_REST: Final[dict[str, Callable[[Relations, Any], Report[Any]]]] = {
    "business": sold_and_spent,
    "roi": calls_and_returns,
}
"""Of these reports a review tells a part, and what is not told need not be searched for."""


@dataclass(slots=True, frozen=True, kw_only=True)
class ReviewOptions(Options):
    period: Literal["week", "month"] = option("week", "Which review: its sections differ.")
    date: str = option("", "A day of the period (UTC): 2026-11-22; left out, the last period that is over.")
    health: str = option("", "Thresholds of health that differ from the defaults, as LEADTRACE_HEALTH has them.")


def period_of(options: ReviewOptions) -> Period:
    """The asked period and the one before it. One that is not over ends now, and so early does the one before.

    Raises `SettingsError` for what is no date, or one to come.
    """
    today = datetime.datetime.fromtimestamp(options.now_ns // 10**9, datetime.UTC).date()
    if options.date:
        try:
            day = datetime.date.fromisoformat(options.date)
        except ValueError:
            raise SettingsError("the date of a review is a day: 2026-11-22", got=repr(options.date)) from None
    else:
        day = _begin(today, options.period) - datetime.timedelta(days=1)
    begin = _begin(day, options.period)
    if begin > today:
        raise SettingsError("the period of the review has not begun", got=options.date)
    ends = _next(begin, options.period)
    before = _begin(begin - datetime.timedelta(days=1), options.period)
    since, until = _ns(begin), _ns(ends)
    now = options.now_ns or until
    if now >= until:
        return Period(since, until, _ns(before), since, whole=True)
    cut = now - since
    return Period(since, now, _ns(before), min(_ns(before) + cut, since), whole=False)


def _begin(day: datetime.date, period: str) -> datetime.date:
    return day - datetime.timedelta(days=day.weekday()) if period == "week" else day.replace(day=1)


def _next(begin: datetime.date, period: str) -> datetime.date:
    if period == "week":
        return begin + datetime.timedelta(days=7)
    return (begin.replace(day=28) + datetime.timedelta(days=4)).replace(day=1)


def _ns(day: datetime.date) -> int:
    return (day - datetime.date(1970, 1, 1)).days * _DAY


def review(relations: Relations, options: ReviewOptions) -> Report[Row]:
    """Ask what the review's sections need, of both periods, and put it together. Without any flow there is nothing."""
    period = period_of(options)

    def ask(name: str, since_ns: int, until_ns: int, **more: Any) -> Report[Any]:
        asked = analysis(name)
        window = {
            "since_ns": since_ns,
            "until_ns": until_ns,
            "tenant": options.tenant,
            "now_ns": options.now_ns or until_ns,
        }
        run = _WITHOUT_THE_REST.get(name, asked.run)
        return run(relations.within(since_ns, until_ns), checked(name, asked.options, window | more))

    hours = read_hours(relations.within(period.before_ns, period.until_ns), judged_ns=period.until_ns)  # no cascades
    set_ones = thresholds(options.health)
    health = ask("health", period.since_ns, period.until_ns, **set_ones)
    limits = checked("health", HealthOptions, set_ones).limits()
    reviewed = Reviewed(period, hours, health, limits, relations, ask)
    parts = WEEKLY if options.period == "week" else MONTHLY
    rows = [row for part in parts for row in parts_of(part, reviewed)] if _anything(reviewed) else []
    this = f"{_day(period.since_ns)} to {_day(period.until_ns - 1)}"
    notes = [f"{options.period} {this}, beside {_day(period.before_ns)} to {_day(period.before_until_ns - 1)} (UTC)"]
    if not period.whole:
        notes.append(f"the {options.period} is not over: both periods end {_lasted(period)} after they began")
    if period.days != period.days_before:
        notes.append("the periods are not of one length: changes of what adds up over days are per day")
    if rows and not reviewed.before.started and not reviewed.before.runs:
        notes.append("nothing was recorded in the period before: there is nothing to compare with")
    before = hours.hours(period.before_ns, period.before_until_ns)
    if rows and before and before[0] >= period.before_ns + _DAY:
        notes.append(f"records of the period before begin on {_day(before[0])}: its sums are of fewer days")
    return Report(
        REVIEW.name,
        Window(period.since_ns, period.until_ns),
        Sample(
            {
                "flows": reviewed.now.started,
                "runs": reviewed.now.runs,
                "enhancements": reviewed.now.enhancements,
                "hours": len(health.of(HealthHour)),
                "flows_before": reviewed.before.started,
            }
        ),
        tuple(rows),
        tuple(notes),
    )


def _anything(reviewed: Reviewed) -> bool:
    return bool(reviewed.now.started or reviewed.now.runs or reviewed.now.enhancements)


def _day(time_ns: int) -> str:
    return datetime.datetime.fromtimestamp(time_ns // 10**9, datetime.UTC).date().isoformat()


def _lasted(period: Period) -> str:
    hours = (period.until_ns - period.since_ns) / HOUR
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.0f} hours"


_SORTS: Final = (ReviewFigure, ReviewSeries, ReviewBars, ReviewHours, ReviewLinks, ReviewTable, ReviewAdvice)
REVIEW: Final = Analysis(
    "review",
    review,
    ReviewOptions,
    _SORTS,
    traces_suffice=False,
    picture="leadtrace.analysis.review_markdown:draw_review",
    pictured=_SORTS,
)
