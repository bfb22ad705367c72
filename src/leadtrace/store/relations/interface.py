"""What every engine promises that answers SQL over recorded leads.

An analysis is one text of SQL over five relations, in the subset that every engine runs unchanged: counts and sums of CASE,
joins, window functions, integer nanoseconds, money as integer micro-units. Ratios and Decimal are made in Python of what it
returns. docs/relations.md lists the columns.

Three functions are not of standard SQL, and every engine has them: `nearest_rank(value, percent)`, the smallest value that at
least so many percent (a whole number from 0 to 100) of all do not exceed; NULL values do not count. `in_order(number, time_ns,
sequence)`, the numbers (each at most `MOST_IN_ORDER`) in the order of time, then of sequence, then their own, as one text with
spaces between; and `key_of(tenant, id)`, a value that is equal where both are and NULL where the id is '' or NULL. What stands for
it differs between engines: it is to group and to join by, in a fraction of the time that the two texts take, and `lead_key` and
`run_key` of every relation are such.

    lead_events   one row per event in the slice: its time within the window, its tenant the asked one
    lead_spans    one row per span that begins within the window
    lead_runs     one row per run of the tenant, whenever it was: what events inside a flow do not carry (flow, source …)
    lead_stops    one row per run that began in the window: the last that is told of it, its start and its ends aside
    lead_shared   which leads a record names that serves several (`leadtrace.lead_ids`), a row each

`all_events` and `all_spans` are the same without the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, runtime_checkable

from leadtrace.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from leadtrace.store.interface import Source

__all__ = [
    "END_OF_TIME",
    "MOST_IN_ORDER",
    "Answering",
    "ColumnsReplacedError",
    "Parameters",
    "Relational",
    "Relations",
    "Row",
    "Slice",
    "Tables",
]

Row: TypeAlias = "tuple[Any, ...]"
Parameters: TypeAlias = "Mapping[str, str | int | float | None]"
Tables: TypeAlias = "Mapping[str, str]"
_NONE: Final[Tables] = MappingProxyType({})
END_OF_TIME: Final = 2**62
"""A time after all others: what an open end of a window is in SQL."""
MOST_IN_ORDER: Final = (1 << 17) - 1
"""The largest number that `in_order` can put into an order."""


@dataclass(slots=True, frozen=True)
class Slice:
    """Which records the relations hold. Times are Unix nanoseconds, 0 where open; the end is not included."""

    since_ns: int = 0
    until_ns: int = 0
    tenant: str | None = None
    """None: any tenant; '': records that carry none."""


class Relations(Protocol):
    """Recorded leads as relations, of one state of the source: later arrivals change nothing while it is open.

    For one thread at a time. Raises `SourceError` where the source cannot be read.
    """

    @property
    def part(self) -> Slice: ...

    @property
    def source(self) -> Source:
        """Where the records are, for timelines of single leads."""
        ...

    @property
    def incomplete(self) -> Sequence[str]:
        """Why answers may lack something, in sentences; empty when they are whole."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What else is to be said of answers from here, such as what would make them faster."""
        ...

    def query(self, sql: str, parameters: Parameters | None = None, tables: Tables = _NONE) -> list[Row]:
        """The rows of one SELECT. Parameters stand in it as `$name`. Every text column of the relations is '' where absent,
        every number NULL; order what you want ordered by columns that are not NULL, because engines differ there.

        `tables` are SELECTs by name that it builds on: each may name those before it, and is worked out once
        however often it is named: also where the next query builds on the same."""
        ...

    def within(self, since_ns: int = 0, until_ns: int = 0) -> Relations:
        """The same records in another window, the tenant as before: the period before this one, or all time."""
        ...


class ColumnsReplacedError(SourceError):
    """What was read was made anew meanwhile: asked again, the answer comes from the new state."""


@runtime_checkable
class Relational(Protocol):
    """A source that hands out its records as relations."""

    def relations(self, part: Slice, few: bool = False) -> AbstractContextManager[Relations]:
        """`few`: the questions find a few records by an index, which an engine made for reading all answers later."""
        ...


@runtime_checkable
class Answering(Protocol):
    """A source behind which somebody else runs the analyses: a served store."""

    def report(self, name: str, options: Sequence[tuple[str, str]]) -> Mapping[str, Any]:
        """The report as JSON, its options as pairs of text."""
        ...
