"""Pre-encoded OTLP request bodies for the benches: leads as a pipeline would send them, from a seed.

Each lead is one trace of `SPANS` spans (a root and its children) with 6 attributes and 2 events each; events carry a uid,
as leadtrace's own do. A body holds 512 spans.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SPANS = 8
PER_BODY = 512
NAMES = (
    "Premium Insurance Flow",
    "Phone Intelligence",
    "Age Estimate",
    "routing",
    "deliver to Acme",
    "POST lead",
    "consent",
    "append",
)
START_NS = 1_790_000_000_000_000_000


def lead_id(number: int) -> str:
    return f"lead_{number:08d}"


def bodies(leads: int, seed: int = 1, first: int = 0, per_body: int = PER_BODY) -> Iterator[bytes]:
    """The bodies of that many leads, lead `first` on."""
    chance = random.Random(seed + first)
    boot = chance.getrandbits(64).to_bytes(8).hex()
    sequence = 0
    request = ExportTraceServiceRequest()
    spans = _begin(request)
    for number in range(first, first + leads):
        trace_id, run_id = chance.randbytes(16), chance.randbytes(16).hex()
        root = b""
        start = START_NS + number * 20_000_000
        for index in range(SPANS):
            span = spans.add()
            span.trace_id, span.span_id, span.parent_span_id = trace_id, chance.randbytes(8), root
            root = root or span.span_id
            span.name, span.kind = NAMES[index], 1
            span.start_time_unix_nano = start + index * 1_000_000
            span.end_time_unix_nano = span.start_time_unix_nano + chance.randrange(900_000)
            _set(span, "lead.id", lead_id(number))
            _set(span, "leadtrace.run_id", run_id)
            _set(span, "leadtrace.word", "step" if index else "flow")
            _set(span, "enhancement.service", f"service {index % 4}")
            _set(span, "enhancement.cost", 0.02)
            _set(span, "enhancement.position", index)
            for name in ("enhancement.started", "enhancement.success"):
                sequence += 1
                event = span.events.add()
                event.name, event.time_unix_nano = name, span.start_time_unix_nano + 1_000
                _set(event, "lead.id", lead_id(number))
                _set(event, "log.record.uid", f"{boot}{sequence:012x}")
                _set(event, "leadtrace.kind", "start" if name.endswith("started") else "success")
            if len(spans) == per_body:
                yield request.SerializeToString()
                request = ExportTraceServiceRequest()
                spans = _begin(request)
    if spans:
        yield request.SerializeToString()


def _begin(request):
    group = request.resource_spans.add()
    _set(group.resource, "service.name", "pipeline")
    scoped = group.scope_spans.add()
    scoped.scope.name = "leadtrace"
    return scoped.spans


def _set(of, key: str, value: str | int | float) -> None:
    pair = of.attributes.add()
    pair.key = key
    if isinstance(value, str):
        pair.value.string_value = value
    elif isinstance(value, float):
        pair.value.double_value = value
    else:
        pair.value.int_value = value
