"""Small recorded stories written by hand, in a real embedded store, asked of both engines."""

from __future__ import annotations

import itertools
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from in_duckdb import InDuckDB

from leadtrace.analysis.options import checked
from leadtrace.analysis.registry import analysis
from leadtrace.otlp.records import EventRecord, Resource, Value
from leadtrace.store.interface import Found
from leadtrace.store.relations.fetched import fetched_relations
from leadtrace.store.relations.interface import Slice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from leadtrace.analysis.model import Report
    from leadtrace.store.relations.interface import Relations

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
START = 20_724 * DAY
"""A Monday at midnight UTC: 2026-09-28."""


class Story:
    """Events one after another: `story.tell("delivery.accepted", lead="a", at=DAY, **{"delivery.revenue": 5})`."""

    def __init__(self, host: str = "h1", version: str = "1.0") -> None:
        self.events: list[EventRecord] = []
        self.process = Resource({"service.name": "pipeline", "host.name": host, "service.version": version})
        self._numbers = itertools.count(1)

    def tell(
        self,
        name: str,
        *,
        lead: str = "",
        run: str = "",
        at: int = 0,
        span: int = 0,
        process: Resource | None = None,
        **fields: Value,
    ) -> EventRecord:
        number = next(self._numbers)
        told: dict[str, Value] = {"log.record.uid": f"{7:016x}{number:012x}", **fields}
        if lead:
            told["lead.id"] = lead
        if run:
            told["leadtrace.run_id"] = run
        event = EventRecord(
            name,
            START + at,
            f"{zlib.crc32((run or lead).encode()) + 1:032x}",
            f"{span:016x}" if span else "",
            told,
            process or self.process,
        )
        self.events.append(event)
        return event


def ask(name: str, events: Iterable[EventRecord], both: bool = False, **options: Any) -> Report[Any]:
    """The report over those events; where `both` is asked for, DuckDB is asked, too, and must say the same."""
    with recorded(events, since_ns=options.get("since_ns", 0), until_ns=options.get("until_ns", 0)) as relations:
        return on_both(name, relations, None if both else relations, **options)


def on_both(name: str, relations: Relations, copy: Relations | InDuckDB | None = None, **options: Any) -> Report[Any]:
    """The report over both engines, the second a copy of the first; both must say the same."""
    asked = analysis(name)
    given = checked(name, asked.options, {"now_ns": START + 400 * DAY, **options})
    found: Report[Any] = asked.run(relations, given)
    assert asked.run(copy or InDuckDB(relations), given) == found
    return found


def on_engines(name: str, engines: tuple[Relations, InDuckDB], **options: Any) -> Report[Any]:
    """As `on_both`, in the window that the options say."""
    window = options.get("since_ns", 0), options.get("until_ns", 0)
    relations, copy = engines
    return on_both(name, relations.within(*window), copy.within(*window), **options)


@contextmanager
def recorded(events: Iterable[EventRecord], since_ns: int = 0, until_ns: int = 0) -> Iterator[Relations]:
    """Relations over the embedded store's own tables, in memory, that hold those events."""
    source: Any = None
    with fetched_relations(source, Found(events=list(events)), Slice(since_ns, until_ns)) as relations:
        yield relations
