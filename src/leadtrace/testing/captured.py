"""`capture()`: what a pipeline tells while a block runs, to be asserted on.

    with lt.capture() as captured:
        process(lead)
    assert captured.one("flow.completed").attributes["flow.summary.final_outcome"] == "delivered"
    assert captured.tree() == \"""…\"""

Nothing leaves the process. It is strict unless told otherwise: a mistake in telling raises where it is made.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from leadtrace.journal.lead_events import KeptLeadEvents
from leadtrace.otlp import identity
from leadtrace.otlp.clock import Clock
from leadtrace.otlp.records import EventRecord
from leadtrace.otlp.redact import Redactor
from leadtrace.otlp.sink import Receipt, Signal
from leadtrace.store.interface import Found
from leadtrace.words import runtime

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from leadtrace.query.model import Timeline

__all__ = ["Captured", "capture"]

_KEY = b"leadtrace capture: the same hashes in every test"
_EPOCH_NS = 1_700_000_000_000_000_000
_TICK_NS = 1_000_000


class _Ticking(Clock):
    """A clock for repeatable times: each look is a millisecond after the one before."""

    __slots__ = ("_looks",)

    def __init__(self) -> None:
        super().__init__()
        self._looks = 0

    def both(self) -> tuple[int, int]:
        self._looks += 1
        return self.monotonic(), _EPOCH_NS + self._looks * _TICK_NS


class _Kept:
    """A sink that keeps the bytes, as `Sink` promises: any thread may append."""

    def __init__(self) -> None:
        self.records: list[tuple[Signal, bytes]] = []
        self.kept: list[tuple[str, bytes]] = []

    def append(
        self,
        signal: Signal,
        record: bytes,
        *,
        uid: str = "",
        opens: int = 0,  # noqa: ARG002 - nothing is recovered from a test
        closes: int = 0,  # noqa: ARG002
    ) -> Receipt:
        self.records.append((signal, record))
        return Receipt(uid, False, "captured")

    def keep(self, kind: str, content: bytes) -> Receipt:
        self.kept.append((kind, content))
        return Receipt("", False, "captured")

    def take_kept(self, kind: str) -> list[bytes]:
        """What was kept of that kind, in order; it is the caller's from here on."""
        found = [content for one, content in self.kept if one == kind]
        self.kept = [(one, content) for one, content in self.kept if one != kind]
        return found

    def flush(self, timeout_s: float) -> bool:  # noqa: ARG002 - a sink that has nothing to wait for
        return True

    def close(self, timeout_s: float) -> None:
        """Nothing is open."""


class Captured:
    """What was told so far. Usable inside the block and after it."""

    def __init__(self) -> None:
        self._events: list[EventRecord] = []
        self._lock = threading.Lock()
        self.sink = _Kept()
        """The encoded records, as a sender would get them."""

    def _take(self, record: object) -> None:
        assert isinstance(record, EventRecord)
        with self._lock:
            self._events.append(record)

    def events(self, name: str = "", *, under: str = "", lead_id: str = "", **attributes: object) -> list[EventRecord]:
        """The events in the order in which they were told.

        `name` may end in `.*`; `under` names a word (`"deliver to Acme"`): its own events and those of the words beneath;
        keywords are attributes with their dots written as `_` (`delivery_buyer="Acme"`).
        """
        with self._lock:
            found = list(self._events)
        if under:
            spans = _beneath(found, under)
            found = [one for one in found if one.span_id in spans]
        return [
            one
            for one in found
            if (not name or one.name == name or (name.endswith(".*") and one.name.startswith(name[:-1])))
            and (not lead_id or one.lead_id == lead_id)
            and all(_has(one.attributes, key, value) for key, value in attributes.items())
        ]

    def names(self, name: str = "", **which: Any) -> list[str]:
        """The names of `events(…)`."""
        return [one.name for one in self.events(name, **which)]

    def one(self, name: str, **which: Any) -> EventRecord:
        """The only event of that name; an AssertionError that lists what came where there is none, or more."""
        __tracebackhide__ = True  # pytest shows the line of the test
        found = self.events(name, **which)
        if len(found) != 1:
            asked = ", ".join([repr(name), *(f"{key}={value!r}" for key, value in which.items())])
            same = "".join(f"\n{_shown(one)}" for one in found or self.events(name))
            raise AssertionError(f"expected one {asked}, got {len(found)}; told was:\n{self.tree() or 'nothing'}{same}")
        return found[0]

    def tree(self) -> str:
        """The words and their events as indented text, without times and ids: made to be compared."""
        with self._lock:
            return _tree(self._events)

    def found(self) -> Found:
        """The events as a source would hand them over."""
        with self._lock:
            return Found(events=list(self._events))

    def timeline_of(self, lead_id: str = "") -> Timeline:
        """The timeline of a lead; of the only one where none is named."""
        from leadtrace.query.timeline import build

        wanted = lead_id or self._only_lead()
        found = self.found()
        last = max((one.time_ns for one in found.events), default=0)
        return build(found, wanted, now_ns=last)

    def timeline(self, lead_id: str = "", width: int = 100) -> str:
        """The same timeline as text, as `leadtrace lead` prints it."""
        from leadtrace.query.story import text

        return text(self.timeline_of(lead_id), width)

    def _only_lead(self) -> str:
        leads = list(dict.fromkeys(one.lead_id for one in self.events() if one.lead_id))
        if len(leads) != 1:
            raise AssertionError(f"name the lead: {len(leads)} were told of ({', '.join(leads) or 'none'})")
        return leads[0]


def _shown(one: EventRecord) -> str:
    """An event with what its reader may have mistaken: its own fields."""
    told = (f"{key}={value!r}" for key, value in one.attributes.items() if not key.startswith(("leadtrace.", "log.")))
    return f"{one.name}: {', '.join(told)}"


def _has(attributes: Mapping[str, Any], key: str, value: object) -> bool:
    return any(name.replace(".", "_") == key and one == value for name, one in attributes.items())


def _beneath(events: list[EventRecord], name: str) -> set[str]:
    """The spans of the words of that name, and of all words beneath them."""
    spans = {
        one.span_id
        for one in events
        if one.attributes.get("leadtrace.kind") == "start" and one.attributes.get("leadtrace.name") == name
    }
    more = True
    while more:
        beneath = {
            one.span_id
            for one in events
            if one.attributes.get("leadtrace.kind") == "start"
            and one.attributes.get("leadtrace.parent_span_id") in spans
        }
        more = not beneath <= spans
        spans |= beneath
    return spans


def _tree(events: list[EventRecord]) -> str:
    known = {one.span_id for one in events if one.attributes.get("leadtrace.kind") == "start"}
    under: dict[str, list[EventRecord]] = {}
    for one in events:
        if one.attributes.get("leadtrace.kind") == "start":
            parent = str(one.attributes.get("leadtrace.parent_span_id", ""))
            under.setdefault(parent if parent in known else "", []).append(one)
        else:
            under.setdefault(one.span_id if one.span_id in known else "", []).append(one)
    lines: list[str] = []

    def draw(span: str, depth: int) -> None:
        for one in under.get(span, ()):
            indent = "  " * depth
            if one.attributes.get("leadtrace.kind") != "start":
                lines.append(f"{indent}{one.name}")
                continue
            lines.append(f"{indent}{one.attributes.get('leadtrace.word')!s} {one.attributes.get('leadtrace.name')!r}")
            lines.append(f"{indent}  {one.name}")
            draw(one.span_id, depth + 1)

    draw("", 0)
    return "\n".join(lines)


@contextmanager
def capture(
    *,
    strict: bool = True,
    deterministic: bool = False,
    tenant: str = "",
    currency: str = "USD",
    expected: tuple[type[BaseException], ...] = (),
    allow: frozenset[str] | tuple[str, ...] = (),
    personal: tuple[str, ...] = (),
) -> Iterator[Captured]:
    """Keep what is told while the block runs, in place of wherever it would go.

    `strict`: mistakes in telling raise. `deterministic`: ids and event times are the same in every run (durations are
    measured all the same). The other arguments are those of `configure`.
    """
    captured = Captured()
    lead_events = KeptLeadEvents(captured.sink, None, lambda: (_KEY,))
    made = runtime.Runtime(
        sink=captured.sink,
        redactor=Redactor(_KEY, tenant=tenant, allow=allow, personal=personal),
        strict=strict,
        tenant=tenant,
        currency=currency,
        expected=expected,
        allow=frozenset(allow),
        clock=_Ticking() if deterministic else Clock(),
        lead_events=lead_events,
        on_event=captured._take,
    )
    ids = identity.use(identity.Identity(seed=1)) if deterministic else None
    before = runtime.install(made)
    try:
        yield captured
    finally:
        runtime.uninstall(before)
        lead_events.close()
        if ids is not None:
            identity.use(ids)
