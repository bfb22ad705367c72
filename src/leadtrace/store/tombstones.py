"""Who was erased, and what of a batch may therefore not be stored.

A tombstone is a keyed hash of tenant and lead id; the key is the store's own (`secrets`). Without tombstones a batch costs
nothing, with some one hash for each lead that it names.
"""

from __future__ import annotations

import operator
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from leadtrace.otlp.ledger import sequence_of
from leadtrace.otlp.ranges import EMPTY, Ranges
from leadtrace.otlp.records import EventRecord, SpanRecord
from leadtrace.otlp.tombstone import Readmitted, tombstone
from leadtrace.store.rows import uid_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import apsw

    from leadtrace.otlp.records import Value

__all__ = ["Sifted", "Tombstones", "add_erased", "erased_of", "without_ids"]

_SEVERAL: Final = "leadtrace.lead_ids"
_Record = TypeVar("_Record", SpanRecord, EventRecord)


class Sifted:
    """A batch without what belongs to the erased, and what was taken out of it."""

    __slots__ = ("erased", "events", "numbers", "spans")

    def __init__(self, spans: list[SpanRecord], events: list[EventRecord]) -> None:
        self.spans = spans
        self.events = events
        self.erased = 0
        """Records turned away, spans' events included."""
        self.numbers: dict[int, list[int]] = {}
        """The sequences of the events among them, by boot."""

    def drop(self, event: EventRecord) -> None:
        self.erased += 1
        if event.uid and sequence_of(event.uid):
            boot, sequence = uid_of(event.uid)
            self.numbers.setdefault(boot, []).append(sequence)


class Tombstones:
    """The tombstones of one store, in memory; made by its writer, which also adds to them."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._key = b""
        self._known: set[bytes] = set()
        self.reload()

    def reload(self) -> None:
        """Read them again: after a transaction that was rolled back."""
        self._known = {one for (one,) in self._connection.execute("SELECT tombstone FROM tombstones")}
        for (key,) in self._connection.execute("SELECT value FROM secrets WHERE name = 'tombstones'"):
            self._key = key

    def __len__(self) -> int:
        return len(self._known)

    def add(self, lead_ids: Iterable[str], tenant: str | None, now_ns: int) -> None:
        """Turn those leads away from now on; None: in any tenant. Within the caller's transaction."""
        if not self._key:
            self._key = secrets.token_bytes(32)
            self._connection.execute("INSERT INTO secrets VALUES ('tombstones', ?)", (self._key,))
        made = [tombstone(self._key, one, tenant) for one in lead_ids]
        self._connection.executemany("INSERT OR IGNORE INTO tombstones VALUES (?, ?)", [(one, now_ns) for one in made])
        self._known.update(made)

    def lift(self, lead_ids: Sequence[str], tenant: str | None) -> Readmitted:
        """Let those leads in again: what `add` did with the same tenant is undone. One transaction."""
        if not self._key:
            return Readmitted(0, still=False)
        found = [one for lead in lead_ids if (one := tombstone(self._key, lead, tenant)) in self._known]
        with self._connection:
            self._connection.executemany("DELETE FROM tombstones WHERE tombstone = ?", [(one,) for one in found])
        self._known.difference_update(found)
        still = tenant is not None and any(tombstone(self._key, one, None) in self._known for one in lead_ids)
        return Readmitted(len(found), still)

    def sift(self, spans: Iterable[SpanRecord], events: Iterable[EventRecord]) -> Sifted:
        """What of a batch may be stored. Records that name several leads lose the erased ones and stay for the others."""
        sifted = Sifted(list(spans), list(events))
        if not self._known:
            return sifted
        verdicts: dict[tuple[str, str], bool] = {}
        named = _named_by(sifted.spans, sifted.events)
        gone = {one for one in named if self._is_erased(one, verdicts)}
        return _taken_out(sifted, gone) if gone else sifted

    def _is_erased(self, lead: tuple[str, str], verdicts: dict[tuple[str, str], bool]) -> bool:
        found = verdicts.get(lead)
        if found is None:
            tenant, lead_id = lead
            one, any_tenant = tombstone(self._key, lead_id, tenant), tombstone(self._key, lead_id, None)
            found = one in self._known or any_tenant in self._known
            verdicts[lead] = found
        return found


def _named_by(spans: Sequence[SpanRecord], events: Sequence[EventRecord]) -> set[tuple[str, str]]:
    """Every lead that a batch names, with its tenant."""
    found: set[tuple[str, str]] = set()
    for span in spans:
        _name(span.attributes, found)
        for event in span.events:
            _name(event.attributes, found)
    for event in events:
        _name(event.attributes, found)
    return found


def _name(attributes: Mapping[str, Value], found: set[tuple[str, str]]) -> None:
    own, several = attributes.get("lead.id"), attributes.get(_SEVERAL)
    if own:
        found.add((str(attributes.get("tenant_key", "")), str(own)))
    if isinstance(several, list):
        found.update((str(attributes.get("tenant_key", "")), str(one)) for one in several)


def _taken_out(batch: Sifted, gone: set[tuple[str, str]]) -> Sifted:
    """Take the records of those leads out, and what lies beneath them and names nobody."""
    out = Sifted([], [])
    dropped: set[tuple[str, str]] = set()  # trace and span
    nameless: list[SpanRecord] = []
    for span in batch.spans:
        kept = _without(span, gone)
        if kept is None:
            dropped.add((span.trace_id, span.span_id))
            out.erased += 1
            for event in span.events:  # one that names somebody else is that one's
                other = _without(event, gone)
                if other is None or not _names_anybody(event.attributes):
                    out.drop(event)
                else:
                    out.events.append(other)
        elif _names_anybody(span.attributes):
            out.spans.append(_with_events(kept, gone, out))
        else:
            nameless.append(kept)
    for span in _beneath(nameless, dropped):
        dropped.add((span.trace_id, span.span_id))
        out.erased += 1
        for event in span.events:
            out.drop(event)
    for span in nameless:
        if (span.trace_id, span.span_id) not in dropped:
            out.spans.append(_with_events(span, gone, out))
    for event in batch.events:
        other = _without(event, gone)
        beneath = (event.trace_id, event.span_id) in dropped and not _names_anybody(event.attributes)
        if other is None or beneath:
            out.drop(event)
        else:
            out.events.append(other)
    return out


def _with_events(span: SpanRecord, gone: set[tuple[str, str]], out: Sifted) -> SpanRecord:
    """The span with those of its events that stay; the lists that came are left as they are."""
    kept: list[EventRecord] = []
    for event in span.events:
        other = _without(event, gone)
        if other is None:
            out.drop(event)
        else:
            kept.append(other)
    unchanged = len(kept) == len(span.events) and all(map(operator.is_, kept, span.events))
    return span if unchanged else replace(span, events=kept)


def _beneath(nameless: Sequence[SpanRecord], dropped: set[tuple[str, str]]) -> list[SpanRecord]:
    """Those of the spans that hang under a dropped one, through any number of each other."""
    children: dict[tuple[str, str], list[SpanRecord]] = {}
    for span in nameless:
        children.setdefault((span.trace_id, span.parent_span_id), []).append(span)
    found: list[SpanRecord] = []
    open_ones = list(dropped)
    while open_ones:
        for span in children.pop(open_ones.pop(), ()):
            found.append(span)
            open_ones.append((span.trace_id, span.span_id))
    return found


def _names_anybody(attributes: Mapping[str, Value]) -> bool:
    return bool(attributes.get("lead.id")) or _SEVERAL in attributes


def without_ids(attributes: Mapping[str, Value], gone: set[tuple[str, str]]) -> Mapping[str, Value] | None:
    """A record's attributes without those leads' names: None where it named nobody else, themselves where it names none."""
    tenant = str(attributes.get("tenant_key", ""))
    own, several = attributes.get("lead.id"), attributes.get(_SEVERAL)
    listed = several if isinstance(several, list) else []
    own_gone = bool(own) and (tenant, str(own)) in gone
    left = [one for one in listed if (tenant, str(one)) not in gone]
    if not own_gone and len(left) == len(listed):
        return attributes
    if not left and (own_gone or not own):
        return None
    kept = {name: value for name, value in attributes.items() if not (name == "lead.id" and own_gone)}
    if listed:
        if left:
            kept[_SEVERAL] = left
        else:
            del kept[_SEVERAL]
    return kept


def _without(record: _Record, gone: set[tuple[str, str]]) -> _Record | None:
    attributes = without_ids(record.attributes, gone)
    if attributes is record.attributes:
        return record
    return None if attributes is None else replace(record, attributes=attributes)


def add_erased(connection: apsw.Connection, numbers: Mapping[int, Iterable[int]]) -> dict[int, Ranges]:
    """Note numbers of events as erased, within the caller's transaction; gives those of each boot as runs."""
    told: dict[int, Ranges] = {}
    for boot, sequences in numbers.items():
        told[boot] = new = Ranges.of_numbers(sorted(sequences))
        there = Ranges.of(*connection.execute("SELECT first, last FROM erased WHERE boot = ?", (boot,)))
        if new - there:
            connection.execute("DELETE FROM erased WHERE boot = ?", (boot,))
            connection.executemany("INSERT INTO erased VALUES (?, ?, ?)", [(boot, *run) for run in (there | new).runs])
    return told


def erased_of(connection: apsw.Connection, boot: int) -> Ranges:
    """The numbers of a process's events that were removed or turned away."""
    rows = connection.execute("SELECT first, last FROM erased WHERE boot = ? ORDER BY first", (boot,))
    return Ranges(tuple((int(first), int(last)) for first, last in rows)) or EMPTY
