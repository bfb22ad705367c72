"""A decorated step beside the same made by hand with the SDK: what telling costs the caller, as ratios of one run.

    python bench/words.py [--rounds 30] [--calls 512]

The task: one call of a function that does nothing, told as one span and two events (start and end), each event both as a
log record and on the span. By hand that is `start_as_current_span`, `set_attributes`, 2 x `add_event` and 2 x
`Logger.emit`, written twice:

- `lean`: 6 attributes on the span and 3 on each event, all constant: what somebody in a hurry writes;
- `same`: the very attributes that the word records (lead, run, parent, kind, uid, duration …), constant as well, though
  a real one would have to make the uid and take the time.

The word makes them anew at each call, checked against the catalogue and redacted.

Each case runs in a process of its own. Inside it the contenders take turns, round by round, so that whatever else the
machine does hits all alike; a round gives one ratio, and the table has the median of the rounds with the interval that
holds 95 % of resampled medians.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CASES = {
    "no-op sink": "spans and records end where they are dropped; the word's log records are encoded by then",
    "with encoding": "all is turned into OTLP bytes on both sides, 512 at a time: the SDK's encoder, leadtrace's",
    "no SDK configured": "the API alone, and no `configure()`",
    "sampled out": "the sampler says no; log records are made all the same",
}
BATCH = 512
KEY = b"a key that only this bench knows"

LEAD = {"lead.id": "lead_7K9mHpQR3x2B5N8j", "step.name": "routing", "step.chosen": "Premier Insurance"}
SIX = {**LEAD, "step.candidates": 5, "step.price": 45.0, "step.exclusive": False}
STARTED = {**LEAD, "step.attempt": 1}
del STARTED["step.chosen"]
COMPLETED = {"lead.id": LEAD["lead.id"], "duration_ms": 1.5, "success": True}


def choose(lead_id: str, price: float) -> str:
    """The work that is told about: none, so that only the telling is measured."""
    return "Premier Insurance" if lead_id and price else ""


# ---------------------------------------------------------------- the contenders


def by_hand(
    tracer: Any, logger: Any, on_span: Any = SIX, started: Any = STARTED, completed: Any = COMPLETED
) -> Callable[[str, float], str]:
    """The same written out with OpenTelemetry's API."""
    from opentelemetry._logs import SeverityNumber

    def told(lead_id: str, price: float) -> str:
        with tracer.start_as_current_span("routing") as span:
            span.set_attributes(on_span)
            span.add_event("operation.started", started)
            logger.emit(event_name="operation.started", attributes=started, severity_number=SeverityNumber.INFO)
            found = choose(lead_id, price)
            span.add_event("operation.completed", completed)
            logger.emit(event_name="operation.completed", attributes=completed, severity_number=SeverityNumber.INFO)
            return found

    return told


def by_word() -> Callable[[str, float], str]:
    """The decorated function."""
    import leadtrace as lt

    return lt.step("routing", chosen=lt.result, price=lt.arg.price, candidates=5, exclusive=False)(choose)


def as_recorded() -> list[dict[str, Any]]:
    """What the word records of one call: the attributes of its span, of its start event and of its end event.

    Asked in a process of its own, because a process has one tracer provider.
    """
    from opentelemetry import trace
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    import leadtrace as lt
    from leadtrace.otlp.redact import Redactor
    from leadtrace.words import runtime

    spans, events = [], []

    class Keeping(SpanProcessor):
        def on_end(self, span: Any) -> None:
            spans.append(span)

    provider = TracerProvider()
    provider.add_span_processor(Keeping())
    trace.set_tracer_provider(provider)
    runtime.install(runtime.Runtime(sink=Dropping(joins=False), redactor=Redactor(KEY), on_event=events.append))
    with lt.flow("Premium Insurance Flow", lead_id=LEAD["lead.id"]):
        by_word()(LEAD["lead.id"], 45.0)
    told = [span for span in spans if span.name == "routing"]
    told += [event for event in events if event.name.startswith("operation.")]
    return [dict(one.attributes) for one in told]


# ---------------------------------------------------------------- where the records of each case go


class Encoded:
    """What both sides do with spans in the case with encoding: collect 512, turn them into one request's bytes."""

    def __init__(self, encode: Callable[[list[Any]], bytes]) -> None:
        self.encode = encode
        self.kept: list[Any] = []
        self.bytes = 0

    def add(self, record: Any) -> None:
        self.kept.append(record)
        if len(self.kept) == BATCH:
            self.bytes += len(self.encode(self.kept))
            self.kept = []


def _providers(case: str) -> tuple[Any, Any]:
    """The SDK's providers for one contender in that case."""
    from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

    spans = Encoded(lambda batch: encode_spans(batch).SerializeToString())
    logs = Encoded(lambda batch: encode_logs(batch).SerializeToString())
    encodes = case == "with encoding"

    class Spans(SpanProcessor):
        def on_end(self, span: Any) -> None:
            if encodes:
                spans.add(span)

    class Logs(LogRecordProcessor):
        def on_emit(self, log_record: Any) -> None:
            if encodes:
                logs.add(log_record)

        def shutdown(self) -> None: ...

        def force_flush(self, timeout_millis: int = 0) -> bool:
            return timeout_millis >= 0

    tracers = TracerProvider(sampler=ALWAYS_OFF if case == "sampled out" else ALWAYS_ON)
    tracers.add_span_processor(Spans())
    loggers = LoggerProvider()
    loggers.add_log_record_processor(Logs())
    return tracers, loggers


class Dropping:
    """A sink that takes records and drops them, joined to a request's bytes first where encoding is measured."""

    def __init__(self, joins: bool) -> None:
        from leadtrace.otlp.sink import Receipt

        self.receipt = Receipt("", saved=False, why="dropped")
        self.kept: Encoded | None = Encoded(b"".join) if joins else None

    def append(self, _signal: Any, record: bytes) -> Any:
        if self.kept is not None:
            self.kept.add(record)
        return self.receipt

    def keep(self, _kind: str, _content: bytes) -> Any:
        return self.receipt

    def flush(self, timeout_s: float) -> bool:
        return timeout_s >= 0

    def close(self, timeout_s: float) -> None: ...


@contextmanager
def contenders(case: str, same: list[dict[str, Any]]) -> Iterator[dict[str, Callable[[str, float], str]]]:
    """All ways to tell it, ready to be called inside an open flow of a lead."""
    from opentelemetry import _logs, trace

    if case == "no SDK configured":
        api = trace.get_tracer("bench"), _logs.get_logger("bench")
        yield {"lean": by_hand(*api), "same": by_hand(*api, *same), "word": by_word()}
        return

    import leadtrace as lt
    from leadtrace.otlp.redact import Redactor
    from leadtrace.words import runtime

    tracers, loggers = _providers(case)
    ours, _ = _providers("no-op sink" if case == "with encoding" else case)
    sink = Dropping(joins=case == "with encoding")
    redactor = Redactor(KEY)
    if case == "with encoding":
        from leadtrace.setup.spans import SpanSender

        sender = SpanSender()
        sender.aim(sink, redactor)
        ours.add_span_processor(sender)
    trace.set_tracer_provider(ours)
    runtime.install(runtime.Runtime(sink=sink, redactor=redactor))
    sdk = tracers.get_tracer("bench"), loggers.get_logger("bench")
    with lt.flow("Premium Insurance Flow", id="flow_3Q8mK5nL2P9wR4xB", version=12, lead_id=LEAD["lead.id"]):
        yield {"lean": by_hand(*sdk), "same": by_hand(*sdk, *same), "word": by_word()}


# ---------------------------------------------------------------- measuring


def measure(case: str, same: list[dict[str, Any]], rounds: int, calls: int) -> dict[str, list[float]]:
    """Seconds of `calls` calls, by contender and round."""
    taken: dict[str, list[float]] = {}
    with contenders(case, same) as rivals:
        for told in rivals.values():
            for _ in range(calls):
                told(LEAD["lead.id"], 45.0)
        for number in range(rounds):
            # Who goes first changes: the second may find warmer or dirtier caches.
            for name in sorted(rivals, reverse=bool(number % 2)):
                told = rivals[name]
                began = time.perf_counter()
                for _ in range(calls):
                    told(LEAD["lead.id"], 45.0)
                taken.setdefault(name, []).append(time.perf_counter() - began)
    return taken


def interval(values: Sequence[float], resamples: int = 2000) -> tuple[float, float]:
    """The range that holds 95 % of the medians of resampled values."""
    chance = random.Random(7)
    medians = sorted(statistics.median(chance.choices(values, k=len(values))) for _ in range(resamples))
    return medians[resamples // 40], medians[-resamples // 40 - 1]


def table(measured: dict[str, dict[str, list[float]]], calls: int) -> str:
    """The results as Markdown."""
    lines = ["| case | lean, µs | same, µs | word, µs | word ÷ lean (95 %) | word ÷ same (95 %) |", "|---" * 6 + "|"]
    for case, taken in measured.items():
        cells = [f"{statistics.median(taken[name]) / calls * 1e6:.1f}" for name in ("lean", "same", "word")]
        for theirs in ("lean", "same"):
            ratios = [word / hand for word, hand in zip(taken["word"], taken[theirs], strict=True)]
            low, high = interval(ratios)
            cells.append(f"{statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})")
        lines.append(f"| {case} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _in_a_process(*arguments: str) -> Any:
    answer = subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(answer.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description="A decorated step beside the same by hand.")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument(
        "--calls", type=int, default=BATCH, help="a round; a multiple of 512 lets each round encode alike"
    )
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--same", type=json.loads, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        found = measure(asked.case, asked.same, asked.rounds, asked.calls) if asked.same else as_recorded()
        print(json.dumps(found))
        return
    same = _in_a_process("--case", "as recorded")
    size = ["--rounds", str(asked.rounds), "--calls", str(asked.calls)]
    measured = {case: _in_a_process("--case", case, "--same", json.dumps(same), *size) for case in CASES}
    print(table(measured, asked.calls))
    print()
    for case, meaning in CASES.items():
        print(f"- {case}: {meaning}")


if __name__ == "__main__":
    main()
