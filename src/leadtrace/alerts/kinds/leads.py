"""Kinds that count a group's leads: absence, too few, budget."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from leadtrace.alerts.kinds.view import View, closed, number, unknown
from leadtrace.alerts.model import Verdict
from leadtrace.alerts.rules import DAY, HOUR
from leadtrace.alerts.spoken import span_text
from leadtrace.analysis.chance import at_most

if TYPE_CHECKING:
    from leadtrace.alerts.expected import Forecast
    from leadtrace.alerts.model import Series
    from leadtrace.alerts.rules import Absence, Budget, Group, TooFew

__all__ = ["absence", "budget", "too_few"]

_CENT: Final = Decimal("0.01")
_LONGEST: Final = 92 * DAY
"""Money at risk is counted over so much at most."""


def absence(rule: Absence, view: View) -> Verdict:
    """Holds where the last lead was before the last `window` of opening time."""
    found = _leads(view)
    if isinstance(found, Verdict):
        return found
    series, group = found
    start = group.calendar.back(view.seen_ns, rule.window_ns)
    if start is None:
        return unknown(f"it has not been open for {span_text(rule.window_ns)} yet")
    last = series.last_seen(view.seen_ns)
    if not last and series.from_ns > start:
        return unknown("what is recorded does not reach back so far")
    if last >= start:
        return Verdict(False, "leads come", over_ns=_came_back(series, view), observed=1.0, unit="leads")
    began = view.began_ns or last or start
    expected = _expected(view, group, began)
    silent = group.calendar.open_ns(max(began, view.seen_ns - _LONGEST), view.seen_ns)
    money, currency = _money(group, silent, expected, 0)
    ago = f"no leads for {span_text(silent)} of opening time" if last else "no leads, and none ever seen"
    return Verdict(True, ago, 0.0, expected, "leads", last or start, 0, money, currency)


def too_few(rule: TooFew, view: View) -> Verdict:
    """Holds where a healthy group would have so few in the window with less than the rule's probability."""
    found = _window(view, rule.window_ns, rule.min_weeks)
    if isinstance(found, Verdict):
        return found
    group, series, start, count, forecast = found
    if forecast.mean < rule.min_sample:
        return unknown(f"{number(forecast.mean)} leads are expected, fewer than the {rule.min_sample} that are needed")
    chance = at_most(count, forecast.mean, forecast.variance)
    why = (
        f"{count} leads in {span_text(rule.window_ns)} of opening time where {number(forecast.mean)} are normal "
        f"(probability {_chance(chance)})"
    )
    if chance >= rule.probability:
        return Verdict(False, why, float(count), forecast.mean, "leads")
    money, currency = _missing(view, group, series, start)
    return Verdict(True, why, float(count), forecast.mean, "leads", start, 0, money, currency)


def budget(rule: Budget, view: View) -> Verdict:
    """Holds where what is missing is worth more than `above`, and is less probable than `probability`."""
    found = _window(view, rule.window_ns, rule.min_weeks)
    if isinstance(found, Verdict):
        return found
    group, series, start, count, forecast = found
    at_stake, currency = _money(group, group.calendar.open_ns(start, view.seen_ns), forecast.mean, count)
    if at_stake is None:
        return unknown("neither value_per_lead nor spend_per_hour is declared")
    chance = at_most(count, forecast.mean, forecast.variance)
    why = (
        f"{at_stake} {currency} at risk in {span_text(rule.window_ns)} of opening time: {count} leads where "
        f"{number(forecast.mean)} are normal"
    )
    if at_stake <= rule.above or chance >= rule.probability:
        return Verdict(False, why, float(count), forecast.mean, "leads")
    whole, _ = _missing(view, group, series, start)
    return Verdict(True, why, float(count), forecast.mean, "leads", start, 0, whole or at_stake, currency)


def _leads(view: View) -> tuple[Series, Group] | Verdict:
    group, series = view.group, view.series("leads")
    if group is None or series is None:
        return unknown("its leads were not observed")
    return closed(view) or (series, group)


def _window(view: View, window_ns: int, weeks: int) -> tuple[Group, Series, int, int, Forecast] | Verdict:
    """The window's beginning, how many leads it has and what it should have; or why nobody can say."""
    found = _leads(view)
    if isinstance(found, Verdict):
        return found
    series, group = found
    start = group.calendar.back(view.seen_ns, window_ns)
    if start is None:
        return unknown(f"it has not been open for {span_text(window_ns)} yet")
    if series.from_ns > start:
        return unknown("what is recorded does not reach back so far")
    learnt = view.observations.expected.get(group.name)
    if learnt is None:
        return unknown("nothing is learnt of it yet")
    forecast = learnt.forecast(group.calendar, start, view.seen_ns)
    if forecast.times < weeks:
        return unknown(f"this hour of the week was seen {forecast.times} times, {weeks} are needed")
    return group, series, start, series.within(start, view.seen_ns).count, forecast


def _came_back(series: Series, view: View) -> int:
    point = series.first_from(view.held_ns) if view.held_ns else None
    return point.at_ns if point is not None and point.at_ns < view.seen_ns else 0


def _expected(view: View, group: Group, since_ns: int) -> float | None:
    learnt = view.observations.expected.get(group.name)
    since_ns = max(since_ns, view.seen_ns - _LONGEST)
    return learnt.mean(group.calendar, since_ns, view.seen_ns) if learnt is not None else None


def _missing(view: View, group: Group, series: Series, start_ns: int) -> tuple[Decimal | None, str]:
    """Money at risk since the problem began, as far back as all leads are known."""
    since = max(min(view.began_ns or start_ns, start_ns), series.from_ns, view.seen_ns - _LONGEST)
    count = series.within(since, view.seen_ns).count
    return _money(group, group.calendar.open_ns(since, view.seen_ns), _expected(view, group, since), count)


def _money(group: Group, open_ns: int, expected: float | None, observed: int) -> tuple[Decimal | None, str]:
    """What is spent for nothing where spending is declared, else what the missing leads are worth."""
    if group.spend_per_hour is not None:
        share = 1.0
        if observed:
            share = max(0.0, 1 - observed / expected) if expected else 0.0
        spent = group.spend_per_hour * Decimal(open_ns) / HOUR * Decimal(repr(share))
        return spent.quantize(_CENT), group.currency
    if group.value_per_lead is not None and expected is not None:
        missing = Decimal(repr(max(0.0, expected - observed)))
        return (missing * group.value_per_lead).quantize(_CENT), group.currency
    return None, ""


def _chance(chance: float) -> str:
    return f"{chance:.2g}" if chance >= 1e-12 else "below 1e-12"
