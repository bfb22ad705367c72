"""What one asks of recorded leads, the same over every source: timelines, events, leads."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from leadtrace.errors import LeadtraceError, NotFoundError, SettingsError
from leadtrace.reading.united import UnitedSource
from leadtrace.store.interface import EventFilter, LeadFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from leadtrace.analysis.error_groups import ErrorGroup
    from leadtrace.analysis.model import Report
    from leadtrace.analysis.patterns import Sequences
    from leadtrace.otlp.records import EventRecord
    from leadtrace.query.model import Timeline
    from leadtrace.query.surroundings import Surroundings
    from leadtrace.settings import Settings
    from leadtrace.store.interface import Found, LeadRow, Source

__all__ = ["Reader"]

_MOST_ASKED = 20
"""Fingerprints and flows of one lead that others are asked about."""
_TRACES_LOOKED_AT = 20_000
"""How many events are looked at for the trace most like an unknown one."""


class Reader:
    """Reads one source. Made by `leadtrace.open`; may be used from several threads; close it, or use it with `with`.

    Every method raises `SourceError` where the source cannot be read. Times are int Unix nanoseconds.
    """

    def __init__(self, source: Source, settings: Settings, tenant: str | None = None) -> None:
        self.source = source
        self.united = UnitedSource(source)
        self.tenant = tenant
        self._settings = settings

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the source."""
        self.source.close()

    def timeline(self, lead_id: str, *, tenant: str | None = None) -> Timeline:
        """The lead's timeline: print it, or take its `entries`, `runs`, `money`, `as_json()`.

        Raises `NotFoundError` where the source does not know the lead; its `nearest` is the id most like it.
        """
        from leadtrace.query.timeline import timeline

        tenant = self._tenant(tenant)
        recorded = self.lead_id_as_recorded(lead_id, tenant)
        found = timeline(self.united, recorded, tenant, time.time_ns(), lambda records: self._around(records, tenant))
        if not found.entries:
            raise self._unknown("lead", lead_id, self.source.nearest(recorded, tenant))
        return found

    def _around(self, found: Found, tenant: str | None) -> Surroundings:
        """What other leads tell of the errors and flows in these records; nothing where the source would be slow to say."""
        from leadtrace.analysis.surroundings import surroundings_of
        from leadtrace.query.surroundings import Surroundings
        from leadtrace.query.vocabulary import text

        fingerprints: dict[str, None] = {}
        flows: dict[str, None] = {}
        arrival = 0
        for event in found.events:
            if event.name == "error.occurred" and (fingerprint := text(event.attributes, "error.fingerprint")):
                fingerprints.setdefault(fingerprint)
            elif event.name == "flow.completed" and (name := text(event.attributes, "flow.name")):
                flows.setdefault(name)
            else:
                continue
            arrival = max(arrival, event.arrival)
        if not (fingerprints or flows) or not self.source.holds.exhaustive:
            return Surroundings()
        try:
            asked = {"fingerprint": tuple(fingerprints)[:_MOST_ASKED], "flow": tuple(flows)[:_MOST_ASKED]}
            return surroundings_of(self.report("surroundings", tenant=tenant, arrival=arrival, **asked))
        except LeadtraceError:
            return Surroundings()  # a server that is older: the timeline itself stands all the same

    def events(
        self,
        *names: str,
        lead_id: str = "",
        trace_id: str = "",
        kinds: Iterable[str] = (),
        since_ns: int = 0,
        until_ns: int = 0,
        tenant: str | None = None,
        limit: int = 0,
        note: Callable[[str], None] | None = None,
    ) -> Iterator[EventRecord]:
        """Events in the order in which they arrived: those for which every condition holds. A name may end in `.*`.

        `note` is called with a sentence for each reason why the answer may lack something.
        """
        return self.united.events(
            self.filter(
                *names,
                lead_id=lead_id,
                trace_id=trace_id,
                kinds=kinds,
                since_ns=since_ns,
                until_ns=until_ns,
                tenant=tenant,
                limit=limit,
                note=note,
            )
        )

    def filter(
        self,
        *names: str,
        lead_id: str = "",
        trace_id: str = "",
        kinds: Iterable[str] = (),
        since_ns: int = 0,
        until_ns: int = 0,
        tenant: str | None = None,
        limit: int = 0,
        note: Callable[[str], None] | None = None,
    ) -> EventFilter:
        """The conditions of `events` as one value, the lead's id as it was recorded."""
        tenant = self._tenant(tenant)
        return EventFilter(
            names,
            self.lead_id_as_recorded(lead_id, tenant) if lead_id else "",
            trace_id.lower(),
            tenant,
            since_ns,
            until_ns,
            tuple(kinds),
            limit=limit,
            note=note,
        )

    def follow(
        self, which: EventFilter, *, every_s: float = 0.5, stop: threading.Event | None = None
    ) -> Iterator[EventRecord]:
        """Events as they arrive, those that are there first; goes on until `stop` is set.

        The source is asked again after `every_s` seconds without anything new. Raises `SettingsError` for a source
        that does not number what arrives.
        """
        if not self.source.holds.exhaustive:
            raise SettingsError(
                "this source does not say what arrived when, so it cannot be followed", source=self.source.url
            )
        stop = stop or threading.Event()
        after = which.after_arrival
        while not stop.is_set():
            fresh = False
            for event in self.united.events(replace(which, after_arrival=after, limit=0)):
                after, fresh = max(after, event.arrival), True
                yield event
            if not fresh:
                stop.wait(every_s)

    def leads(
        self,
        *,
        since_ns: int = 0,
        until_ns: int = 0,
        state: str = "",
        outcome: str = "",
        contains: str = "",
        tenant: str | None = None,
        limit: int = 0,
        note: Callable[[str], None] | None = None,
    ) -> Iterator[LeadRow]:
        """Leads, the one last touched first: those for which every condition holds; `note` as in `events`."""
        return self.source.leads(
            LeadFilter(since_ns, until_ns, self._tenant(tenant), state, outcome, contains, limit, note)
        )

    def report(self, name: str, **options: object) -> Report[Any]:
        """The answer of one analysis, typed: `reader.report("frequency", over="day").rows`.

        `options` are those of all (`since_ns`, `until_ns`, `tenant`, `limit`) and the analysis's own, as the page of reports
        lists them. Raises `SettingsError` for a report or an option that is not there.
        """
        from leadtrace.analysis.answer import answer
        from leadtrace.analysis.options import checked
        from leadtrace.analysis.registry import analysis

        asked = analysis(name)
        given = {"tenant": self.tenant, "now_ns": time.time_ns()} | self._set_for(name) | options
        return answer(self.source, asked, checked(name, asked.options, given))

    def _set_for(self, name: str) -> dict[str, Any]:
        """What the settings say of a report's options."""
        if not self._settings.health or name not in ("health", "performance", "review"):
            return {}
        from leadtrace.analysis.health import set_for

        return set_for(name, self._settings.health)

    def get_trace_events(self, trace_id: str) -> list[EventRecord]:
        """All events of one trace in the order of time. Raises `NotFoundError` where the source does not know it."""
        found = self.source.trace(trace_id.lower())
        if not found.events and not found.spans:
            raise self._unknown("trace", trace_id, self.nearest_trace(trace_id))
        return sorted(found.events, key=lambda one: (one.time_ns, one.uid))

    def find_events(
        self, trace_id: str = "", *, event_name: str = "", lead_id: str = "", limit: int = 0
    ) -> list[EventRecord]:
        """Events of one trace, or of a lead, or of all, by name (which may end in `.*`)."""
        names = (event_name,) if event_name else ()
        return list(self.events(*names, trace_id=trace_id, lead_id=lead_id, limit=limit))

    def count_events_by_type(self, trace_id: str) -> dict[str, int]:
        """How many events of each name one trace has, the most frequent first."""
        return dict(Counter(one.name for one in self.get_trace_events(trace_id)).most_common())

    def find_common_event_patterns(self, **options: Any) -> tuple[Sequences, ...]:
        """The sequences of the report `patterns`: which events follow one another, and which such sequences end badly.

        `options` are that report's. Of timelines or events already fetched,
        `leadtrace.analysis.patterns.find_common_event_patterns` says the same.
        """
        from leadtrace.analysis.patterns import Sequences

        return self.report("patterns", **options).of(Sequences)

    def analyze_error_patterns(self, **options: Any) -> tuple[ErrorGroup, ...]:
        """The groups of the report `errors`: where errors concentrate, when they come, whether they grow, what to do.

        `options` are that report's. Of events already fetched, `leadtrace.analysis.errors.analyze_error_patterns` says the same.
        """
        return self.report("errors", **options).rows

    def nearest_trace(self, trace_id: str) -> str:
        """A known trace id that this one is the beginning of, or else most like; '' where none is near."""
        from difflib import get_close_matches

        asked = trace_id.lower()
        known: set[str] = set()
        for event in self.source.events(EventFilter(limit=_TRACES_LOOKED_AT)):
            if asked and event.trace_id.startswith(asked):
                return event.trace_id
            known.add(event.trace_id)
        return next(iter(get_close_matches(asked, sorted(known), n=1, cutoff=0.7)), "")

    def lead_id_as_recorded(self, lead_id: str, tenant: str | None = None) -> str:
        """What the writing side recorded for this id: itself, or a hash where as a whole it is a phone or an e-mail.

        That needs the writer's key (`LEADTRACE_KEY`); without the file the id is looked for as it is. After a rotation
        there is a hash for each key of the ring: this is the current one's, under which records of all of them are told.
        """
        return self.united.unite(self.lead_ids_as_recorded(lead_id, tenant))

    def lead_ids_as_recorded(self, lead_id: str, tenant: str | None = None) -> list[str]:
        """Every id under which the writing side may have recorded this one, by each key of the ring."""
        from leadtrace.otlp.contacts import is_contact

        if is_contact(lead_id) is None:
            return [lead_id]
        from leadtrace.otlp.keyfile import load_keys
        from leadtrace.otlp.redact import recorded_ids

        try:
            keys = load_keys(self._settings.key, create=False)
        except SettingsError:
            return [lead_id]
        return recorded_ids(lead_id, keys, self._settings.tenant if tenant is None else tenant)

    def _tenant(self, tenant: str | None) -> str | None:
        return self.tenant if tenant is None else tenant

    def _unknown(self, what: str, asked: str, nearest: str) -> NotFoundError:
        data = {"nearest": nearest} if nearest else {}
        return NotFoundError(f"no {what} {asked!r} in {self.source.url}", **data)
