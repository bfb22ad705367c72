"""Whatever arrives, changes, is erased or copied, in whatever order: rows and columns answer alike."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from leadtrace.otlp.records import EventRecord, Resource, Scope, SpanRecord, Value
from leadtrace.store.columns.upkeep import Upkeep
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.relations.facts import FACTS
from leadtrace.store.relations.interface import Slice

EXAMPLES = int(os.environ.get("HISTORIES", "5"))
"""Histories that are tried; `make e2e` tries more."""

PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
"""Without shrinking, which takes minutes: a failure names the column."""
START = 1_790_000_000_000_000_000
NAMES = ("flow.started", "flow.completed", "flow.failed", "enhancement.success", "delivery.accepted", "ours", "")
ATTRIBUTES = sorted(
    {name for one in FACTS for name in one.attributes} | {"leadtrace.parent_span_id", "http.url", "a.b"}
)
PROCESSES = (
    Resource({"service.name": "a", "service.version": 3, "host.name": "h1"}),
    Resource({"service.name": "b", "service.instance.id": "i", "deployment.environment.name": "test"}),
    Resource(),
)
SCOPES = (Scope("leadtrace"), Scope("other", "1"))

values: st.SearchStrategy[Value] = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6),
    st.sampled_from(["", "12.50", "1e3", " 7 ", "-0.000001", "nope", "true", "9e9", "null", "+5", "1_0", "$", "{}"]),
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from([0, 1, 3_000_000_000, 9_000_000_000, 10**17]),
    st.floats(),
    st.sampled_from([0.1, 12.5, 0.0000005, 1e-7, 2.5e9, 8999999999.999999, -1.25, 1e300]),
    st.booleans(),
    st.lists(st.text('ab"é', max_size=3), max_size=3),
    st.binary(max_size=3),
    st.just({"a": 1}),
)
leads = st.sampled_from(["L1", "L2", "L3"])


@st.composite
def attributes(draw: st.DrawFn) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name in draw(st.lists(st.sampled_from(ATTRIBUTES), max_size=8)):
        found[name] = draw(values)
    if draw(st.booleans()):
        found["lead.id"] = draw(leads)
    if draw(st.integers(0, 5)) == 0:
        found["leadtrace.lead_ids"] = draw(st.lists(leads, max_size=3))
    if draw(st.booleans()):
        found["leadtrace.run_id"] = draw(st.sampled_from(["r1", "r2"]))
    if draw(st.integers(0, 3)) == 0:
        found["tenant_key"] = draw(st.sampled_from(["t1", "t2"]))
    if draw(st.booleans()):
        found["leadtrace.kind"] = draw(st.sampled_from(["start", "success", "odd"]))
    return found


@st.composite
def an_event(draw: st.DrawFn) -> EventRecord:
    said = draw(attributes())
    if draw(st.booleans()):
        said.pop("leadtrace.lead_ids", None)  # both halves of an event name the same leads; these are made up apart
        said["log.record.uid"] = f"{draw(st.integers(1, 2)):016x}{draw(st.integers(1, 6)):012x}"
    origin = draw(st.sampled_from(["log", "span"]))
    return EventRecord(
        draw(st.sampled_from(NAMES)),
        START + draw(st.integers(0, 9)),
        f"{draw(st.integers(1, 3)):032x}",
        draw(st.sampled_from(["", f"{7:016x}", f"{8:016x}"])) if origin == "log" else f"{7:016x}",
        said,
        draw(st.sampled_from(PROCESSES)),
        draw(st.sampled_from(SCOPES)),
        origin,  # type: ignore[arg-type]
        draw(st.integers(0, 3)) if origin == "span" else -1,
        observed_ns=draw(st.sampled_from([0, START + 3])),
        severity_number=draw(st.sampled_from([0, 9])),
        body=draw(st.sampled_from([None, "text"])),
    )


@st.composite
def a_span(draw: st.DrawFn) -> SpanRecord:
    start = START + draw(st.integers(0, 9))
    return SpanRecord(
        f"{draw(st.integers(1, 3)):032x}",
        f"{draw(st.integers(1, 4)):016x}",
        draw(st.sampled_from(NAMES)),
        start,
        draw(st.sampled_from([0, start + 5])),
        draw(st.sampled_from(["", f"{7:016x}"])),
        draw(st.integers(1, 5)),
        draw(st.sampled_from(["unset", "ok", "error"])),  # type: ignore[arg-type]
        attributes=draw(attributes()),
        resource=draw(st.sampled_from(PROCESSES)),
        scope=draw(st.sampled_from(SCOPES)),
    )


batches = st.tuples(st.lists(a_span(), max_size=4), st.lists(an_event(), max_size=6))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), batches),
        st.tuples(st.just("again"), st.integers(0, 3)),
        st.tuples(st.just("copy"), st.sampled_from([4, 40])),
        st.tuples(st.just("settle"), st.none()),
        st.tuples(st.just("erase"), leads),
        st.tuples(st.just("drop"), st.none()),
        st.tuples(st.just("before keys"), st.none()),
    ),
    min_size=2,
    max_size=7,
)
parts = [Slice(), Slice(START + 3, START + 6, "t1")]


def other_halves(events: list[EventRecord]) -> list[EventRecord]:
    """The other half of each event with a uid: the span event of a log record, the log record of a span event."""
    return [
        dataclasses.replace(
            one,
            origin="span" if one.origin == "log" else "log",
            index=0 if one.origin == "log" else -1,
            attributes={**one.attributes, "error.code": "of the other half"},
        )
        for one in events
        if "log.record.uid" in one.attributes
    ]


@settings(max_examples=EXAMPLES, phases=PHASES)
@given(taken=steps)
def test_rows_and_columns_answer_alike_after_any_history(
    alike: Callable[[Path, list[Slice]], None], before_keys: Callable[[Path], None], taken: list[tuple[str, object]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        store = EmbeddedStore.open(path, write=True)
        upkeep = Upkeep(store)
        appended: list[tuple[list[SpanRecord], list[EventRecord]]] = []
        for what, more in taken:
            match what:
                case "append":
                    store.append(*more)  # type: ignore[misc]
                    appended.append(more)  # type: ignore[arg-type]
                case "again" if appended:
                    spans, events = appended[more % len(appended)]  # type: ignore[operator]
                    ended = [dataclasses.replace(one, end_ns=one.start_ns + 7) for one in spans]
                    store.append(ended, other_halves(events))
                case "copy":
                    upkeep.copy(per_file=more)  # type: ignore[arg-type]
                case "settle":
                    upkeep.settle()
                case "erase":
                    store.erase([str(more)])
                case "drop":
                    upkeep.drop()
                case "before keys":
                    before_keys(path)
        alike(path, parts)
        store.close()


@settings(max_examples=EXAMPLES, phases=PHASES)
@given(events=st.lists(an_event(), min_size=20, max_size=60), spans=st.lists(a_span(), max_size=20))
def test_every_value_is_taken_out_of_the_attributes_alike(
    alike: Callable[[Path, list[Slice]], None], events: list[EventRecord], spans: list[SpanRecord]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        store = EmbeddedStore.open(path, write=True)
        store.append(spans, events)
        alike(path, [Slice(), Slice(START + 2, 0, "")])
        store.close()
