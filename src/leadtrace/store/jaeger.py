"""A Jaeger server as a source: timelines, events and leads from the spans that it keeps.

Jaeger finds by equality, answers at most so many traces, and does not say when it left some out. So a window in which
it answers as many as were asked for is split and asked again, every service is asked where the search needs one, and
what comes is filtered again here: a server that does not know attributes ignores them.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

from leadtrace.errors import SettingsError, SourceError
from leadtrace.otlp.records import lead_ids_of
from leadtrace.store.interface import Found, Holds, LeadRow
from leadtrace.store.jaeger_http import JaegerApi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from leadtrace.otlp.ledger import Held
    from leadtrace.otlp.records import EventRecord, SpanRecord
    from leadtrace.store.interface import EventFilter, LeadFilter
    from leadtrace.store.jaeger_http import Traces
    from leadtrace.store.relations.interface import Relations, Slice

__all__ = ["JaegerStore"]

_DAY_NS: Final = 86_400 * 1_000_000_000
_BEFORE_NS: Final = 3_600 * 1_000_000_000
"""How long before a window a trace may have begun whose later spans lie in it."""

_DEPTH: Final = 200
"""Traces asked for at once: few enough for every storage's own limit, more than a lead usually has."""

_MOST_WINDOWS: Final = 256
"""How often windows are split in one answer before it is declared incomplete."""

_NARROWEST_NS: Final = 1_000_000
_MOST_RUNS: Final = 50
_MOST_OF_RUN: Final = 1_000
"""Traces of one run that are looked through: a batch that was handed over line by line has one per line."""

_FLOW_ENDS: Final = {"flow.failed": "failed", "flow.cancelled": "cancelled", "flow.interrupted": "interrupted"}


class JaegerStore:
    """A `Source` over a Jaeger's query port: `jaeger://host:16686`, `jaegers://` with TLS, a path where it has one.

    `?lookback=90` says how many days back it looks where no time is given.
    """

    def __init__(self, url: str, *, depth: int = _DEPTH, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._url = url
        days = parse_qs(urlsplit(url).query).get("lookback", ["90"])[-1]
        if not days.isdigit() or not 0 < int(days) <= 36_500:
            raise SettingsError("lookback is a number of days", got=days)
        self._lookback_days = int(days)
        self._api = JaegerApi(url)
        self._depth = depth
        self._now_ns = now_ns

    @property
    def url(self) -> str:
        return self._url

    @property
    def holds(self) -> Holds:
        return Holds(
            logs=False,
            unfinished=False,
            exhaustive=False,
            note=(
                "Jaeger keeps finished spans and the events on them: events that were sent as log records only, work that "
                "has not ended, sampled-out traces and calls for several leads at once are not in it, and it was asked "
                f"for the last {self._lookback_days} days"
            ),
        )

    def close(self) -> None:
        self._api.close()

    def lead(self, lead_id: str, tenant: str | None = None) -> Found:  # noqa: ARG002 - query filters
        incomplete: list[str] = []
        server = self._api.services()
        traces = self._keep(self._find({"lead.id": lead_id}, incomplete, server), "lead.id", lead_id)
        runs = sorted({run for spans in traces.values() for run in _runs(spans, lead_id)})
        for run in runs[:_MOST_RUNS]:
            found = self._find({"leadtrace.run_id": run}, incomplete, server, most=_MOST_OF_RUN)
            traces |= _needed(self._keep(found, "leadtrace.run_id", run), run, lead_id)
        if len(runs) > _MOST_RUNS:
            incomplete.append(f"only {_MOST_RUNS} of the lead's {len(runs)} runs were followed into other traces")
        return _found(traces.values(), incomplete)

    def trace(self, trace_id: str) -> Found:
        return _found([self._api.trace(trace_id)], [])

    def leads(self, which: LeadFilter) -> Iterator[LeadRow]:
        found = self._listed(which)
        rows = [row for row in _rows(found) if _fits_lead(row, which)]
        rows.sort(key=lambda row: (-row.last_ns, row.lead_id))
        yield from rows[: which.limit or None]

    def events(self, which: EventFilter) -> Iterator[EventRecord]:
        if which.trace_id:
            found = self.trace(which.trace_id)
        elif which.lead_id:
            found = self.lead(which.lead_id)
        else:
            found = self._listed(which)
        if which.note is not None and (which.trace_id or which.lead_id):
            for sentence in found.incomplete:
                which.note(sentence)
        events = sorted(
            (one for one in found.events if _fits_event(one, which)), key=lambda one: (one.time_ns, one.uid, one.index)
        )
        yield from events[: which.limit or None]

    def sequences(self) -> Iterator[Held]:
        raise SourceError(
            "Jaeger cannot say which events it holds: it answers to a depth, and knows neither log events nor erased ones",
            do="compare with the store of `leadtrace serve`",
        )

    def _listed(self, which: EventFilter | LeadFilter) -> Found:
        """All that Jaeger has between two times, as far as it says."""
        incomplete: list[str] = []
        traces = self._find({}, incomplete, self._api.services(), which.since_ns, which.until_ns)
        found = _found(traces.values(), incomplete)
        if which.note is not None:
            for sentence in found.incomplete:
                which.note(sentence)
        return found

    @contextlib.contextmanager
    def relations(self, part: Slice, few: bool = False) -> Iterator[Relations]:  # noqa: ARG002 - either way all traces are fetched
        """The traces of a window, fetched and laid out as relations. Raises SourceError where Jaeger cannot be asked."""
        from leadtrace.store.relations.fetched import fetched_relations

        incomplete: list[str] = []
        since_ns = max(1, part.since_ns - _BEFORE_NS) if part.since_ns else 0
        found = _found(self._find({}, incomplete, self._api.services(), since_ns, part.until_ns).values(), incomplete)
        before = ["traces that began more than an hour before the window were not asked for"] * bool(part.since_ns)
        with fetched_relations(self, found, part, (*before, self.holds.note)) as relations:
            yield relations

    def nearest(self, lead_id: str, tenant: str | None = None) -> str:
        services, older = self._api.services()
        end = self._now_ns()
        search = self._api.search_older if older else self._api.search
        known: set[str] = set()
        for service in services:  # the newest traces of each: enough for a slip of the pen

            def ask(lo: int, hi: int, service: str = service) -> Traces:
                return search(service, {}, lo, hi, self._depth)

            for spans in self._ask(ask, end - self._lookback_days * _DAY_NS, end).values():
                known |= {lead for span in spans for lead in lead_ids_of(span.attributes) if _of_tenant(span, tenant)}
        return next(iter(get_close_matches(lead_id, sorted(known), n=1, cutoff=0.5)), "")

    def _find(
        self,
        attributes: Mapping[str, str],
        incomplete: list[str],
        server: tuple[list[str], bool],
        since_ns: int = 0,
        until_ns: int = 0,
        most: int = 0,
    ) -> Traces:
        """Every trace with a span that has these attributes, over all services; `server` is what `services` said.

        Above `most` traces (0: no such bound) it stops, and says so.
        """
        end = until_ns or self._now_ns() + _DAY_NS  # clocks of others may be ahead
        start = since_ns or end - (self._lookback_days + 1) * _DAY_NS
        services, older = server
        if services and not older:
            try:
                return self._split(
                    lambda lo, hi: self._api.search("", attributes, lo, hi, self._depth), start, end, incomplete, most
                )
            except SourceError as problem:
                if problem.data.get("status") not in (400, 500, 501):
                    raise
                # This server's storage searches within one service only.
        found: Traces = {}
        known: Traces = {}  # parts of a window that is split answer again what the whole of it did

        for service in services:

            def ask(lo: int, hi: int, service: str = service) -> Traces:
                if older:
                    return self._api.search_older(service, attributes, lo, hi, self._depth, known)
                return self._api.search(service, attributes, lo, hi, self._depth)

            found |= self._split(ask, start, end, incomplete, most)
        return found

    def _split(
        self, ask: Callable[[int, int], Traces], start: int, end: int, incomplete: list[str], most: int = 0
    ) -> Traces:
        """All traces of a window: split as often as the answer is as large as it may be."""
        found: Traces = {}
        windows, asked = [(start, end)], 0
        while windows:
            if most and len(found) >= most:
                incomplete.append(
                    f"a run of the lead may have more traces than the {len(found)} looked through for what it told of no lead"
                )
                break
            low, high = windows.pop()
            answer = self._ask(ask, low, high)
            asked += 1
            found |= answer
            if len(answer) < self._depth:
                continue
            if high - low <= _NARROWEST_NS or asked >= _MOST_WINDOWS:
                incomplete.append(
                    f"Jaeger answers {self._depth} traces at most, and has more between {low} and {high} (Unix nanoseconds)"
                )
                continue
            middle = _middle(answer, low, high)
            windows += [(low, middle), (middle, high)]
        return found

    def _ask(self, ask: Callable[[int, int], Traces], low: int, high: int) -> Traces:
        """One answer; a server that refuses to look for so many traces is asked for fewer, now and from then on."""
        while True:
            try:
                return ask(low, high)
            except SourceError as problem:
                # The memory store refuses to look for more than it may keep.
                if "search depth" not in str(problem.data.get("said", "")) or self._depth < 2:
                    raise
                self._depth //= 2

    def _keep(self, traces: Traces, attribute: str, value: str) -> Traces:
        return {
            trace_id: spans
            for trace_id, spans in traces.items()
            if any(
                str(attributes.get(attribute, "")) == value
                for span in spans
                for attributes in (span.attributes, *(event.attributes for event in span.events))
            )
        }


def _middle(answer: Traces, low: int, high: int) -> int:
    """Where to split a window: amid what was found, because months are searched and a busy minute may fill an answer."""
    within = ([span.start_ns for span in spans if low < span.start_ns < high] for spans in answer.values())
    starts = sorted(min(some) for some in within if some)
    return starts[len(starts) // 2] if starts else (low + high) // 2


def _needed(traces: Traces, run: str, lead_id: str) -> Traces:
    """Of a run's traces those where it names this lead, or none; and one of another lead, which shows that there are others."""
    needed: Traces = {}
    others: Traces = {}
    for trace_id, spans in traces.items():
        said = (each for span in spans for each in (span.attributes, *(event.attributes for event in span.events)))
        named = [set(lead_ids_of(each)) for each in said if str(each.get("leadtrace.run_id", "")) == run]
        if any(not leads or lead_id in leads for leads in named):
            needed[trace_id] = spans
        elif not others:
            others[trace_id] = spans
    return others | needed


def _runs(spans: Iterable[SpanRecord], lead_id: str) -> Iterator[str]:
    for span in spans:
        run = span.attributes.get("leadtrace.run_id")
        if run and span.lead_id == lead_id:
            yield str(run)


def _found(traces: Iterable[list[SpanRecord]], incomplete: list[str]) -> Found:
    """The spans without their events, and each event once."""
    spans: list[SpanRecord] = []
    events: dict[object, EventRecord] = {}
    for trace in traces:
        for span in trace:
            for event in span.events:
                events.setdefault(event.uid or (span.trace_id, span.span_id, event.index), event)
            span.events = []
            spans.append(span)
    return Found(spans, list(events.values()), list(dict.fromkeys(incomplete)))


def _of_tenant(record: SpanRecord | EventRecord, tenant: str | None) -> bool:
    return tenant is None or str(record.attributes.get("tenant_key", "")) == tenant


def _fits_event(event: EventRecord, which: EventFilter) -> bool:
    named = not which.names or any(
        event.name.startswith(name[:-1]) if name.endswith(".*") else event.name == name for name in which.names
    )
    return (
        named
        and (not which.lead_id or which.lead_id in lead_ids_of(event.attributes))
        and (not which.trace_id or event.trace_id == which.trace_id)
        and _of_tenant(event, which.tenant)
        and event.time_ns >= which.since_ns
        and (not which.until_ns or event.time_ns < which.until_ns)
        and (not which.kinds or event.attributes.get("leadtrace.kind") in which.kinds)
    )


def _fits_lead(row: LeadRow, which: LeadFilter) -> bool:
    return (
        (which.tenant is None or row.tenant == which.tenant)
        and (not which.state or row.state == which.state)
        and (not which.outcome or row.outcome == which.outcome)
        and which.contains in row.lead_id
        and row.last_ns >= which.since_ns
        and (not which.until_ns or row.first_ns < which.until_ns)
    )


def _rows(found: Found) -> Iterator[LeadRow]:
    """A row per lead and tenant, from the records that name it."""
    times: dict[tuple[str, str], list[int]] = defaultdict(list)
    states: dict[tuple[str, str], tuple[int, str]] = {}
    outcomes: dict[tuple[str, str], tuple[int, str]] = {}
    for span in found.spans:
        for lead in lead_ids_of(span.attributes):
            times[lead, str(span.attributes.get("tenant_key", ""))] += [span.start_ns, span.end_ns or span.start_ns]
    for event in found.events:
        for lead in lead_ids_of(event.attributes):
            key = (lead, str(event.attributes.get("tenant_key", "")))
            times[key].append(event.time_ns)
            if event.name == "lead.state.changed":
                state = str(event.attributes.get("lead.state.to", ""))
                states[key] = max(states.get(key, (0, "")), (event.time_ns, state))
            elif event.name == "flow.completed" or event.name in _FLOW_ENDS:
                outcome = _FLOW_ENDS.get(event.name) or str(event.attributes.get("flow.summary.final_outcome", ""))
                outcomes[key] = max(outcomes.get(key, (0, "")), (event.time_ns, outcome))
    for (lead, tenant), seen in times.items():
        state, outcome = states.get((lead, tenant), (0, ""))[1], outcomes.get((lead, tenant), (0, ""))[1]
        yield LeadRow(lead, tenant, min(seen), max(seen), state, outcome)
