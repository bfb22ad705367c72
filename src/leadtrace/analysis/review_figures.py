"""What all sections of a review use: both periods' counts, and figures that say whether their change is clear."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

from leadtrace.analysis.health_figures import HOUR, Worked
from leadtrace.analysis.health_state import Counts
from leadtrace.analysis.intervals import newcombe
from leadtrace.analysis.model import LEAST
from leadtrace.analysis.review_rows import ReviewFigure, ReviewSeries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from leadtrace.analysis.health_figures import Hours, Work
    from leadtrace.analysis.health_state import Limits
    from leadtrace.analysis.model import Report
    from leadtrace.analysis.review_rows import Part, Unit
    from leadtrace.store.relations.interface import Relations

__all__ = ["DAY", "Period", "Reviewed", "count", "mean", "money", "share"]

DAY: Final = 24 * HOUR
_SURE: Final = 0.99
# Hours count a run in each in which it sold, failed or ended; a period counts it once.
_RUNS: Final = """
SELECT count(*), coalesce(sum(failed), 0), coalesce(sum(sold), 0)
FROM (
  SELECT run_key, max(CASE WHEN kind = 'failure' AND substr(name, 1, 12) <> 'enhancement.' THEN 1
      WHEN name = 'error.occurred' AND error_severity IN ('high', 'critical') THEN 1 ELSE 0 END) AS failed,
    max(CASE WHEN name = 'delivery.accepted' THEN 1 ELSE 0 END) AS sold
  FROM lead_events
  WHERE run_key IS NOT NULL AND (
      name IN ('flow.completed', 'flow.failed', 'flow.cancelled', 'flow.interrupted', 'delivery.accepted')
      OR name = 'error.occurred' AND error_severity IN ('high', 'critical')
      OR kind = 'failure' AND substr(name, 1, 12) <> 'enhancement.')
  GROUP BY run_key
) runs"""


@dataclass(slots=True, frozen=True)
class Period:
    """A period and the one before it; Unix nanoseconds, ends not included."""

    since_ns: int
    until_ns: int
    before_ns: int
    before_until_ns: int
    whole: bool
    """Whether it is over."""

    @property
    def days(self) -> float:
        return (self.until_ns - self.since_ns) / DAY

    @property
    def days_before(self) -> float:
        return (self.before_until_ns - self.before_ns) / DAY


@dataclass
class Reviewed:
    """Both periods, counted once, and other analyses on demand."""

    period: Period
    hours: Hours
    health: Report[Any]
    limits: Limits
    """The absolute ones, by which health was judged."""
    relations: Relations
    ask: Callable[..., Report[Any]]
    _asked: dict[Any, tuple[Report[Any], Report[Any]]] = field(default_factory=dict)

    @cached_property
    def now(self) -> Counts:
        return self._whole(self.period.since_ns, self.period.until_ns)

    @cached_property
    def before(self) -> Counts:
        return self._whole(self.period.before_ns, self.period.before_until_ns)

    @cached_property
    def work(self) -> Mapping[Work, Worked]:
        return self._work(self.period.since_ns, self.period.until_ns)

    @cached_property
    def work_before(self) -> Mapping[Work, Worked]:
        return self._work(self.period.before_ns, self.period.before_until_ns)

    def both(self, name: str, **options: Any) -> tuple[Report[Any], Report[Any]]:
        """A report of the period and of the one before."""
        key = (name, tuple(sorted(options.items())))
        if key not in self._asked:
            period = self.period
            self._asked[key] = (
                self.ask(name, period.since_ns, period.until_ns, **options),
                self.ask(name, period.before_ns, period.before_until_ns, **options),
            )
        return self._asked[key]

    def query(self, sql: str) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """One query over the period and over the one before."""
        period = self.period
        return (
            self.relations.within(period.since_ns, period.until_ns).query(sql),
            self.relations.within(period.before_ns, period.before_until_ns).query(sql),
        )

    def daily(self, part: Part, name: str, unit: Unit, figure: Callable[[Counts], float | None]) -> ReviewSeries:
        """A figure of each day, made of the day's counts."""
        period = self.period
        at = [period.since_ns + day * DAY for day in range(-(-(period.until_ns - period.since_ns) // DAY))]
        return ReviewSeries(
            part,
            name,
            unit,
            tuple(at),
            tuple(figure(self._sum(one, min(one + DAY, period.until_ns))) for one in at),
            tuple(
                figure(self._sum(one, min(one + DAY, period.before_until_ns)))
                for one in (period.before_ns + number * DAY for number in range(len(at)))
                if one < period.before_until_ns
            ),
        )

    def change(self, value: float, before: float) -> float | None:
        """The relative change of what adds up over days, per day."""
        if not before:
            return None
        return (value / self.period.days) / (before / self.period.days_before) - 1

    def _whole(self, since_ns: int, until_ns: int) -> Counts:
        ((runs, failed, sold),) = self.relations.within(since_ns, until_ns).query(_RUNS)
        return replace(self._sum(since_ns, until_ns), runs=int(runs), failed=int(failed), sold=int(sold))

    def _sum(self, since_ns: int, until_ns: int) -> Counts:
        return sum((self.hours.counts(one) for one in self.hours.hours(since_ns, until_ns)), Counts())

    def _work(self, since_ns: int, until_ns: int) -> dict[Work, Worked]:
        found: dict[Work, Worked] = {}
        for hour in self.hours.hours(since_ns, until_ns):
            for work, one in self.hours.work.get(hour, {}).items():
                found[work] = found.get(work, Worked()) + one
        return found


def share(
    part: Part, name: str, now: tuple[int, int], before: tuple[int, int], of: str, good: Literal["up", "down", ""]
) -> ReviewFigure:
    """A share of each period; of too few it has no value."""
    (one, whole), (other, other_whole) = now, before
    value = one / whole if whole >= LEAST else None
    usual = other / other_whole if other_whole >= LEAST else None
    clear = False
    if value is not None and usual is not None:
        low, high = newcombe(one, whole, other, other_whole, _SURE)
        clear = low > 0 or high < 0
    note = "" if value is not None else f"too few to tell: {whole} {of}, at least {LEAST} needed"
    change = value / usual - 1 if value is not None and usual else None
    return ReviewFigure(
        part, name, "share", value, None, "", whole, of, usual, None, other_whole, change, good, clear, note
    )


def mean(
    part: Part,
    name: str,
    now: tuple[float | None, int],
    before: tuple[float | None, int],
    of: str,
    good: Literal["up", "down", ""],
) -> ReviewFigure:
    """A mean duration, in milliseconds."""
    value, sample = now
    usual, sample_before = before
    change = value / usual - 1 if value is not None and usual else None
    note = "" if value is not None else f"no {of}"
    return ReviewFigure(
        part, name, "ms", value, None, "", sample, of, usual, None, sample_before, change, good, True, note
    )


def count(
    reviewed: Reviewed, part: Part, name: str, now: int, before: int, of: str, good: Literal["up", "down", ""]
) -> ReviewFigure:
    """How many."""
    return ReviewFigure(
        part,
        name,
        "",
        float(now),
        None,
        "",
        now,
        of,
        float(before),
        None,
        before,
        reviewed.change(now, before),
        good,
        True,
        "",
    )


def money(
    reviewed: Reviewed,
    part: Part,
    name: str,
    now: tuple[Decimal, int],
    before: tuple[Decimal, int],
    currency: str,
    of: str,
    good: Literal["up", "down", ""],
) -> ReviewFigure:
    """A sum of money in one currency; its sample is what it was summed over."""
    amount, sample = now
    usual, sample_before = before
    # Of a loss a relative change says nothing: its sign would be the wrong way round.
    change = reviewed.change(float(amount), float(usual)) if usual > 0 else None
    return ReviewFigure(
        part, name, "money", None, amount, currency, sample, of, None, usual, sample_before, change, good, True, ""
    )
