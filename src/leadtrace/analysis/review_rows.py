"""What a review is made of: figures beside those of the period before, pictures as numbers, tables, and advice."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal  # noqa: TC003 - a row is made again from JSON by its types
from typing import ClassVar, Final, Literal, TypeAlias

from leadtrace.analysis.model import Row

__all__ = [
    "MONTHLY",
    "PARTS",
    "WEEKLY",
    "Part",
    "ReviewAdvice",
    "ReviewBars",
    "ReviewFigure",
    "ReviewHours",
    "ReviewLinks",
    "ReviewSeries",
    "ReviewTable",
    "Unit",
]

Part: TypeAlias = Literal[
    "At a glance",
    "Error trends",
    "Performance patterns",
    "Enhancement ROI",
    "Capacity planning",
    "System optimization",
    "Cost analysis",
    "Service reliability",
    "Architecture review",
]
Unit: TypeAlias = Literal["", "share", "ms", "money"]

WEEKLY: Final[tuple[Part, ...]] = (
    "At a glance",
    "Error trends",
    "Performance patterns",
    "Enhancement ROI",
    "Capacity planning",
)
MONTHLY: Final[tuple[Part, ...]] = (
    "At a glance",
    "System optimization",
    "Cost analysis",
    "Service reliability",
    "Architecture review",
)
PARTS: Final = (*WEEKLY, *MONTHLY[1:])


@dataclass(slots=True, frozen=True)
class ReviewFigure(Row):
    """One figure, with what it is of, beside the same figure of the period before."""

    section: ClassVar[str] = "figures"
    part: Part
    name: str
    unit: Unit
    value: float | None
    """None where there is too little to tell, and for money."""
    amount: Decimal | None
    """Money, exact; None for everything else."""
    currency: str
    sample: int
    """What it rests on: the denominator of a share, the values of a mean."""
    of: str
    """What the sample counts."""
    before: float | None
    before_amount: Decimal | None
    before_sample: int
    change: float | None
    """Relative, 0.1 is a tenth more; per day for what adds up over days. None where there is nothing to compare with."""
    good: Literal["up", "down", ""]
    """Which way is better; '' where neither is."""
    clear: bool
    """Whether the difference is more than chance explains, at 99 %; of means and sums nobody can say, and it is true."""
    note: str


@dataclass(slots=True, frozen=True)
class ReviewSeries(Row):
    """A figure over the days of the period, and over those of the one before: a line to draw."""

    section: ClassVar[str] = "series"
    part: Part
    name: str
    unit: Unit
    at_ns: tuple[int, ...]
    values: tuple[float | None, ...]
    before: tuple[float | None, ...]
    """Of the same days, counted from the beginning, of the period before."""


@dataclass(slots=True, frozen=True)
class ReviewBars(Row):
    """Figures by name: bars to draw."""

    section: ClassVar[str] = "bars"
    part: Part
    name: str
    unit: Unit
    currency: str
    labels: tuple[str, ...]
    values: tuple[float, ...]
    before: tuple[float, ...]


@dataclass(slots=True, frozen=True)
class ReviewHours(Row):
    """The state of each hour: a board of days by hours to draw."""

    section: ClassVar[str] = "hours"
    part: Part
    name: str
    at_ns: tuple[int, ...]
    states: tuple[str, ...]


@dataclass(slots=True, frozen=True)
class ReviewLinks(Row):
    """What calls what, and how often: a map to draw."""

    section: ClassVar[str] = "links"
    part: Part
    name: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    calls: tuple[int, ...]
    """As many as of the two before: one link each."""
    failures: tuple[int, ...]


@dataclass(slots=True, frozen=True)
class ReviewTable(Row):
    """Lines for people to read; the report that they come from has them as numbers."""

    section: ClassVar[str] = "tables"
    part: Part
    name: str
    report: str
    """The report that says more."""
    heads: tuple[str, ...]
    numbers: tuple[int, ...]
    """Which columns are numbers."""
    lines: tuple[tuple[str, ...], ...]
    note: str


@dataclass(slots=True, frozen=True)
class ReviewAdvice(Row):
    """What to do, because a condition of the troubleshooting list holds."""

    section: ClassVar[str] = "advice"
    part: Part
    title: str
    because: str
    """The figures that made the condition hold."""
    causes: tuple[str, ...]
    actions: tuple[str, ...]
