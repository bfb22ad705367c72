"""A review as Markdown, its pictures as lines of block characters: for a wiki, a ticket or a terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from leadtrace.analysis.review_rows import (
    PARTS,
    ReviewAdvice,
    ReviewBars,
    ReviewFigure,
    ReviewHours,
    ReviewLinks,
    ReviewSeries,
    ReviewTable,
)
from leadtrace.analysis.review_said import axis, before_of, change_of, day, said, title_of, told_columns, value_of
from leadtrace.query.printable import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from leadtrace.analysis.model import Report, Row
    from leadtrace.query.story import Line

__all__ = ["draw_review", "review_markdown"]

_LEVELS: Final = "▁▂▃▄▅▆▇█"
_STATES: Final = {"healthy": "·", "degraded": "▒", "crisis": "█", "unknown": "?"}
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~$&!])")
_DAY: Final = 86_400 * 10**9
_HOUR: Final = 3_600 * 10**9


def review_markdown(review: Report[Any], tenant: str | None = None) -> str:
    """The whole text."""
    return "\n".join(_lines(review, tenant)) + "\n"


def _lines(review: Report[Any], tenant: str | None) -> Iterator[str]:
    yield f"# {title_of(review)}: leadtrace review" + (f" of {_safe(tenant)}" if tenant else "")
    yield ""
    counts = ", ".join(f"{number:,} {what.replace('_', ' ')}" for what, number in review.sample.counts.items())
    yield f"Rests on {counts}."
    for note in (*review.notes, *review.incomplete):
        yield f"- {_safe(note)}"
    if not review.rows:
        yield "\nNothing ran in this period, so there is nothing to review."
    yield from _parts(review)


def draw_review(review: Report[Any], _width: int) -> Iterator[Line]:
    """Its sections, for a report whose head and notes are told already."""
    for line in "\n".join(_parts(review)).strip().splitlines():
        yield [(line, "")]


def _parts(review: Report[Any]) -> Iterator[str]:
    for part in PARTS:
        if rows := [one for one in review.rows if one.part == part]:
            yield f"\n## {part}\n"
            yield from _part(rows)


def _part(rows: Sequence[Row]) -> Iterator[str]:
    figures = [one for one in rows if isinstance(one, ReviewFigure)]
    if figures:
        yield from _table(
            ("figure", "now", "before", "change", "of"),
            (1, 2, 3),
            [
                (
                    f"{one.name}, {one.currency}" if one.currency else one.name,
                    value_of(one),
                    before_of(one),
                    change_of(one),
                    one.note or f"{one.sample:,} {one.of}",
                )
                for one in figures
            ],
        )
        yield ""
    for one in rows:
        match one:
            case ReviewAdvice():
                yield f"> **{_safe(one.title)}** — {_safe(one.because)}."
                yield from (f"> {number}. {_safe(action)}" for number, action in enumerate(one.actions, start=1))
                yield f"> Likely behind it: {_safe('; '.join(one.causes))}."
                yield ""
            case ReviewSeries():
                yield from _series(one)
            case ReviewBars():
                yield from _bars(one)
            case ReviewHours():
                yield from _board(one)
            case ReviewLinks():
                yield f"**{_safe(one.name)}**\n"
                found = zip(one.sources, one.targets, one.calls, one.failures, strict=True)
                yield from _table(
                    ("from", "to", "calls", "failed"), (2, 3), [(a, b, f"{n:,}", f"{bad:,}") for a, b, n, bad in found]
                )
                yield ""
            case ReviewTable():
                yield f"**{_safe(one.name)}** (`leadtrace report {one.report}`)\n"
                if one.lines:
                    told = told_columns(one)
                    yield from _table(told.heads, told.numbers, told.lines)
                if one.note:
                    yield f"\n{_safe(one.note)}."
                yield ""


def _table(heads: Sequence[str], numbers: Sequence[int], lines: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(_safe(one) for one in heads) + " |"
    yield "|" + "|".join("---:" if number in numbers else "---" for number in range(len(heads))) + "|"
    for line in lines:
        yield "| " + " | ".join(_safe(one) for one in line) + " |"


def _series(one: ReviewSeries) -> Iterator[str]:
    known = [value for value in (*one.values, *one.before) if value is not None]
    if not known:
        return
    most = max(known)
    yield f"**{_safe(one.name)}**, {day(one.at_ns[0])} to {day(one.at_ns[-1])}, at most {said(most, one.unit)}\n"
    yield "```text"
    yield f"now     {_spark(one.values, most)}"
    if any(value is not None for value in one.before):
        yield f"before  {_spark(one.before, most)}"
    yield "```\n"


def _spark(values: Sequence[float | None], most: float) -> str:
    return "".join(
        " " if one is None else _LEVELS[min(7, int(one / most * 7.999))] if most > 0 else _LEVELS[0] for one in values
    )


def _bars(one: ReviewBars) -> Iterator[str]:
    most = max([*one.values, *one.before, 0.0]) or 1.0
    yield f"**{_safe(one.name)}**\n"
    yield "```text"
    wide = min(40, max((len(label) for label in one.labels), default=0))
    for number, (label, value) in enumerate(zip(one.labels, one.values, strict=True)):
        bar = "█" * max(0, round(24 * value / most))
        was = one.before[number] if number < len(one.before) else None
        before = f" (before {axis(was, one.unit, one.currency)})" if was is not None else ""
        yield f"{_fenced(label)[:40]:<{wide}} {bar} {axis(value, one.unit, one.currency)}{before}"
    yield "```\n"


def _board(one: ReviewHours) -> Iterator[str]:
    if not one.at_ns:
        return
    yield f"**{_safe(one.name)}** (· healthy, ▒ degraded, █ crisis, ? too few to tell)\n"
    yield "```text"
    yield "            0     6     12    18"
    days: dict[int, list[str]] = {}
    for at, state in zip(one.at_ns, one.states, strict=True):
        days.setdefault(at // _DAY, [" "] * 24)[at // _HOUR % 24] = _STATES.get(state, " ")
    for number, cells in sorted(days.items()):
        yield f"{day(number * _DAY):<11} {''.join(cells)}".rstrip()
    yield "```\n"


def _safe(text: str) -> str:
    """Recorded text as Markdown shows it, and no markup in it acts."""
    return _SPECIAL.sub(r"\\\1", plain(text))


def _fenced(text: str) -> str:
    """Recorded text inside a block of code: nothing there ends it."""
    return plain(text).replace("`", "'")
