"""What an analysis answers: a typed report that states its window, its sample and what every ratio is of.

Results are frozen. Times are int Unix nanoseconds, durations float milliseconds, money `Decimal` in major units beside its
currency. A row is a frozen dataclass of the analysis's own, one sort or several; `as_json` is the stable form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from leadtrace.analysis.intervals import wilson

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from leadtrace.query.model import Json

__all__ = [
    "LEAST",
    "REPORT_SCHEMA",
    "Rate",
    "Report",
    "Row",
    "Sample",
    "Window",
    "from_micro",
    "limited",
    "major",
    "plain",
    "rows_as_json",
]

REPORT_SCHEMA: Final = "leadtrace.report/1"
LEAST: Final = 30
"""The smallest denominator from which a rate is told, unless an analysis says otherwise."""


class Row:
    """What rows of reports derive from: a frozen dataclass. A report with rows of several sorts names each sort."""

    __slots__ = ()
    section: ClassVar[str] = ""
    """The name of this sort of row, '' where the report has only one."""


R = TypeVar("R", bound=Row)


@dataclass(slots=True, frozen=True)
class Window:
    """The time that an answer is about: from `since_ns` on, before `until_ns`; 0 where it is open."""

    since_ns: int = 0
    until_ns: int = 0

    def as_json(self) -> dict[str, Json]:
        return {"since_unix_nano": self.since_ns or None, "until_unix_nano": self.until_ns or None}


@dataclass(slots=True, frozen=True)
class Sample:
    """How many records stand behind an answer, by what they are: `Sample({"events": 1204, "leads": 97})`."""

    counts: Mapping[str, int] = field(default_factory=dict)

    def __getitem__(self, what: str) -> int:
        return self.counts[what]

    def as_json(self) -> dict[str, Json]:
        return dict(self.counts)


@dataclass(slots=True, frozen=True)
class Rate:
    """A share that says of what it is one. Below `least` it has no value: too few to tell."""

    numerator: int
    denominator: int
    of: str
    """What the denominator counts, in the plural: "attempts", "successes"."""
    least: int = LEAST

    @property
    def value(self) -> float | None:
        """Between 0 and 1; None where the denominator is below `least`, or is nothing."""
        return self.numerator / self.denominator if self.denominator >= max(self.least, 1) else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's interval at 95 %, None where there is no value."""
        return wilson(self.numerator, self.denominator) if self.value is not None else None

    @property
    def note(self) -> str:
        """'' where there is a value, else why not."""
        if self.value is not None:
            return ""
        return f"too few to tell: {self.denominator} {self.of}, at least {max(self.least, 1)} needed"

    def as_json(self) -> dict[str, Json]:
        low, high = self.interval or (None, None)
        return {
            "value": self.value,
            "numerator": self.numerator,
            "denominator": self.denominator,
            "of": self.of,
            "least": self.least,
            "low": low,
            "high": high,
            "note": self.note,
        }


@dataclass(slots=True, frozen=True)
class Report(Generic[R]):
    """The answer of one analysis."""

    report: str
    """The analysis's name."""
    window: Window
    sample: Sample
    rows: tuple[R, ...]
    notes: tuple[str, ...] = ()
    """What a reader must know to read it rightly, in sentences: assumptions, samples that are too small."""
    incomplete: tuple[str, ...] = ()
    """Why it may lack something, in sentences; empty where the source held and gave all of it."""

    def as_json(self) -> dict[str, Json]:
        """The stable form, `leadtrace.report/1`."""
        return {
            "schema": REPORT_SCHEMA,
            "report": self.report,
            "window": self.window.as_json(),
            "sample": self.sample.as_json(),
            "complete": not self.incomplete,
            "incomplete": list(self.incomplete),
            "rows": rows_as_json(self.rows),
            "notes": list(self.notes),
        }

    def of(self, row: type[R]) -> tuple[R, ...]:
        """The rows of one sort."""
        return tuple(one for one in self.rows if isinstance(one, row))


def limited(sorts: Iterable[Sequence[R]], limit: int, newest: tuple[type[Row], ...] = ()) -> tuple[list[R], list[str]]:
    """Of each sort of row the first `limit` (0: all), of a sort in `newest` the last; and a note for each that was cut."""
    rows: list[R] = []
    notes: list[str] = []
    for sort in sorts:
        if not limit or len(sort) <= limit:
            rows += sort
            continue
        last = isinstance(sort[0], newest)
        rows += sort[-limit:] if last else sort[:limit]
        of = f" of {sort[0].section.replace('_', ' ')}" if sort[0].section else ""
        left = len(sort) - limit
        notes.append(f"{left:,} {'earlier' if last else 'more'} row{'s' * (left != 1)}{of}, left out by the limit")
    return rows, notes


def rows_as_json(rows: Sequence[Row]) -> list[Json]:
    """Rows as JSON, a key per field in their order; rows of a named sort begin with `section`."""
    return [_section(one) | _fields(one) for one in rows]


def _section(row: Row) -> dict[str, Json]:
    return {"section": row.section} if row.section else {}


def plain(value: Any) -> Json:
    """One value of a row as JSON: Decimal as a string, tuples as lists, dataclasses as objects."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(one) for one in value]
    if hasattr(value, "as_json"):
        found: Json = value.as_json()
        return found
    return _fields(value)


def _fields(value: Any) -> dict[str, Json]:
    return {one.name: plain(getattr(value, one.name)) for one in fields(value)}


def from_micro(micro: int) -> Decimal:
    """Money in major units from integer micro-units, with at least two places and none that say nothing."""
    return major(Decimal(micro) / 1_000_000)


def major(amount: Decimal) -> Decimal:
    """The same amount with at least two places and none that say nothing."""
    exact = amount.normalize()
    places = max(2, -int(exact.as_tuple().exponent))
    return exact.quantize(Decimal(1).scaleb(-places))
