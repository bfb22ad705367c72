"""Pictures of figures as inline SVG: lines over days, bars by name, a board of hours, a map of what calls what.

Every text in them is escaped; colours come from the page's classes, so that they follow its light and dark form.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from leadtrace.query.printable import cut, plain, width_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["bars", "board", "columns", "lines", "links"]

_WIDTH: Final = 720
_LABEL: Final = 46
"""The letters of a label that there is room for beside bars."""


def lines(
    title: str,
    labels: Sequence[str],
    values: Sequence[float | None],
    before: Sequence[float | None],
    say: Callable[[float], str],
) -> str:
    """The values as a line with its days, those of the period before as a fainter one behind."""
    height, left, right, top, bottom = 200, 64, 12, 12, 26
    highest = _nice(max([one for one in (*values, *before) if one is not None], default=0.0))
    across = _WIDTH - left - right
    step = across / max(1, len(labels) - 1)

    def at(number: int, value: float) -> tuple[float, float]:
        x = left + (number * step if len(labels) > 1 else across / 2)
        return x, top + (height - top - bottom) * (1 - value / highest)

    parts = []
    for part in (0.0, 0.5, 1.0):
        y = top + (height - top - bottom) * (1 - part)
        parts.append(f'<line class="grid" x1="{left}" x2="{_WIDTH - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="axis" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{_text(say(highest * part))}</text>'
        )
    every = max(1, -(-len(labels) // 8))
    for number, label in enumerate(labels):
        if number % every == 0:
            x = at(number, 0)[0]
            anchor = "start" if number == 0 else "middle"
            if number == len(labels) - 1 and len(labels) > 1:
                anchor = "end"
            parts.append(
                f'<text class="axis" x="{x:.1f}" y="{height - 6}" text-anchor="{anchor}">{_text(label)}</text>'
            )
    parts.append(
        _path("before", [at(n, one) if one is not None else None for n, one in enumerate(before[: len(labels)])])
    )
    points = [at(n, one) if one is not None else None for n, one in enumerate(values)]
    for run in _runs(points):
        if len(run) > 1:
            base = height - bottom
            inner = " ".join(f"L{x:.1f} {y:.1f}" for x, y in run)
            parts.append(f'<path class="area" d="M{run[0][0]:.1f} {base} {inner} L{run[-1][0]:.1f} {base} Z"/>')
    parts.append(_path("line", points))
    for number, (point, one) in enumerate(zip(points, values, strict=True)):
        if point is not None and one is not None:
            told = f"{labels[number]}: {say(one)}"
            if number < len(before) and (was := before[number]) is not None:
                told += f", before {say(was)}"
            parts.append(
                f'<circle class="dot" cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="3"><title>{_text(told)}</title></circle>'
            )
    return _svg(title, height, parts)


def bars(
    title: str, labels: Sequence[str], values: Sequence[float], before: Sequence[float], say: Callable[[float], str]
) -> str:
    """A bar for each name, with a thin one of the period before beneath."""
    shown = [cut(plain(label), _LABEL) for label in labels]
    row, left, right = 34, max(236, 14 + 7 * max(map(width_of, shown), default=0)), 96
    height = row * len(labels) + 6
    highest = max([*values, *before, 0.0]) or 1.0
    across = _WIDTH - left - right
    parts = []
    for number, (label, value) in enumerate(zip(labels, values, strict=True)):
        y = number * row + 4
        was = before[number] if number < len(before) else None
        told = f"{label}: {say(value)}" + (f", before {say(was)}" if was is not None else "")
        parts.append(f"<g><title>{_text(told)}</title>")
        parts.append(
            f'<text class="label" x="{left - 10}" y="{y + 14}" text-anchor="end">{_text(shown[number])}</text>'
        )
        width = max(1.0, across * max(0.0, value) / highest)
        parts.append(f'<rect class="bar" x="{left}" y="{y}" width="{width:.1f}" height="17" rx="3"/>')
        if was is not None:
            width_before = across * max(0.0, was) / highest
            parts.append(
                f'<rect class="bar-before" x="{left}" y="{y + 20}" width="{width_before:.1f}" height="5" rx="2"/>'
            )
        parts.append(f'<text class="label" x="{left + width + 8:.1f}" y="{y + 14}">{_text(say(value))}</text></g>')
    return _svg(title, height, parts)


def columns(title: str, labels: Sequence[str], values: Sequence[float], say: Callable[[float], str]) -> str:
    """Upright bars, for what has an order of its own such as the hours of a day."""
    height, left, right, top, bottom = 170, 64, 12, 12, 26
    highest = _nice(max(values, default=0.0))
    step = (_WIDTH - left - right) / max(1, len(labels))
    parts = []
    for part in (0.0, 0.5, 1.0):
        y = top + (height - top - bottom) * (1 - part)
        parts.append(f'<line class="grid" x1="{left}" x2="{_WIDTH - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="axis" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{_text(say(highest * part))}</text>'
        )
    for number, (label, value) in enumerate(zip(labels, values, strict=True)):
        tall = (height - top - bottom) * value / highest
        x = left + number * step
        parts.append(
            f'<rect class="bar" x="{x + 2:.1f}" y="{height - bottom - tall:.1f}" width="{step - 4:.1f}" height="{tall:.1f}" '
            f'rx="2"><title>{_text(f"{label}: {say(value)}")}</title></rect>'
        )
        if number % 3 == 0:
            parts.append(
                f'<text class="axis" x="{x + step / 2:.1f}" y="{height - 8}" text-anchor="middle">{_text(label)}</text>'
            )
    return _svg(title, height, parts)


def board(title: str, days: Sequence[str], states: Mapping[tuple[int, int], str]) -> str:
    """A cell for each hour: days downwards, hours across; `states` by number of the day and hour."""
    cell, left, top = 26, 96, 20
    tall = 20 if len(days) > 8 else 24
    height = top + tall * len(days) + 4
    parts = [
        f'<text class="axis" x="{left + hour * cell + cell / 2}" y="13" text-anchor="middle">{hour:02d}</text>'
        for hour in range(0, 24, 3)
    ]
    for number, day in enumerate(days):
        y = top + number * tall
        parts.append(
            f'<text class="label" x="{left - 10}" y="{y + tall * 0.65:.1f}" text-anchor="end">{_text(day)}</text>'
        )
        for hour in range(24):
            state = states.get((number, hour), "none")
            kind = state if state in ("healthy", "degraded", "crisis", "unknown") else "none"
            told = f"{day} {hour:02d}:00: {state if state != 'none' else 'nothing ran'}"
            parts.append(
                f'<rect class="state-{kind}" x="{left + hour * cell + 1}" y="{y + 1}" width="{cell - 2}" height="{tall - 2}" '
                f'rx="3"><title>{_text(told)}</title></rect>'
            )
    return _svg(title, height, parts)


def links(title: str, found: Sequence[tuple[str, str, int, int]]) -> str:
    """Sources on the left, targets on the right, a band for each pair; red is the part that failed."""
    sources = list(dict.fromkeys(one[0] for one in found))
    targets = list(dict.fromkeys(one[1] for one in found))
    row = 34
    height = row * max(len(sources), len(targets)) + 10
    left, right = 200, _WIDTH - 200
    most = max((one[2] for one in found), default=1) or 1

    def place(number: int, of: int) -> float:
        return (number + 0.5) * (height - 10) / of + 5

    parts = []
    for source, target, calls, failed in found:
        y1, y2 = place(sources.index(source), len(sources)), place(targets.index(target), len(targets))
        middle = (left + right) / 2
        width = max(1.5, 14 * calls / most)
        told = _text(f"{source} to {target}: {calls:,} calls, {failed:,} failed")
        path = f"M{left} {y1:.1f} C{middle} {y1:.1f} {middle} {y2:.1f} {right} {y2:.1f}"
        parts.append(f'<path class="link" d="{path}" stroke-width="{width:.1f}"><title>{told}</title></path>')
        if failed:
            bad = max(1.0, width * failed / calls)
            parts.append(f'<path class="link-bad" d="{path}" stroke-width="{bad:.1f}"><title>{told}</title></path>')
    for number, source in enumerate(sources):
        y = place(number, len(sources))
        parts.append(f'<circle class="dot" cx="{left}" cy="{y:.1f}" r="4"/>')
        parts.append(
            f'<text class="label" x="{left - 12}" y="{y + 4:.1f}" text-anchor="end">{_text(cut(plain(source), 28))}</text>'
        )
    for number, target in enumerate(targets):
        y = place(number, len(targets))
        parts.append(f'<circle class="dot" cx="{right}" cy="{y:.1f}" r="4"/>')
        parts.append(f'<text class="label" x="{right + 12}" y="{y + 4:.1f}">{_text(cut(plain(target), 28))}</text>')
    return _svg(title, height, parts)


def _svg(title: str, height: float, parts: Iterable[str]) -> str:
    inner = "".join(parts)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{_text(title)}" '
        f'preserveAspectRatio="xMinYMin meet"><title>{_text(title)}</title>{inner}</svg>'
    )


def _path(kind: str, points: Sequence[tuple[float, float] | None]) -> str:
    drawn = " ".join("M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in run) for run in _runs(points))
    return f'<path class="{kind}" d="{drawn}"/>' if drawn else ""


def _runs(points: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    """The stretches without a gap."""
    found: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point is None:
            found.append([])
        else:
            found[-1].append(point)
    return [one for one in found if one]


def _nice(highest: float) -> float:
    """A round number at or above it."""
    if highest <= 0:
        return 1.0
    scale = 10.0 ** (len(f"{highest:.0f}") - 1) if highest >= 1 else 10.0 ** -(len(f"{1 / highest:.0f}"))
    return next(one * scale for one in (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 50, 100) if one * scale >= highest)


def _text(text: str) -> str:
    return escape(plain(text))
