"""A review as one HTML file that needs nothing else: no script, no request, and every recorded text escaped."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
from typing import TYPE_CHECKING, Any, Final

from leadtrace.analysis import pictures
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
from leadtrace.analysis.review_said import (
    NONE,
    axis,
    before_of,
    change_of,
    day,
    said,
    title_of,
    told_columns,
    tone,
    value_of,
)
from leadtrace.errors import SettingsError
from leadtrace.query.printable import plain
from leadtrace.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadtrace.analysis.model import Report, Row
    from leadtrace.analysis.review_rows import Part

__all__ = ["review_page"]

_DAY: Final = 86_400 * 10**9
_HOUR: Final = 3_600 * 10**9
_ORDERED: Final = "by hour of day"
_NOW_AND_BEFORE: Final = (("now", "this period"), ("before", "the period before"))
_STATES: Final = tuple((one, one) for one in ("healthy", "degraded", "crisis", "unknown"))


def review_page(review: Report[Any], tenant: str | None = None) -> str:
    """The whole file's text. Raises `SettingsError` where jinja2 is not installed."""
    try:
        from jinja2 import Environment
        from markupsafe import Markup
    except ImportError as why:
        raise SettingsError("reviews as HTML need jinja2: pip install 'leadtrace[reports]'", missing=why.name) from why
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=_shown)
    style = _resource("review.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.from_string(_resource("review.html")).render(
        title=title_of(review),
        tenant=tenant or "",
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        style=Markup(style),  # noqa: S704 - a file of our own
        notes=review.notes,
        incomplete=review.incomplete,
        sample=[(what.replace("_", " "), number) for what, number in review.sample.counts.items()],
        parts=[_part(part, review) for part in PARTS if any(getattr(one, "part", "") == part for one in review.rows)],
        version=__version__,
    )


def _shown(value: object) -> object:
    """What a template prints: recorded texts without what turns or hides text."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return plain(value)
    return value


def _resource(name: str) -> str:
    return (importlib.resources.files("leadtrace.analysis") / "templates" / name).read_text(encoding="utf-8")


def _part(part: Part, review: Report[Any]) -> dict[str, Any]:
    rows = [one for one in review.rows if one.part == part]
    return {
        "name": part,
        "id": part.lower().replace(" ", "-"),
        "figures": [_figure(one) for one in rows if isinstance(one, ReviewFigure)],
        "advice": [one for one in rows if isinstance(one, ReviewAdvice)],
        "pictures": list(_pictures(rows)),
        "tables": [told_columns(one) for one in rows if isinstance(one, ReviewTable)],
    }


def _figure(one: ReviewFigure) -> dict[str, str]:
    name = f"{one.name}, {one.currency}" if one.currency else one.name
    of = f"of {one.sample:,} {one.of}" if one.unit == "share" else f"from {one.sample:,} {one.of}"
    return {
        "name": name[:1].upper() + name[1:],
        "value": value_of(one),
        "before": "" if before_of(one) == NONE else before_of(one),
        "change": change_of(one),
        "tone": tone(one),
        "note": one.note,
        "of": of if one.unit else "",
    }


def _pictures(rows: list[Row]) -> Iterator[dict[str, Any]]:
    from markupsafe import Markup

    for one in rows:
        legend: tuple[tuple[str, str], ...] = ()
        match one:
            case ReviewSeries():
                svg = _series(one)
                legend = _NOW_AND_BEFORE if any(value is not None for value in one.before) else ()
            case ReviewBars() if _ORDERED in one.name:
                svg = pictures.columns(one.name, one.labels, one.values, _axis(one.unit, one.currency))
            case ReviewBars():
                svg = pictures.bars(one.name, one.labels, one.values, one.before, _axis(one.unit, one.currency))
                legend = _NOW_AND_BEFORE if any(one.before) else ()
            case ReviewHours():
                svg, legend = _board(one), _STATES
            case ReviewLinks():
                found = list(zip(one.sources, one.targets, one.calls, one.failures, strict=True))
                svg, legend = pictures.links(one.name, found), (("now", "calls"), ("failed", "of them failed"))
            case _:
                continue
        yield {"name": one.name, "svg": Markup(svg), "legend": legend}  # noqa: S704 - escaped where it was made


def _axis(unit: Any, currency: str = "") -> Any:
    return lambda value: axis(value, unit, currency)


def _series(one: ReviewSeries) -> str:
    form = "%a %d" if len(one.at_ns) <= 8 else "%d %b"
    labels = [day(at, form) for at in one.at_ns]
    return pictures.lines(
        one.name, labels, one.values, one.before, lambda value: said(value, one.unit) if one.unit else axis(value, "")
    )


def _board(one: ReviewHours) -> str:
    if not one.at_ns:
        return pictures.board(one.name, [], {})
    first = one.at_ns[0] // _DAY
    days = [day(number * _DAY) for number in range(first, one.at_ns[-1] // _DAY + 1)]
    states = {(at // _DAY - first, at // _HOUR % 24): state for at, state in zip(one.at_ns, one.states, strict=True)}
    return pictures.board(one.name, days, states)
