"""What does the timeline of one lead cost, when the lead is one line of a large batch?

    one trace      a flow without a lead, and beneath it a step, an enhancement and their events per line, each naming its lead
    handed over    the same run, but each line is resumed by a worker in a trace of its own

Prints how many records a timeline is built from, and the median time of it from the store's file.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from leadtrace.otlp.records import EventRecord, Resource, Scope, SpanRecord, Value
from leadtrace.query.timeline import build
from leadtrace.store.embedded import EmbeddedStore

if TYPE_CHECKING:
    from collections.abc import Iterator

START = 1_790_000_000_000_000_000
MILLISECOND = 1_000_000
RESOURCE = Resource({"service.name": "nightly-import"})
SCOPE = Scope("leadtrace", "0.1.0")
RUN: dict[str, Value] = {"leadtrace.run_id": "5b8efff798038103d269b633813fc60c"}
NUMBERS = iter(range(1, 1 << 60))


def word(
    trace: int, parent: str, name: str, kind: str, at: int, end: str, **fields: Value
) -> tuple[SpanRecord, list[EventRecord]]:
    """A word's span, and its start and end events."""
    attributes = {**RUN, **fields, "leadtrace.word": kind, "leadtrace.name": name}
    span = SpanRecord(
        f"{trace:032x}", f"{next(NUMBERS):016x}", name, at, at + 20 * MILLISECOND, parent, 1, attributes=attributes,
        resource=RESOURCE, scope=SCOPE,
    )  # fmt: skip
    events = [
        EventRecord(
            called, when, span.trace_id, span.span_id,
            {**attributes, "log.record.uid": f"{1:016x}{next(NUMBERS):012x}", "leadtrace.kind": told,
             "leadtrace.parent_span_id": parent},
            RESOURCE, SCOPE,
        )
        for called, when, told in ((f"{kind}.started", at, "start"), (end, span.end_ns, "success"))
    ]  # fmt: skip
    return span, events


def batch(lines: int, handed_over: bool) -> Iterator[tuple[list[SpanRecord], list[EventRecord]]]:
    """The records of a run, some thousands at a time."""
    flow, told = word(1, "", "nightly file", "flow", START, "flow.completed")
    spans, events = [flow], told
    for line in range(lines):
        at = START + line * 30 * MILLISECOND
        trace = line + 2 if handed_over else 1
        lead = {"lead.id": f"lead_{line:06}"}
        step, told = word(
            trace, "" if handed_over else flow.span_id, "line", "resume" if handed_over else "step", at,
            "operation.completed", **lead,
        )  # fmt: skip
        events += told
        inner, told = word(
            trace, step.span_id, "Phone Intelligence", "enhancement", at + MILLISECOND, "enhancement.success", **lead
        )
        events += told
        spans += [step, inner]
        if len(spans) > 4_000:
            yield spans, events
            spans, events = [], []
    yield spans, events


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keep the stores there, and use those that are there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        for name, handed_over in (("one trace", False), ("handed over", True)):
            path = folder / f"{name.replace(' ', '_')}-{given.lines}.db"
            if not path.exists():
                writer = EmbeddedStore.open(path, write=True)
                for spans, events in batch(given.lines, handed_over):
                    writer.append(spans, events)
                writer.close()
            store = EmbeddedStore.open(path)
            read, built = [], []
            for number in range(given.rounds):
                lead = f"lead_{(number * 7919 + given.lines // 2) % given.lines:06}"
                started = time.perf_counter()
                found = store.lead(lead)
                got = time.perf_counter()
                story = build(found, lead)
                read.append(got - started)
                built.append(time.perf_counter() - got)
            print(
                f"{name:12} {given.lines:,} lines: {len(found.spans) + len(found.events):,} records read in "
                f"{statistics.median(read) * 1000:,.0f} ms, timeline of {len(story.entries)} entries and {len(story.runs)} runs "
                f"in {statistics.median(built) * 1000:,.0f} ms; state complete={story.complete}"
            )
            print("   ", *(f"{one.depth}:{one.name}" for one in story.entries))
            store.close()


if __name__ == "__main__":
    main()
