"""The sink in memory against real receivers: order, bounds, retries, refusals, forks and the end."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from leadtrace.journal.endpoints import Target, endpoints
from leadtrace.journal.memory import MemorySink
from leadtrace.journal.transport import OtlpTransport
from leadtrace.otlp import encode
from leadtrace.otlp.sink import Signal

if TYPE_CHECKING:
    from leadtrace.journal.losses import Lost

LOGS = encode.signal("logs", "leadtrace", "1", "https://schemas/1")
OTHER = encode.signal("logs", "other")
SPANS = encode.signal("traces", "leadtrace")
FOREIGN = Signal("traces", encode.signal("traces", "httpx").scope, foreign=True)
RESOURCE = encode.resource({"service.name": "test"}, "https://schemas/resource")


def event(name: str, size: int = 0) -> bytes:
    return encode.log_record(name, 1, {"x": "x" * size} if size else {})


def span(name: str) -> bytes:
    body = b"\x0a\x10" + b"\x01" * 16 + b"\x12\x08" + b"\x02" * 8 + b"\x2a" + bytes((len(name),)) + name.encode()
    return b"\x12" + bytes((len(body),)) + body


@pytest.fixture
def sink_to():
    made: list[MemorySink] = []

    def make(address: str, *, protocol: str = "http/protobuf", **more) -> MemorySink:
        transport = OtlpTransport(endpoints(Target(address, protocol), {}))
        made.append(MemorySink(transport, RESOURCE, **{"interval_s": 0.02, **more}))
        return made[-1]

    yield make
    for sink in made:
        sink.close(0.2, patient=False)


@pytest.fixture(params=["http/protobuf", "grpc"])
def receiving(request):
    """Each protocol: the receiver, and its name."""
    return request.getfixturevalue("over_grpc" if request.param == "grpc" else "over_http"), request.param


def test_what_is_appended_arrives_in_order_with_its_scope_and_resource(receiving, sink_to):
    """Over both protocols; the receipt says that it is in memory."""
    receiver, protocol = receiving
    sink = sink_to(receiver.address, protocol=protocol)
    receipts = [sink.append(LOGS, event(f"e.n{n}")) for n in range(1500)]
    sink.append(SPANS, span("s"))
    assert {(one.saved, one.why) for one in receipts} == {(False, "in memory")}
    assert sink.flush(10)
    assert receiver.names("logs") == [f"e.n{n}" for n in range(1500)]
    assert receiver.names("traces") == ["s"]
    assert all(len(one.records) <= 512 for one in receiver.accepted)
    (first, *_) = [one for one in receiver.accepted if one.kind == "logs"]
    (resource,) = first.message.resource_logs
    assert (resource.resource.attributes[0].value.string_value, resource.schema_url) == (
        "test",
        "https://schemas/resource",
    )
    (scope,) = resource.scope_logs
    assert (scope.scope.name, scope.scope.version, scope.schema_url) == ("leadtrace", "1", "https://schemas/1")
    assert (sink.stats.sent, sink.stats.queued, sink.stats.dropped) == (1501, 0, 0)


def test_records_of_two_scopes_in_one_request_stay_with_their_scope(over_http, sink_to):
    """One message for each scope, however they were mixed."""
    over_http.gate.clear()
    sink = sink_to(over_http.address, interval_s=5)
    for n in range(4):
        sink.append(LOGS if n % 2 else OTHER, event(f"e.n{n}"))
    over_http.gate.set()
    assert sink.flush(10)
    scopes = [s for one in over_http.accepted for r in one.message.resource_logs for s in r.scope_logs]
    assert [(s.scope.name, [one.event_name for one in s.log_records]) for s in scopes] == [
        ("other", ["e.n0", "e.n2"]),
        ("leadtrace", ["e.n1", "e.n3"]),
    ]


def test_nothing_is_lost_while_a_receiver_that_was_down_comes_up(sink_to, http_receiver_on):
    """The collector starts after the host."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sink = sink_to(f"http://localhost:{port}")
    for n in range(100):
        sink.append(LOGS, event(f"e.n{n}"))
    assert not sink.flush(0.3)
    assert "refused" in sink.stats.last_error
    receiver = http_receiver_on(port)
    assert sink.flush(10)
    assert receiver.names("logs") == [f"e.n{n}" for n in range(100)]
    assert sink.stats.retries > 0


def test_a_grpc_receiver_that_was_down_gets_everything_when_it_comes_up(sink_to, grpc_receiver_on):
    """The channel's own back-off does not outlast ours."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sink = sink_to(f"http://localhost:{port}", protocol="grpc")
    sink.append(LOGS, event("e.first"))
    assert not sink.flush(0.3)
    receiver = grpc_receiver_on(port)
    assert sink.flush(20)
    assert receiver.names("logs") == ["e.first"]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_answer_that_says_later_is_tried_again_in_order(over_http, sink_to, status):
    """Until it is taken, and what came after waits."""
    over_http.scripted.extend([(status, {})] * 2)
    sink = sink_to(over_http.address)
    for n in range(3):
        sink.append(LOGS, event(f"e.n{n}"))
    assert sink.flush(10)
    assert over_http.names("logs") == ["e.n0", "e.n1", "e.n2"]
    assert (sink.stats.retries, sink.stats.sent) == (2, 3)


def test_retry_after_is_honoured_even_by_a_flush(over_http, sink_to):
    """The receiver's wish goes before our haste."""
    over_http.scripted.append((503, {"retry-after": "1"}))
    sink = sink_to(over_http.address)
    began = time.monotonic()
    sink.append(LOGS, event("e.told"))
    assert not sink.flush(0.3)
    assert sink.flush(5)
    assert time.monotonic() - began >= 1
    assert len(over_http.asked) == 2


def test_the_codes_of_grpc_mean_what_the_protocol_says(over_grpc, sink_to):
    """UNAVAILABLE, and RESOURCE_EXHAUSTED with a delay, are tried again; UNIMPLEMENTED is not."""
    import grpc
    from google.protobuf.any_pb2 import Any as AnyMessage
    from google.protobuf.duration_pb2 import Duration
    from google.rpc.error_details_pb2 import RetryInfo
    from google.rpc.status_pb2 import Status

    detail = AnyMessage()
    detail.Pack(RetryInfo(retry_delay=Duration(nanos=200_000_000)))
    status = Status(code=8, message="slow down", details=[detail]).SerializeToString()
    over_grpc.scripted.extend(
        [
            (grpc.StatusCode.UNAVAILABLE, b""),
            (grpc.StatusCode.RESOURCE_EXHAUSTED, status),
            (grpc.StatusCode.UNIMPLEMENTED, b""),
        ]
    )
    sink = sink_to(over_grpc.address, protocol="grpc")
    sink.append(LOGS, event("e.refused"))
    assert sink.flush(10)
    assert (sink.stats.retries, sink.stats.sent, sink.stats.set_aside) == (2, 0, 1)
    assert sink.aside[0].why == f"{over_grpc.address} answered UNIMPLEMENTED: said so"
    sink.append(LOGS, event("e.taken"))
    assert sink.flush(10)
    assert over_grpc.names("logs") == ["e.taken"]


@pytest.mark.parametrize("status", [400, 413])
def test_one_record_that_a_receiver_will_not_have_is_set_aside_alone(over_http, sink_to, status, caplog):
    """Found by halves; all others arrive in order, and it is told once."""

    def judge(request):
        return (status, {}) if any(one.event_name == "e.poison" for one in request.records) else None

    over_http.judge = judge
    sink = sink_to(over_http.address, interval_s=0.3)
    names = [f"e.n{n}" for n in range(100)]
    for n, name in enumerate(names):
        if n in (17, 63):
            sink.append(LOGS, event("e.poison"))
        sink.append(LOGS, event(name))
    with caplog.at_level(logging.WARNING, "leadtrace"):
        assert sink.flush(10)
    assert over_http.names("logs") == names
    assert (sink.stats.sent, sink.stats.set_aside, sink.stats.dropped) == (100, 2, 0)
    assert [one.records for one in sink.aside] == [(event("e.poison"),)] * 2
    assert [one.getMessage() for one in caplog.records] == [
        f"leadtrace: 1 records (logs) are set aside: {over_http.address}/v1/logs answered {status}: said so"
    ]


def test_requests_that_are_too_large_are_made_smaller(over_grpc, sink_to):
    """RESOURCE_EXHAUSTED without a delay is a matter of size."""
    import grpc

    over_grpc.judge = lambda request: (grpc.StatusCode.RESOURCE_EXHAUSTED, b"") if len(request.records) > 3 else None
    sink = sink_to(over_grpc.address, protocol="grpc", interval_s=0.3)
    for n in range(20):
        sink.append(LOGS, event(f"e.n{n}"))
    assert sink.flush(10)
    assert over_grpc.names("logs") == [f"e.n{n}" for n in range(20)]


@pytest.mark.parametrize(("status", "headers"), [(404, {}), (401, {}), (307, {"location": "http://localhost:9/"})])
def test_an_answer_that_smaller_requests_cannot_change_sets_the_batch_aside(over_http, sink_to, status, headers):
    """One request is enough; a redirect is not followed."""
    over_http.judge = lambda request: (status, headers)
    sink = sink_to(over_http.address, interval_s=0.3)
    for n in range(10):
        sink.append(LOGS, event(f"e.n{n}"))
    assert sink.flush(10)
    assert len(over_http.asked) == 1
    assert (sink.stats.set_aside, sink.aside[0].count, len(sink.aside[0].records)) == (10, 10, 10)
    assert f"answered {status}" in sink.stats.last_error


def test_a_receiver_of_spans_alone_does_not_hold_up_spans(over_http, sink_to):
    """Events that nobody takes are set aside on a lane of their own."""
    over_http.judge = lambda request: (404, {}) if request.kind == "logs" else None
    sink = sink_to(over_http.address)
    sink.append(LOGS, event("e.told"))
    sink.append(SPANS, span("s"))
    assert sink.flush(10)
    assert (over_http.names("traces"), sink.stats.set_aside) == (["s"], 1)


def test_a_partial_success_is_counted_and_told(receiving, sink_to, caplog):
    """Nobody says which were rejected, and sending them again is forbidden."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

    receiver, protocol = receiving
    answer = ExportLogsServiceResponse()
    answer.partial_success.rejected_log_records = 2
    answer.partial_success.error_message = "too old"
    receiver.body = answer.SerializeToString()
    sink = sink_to(receiver.address, protocol=protocol, interval_s=0.3)
    for n in range(5):
        sink.append(LOGS, event(f"e.n{n}"))
    with caplog.at_level(logging.WARNING, "leadtrace"):
        assert sink.flush(10)
    assert (sink.stats.sent, sink.stats.set_aside, len(receiver.asked)) == (3, 2, 1)
    assert sink.stats.last_error == "the receiver rejected 2 of 5 records, unknown which: too old"


def test_as_it_fills_foreign_spans_are_refused_first_then_our_spans_then_events(over_http, sink_to):
    """Each refusal is counted; when there is room again, one range per kind is told."""
    told: list[Lost] = []
    done = threading.Event()
    over_http.gate.clear()
    sink = sink_to(over_http.address, capacity=100, on_loss=lambda lost: (told.append(lost), done.set()))
    for _ in range(79):
        sink.append(LOGS, event("e.told"))
    assert [sink.append(FOREIGN, span("f")).why for _ in range(2)] == ["in memory", "full"]
    assert [sink.append(SPANS, span("s")).why for _ in range(11)] == ["in memory"] * 10 + ["full"]
    assert [sink.append(LOGS, event("e.told")).why for _ in range(11)] == ["in memory"] * 10 + ["full"]
    assert sink.append(LOGS, event("e.told")).why == "full"
    assert (sink.stats.queued, sink.stats.dropped) == (100, 4)
    over_http.gate.set()
    assert sink.flush(10)
    assert done.wait(5)
    assert [(one.kind, one.why, one.count) for one in told] == [("traces", "full", 2), ("logs", "full", 2)]
    assert all(one.first_ns <= one.last_ns for one in told)
    assert sink.append(FOREIGN, span("f")).why == "in memory"


def test_what_waits_is_bounded_in_bytes_too(over_http, sink_to):
    """Large records fill it sooner."""
    over_http.gate.clear()
    sink = sink_to(over_http.address, capacity_bytes=10_000)
    assert [sink.append(LOGS, event("e.large", 4_000)).why for _ in range(3)] == ["in memory", "in memory", "full"]


def test_a_slow_receiver_gets_large_requests_and_loses_nothing(over_http, sink_to):
    """What waits goes together."""
    over_http.gate.clear()
    sink = sink_to(over_http.address)
    sink.append(LOGS, event("e.first"))
    over_http.wait(lambda: len(over_http.asked) == 1)
    for n in range(2000):
        sink.append(LOGS, event(f"e.n{n}"))
    over_http.gate.set()
    assert sink.flush(10)
    assert [len(one.records) for one in over_http.accepted] == [1, 512, 512, 512, 464]


def test_a_record_larger_than_a_request_should_be_goes_alone(over_http, sink_to):
    """It may still be taken."""
    sink = sink_to(over_http.address, batch_bytes=1_000, interval_s=0.3)
    for size in (10, 5_000, 10):
        sink.append(LOGS, event("e.told", size))
    assert sink.flush(10)
    assert [len(one.records) for one in over_http.accepted] == [1, 1, 1]


def test_threads_keep_their_own_order(over_http, sink_to):
    """Many append at once; each finds its records in its order, none missing, none twice."""
    sink = sink_to(over_http.address)

    def tell(who: int) -> None:
        for n in range(500):
            sink.append(LOGS, event(f"t{who}.n{n}"))

    threads = [threading.Thread(target=tell, args=(who,)) for who in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sink.flush(20)
    names = over_http.names("logs")
    for who in range(6):
        assert [one for one in names if one.startswith(f"t{who}.")] == [f"t{who}.n{n}" for n in range(500)]


def test_a_forked_child_sends_its_own_and_nothing_of_its_parent(over_http, sink_to):
    """The parent's queue is the parent's; nothing arrives twice."""
    over_http.gate.clear()
    sink = sink_to(over_http.address)
    sink.append(LOGS, event("e.before"))
    over_http.wait(lambda: len(over_http.asked) == 1)
    sink.append(LOGS, event("e.parent"))
    child = os.fork()
    if child == 0:
        try:
            sink.append(LOGS, event("e.child"))
            over_http.gate.set()
            os._exit(0 if sink.stats.queued == 1 and sink.flush(10) else 1)
        finally:
            os._exit(2)
    over_http.gate.set()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert sink.flush(10)
    assert sorted(over_http.names("logs")) == ["e.before", "e.child", "e.parent"]


def test_closing_sends_what_waits_and_refuses_what_comes_later(over_http, sink_to):
    """Later arrivals are counted."""
    sink = sink_to(over_http.address, interval_s=30)
    sink.append(LOGS, event("e.told"))
    sink.close(10)
    assert over_http.names("logs") == ["e.told"]
    assert sink.append(LOGS, event("e.late")).why == "closed"
    assert (sink.stats.sent, sink.stats.dropped) == (1, 1)


def test_closing_takes_no_longer_than_told(over_http, sink_to):
    """A receiver that does not answer holds nobody; what it did not take is counted as lost."""
    over_http.gate.clear()
    sink = sink_to(over_http.address)
    for _ in range(3):
        sink.append(LOGS, event("e.told"))
    began = time.monotonic()
    sink.close(0.5)
    assert time.monotonic() - began < 2
    assert sink.stats.dropped == 3


def test_a_retired_sink_sends_what_it_has_and_ends_its_threads(over_http, sink_to):
    """Another one took its place; what comes late is still sent."""
    sink = sink_to(over_http.address)
    sink.append(LOGS, event("e.told"))
    sink.retire()
    assert sink.flush(10)
    for lane in sink._lanes.values():
        if (thread := lane.thread) is not None:
            thread.join(5)
    sink.append(LOGS, event("e.late"))
    assert sink.flush(10)
    assert over_http.names("logs") == ["e.told", "e.late"]


def test_a_kind_that_nobody_takes_is_off(over_http):
    """OTEL_TRACES_EXPORTER=none: spans are not queued."""
    transport = OtlpTransport(endpoints(Target(over_http.address), {"OTEL_TRACES_EXPORTER": "none"}))
    sink = MemorySink(transport, RESOURCE)
    assert sink.append(SPANS, span("s")).why == "off"
    assert sink.append(LOGS, event("e.told")).why == "in memory"
    sink.close(5)
    assert [one.kind for one in over_http.accepted] == ["logs"]


def test_appending_from_a_finalizer_that_interrupts_an_append_does_not_hang(over_http, sink_to):
    """Words end in finalizers, and those run anywhere."""
    sink = sink_to(over_http.address)

    class Interrupts(bytes):
        def __len__(self) -> int:
            if not self.startswith(b"done"):
                sink.append(LOGS, event("e.inner"))
            return super().__len__()

    with sink._lock:
        sink.append(LOGS, Interrupts(event("e.outer")))
    assert sink.flush(10)
    assert set(over_http.names("logs")) == {"e.inner", "e.outer"}


def test_where_no_thread_can_be_started_any_more_the_closing_thread_sends(over_http, sink_to, monkeypatch):
    """An interpreter that shuts down refuses new threads."""

    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("leadtrace"):  # the receiver's own may start
            raise RuntimeError("can't create new thread at interpreter shutdown")
        start(thread)

    sink = sink_to(over_http.address)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    sink.append(LOGS, event("e.first"))
    assert sink.flush(5)
    sink.append(LOGS, event("e.last"))
    sink.close(5)
    monkeypatch.undo()
    assert over_http.names("logs") == ["e.first", "e.last"]


def test_what_is_kept_goes_to_whoever_takes_its_kind_and_never_over_the_wire(over_http, sink_to):
    """In order, once, and not in what counts as queued."""
    sink = sink_to(over_http.address)
    receipts = [sink.keep("lead_event", b"sealed %d" % n) for n in range(3)]
    sink.keep("other", b"x")
    sink.append(LOGS, event("e.told"))
    assert {(one.saved, one.why) for one in receipts} == {(False, "in memory")}
    assert sink.take_kept("lead_event") == [b"sealed 0", b"sealed 1", b"sealed 2"]
    assert sink.take_kept("lead_event") == []
    assert sink.take_kept("other") == [b"x"]
    assert sink.flush(10)
    assert over_http.names("logs") == ["e.told"]
    assert b"sealed" not in b"".join(one.body for one in over_http.asked)
    assert (sink.stats.queued, sink.stats.dropped) == (0, 0)


@pytest.mark.parametrize("bounds", [{"kept_capacity": 2}, {"kept_capacity_bytes": 16}])
def test_what_is_kept_is_bounded_and_what_was_refused_is_told_once_there_is_room(over_http, sink_to, bounds):
    """By number and by bytes; events are not in its way."""
    told = []
    sink = sink_to(over_http.address, on_loss=told.append, **bounds)
    assert [sink.keep("lead_event", b"8 bytes.").why for _ in range(5)] == ["in memory"] * 2 + ["full"] * 3
    assert sink.append(LOGS, event("e.told")).why == "in memory"
    assert sink.stats.dropped == 3
    assert len(sink.take_kept("lead_event")) == 2
    assert [(one.kind, one.why, one.count) for one in told] == [("lead_event", "full", 3)]
    assert sink.keep("lead_event", b"8 bytes.").why == "in memory"


def test_what_is_kept_and_never_taken_is_counted_as_lost_at_the_end(over_http, sink_to, caplog):
    """And what is kept after the end is refused."""
    sink = sink_to(over_http.address)
    sink.keep("lead_event", b"x")
    sink.close(5)
    assert sink.stats.dropped == 1
    assert "1 kept records were not taken before the end and are lost" in caplog.text
    assert sink.keep("lead_event", b"y").why == "closed"
    assert sink.take_kept("lead_event") == []
    assert sink.stats.dropped == 2
