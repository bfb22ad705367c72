"""`compare` to look at: what tells the sides apart, the most telling first, each side's figures in a column of its own."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from leadtrace.analysis.compare import Differs, Explains, Path
from leadtrace.query.printable import cut, duration, plain, width_of
from leadtrace.query.story import hanging

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from leadtrace.analysis.model import Rate, Report
    from leadtrace.query.story import Line

__all__ = ["draw_compare"]

_MOST = 25
_MOST_ALSO = 6
_LEAST_MS = 1.0


def draw_compare(report: Report[Any], width: int) -> Iterator[Line]:
    """Two leads side by side, or what tells two groups apart and in which order they went."""
    if differs := report.of(Differs):
        yield from _differences(differs, width)
    facts, paths = report.of(Explains), report.of(Path)
    if facts:
        yield from _facts(facts, width)
    if paths:
        if facts:
            yield []
        yield from _paths(paths, width)


def _differences(rows: Sequence[Differs], width: int) -> Iterator[Line]:
    about = min(max(width_of(_about(one.subject, one.attribute)) for one in rows), (width - 8) // 2)
    room = (width - about - 22) // 2
    yield [(f"  {'':<{about}}  {'A':<{room}}  {'B':<{room}}  A less B", "faint")]
    for aspect, of_aspect in groupby(rows, key=lambda one: one.aspect):
        several = list(of_aspect)
        shown = [one for one in several if aspect != "timing" or one.less is None or abs(one.less) >= _LEAST_MS]
        yield [(aspect, "head")]
        if len(shown) < len(several):
            yield [(f"  {len(several) - len(shown)} differ by less than {_LEAST_MS:g} ms", "faint")]
        for one in shown:
            a, b = (_amount(one.attribute, told) for told in (one.a, one.b))
            yield [
                (f"  {_padded(_about(one.subject, one.attribute), about)}  ", "title"),
                (f"{_padded(a or '-', room)}  {_padded(b or '-', room)}  ", "event"),
                (_less(one), "took"),
            ]


def _less(row: Differs) -> str:
    if row.less is None:
        return ""
    if row.attribute.endswith(" in ms"):
        return ("+" if row.less > 0 else "") + duration(row.less)
    return f"{row.less:+.6g}"


def _amount(attribute: str, told: str) -> str:
    if told and attribute.endswith(" in ms"):
        return duration(float(told))
    return plain(told)


def _about(subject: str, attribute: str) -> str:
    """What a row is about; of a word's own attribute without the word's namespace, which goes without saying."""
    if not subject:
        return plain(attribute)
    namespace = next((one for one in _NAMESPACES if attribute.startswith(one)), "")
    return plain(f"{subject}: {attribute.removeprefix(namespace)}")


_NAMESPACES = ("enhancement.", "delivery.", "flow.journey.", "flow.", "step.", "validation.", "rule.", "http.")


def _padded(text: str, room: int) -> str:
    short = cut(text, room)
    return short + " " * (room - width_of(short))


def _facts(rows: Sequence[Explains], width: int) -> Iterator[Line]:
    room = max(width - 48, 20)
    yield [(f"weight  {'what tells them apart':<{room}}  {'A':<17}  B", "faint")]
    for one in rows[:_MOST]:
        what = _about(one.subject, f"{one.attribute} {one.value}".strip())
        a, b = (
            _side(one.a, one.a_median, one.a_leads, one.attribute),
            _side(one.b, one.b_median, one.b_leads, one.attribute),
        )
        yield [
            (f"{one.weight:>+6.2f}  ", ("bad" if one.weight > 0 else "good") if one.sure else "faint"),
            (f"{_padded(what, room)}  ", "title" if one.sure else "faint"),
            (f"{_padded(a, 17)}  {b}", "took"),
            ("" if one.sure else "  may be chance", "faint"),
        ]
        if one.also:
            more = f" and {len(one.also) - _MOST_ALSO} more" if len(one.also) > _MOST_ALSO else ""
            yield from hanging("        ", f"also {plain('; '.join(one.also[:_MOST_ALSO]))}{more}", "faint", width)
    if len(rows) > _MOST:
        yield [(f"        {len(rows) - _MOST} more, in --json", "faint")]


def _side(rate: Rate | None, median: float | None, leads: int, attribute: str) -> str:
    if rate is not None and rate.denominator:
        return f"{rate.numerator / rate.denominator:.1%} of {rate.denominator:,}"
    if median is None:
        return ""
    return f"{duration(median) if attribute.endswith(' in ms') else f'{median:.6g}'} in {leads:,}"


def _paths(rows: Sequence[Path], width: int) -> Iterator[Line]:
    yield [("order", "head")]
    for one in rows:
        yield [(f"  A {_side(one.a, None, 0, '')}, B {_side(one.b, None, 0, '')}", "took")]
        yield from hanging("    ", plain(" → ".join(one.path)) or "nothing", "event", width)
