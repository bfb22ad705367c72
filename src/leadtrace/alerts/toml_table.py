"""Reading a table of a TOML file key by key: each with its type, and whatever is wrong collected with file, line and key.

    table = Table(content, found, "leadtrace.toml", problems)
    window = table.span("window", default=HOUR)
    table.done()                       # a key that nobody asked for is a problem, told with the nearest that there is

A getter that finds something wrong notes it and gives the default, so that one reading tells all problems.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from leadtrace.alerts.rules import Place
from leadtrace.alerts.spoken import read_span
from leadtrace.alerts.toml_lines import Path, line_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from zoneinfo import ZoneInfo

__all__ = ["Problem", "Table"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file, and where."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class Table:
    """One table, as far as it was read."""

    def __init__(
        self, content: Mapping[str, Any], lines: Mapping[Path, int], file: str, problems: list[Problem], path: Path = ()
    ) -> None:
        self.content = content
        self.path = path
        self.problems = problems
        self._lines = lines
        self._file = file
        self._asked: set[str] = set()

    @property
    def name(self) -> str:
        """The last key of its path."""
        return str(self.path[-1]) if self.path else ""

    @property
    def place(self) -> Place:
        return self.place_of()

    def place_of(self, *keys: str | int) -> Place:
        """Where that key of the table stands; the table itself without one."""
        path = (*self.path, *keys)
        shown = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in path).removeprefix(".")
        return Place(self._file, line_of(self._lines, path), shown)

    def wrong(self, message: str, *keys: str | int) -> None:
        """Note a problem with that key, or with the table."""
        self.problems.append(Problem(self.place_of(*keys), message))

    def has(self, key: str) -> bool:
        return key in self.content

    def get(self, key: str) -> Any:
        """The value as TOML has it, None where there is none; the key counts as asked for."""
        self._asked.add(key)
        return self.content.get(key)

    def done(self) -> None:
        """Every key that nobody asked for is a problem."""
        for key in self.content:
            if key not in self._asked:
                near = get_close_matches(key, sorted(self._asked), n=1, cutoff=0.5)
                known = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(self._asked))}"
                self.wrong(f"there is no such key; {known}", key)

    # Values. `default` stands where the key is missing or wrong.

    def text(self, key: str, default: str = "") -> str:
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            return self._not(key, "text", value, default)
        return value

    def choice(self, key: str, among: Sequence[str], default: str) -> str:
        value = self.text(key, default)
        if value in among:
            return value
        near = get_close_matches(value, among, n=1)
        self.wrong(f"{value!r} is not one of {', '.join(among)}" + (f"; did you mean {near[0]}?" if near else ""), key)
        return default

    def texts(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """A list of texts; a single one may stand without brackets."""
        value = self.get(key)
        if value is None:
            return default
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            return self._not(key, "a text, or a list of texts", value, default)
        return tuple(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self.get(key)
        if value is None:
            return default
        return value if isinstance(value, bool) else self._not(key, "true or false", value, default)

    def whole(self, key: str, default: int, *, least: int = 0) -> int:
        value = self.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            return self._not(key, f"a whole number from {least} on", value, default)
        return value

    def number(self, key: str, default: _T, *, above: float = -math.inf, below: float = math.inf) -> float | _T:
        """A number strictly between the bounds."""
        value = self.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not above < value < below:
            bounds = " and ".join(
                part
                for part in (
                    f"above {above:g}" if above > -math.inf else "",
                    f"below {below:g}" if below < math.inf else "",
                )
                if part
            )
            return self._not(key, f"a number {bounds}".strip(), value, default)
        return float(value)

    def money(self, key: str) -> Decimal | None:
        """An amount, as a number or (exactly) as text."""
        value = self.get(key)
        if value is None:
            return None
        try:
            found = None if isinstance(value, bool) else Decimal(str(value))
        except InvalidOperation:
            found = None
        if found is None or not found.is_finite() or found < 0:
            return self._not(key, 'an amount from 0 on, such as 40 or "39.95"', value, None)
        return found

    def span(self, key: str, default: int, *, zero: bool = False) -> int:
        """A span of time in nanoseconds."""
        value = self.get(key)
        if value is None:
            return default
        found = read_span(value) if isinstance(value, str) else None
        if found is None or (not found and not zero):
            return self._not(key, "a span of time as text: 90s, 15m, 1h, 30d, 2w", value, default)
        return found

    def moment(self, key: str, zone: ZoneInfo) -> int:
        """A date or a date and time, there where it names no offset, in nanoseconds; 0 where it is missing or wrong."""
        value = self.get(key)
        if value is None:
            return 0
        if isinstance(value, str):
            try:
                value = datetime.datetime.fromisoformat(value.strip())
            except ValueError:
                return self._not(key, "a date or a date and time: 2026-12-24, 2026-12-24T18:00:00", value, 0)
        if not isinstance(value, datetime.date):
            return self._not(key, "a date or a date and time: 2026-12-24, 2026-12-24T18:00:00", value, 0)
        if not isinstance(value, datetime.datetime):
            value = datetime.datetime.combine(value, datetime.time())
        if value.tzinfo is None:
            value = value.replace(tzinfo=zone)
        since = value.astimezone(datetime.UTC) - datetime.datetime.fromtimestamp(0, datetime.UTC)
        return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000

    def dates(self, key: str) -> frozenset[datetime.date]:
        value = self.get(key)
        if value is None:
            return frozenset()
        found = set()
        for index, one in enumerate(value if isinstance(value, list) else [value]):
            day = one
            if isinstance(one, str):
                try:
                    day = datetime.date.fromisoformat(one.strip())
                except ValueError:
                    day = None
            if isinstance(day, datetime.date) and not isinstance(day, datetime.datetime):
                found.add(day)
            else:
                self.wrong(f"expected a date such as 2026-12-24, got {one!r}", key, index)
        return frozenset(found)

    # What is inside.

    def table(self, key: str) -> Table | None:
        """The table under that key; None where there is none."""
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            return self._not(key, "a table", value, None)
        return self._inner(value, key)

    def tables(self, key: str) -> list[Table]:
        """The tables under that key, each with its name: `[groups.brand]`."""
        outer = self.table(key)
        return list(outer.each()) if outer is not None else []

    def each(self) -> Iterator[Table]:
        """Every table that this one has, by its key."""
        for key in self.content:
            if (inner := self.table(key)) is not None:
                yield inner

    def array(self, key: str) -> list[Table]:
        """The tables of an array: `[[pauses]]`, or inline."""
        value = self.get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
            return self._not(key, f"a list of tables: [[{key}]]", value, [])
        return [self._inner(one, key, index) for index, one in enumerate(value)]

    def _inner(self, content: Mapping[str, Any], *keys: str | int) -> Table:
        return Table(content, self._lines, self._file, self.problems, (*self.path, *keys))

    def _not(self, key: str, expected: str, got: object, default: _T) -> _T:
        self.wrong(f"expected {expected}, got {got!r}", key)
        return default
