"""Telemetry with every fault at once: all of it kept, the same by every way in, and nothing of it acts where it is shown."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import grpc
from click.testing import CliRunner
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from leadtrace.cli import main

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue

NOW = 1_795_320_000_000_000_000
NAN, INF = float("nan"), float("inf")
NASTY = (
    "\x1b[31m\x1b]0;title\x07\x1b[2J\r\n\x00\x7f\x9b<script>document.title='x'</script><img src=x onerror=alert(1)>"
    "\u202e\u2028\u200b"
)
LEADS = [
    "faulty",
    "a/b/../c",
    "line\nbreak",
    "ünï/☃/שלום\u202e",
    "?&#% ",
    "<script>alert(1)</script>",
    "\x1b[2J",
    "--json",
]
ODD: list[Any] = [
    NASTY,
    -1,
    2**63 - 1,
    NAN,
    INF,
    1e308,
    [NASTY, None],
    {"a": {"$bytes": "!"}},
    True,
    b"\xff",
    "1E+999999999",
]
FIELDS = [
    "duration_ms",
    "flow.summary.total_duration_ms",
    "lead.state.to",
    "enhancement.cost",
    "delivery.revenue",
    "delivery.currency",
    "attempt",
    "max_attempts",
    "waited_ms",
    "wait_ms",
    "leadtrace.kind",
    "leadtrace.parent_span_id",
    "leadtrace.parent_run_id",
    "delivery.id",
    "error.type",
]
ENDS = {
    "flow": "flow.completed",
    "step": "operation.completed",
    "enhancement": "enhancement.success",
    "delivery": "delivery.accepted",
    "attempt": "api.call.failed",
}
_UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ud800-\udfff]")
_PATHS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}


def _set(into: AnyValue, value: Any) -> None:
    match value:
        case None:
            pass
        case bool():
            into.bool_value = value
        case str():
            into.string_value = value
        case int():
            into.int_value = value
        case float():
            into.double_value = value
        case bytes():
            into.bytes_value = value
        case list():
            into.array_value.SetInParent()
            for one in value:
                _set(into.array_value.values.add(), one)
        case dict():
            into.kvlist_value.SetInParent()
            _pairs(into.kvlist_value.values, value)


def _pairs(into: Any, values: dict[str, Any]) -> None:
    for key, value in values.items():
        _set(into.add(key=key).value, value)


def _traces() -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    _pairs(group.resource.attributes, {"service.name": NASTY})
    scoped = group.scope_spans.add()
    scoped.scope.name = NASTY
    made = 0

    def span(name: str, attributes: dict[str, Any] | None = None, **more: Any) -> None:
        nonlocal made
        made += 1
        ids = {"trace_id": b"T" * 14 + made.to_bytes(2), "span_id": b"S" * 6 + made.to_bytes(2)}
        times = {"start_time_unix_nano": NOW, "end_time_unix_nano": NOW + 10**9}
        one = scoped.spans.add(name=name, **(ids | times | more))
        _pairs(one.attributes, {"lead.id": "faulty"} | (attributes or {}))
        for at in range(2):
            _pairs(one.events.add(name=NASTY, time_unix_nano=NOW + at).attributes, {NASTY: NASTY, "of": name})

    for ids in (b"", b"12", bytes(8), bytes(16), b"x" * 100):
        span("span id", span_id=ids)
        span("the same", span_id=ids, trace_id=b"T" * 16)
        span("trace id", trace_id=ids)
        span("parent id", parent_span_id=ids)
    for start, end in (
        (NOW, 0),
        (0, 0),
        (NOW + 1, NOW),
        (2**64 - 1, 2**64 - 1),
        (1, 2**64 - 1),
        (NOW + 10**18, NOW + 10**18),
    ):
        span("times", start_time_unix_nano=start, end_time_unix_nano=end)
    for one in (1, 2):
        span("another of these ids", {"n": one}, trace_id=b"T" * 16, span_id=b"S" * 8)
    for here, above in ((b"AAAAAAAA", b"BBBBBBBB"), (b"BBBBBBBB", b"AAAAAAAA"), (b"OOOOOOOO", b"OOOOOOOO")):
        span("circle", trace_id=b"T" * 16, span_id=here, parent_span_id=above)
    deep: Any = 1
    for _ in range(12):
        deep = {"d": [deep]}
    span("large", {f"k{n}": n for n in range(10_000)} | {"long": "L" * (1 << 20), "deep": deep, "": ""})
    for value in ODD:
        for key in (
            "lead.id",
            "tenant_key",
            "leadtrace.lead_ids",
            "leadtrace.word",
            "leadtrace.run_id",
            "log.record.uid",
        ):
            span("odd", {key: value})
    for lead in LEADS:
        span("", {"lead.id": lead})
    return request


def _logs() -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    made = 0
    for word, ends in ENDS.items():
        for field in FIELDS:
            for value in ODD:
                made += 1
                ids = {"trace_id": b"W" * 14 + made.to_bytes(2), "span_id": b"W" * 6 + made.to_bytes(2)}
                for name, kind in ((f"{word}.started", "start"), (ends, "success")):
                    said = {
                        "lead.id": "faulty",
                        "leadtrace.word": word,
                        "leadtrace.run_id": "r",
                        "leadtrace.kind": kind,
                    }
                    _pairs(records.add(event_name=name, time_unix_nano=NOW, **ids).attributes, said | {field: value})
    for n in (1, 2):  # two contents of one uid
        said = {"lead.id": "faulty", "log.record.uid": "a1b2c3d4e5f60718000000000001", "n": n}
        _pairs(records.add(event_name="e", time_unix_nano=NOW).attributes, said)
    for lead in LEADS:
        _pairs(records.add(event_name=NASTY, time_unix_nano=2**64 - 1).attributes, {"lead.id": lead, NASTY: NASTY})
    return request


def _as_json(message: Any) -> bytes:
    def hexed(value: Any) -> Any:
        if isinstance(value, list):
            return [hexed(one) for one in value]
        if not isinstance(value, dict):
            return value
        ids = ("traceId", "spanId", "parentSpanId")
        return {key: base64.b64decode(one).hex() if key in ids else hexed(one) for key, one in value.items()}

    return json.dumps(hexed(MessageToDict(message, use_integers_for_enums=True))).encode()


def test_every_fault_is_kept_once_by_whichever_way_it_comes(serve) -> None:
    requests = {"traces": _traces(), "logs": _logs()}
    with serve() as served:

        def over_http(signal: str) -> None:
            body = requests[signal].SerializeToString()
            assert served.request("POST", f"/v1/{signal}", body, Content_Type="application/x-protobuf").status == 200

        def in_json(signal: str) -> None:
            body = _as_json(requests[signal])
            assert served.request("POST", f"/v1/{signal}", body, Content_Type="application/json").status == 200

        def over_grpc(signal: str) -> None:
            with grpc.insecure_channel(served.grpc) as channel:
                assert channel.unary_unary(_PATHS[signal])(requests[signal].SerializeToString(), timeout=60) == b""

        changes = []
        before = served.metrics()
        for send in (over_http, over_grpc, in_json, over_http):
            for signal in ("traces", "logs"):
                send(signal)
            after = served.metrics()
            what = ("stored", "united", "repeated", "replaced", "set_aside")
            changes.append(
                {
                    one: after[f"leadtrace_records_{one}_total"] - before[f"leadtrace_records_{one}_total"]
                    for one in what
                }
            )
            before = after
        first, *again = changes
        assert first["stored"] > 1_700
        assert first["set_aside"] >= 2
        assert [(one["stored"], one["united"], one["replaced"], one["set_aside"]) for one in again] == [
            (0, 0, 0, 0)
        ] * 3
        assert len({one["repeated"] for one in again}) == 1
        for lead in LEADS:
            for asked in (("lead",), ("lead", "--html", "-"), ("lead", "--json")):
                _shown_safely(*asked, "--from", served.http, "--", lead)
            _shown_safely("events", "--from", served.http, f"--lead={lead}")
        for asked in (("leads",), ("leads", "--json"), ("events",), ("events", "--json")):
            _shown_safely(*asked, "--from", served.http)


def _shown_safely(*asked: str) -> None:
    answer = CliRunner().invoke(main, asked)
    assert (answer.exit_code, answer.stderr, answer.exception) == (0, "", None), asked
    assert not _UNSAFE.search(answer.stdout), asked
    if "--json" in asked[:3]:
        for one in [answer.stdout] if asked[0] == "lead" else answer.stdout.splitlines():
            json.loads(one, parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)))
    if "--html" in asked:
        assert not re.search("<script|<img", answer.stdout)
