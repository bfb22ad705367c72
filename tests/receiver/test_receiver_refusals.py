"""What is malformed, too large or made to hurt is refused in the protocol's form and counted; the server stays up, small."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed

import apsw
import grpc
import pytest

from leadtrace.receiver.intake import MAX_BODY
from leadtrace.store.interface import EventFilter

PROTOBUF, JSON = "application/x-protobuf", "application/json"
GOOD = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"7","body":{"stringValue":"good"}}]}]}]}'
MEMORY = 400 << 20
SERVICE = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def _field(number: int, content: bytes) -> bytes:
    size, length = len(content), b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def _deep() -> bytes:
    value = b"\x0a\x01x"
    for _ in range(5_000):
        value = _field(5, _field(1, value))
    return _field(1, _field(2, _field(2, _field(9, _field(1, b"a") + _field(2, value)))))


def _bomb() -> bytes:
    """200 MB of nothing in 200 kB: a megabyte compressed, again and again, which is no work."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    part = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    end = struct.pack("<II", zlib.crc32(bytes(200 << 20)), 200 << 20)
    return gzip.compress(b"", mtime=0)[:10] + part * 200 + packer.flush() + end


BOMB = _bomb()
MANY_SPANS = _field(1, _field(2, _field(2, b"") * 2_000_000))  # 4 MB of empty spans
MANY_EVENTS = _field(1, _field(2, _field(2, _field(11, b"") * 2_000_000)))


@pytest.fixture(autouse=True)
def _stays_up(served):
    """After each test the server answers, takes what is good, and has not grown."""
    yield
    assert served.request("POST", "/v1/logs", GOOD, Content_Type=JSON).status == 200
    assert served.memory() < MEMORY


def _refused(served) -> dict[str, int]:
    return {name: n for name, n in served.metrics().items() if name.startswith("leadtrace_requests_refused_total")}


@pytest.mark.parametrize(
    ("body", "headers", "status", "reason"),
    [
        (b"\xff\xff", {"Content_Type": PROTOBUF}, 400, "malformed"),
        (GOOD, {"Content_Type": PROTOBUF}, 400, "malformed"),
        (b"{", {"Content_Type": JSON}, 400, "malformed"),
        (b"[" * 1_000_000, {"Content_Type": JSON}, 400, "malformed"),
        (_deep(), {"Content_Type": PROTOBUF}, 400, "malformed"),
        (b"", {"Content_Type": JSON}, 400, "malformed"),
        (b"not gzip", {"Content_Type": JSON, "Content_Encoding": "gzip"}, 400, "malformed"),
        (gzip.compress(GOOD, mtime=0)[:-9], {"Content_Type": JSON, "Content_Encoding": "gzip"}, 400, "malformed"),
        (gzip.compress(GOOD, mtime=0) + b"rest", {"Content_Type": JSON, "Content_Encoding": "gzip"}, 400, "malformed"),
        (BOMB, {"Content_Type": PROTOBUF, "Content_Encoding": "gzip"}, 413, "too_large"),
        (BOMB, {"Content_Type": JSON, "Content_Encoding": "gzip"}, 413, "too_large"),
        (MANY_SPANS, {"Content_Type": PROTOBUF}, 413, "too_large"),
        (MANY_EVENTS, {"Content_Type": PROTOBUF}, 413, "too_large"),
        (GOOD, {"Content_Type": "text/plain"}, 415, "content_type"),
        (GOOD, {}, 415, "content_type"),
        (GOOD, {"Content_Type": JSON, "Content_Encoding": "br"}, 415, "content_encoding"),
    ],
    ids=lambda one: str(one)[:30],
)
def test_what_cannot_be_taken_is_refused_in_the_encoding_of_the_request_and_counted(
    served, body, headers, status, reason
):
    before = _refused(served)
    answer = served.request("POST", "/v1/traces", body, **headers)
    assert answer.status == status
    if headers.get("Content_Type") == JSON:
        told = json.loads(answer.data)
        assert (answer.headers["content-type"], told["code"], bool(told["message"])) == (JSON, 3, True)
    else:
        assert answer.headers["content-type"] == PROTOBUF
        assert answer.data[:2] == b"\x08\x03"  # Status.code 3
        assert answer.data[2:3] == b"\x12"  # Status.message
    counted = f'leadtrace_requests_refused_total{{reason="{reason}"}}'
    assert _refused(served).get(counted, 0) == before.get(counted, 0) + 1


@pytest.mark.parametrize("stated", [True, False], ids=["stated", "chunked"])
def test_a_body_over_the_limit_is_refused_without_reading_it_all(served, stated):
    """A hundred megabytes: with its length the answer comes before the body; chunked, once the limit is passed."""
    host, port = served.http.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        length = b"Content-Length: 104857600" if stated else b"Transfer-Encoding: chunked"
        head = (
            b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n"
            + length
            + b"\r\n\r\n"
        )
        connection.sendall(head)
        sent = 0
        try:
            while not stated and sent < 100 << 20:
                connection.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
                sent += 65536
        except OSError:
            pass  # refused while sending
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except ConnectionResetError:
            assert not stated  # what was sent after the answer may reset the connection
        assert stated is False or answer.startswith(b"HTTP/1.1 413 ")
        assert sent < 100 << 20


def test_two_gzip_members_are_one_body(served):
    body = gzip.compress(GOOD[:20], mtime=0) + gzip.compress(GOOD[20:], mtime=0)
    assert served.request("POST", "/v1/logs", body, Content_Type=JSON, Content_Encoding="gzip").status == 200


def test_deflate_that_is_no_gzip_is_refused(served):
    body = zlib.compress(GOOD)
    assert served.request("POST", "/v1/logs", body, Content_Type=JSON, Content_Encoding="gzip").status == 400


def test_metrics_are_not_kept_and_the_sender_is_told(served):
    answer = served.request("POST", "/v1/metrics", b"", Content_Type=PROTOBUF)
    assert (answer.status, b"send metrics elsewhere" in answer.data) == (404, True)


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
def test_other_methods_are_refused(served, method):
    assert served.request(method, "/v1/traces").status == 405


def _call(served, body: bytes, **more: object) -> grpc.RpcError | None:
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(served.grpc, options=options) as channel:
        export = channel.unary_unary(SERVICE)
        try:
            export(body, timeout=30, **more)
        except grpc.RpcError as cause:
            return cause
    return None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
        (GOOD, grpc.StatusCode.INVALID_ARGUMENT),
        (_deep(), grpc.StatusCode.INVALID_ARGUMENT),
        (MANY_SPANS, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (bytes(MAX_BODY + 1), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (bytes(100 << 20), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
    ids=["nonsense", "json", "deep", "many spans", "over the limit", "100 MB"],
)
def test_grpc_refuses_with_the_codes_of_otlp_and_no_retry(served, body, code):
    refused = _call(served, body)
    assert refused.code() is code
    assert "grpc-status-details-bin" not in dict(refused.trailing_metadata())


def test_a_gzip_bomb_over_grpc_is_refused(served):
    refused = _call(served, bytes(200 << 20), compression=grpc.Compression.Gzip)
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_five_megabytes_over_grpc_are_taken(served):
    """gRPC's own limit is 4 MiB, which a batch of large spans passes."""
    attribute = _field(9, _field(1, b"pad") + _field(2, _field(1, b"x" * (5 << 20))))
    body = _field(1, _field(2, _field(2, _field(1, b"t" * 16) + _field(2, b"s" * 8) + attribute)))
    assert _call(served, body) is None


def test_a_service_that_is_not_there_is_unimplemented(served):
    with grpc.insecure_channel(served.grpc) as channel:
        export = channel.unary_unary("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export")
        with pytest.raises(grpc.RpcError) as told:
            export(b"", timeout=10)
    assert told.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_grpc_needs_the_token_too(serve):
    with serve(token="secret") as served:
        assert _call(served, b"").code() is grpc.StatusCode.UNAUTHENTICATED
        assert (
            _call(served, b"", metadata=(("authorization", "Bearer secreT"),)).code() is grpc.StatusCode.UNAUTHENTICATED
        )
        assert _call(served, b"", metadata=(("authorization", "Bearer secret"),)) is None
        assert list(served.source().events(EventFilter())) == []


def test_while_the_store_cannot_write_senders_are_told_to_come_back_and_nothing_is_lost(serve):
    """Another program holds the file: 503 with Retry-After, UNAVAILABLE with RetryInfo; when it lets go, all goes on."""
    with serve(says="cannot store: the store", busy_ms=300) as served:
        other = apsw.Connection(str(served.store))
        other.execute("BEGIN IMMEDIATE")
        answer = served.request("POST", "/v1/logs", GOOD, Content_Type=JSON)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert json.loads(answer.data)["code"] == 14
        refused = _call(served, _field(1, _field(2, _field(2, b""))))
        assert refused.code() is grpc.StatusCode.UNAVAILABLE
        details = dict(refused.trailing_metadata())["grpc-status-details-bin"]
        assert b"type.googleapis.com/google.rpc.RetryInfo" in details
        other.execute("ROLLBACK")
        other.close()
        assert served.request("POST", "/v1/logs", GOOD, Content_Type=JSON).status == 200
        assert served.metrics()['leadtrace_requests_refused_total{reason="store"}'] == 2


def test_when_too_much_waits_senders_are_told_to_come_back(serve):
    """Five bodies of 15 MB while the store waits: more than the 64 MiB that may be held; what was taken is stored."""
    body = _field(1, _field(2, _field(2, _field(9, _field(1, b"pad") + _field(2, _field(1, b"x" * (15 << 20)))))))
    with serve(busy_ms=25_000) as served:
        other = apsw.Connection(str(served.store))
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(5) as senders:
            sent = [senders.submit(served.request, "POST", "/v1/traces", body, Content_Type=PROTOBUF) for _ in range(5)]
            first = next(as_completed(sent)).result().status
            other.close()
            answers = Counter(one.result().status for one in sent)
        assert first == 429
        assert answers.keys() == {200, 429}
        assert served.metrics()['leadtrace_requests_refused_total{reason="busy"}'] == answers[429]
        assert served.metrics()["leadtrace_queue_bytes"] == 0


def test_what_is_no_http_at_all_is_refused_and_writes_nothing_into_the_servers_log(serve):
    with serve() as served:  # which says nothing on its standard error, or this fails
        host, port = served.http.removeprefix("http://").split(":")
        for nonsense in (b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000):
            with socket.create_connection((host, int(port)), timeout=20) as connection:
                connection.sendall(nonsense)
                assert connection.recv(100).startswith(b"HTTP/1.1 400")
