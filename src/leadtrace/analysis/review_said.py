"""A review's figures as people read them: values with their unit, changes, and whether a change is good."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

from leadtrace.analysis.review_spoken import priced
from leadtrace.query.printable import duration, plain

if TYPE_CHECKING:
    from decimal import Decimal

    from leadtrace.analysis.model import Report
    from leadtrace.analysis.review_rows import ReviewFigure, ReviewTable, Unit

__all__ = ["NONE", "axis", "before_of", "change_of", "day", "said", "title_of", "told_columns", "tone", "value_of"]

NONE: Final = "\N{EN DASH}"
"""Stands where there is no value."""


def said(value: float | None, unit: Unit, amount: Decimal | None = None, currency: str = "") -> str:
    """One value with its unit; a dash where there is none."""
    if unit == "money":
        if amount is not None:
            return priced(amount, currency).rstrip()
        return f"{value:,.2f} {plain(currency)}" if value is not None else NONE
    if value is None:
        return NONE
    if unit == "share":
        return f"{value:.1%}" if value < 0.9995 or value == 1 else f"{value:.2%}"
    if unit == "ms":
        return duration(value)
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def axis(value: float, unit: Unit, currency: str = "") -> str:
    """A value beside a picture's axis, short."""
    if unit in ("share", "ms"):
        return said(value, unit)
    if unit == "money" and value < 1e4:
        return f"{value:,.2f} {plain(currency)}".rstrip()
    short = f"{value / 1e6:.3g}M" if value >= 1e6 else f"{value / 1e3:.3g}k" if value >= 1e4 else f"{value:.4g}"
    return f"{short} {currency}".rstrip() if unit == "money" else short


def value_of(figure: ReviewFigure) -> str:
    """The figure itself; of money without its currency, which its name has."""
    return said(figure.value, figure.unit, figure.amount)


def before_of(figure: ReviewFigure) -> str:
    return said(figure.before, figure.unit, figure.before_amount)


def change_of(figure: ReviewFigure) -> str:
    """The change as a person says it: shares in points, everything else in percent; '' where nothing can be compared."""
    if figure.unit == "share":
        if figure.value is None or figure.before is None:
            return ""
        points = f"{(figure.value - figure.before) * 100:+.2f} points"
        return points if figure.clear else f"{points}, within chance"
    if figure.change is None:
        return ""
    return f"{figure.change:+.1%}"


def tone(figure: ReviewFigure) -> Literal["good", "bad", "same"]:
    """Whether the change is for the better, as far as one can say."""
    if not figure.good or not figure.clear or figure.change is None or abs(figure.change) < 0.005:
        return "same"
    return "good" if (figure.change > 0) == (figure.good == "up") else "bad"


def told_columns(table: ReviewTable) -> ReviewTable:
    """The table without columns in which no line says anything."""
    kept = [at for at in range(len(table.heads)) if not table.lines or any(line[at] for line in table.lines)]
    return replace(
        table,
        heads=tuple(table.heads[at] for at in kept),
        numbers=tuple(new for new, at in enumerate(kept) if at in table.numbers),
        lines=tuple(tuple(line[at] for at in kept) for line in table.lines),
    )


def day(time_ns: int, form: str = "%a %d %b") -> str:
    return datetime.datetime.fromtimestamp(time_ns // 10**9, datetime.UTC).strftime(form)


def title_of(review: Report[Any]) -> str:
    """What the review is of: `Week 46 of 2026` or `November 2026`."""
    begin = datetime.datetime.fromtimestamp(review.window.since_ns // 10**9, datetime.UTC)
    if plain(review.notes[0]).startswith("week"):
        year, week, _ = begin.isocalendar()
        return f"Week {week} of {year}"
    return f"{begin:%B %Y}"
