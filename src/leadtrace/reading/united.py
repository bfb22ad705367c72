"""A source in which a lead that was recorded under several ids is one: after a key's rotation, a contact has a hash per key.

reader asks for +1 415 555 0100     phone#77…  (the current key)     phone#5f…  (an earlier one)
                                         └───────── both read, all told as phone#77… ─────┘
"""

from __future__ import annotations

import heapq
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from leadtrace.otlp.ledger import Held
    from leadtrace.otlp.records import EventRecord, SpanRecord, Value
    from leadtrace.store.interface import EventFilter, Found, Holds, LeadFilter, LeadRow, Source

__all__ = ["UnitedSource"]

_Record = TypeVar("_Record", "SpanRecord", "EventRecord")


class UnitedSource:
    """A `Source` over another one; without ids that are the same lead's it hands through what that one says."""

    def __init__(self, source: Source) -> None:
        self.inner = source
        self._others: dict[str, list[str]] = {}

    def unite(self, ids: Sequence[str]) -> str:
        """From now on records of all these ids are told under the first, which is given back."""
        first, *others = ids
        if others:
            self._others[first] = others
        return first

    @property
    def url(self) -> str:
        return self.inner.url

    @property
    def holds(self) -> Holds:
        return self.inner.holds

    def lead(self, lead_id: str, tenant: str | None = None) -> Found:
        found = self.inner.lead(lead_id, tenant)
        others = self._others.get(lead_id)
        if not others:
            return found
        spans = {(one.trace_id, one.span_id, one.arrival): one for one in found.spans}
        events = {
            (one.trace_id, one.span_id, one.uid, one.index, one.time_ns, one.arrival): one for one in found.events
        }
        for other in others:
            more = self.inner.lead(other, tenant)
            spans.update({(one.trace_id, one.span_id, one.arrival): one for one in more.spans})
            events.update(
                {(one.trace_id, one.span_id, one.uid, one.index, one.time_ns, one.arrival): one for one in more.events}
            )
            found.incomplete += [why for why in more.incomplete if why not in found.incomplete]
        found.spans = [_told_as(one, lead_id, others) for one in spans.values()]
        found.events = [_told_as(one, lead_id, others) for one in events.values()]
        return found

    def trace(self, trace_id: str) -> Found:
        return self.inner.trace(trace_id)

    def leads(self, which: LeadFilter) -> Iterator[LeadRow]:
        return self.inner.leads(which)

    def events(self, which: EventFilter) -> Iterator[EventRecord]:
        others = self._others.get(which.lead_id)
        if not others:
            return self.inner.events(which)
        each = [self.inner.events(replace(which, lead_id=one)) for one in (which.lead_id, *others)]
        merged = heapq.merge(*each, key=lambda one: (one.arrival, one.time_ns))
        told = (_told_as(one, which.lead_id, others) for one in _each_once(merged))
        return islice(told, which.limit) if which.limit else told

    def nearest(self, lead_id: str, tenant: str | None = None) -> str:
        return self.inner.nearest(lead_id, tenant)

    def sequences(self) -> Iterator[Held]:
        return self.inner.sequences()

    def close(self) -> None:
        self.inner.close()


def _each_once(events: Iterator[EventRecord]) -> Iterator[EventRecord]:
    """Without repeats, which follow each other: one record may name the lead under two of its ids."""
    before: EventRecord | None = None
    for one in events:
        if before is None or one != before:
            yield one
        before = one


def _told_as(record: _Record, lead_id: str, others: Sequence[str]) -> _Record:
    """The record with that id in place of the others."""
    attributes = _with_id(record.attributes, lead_id, others)
    return record if attributes is record.attributes else replace(record, attributes=attributes)


def _with_id(attributes: Mapping[str, Value], lead_id: str, others: Sequence[str]) -> Mapping[str, Value]:
    changed: dict[str, Any] = {}
    if attributes.get("lead.id") in others:
        changed["lead.id"] = lead_id
    several = attributes.get("leadtrace.lead_ids")
    if isinstance(several, list) and any(one in others for one in several):
        changed["leadtrace.lead_ids"] = list(dict.fromkeys(lead_id if one in others else str(one) for one in several))
    return {**attributes, **changed} if changed else attributes
