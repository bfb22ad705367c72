"""Kinds that look at how a group's work ends: error spike, enhancement degraded, slowdown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from leadtrace.alerts.durations import added, how_many, quantile, share_above
from leadtrace.alerts.kinds.view import View, closed, number, unknown
from leadtrace.alerts.model import Verdict
from leadtrace.alerts.spoken import share_text, span_text
from leadtrace.analysis.chance import at_least

if TYPE_CHECKING:
    from leadtrace.alerts.rules import EnhancementDegraded, ErrorSpike, Slowdown

__all__ = ["enhancement_degraded", "error_spike", "slowdown"]

_LEARNT: Final = 100
"""So many ends in history at least, before a group's own share or quantile counts as normal."""


@dataclass(frozen=True, slots=True)
class _Slow:
    """When durations are too long."""

    window_ns: int
    min_sample: int
    quantile: float
    factor: float
    above_ms: float | None
    probability: float


def error_spike(rule: ErrorSpike | EnhancementDegraded, view: View) -> Verdict:
    """Holds where the share of failures is above `above`, or above normal by `factor` and beyond chance."""
    if shut := closed(view):
        return shut
    series = view.series("outcomes")
    if series is None:
        return unknown("its ends were not observed")
    start = view.seen_ns - rule.window_ns
    if series.from_ns > start:
        return unknown("what is recorded does not reach back so far")
    sums = series.within(start, view.seen_ns)
    if sums.count < max(1, rule.min_sample):
        return unknown(f"{sums.count} ended in {span_text(rule.window_ns)}, {max(1, rule.min_sample)} are needed")
    share = sums.bad / sums.count
    normal = view.normal("outcomes")
    learnt = normal is not None and normal.count >= _LEARNT
    if not learnt and rule.above is None:
        return unknown(f"fewer than {_LEARNT} ends are in its history: what is normal is not learnt yet")
    # Half a failure more than there was: history without any does not make the first one impossible.
    usual = (normal.bad + 0.5) / (normal.count + 1) if normal is not None and learnt else None
    told = f"{sums.bad} of {sums.count} failed ({share_text(share)})"
    if usual is not None:
        told += f", normal are {share_text(usual)}"
    first = next((one.at_ns for one in series.between(start, view.seen_ns) if one.bad), start)
    spike = Verdict(True, told, share, usual if usual is not None else rule.above, "share", first)
    if rule.above is not None and share > rule.above:
        return replace(spike, expected=rule.above if usual is None else usual)
    if normal is not None and usual is not None and share >= rule.factor * usual:
        correlation = normal.spread + 1 / (normal.count + 2)
        if at_least(sums.bad, sums.count, usual, correlation) < rule.probability:
            return spike
    return replace(spike, holds=False, since_ns=0)


def slowdown(rule: Slowdown, view: View) -> Verdict:
    """Holds where the quantile of durations is above `above_ms`, or above normal by `factor` and beyond chance."""
    return _slow(
        _Slow(rule.window_ns, rule.min_sample, rule.quantile, rule.factor, rule.above_ms, rule.probability), view
    )


def enhancement_degraded(rule: EnhancementDegraded, view: View) -> Verdict:
    """Holds where it fails more than normal or takes longer; failures are told first."""
    failing = error_spike(rule, view)
    if failing.holds or failing.closed:
        return failing
    slow = _slow(_Slow(rule.window_ns, rule.min_sample, rule.quantile, rule.slower, None, rule.probability), view)
    if slow.holds or failing.holds is not None:
        # What fails no more than normal is well only where durations say so too, or cannot be judged by nature.
        return slow if slow.holds or (slow.holds is None and view.normal("durations") is not None) else failing
    return failing


def _slow(rule: _Slow, view: View) -> Verdict:
    if shut := closed(view):
        return shut
    series = view.series("durations")
    if series is None:
        return unknown("its durations were not observed")
    start = view.seen_ns - rule.window_ns
    if series.from_ns > start:
        return unknown("what is recorded does not reach back so far")
    points = series.between(start, view.seen_ns)
    bins = added(one.bins for one in points)
    many = how_many(bins)
    if many < max(1, rule.min_sample):
        return unknown(f"{many} ended in {span_text(rule.window_ns)}, {max(1, rule.min_sample)} are needed")
    took = quantile(bins, rule.quantile)
    normal = view.normal("durations")
    usual = None
    if normal is not None and how_many(normal.bins) >= _LEARNT:
        usual = quantile(normal.bins, rule.quantile)
    if usual is None and rule.above_ms is None:
        return unknown(f"fewer than {_LEARNT} durations are in its history: what is normal is not learnt yet")
    told = f"p{rule.quantile * 100:g} is {number(took)} ms over {many}"
    if usual is not None:
        told += f", normal are {number(usual)} ms"
    first = next(
        (one.at_ns for one in points if usual is not None and quantile(one.bins, rule.quantile) > usual), start
    )
    slow = Verdict(True, told, took, usual if usual is not None else rule.above_ms, "ms", first)
    if rule.above_ms is not None and took > rule.above_ms:
        return slow
    if normal is not None and usual is not None and took >= rule.factor * usual:
        limit = rule.factor * usual
        slower = round(share_above(bins, limit) * many)
        often = max(share_above(normal.bins, limit), 0.5 / how_many(normal.bins))
        if at_least(slower, many, often, normal.spread) < rule.probability:
            return slow
    return replace(slow, holds=False, since_ns=0)
