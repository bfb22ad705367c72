"""Real requests, broken at random, over HTTP, gRPC and JSON: each is taken or refused, and the server stays up and small.

Bounded in time: a few seconds here; `make fuzz` sends a million inputs (`LEADTRACE_FUZZ_INPUTS`), in so many seconds at most
(`LEADTRACE_FUZZ_S`), and prints what came of them.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import re
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from leadtrace.errors import OtlpError
from leadtrace.otlp.decode import decode_logs, decode_traces
from leadtrace.otlp.decode_json import decode_logs_json, decode_traces_json
from leadtrace.store.embedded import EmbeddedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = float(os.environ.get("LEADTRACE_FUZZ_S", "3"))
INPUTS = int(os.environ.get("LEADTRACE_FUZZ_INPUTS", "0"))  # 0: as many as there is time for
MEMORY = 400 << 20
GRPC_PATHS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}

_PAIRS = [
    {"key": "lead.id", "value": {"stringValue": "L1"}},
    {"key": "log.record.uid", "value": {"stringValue": "a1b2c3d4e5f60718000000000001"}},
    {"key": "leadtrace.lead_ids", "value": {"arrayValue": {"values": [{"stringValue": "L2"}, {"intValue": "3"}]}}},
    {"key": "map", "value": {"kvlistValue": {"values": [{"key": "x", "value": {"doubleValue": 1.5}}]}}},
    {"key": "bytes", "value": {"bytesValue": "AAEC"}},
]
_SPAN = {
    "traceId": "5b8efff798038103d269b633813fc60c",
    "spanId": "eee19b7ec3c1b174",
    "name": "s",
    "kind": 3,
    "startTimeUnixNano": "1790000000000000000",
    "endTimeUnixNano": "1790000001000000000",
    "attributes": _PAIRS,
    "events": [{"name": "e", "timeUnixNano": "1790000000500000000", "attributes": _PAIRS}],
    "links": [{"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174"}],
    "status": {"code": 2, "message": "no"},
}
_LOG = {
    "timeUnixNano": "1790000000000000000",
    "eventName": "flow.completed",
    "attributes": _PAIRS,
    "body": {"stringValue": "b"},
    "traceId": "5b8efff798038103d269b633813fc60c",
}
TRACES = {
    "resourceSpans": [{"resource": {"attributes": _PAIRS}, "scopeSpans": [{"scope": {"name": "x"}, "spans": [_SPAN]}]}]
}
LOGS = {"resourceLogs": [{"resource": {}, "scopeLogs": [{"scope": {}, "logRecords": [_LOG]}]}]}


def _protobuf(kind: str) -> bytes:
    """The same requests as protobuf."""
    request = ExportTraceServiceRequest() if kind == "traces" else ExportLogsServiceRequest()
    if kind == "traces":
        record = (
            request.resource_spans.add().scope_spans.add().spans.add(name="s", trace_id=b"t" * 16, span_id=b"s" * 8)
        )
        record.events.add(name="e", time_unix_nano=1).attributes.add(key="lead.id").value.string_value = "L1"
        record.links.add(trace_id=b"t" * 16)
    else:
        record = (
            request.resource_logs.add().scope_logs.add().log_records.add(event_name="flow.started", time_unix_nano=7)
        )
        record.body.string_value = "b"
    record.attributes.add(key="lead.id").value.string_value = "L1"
    listed = record.attributes.add(key="leadtrace.lead_ids").value.array_value
    listed.values.add().string_value = "L2"
    listed.values.add().double_value = float("nan")
    return request.SerializeToString()


def _broken(chance: random.Random, body: bytes) -> bytes:
    out = bytearray(body)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(out) + 1)
        match chance.randrange(6):
            case 0:
                del out[at:]
            case 1:
                out[at:at] = chance.randbytes(chance.randrange(1, 9))
            case 2 if at < len(out):
                out[at] ^= 1 << chance.randrange(8)
            case 3:
                del out[at : at + chance.randrange(1, 20)]
            case 4:
                other = chance.randrange(len(out) + 1)
                out[at:at] = out[other : other + chance.randrange(1, 60)]
            case _ if at < len(out):
                out[at] = chance.choice((0, 0x7F, 0x80, 0xFF))
    return bytes(out)


def _swapped(chance: random.Random, value: object) -> object:
    """JSON with some of its values replaced by others that do not belong there."""
    if chance.random() < 0.04:
        return chance.choice([None, True, -1, 1.5, 2**70, "", "x", "\x00", [], {}, [[]], {"a": {}}, "9" * 400, 1e308])
    if isinstance(value, dict):
        return {key: _swapped(chance, one) for key, one in value.items()}
    return [_swapped(chance, one) for one in value] if isinstance(value, list) else value


def _inputs(seed: int) -> Iterator[tuple[str, str, bytes]]:
    """Signal, content type, body, without end."""
    chance = random.Random(seed)
    whole = {kind: (_protobuf(kind), json.dumps(one).encode()) for kind, one in (("traces", TRACES), ("logs", LOGS))}
    while True:
        kind = chance.choice(("traces", "logs"))
        in_protobuf, in_json = whole[kind]
        match chance.randrange(3):
            case 0:
                yield kind, "application/x-protobuf", _broken(chance, in_protobuf)
            case 1:
                yield kind, "application/json", _broken(chance, in_json)
            case _:
                swapped = _swapped(chance, TRACES if kind == "traces" else LOGS)
                yield kind, "application/json", json.dumps(swapped).encode()


def test_decoders_read_or_refuse_and_the_store_takes_all_that_they_read(tmp_path):
    decoders = {
        ("traces", "application/x-protobuf"): decode_traces,
        ("logs", "application/x-protobuf"): decode_logs,
        ("traces", "application/json"): decode_traces_json,
        ("logs", "application/json"): decode_logs_json,
    }
    store = EmbeddedStore.open(tmp_path / "s.db", write=True)
    taken = refused = 0
    end = time.monotonic() + SECONDS
    spans, events = [], []
    for kind, content_type, body in _inputs(1):
        try:
            found = decoders[kind, content_type](body)
            (spans if kind == "traces" else events).extend(found)
            taken += 1
        except OtlpError:
            refused += 1
        if len(spans) + len(events) > 500:
            store.append(spans, events)
            spans, events = [], []
            if time.monotonic() > end:
                break
    for lead in ("L1", "L2", "3"):
        store.lead(lead)
    store.close()
    assert taken > 100
    assert refused > 100


@pytest.mark.timeout(SECONDS + 60)
def test_over_http_every_input_is_taken_or_refused(served):
    connection = http.client.HTTPConnection(served.http.removeprefix("http://"), timeout=20)
    statuses: dict[int, int] = {}
    end = time.monotonic() + SECONDS
    for kind, content_type, body in _inputs(2):
        connection.request("POST", f"/v1/{kind}", body, {"Content-Type": content_type})
        answer = connection.getresponse()
        answer.read()
        statuses[answer.status] = statuses.get(answer.status, 0) + 1
        if time.monotonic() > end:
            break
    assert set(statuses) == {200, 400}
    assert served.memory() < MEMORY
    assert served.metrics()['leadtrace_requests_refused_total{reason="malformed"}'] == statuses[400]
    served.source().lead("L1")


@pytest.mark.timeout(SECONDS + 60)
def test_over_grpc_every_input_is_taken_or_refused(served):
    codes: set[grpc.StatusCode] = set()
    end = time.monotonic() + SECONDS
    with grpc.insecure_channel(served.grpc) as channel:
        calls = {kind: channel.unary_unary(path) for kind, path in GRPC_PATHS.items()}
        for kind, _, body in _inputs(3):
            try:
                calls[kind](body, timeout=20)
                codes.add(grpc.StatusCode.OK)
            except grpc.RpcError as cause:
                codes.add(cause.code())
            if time.monotonic() > end:
                break
    assert codes == {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}
    assert served.memory() < MEMORY


class _HttpClient:
    """One connection kept open. Bare bytes, because http.client costs more than the server under test."""

    def __init__(self, url: str) -> None:
        self.host, port = url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((self.host, int(port)), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.read = self.socket.makefile("rb")

    def send(self, kind: str, content_type: str, body: bytes) -> str:
        head = f"POST /v1/{kind} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: {content_type}\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        self.socket.sendall(head.encode() + body)
        status = self.read.readline().split(b" ")[1].decode()
        length = 0
        while (line := self.read.readline()) != b"\r\n":
            if line[:15].lower() == b"content-length:":
                length = int(line[15:])
        self.read.read(length)
        return status

    def close(self) -> None:
        self.read.close()
        self.socket.close()


class _GrpcClient:
    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        self.calls = {kind: self.channel.unary_unary(path) for kind, path in GRPC_PATHS.items()}

    def send(self, kind: str, content_type: str, body: bytes) -> str:
        try:
            self.calls[kind](body, timeout=60)
        except grpc.RpcError as cause:
            return str(cause.code().name)
        return "OK"

    def close(self) -> None:
        self.channel.close()


def _resident(pid: int) -> int:
    """The memory that a process has now, in bytes."""
    return int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) << 10


@pytest.mark.timeout(SECONDS + 120)
def test_whatever_comes_by_several_ways_at_once_the_server_stays_up_and_small(serve):
    """Eight senders, half of them over gRPC; what each got is printed (`pytest -s`, as `make fuzz` does)."""
    answers: Counter[tuple[str, str, str]] = Counter()
    problems: list[BaseException] = []
    start = time.monotonic()

    def sends(seed: int, connect: Callable[[], _HttpClient | _GrpcClient]) -> None:
        mine: Counter[tuple[str, str, str]] = Counter()
        try:
            client = connect()
            way = "gRPC" if isinstance(client, _GrpcClient) else "HTTP"
            fitting = (one for one in _inputs(seed) if way == "HTTP" or one[1] == "application/x-protobuf")
            for number, (kind, content_type, body) in enumerate(fitting):
                if (INPUTS and number >= -(-INPUTS // 8)) or time.monotonic() > start + SECONDS:
                    break
                form = "JSON" if content_type == "application/json" else "protobuf"
                mine[way, form, client.send(kind, content_type, body)] += 1
            client.close()
        except BaseException as problem:
            problems.append(problem)
        answers.update(mine)

    with serve() as served:
        connect = [lambda: _HttpClient(served.http), lambda: _GrpcClient(served.grpc)]
        warm = _HttpClient(served.http)
        for kind, content_type, body in itertools.islice(_inputs(4), 300):
            warm.send(kind, content_type, body)
        warm.close()
        before = _resident(served.process.pid)
        senders = [threading.Thread(target=sends, args=(100 + n, connect[n % 2])) for n in range(8)]
        for one in senders:
            one.start()
        for one in senders:
            one.join()
        took = time.monotonic() - start
        after, most = _resident(served.process.pid), served.memory()
        asked = time.monotonic()
        assert served.request("GET", "/healthz").status == 200
        served.source().lead("L1", "nobody's")
        answered_ms = (time.monotonic() - asked) * 1000
        said = served.metrics()
    print(f"\n{sum(answers.values()):,} inputs in {took:.0f} s; answers {dict(sorted(answers.items()))}")
    print(
        f"resident {before >> 20} MiB before, {after >> 20} after, {most >> 20} at most; then answered in {answered_ms:.0f} ms"
    )
    assert problems == []
    assert {answer for way, _, answer in answers if way == "HTTP"} == {"200", "400"}
    assert {answer for way, _, answer in answers if way == "gRPC"} == {"OK", "INVALID_ARGUMENT"}
    assert most < MEMORY
    refused = sum(count for (_, _, answer), count in answers.items() if answer in ("400", "INVALID_ARGUMENT"))
    assert said['leadtrace_requests_refused_total{reason="malformed"}'] >= refused
