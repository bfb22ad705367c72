"""Asking a source for series: one place that knows how, so that gathering and learning say only what they want."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from leadtrace.alerts.durations import bin_of
from leadtrace.alerts.model import Point, Series
from leadtrace.alerts.rules import MINUTE
from leadtrace.analysis.answer import answer
from leadtrace.analysis.series import SERIES, SeriesOptions, column_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from leadtrace.alerts.model import Signal
    from leadtrace.alerts.rules import Group
    from leadtrace.analysis.series import SeriesRow
    from leadtrace.store.interface import Source

__all__ = ["Asking", "points_of", "series_of"]

Counted = Literal["leads", "outcomes", "durations", "last"]


@dataclass(frozen=True, slots=True)
class Asking:
    """One source, asked for one tenant. Raises `SourceError` where it cannot be read, `SettingsError` where it keeps no
    events that could be counted."""

    source: Source
    tenant: str | None = None
    incomplete: list[str] = field(default_factory=list, compare=False)
    """Why answers since the last look began may lack something, in sentences, each once."""

    def groups(
        self, of: Counted, groups: Iterable[Group], since_ns: int, until_ns: int, bucket_ns: int = MINUTE
    ) -> dict[str, list[SeriesRow]]:
        """The rows of each group by its name, groups without any included; groups counted alike are asked for together."""
        found: dict[str, list[SeriesRow]] = {one.name: [] for one in groups}
        alike: dict[tuple[str, tuple[str, ...]], list[Group]] = defaultdict(list)
        for one in groups:
            named_by = column_of(one.attribute) if one.attribute and of in ("leads", "last") else one.kind
            alike[named_by, one.events if of in ("leads", "last") else ()].append(one)
        for (by, events), several in alike.items():
            of_value: dict[str, list[str]] = defaultdict(list)
            for one in several:
                for value in one.values:
                    of_value[value].append(one.name)
            options = SeriesOptions(
                of=of,
                by=by,
                events=events,
                values=tuple(of_value),
                bucket_s=bucket_ns // 1_000_000_000,
                since_ns=max(0, since_ns),
                until_ns=until_ns,
                tenant=self.tenant,
                now_ns=until_ns,
            )
            for row in self._rows(options):
                for name in dict.fromkeys((*of_value.get(row.name, ()), *of_value.get(row.also, ()))):
                    found[name].append(row)
        return found

    def other(
        self, of: Literal["capacity", "health", "errors", "work"], since_ns: int, until_ns: int, bucket_ns: int = 0
    ) -> tuple[SeriesRow, ...]:
        """Rows of what belongs to no group."""
        options = SeriesOptions(
            of=of,
            since_ns=max(0, since_ns),
            until_ns=until_ns,
            bucket_s=bucket_ns // 1_000_000_000,
            tenant=self.tenant,
            now_ns=until_ns,
        )
        return self._rows(options)

    def _rows(self, options: SeriesOptions) -> tuple[SeriesRow, ...]:
        found = answer(self.source, SERIES, options)
        self.incomplete.extend(one for one in found.incomplete if one not in self.incomplete)
        return found.rows


def points_of(signal: Signal, rows: Iterable[SeriesRow]) -> tuple[Point, ...]:
    """Rows as points in order of time: those of one piece of time together, durations as bins."""
    pieces: dict[int, list[SeriesRow]] = defaultdict(list)
    for row in rows:
        pieces[row.piece_ns].append(row)
    found = []
    for several in pieces.values():
        bins: Mapping[int, int] = _bins(several) if signal == "durations" else {}
        found.append(
            Point(
                min(one.first_ns for one in several),
                max(one.last_ns for one in several),
                sum(one.count for one in several),
                sum(one.bad for one in several),
                several[-1].value or 0.0 if not bins else 0.0,
                several[-1].text,
                tuple(sorted(bins.items())),
            )
        )
    return tuple(sorted(found, key=lambda one: (one.at_ns, one.last_ns)))


def series_of(signal: Signal, rows: Iterable[SeriesRow], from_ns: int, earlier_ns: int = 0) -> Series:
    return Series(points_of(signal, rows), from_ns, earlier_ns)


def _bins(rows: Iterable[SeriesRow]) -> Mapping[int, int]:
    found: dict[int, int] = defaultdict(int)
    for row in rows:
        if row.value is not None:
            found[bin_of(row.value)] += row.count
    return found
