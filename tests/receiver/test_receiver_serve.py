"""`leadtrace serve` as a process: starts with one line, takes what real exporters send, ends cleanly, says what is wrong."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys

import pytest
from grpc import Compression as GrpcCompression
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression as HttpCompression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.interface import EventFilter, LeadFilter

UID = "a1b2c3d4e5f60718000000000001"


def _exporters(which: str, served, headers: dict[str, str] | None = None):
    if which.startswith("http"):
        compression = HttpCompression.Gzip if which.endswith("gzip") else HttpCompression.NoCompression
        return (
            HttpSpans(endpoint=f"{served.http}/v1/traces", compression=compression, headers=headers),
            HttpLogs(endpoint=f"{served.http}/v1/logs", compression=compression, headers=headers),
        )
    compression = GrpcCompression.Gzip if which.endswith("gzip") else GrpcCompression.NoCompression
    more = {"insecure": True, "compression": compression, "headers": tuple((headers or {}).items())}
    return GrpcSpans(endpoint=served.grpc, **more), GrpcLogs(endpoint=served.grpc, **more)


def _send(which: str, served, lead: str, headers: dict[str, str] | None = None) -> None:
    """One span with an event, and the same event as log record, by the SDK and its own exporters."""
    spans, logs = _exporters(which, served, headers)
    resource = Resource({"service.name": "shop"})
    tracing, logging = TracerProvider(resource=resource), LoggerProvider(resource=resource)
    tracing.add_span_processor(SimpleSpanProcessor(spans))
    logging.add_log_record_processor(SimpleLogRecordProcessor(logs))
    attributes = {
        "lead.id": lead,
        "log.record.uid": UID[: -len(lead)] + lead.encode().hex()[-len(lead) :],
        "n": 1,
        "x": 1.0,
    }
    with tracing.get_tracer("shop", "1.0").start_as_current_span("sell", attributes={"lead.id": lead}) as span:
        logging.get_logger("shop", "1.0").emit(
            event_name="lead.sold", attributes=attributes, timestamp=1_790_000_000_000_000_000
        )
        span.add_event("lead.sold", attributes, timestamp=1_790_000_000_000_000_000)
    tracing.shutdown()
    logging.shutdown()


@pytest.mark.parametrize("which", ["http", "http gzip", "grpc", "grpc gzip"])
def test_what_the_sdk_sends_is_there_when_its_export_returns(served, which):
    lead = {"http": "1", "http gzip": "2", "grpc": "3", "grpc gzip": "4"}[which]
    _send(which, served, lead)
    found = served.source().lead(lead)
    assert [(one.name, one.resource.service, one.scope.name) for one in found.spans] == [("sell", "shop", "shop")]
    (event,) = found.events
    assert (event.name, event.origin, event.span_id) == ("lead.sold", "both", found.spans[0].span_id)
    assert [(type(event.attributes[key]), event.attributes[key]) for key in ("n", "x")] == [(int, 1), (float, 1.0)]


def test_json_as_a_browser_sdk_sends_it_is_taken(served):
    """camelCase, hex ids, 64-bit integers as strings, fields that are not known here."""
    span = {
        "traceId": "5B8EFFF798038103D269B633813FC60C",
        "spanId": "eee19b7ec3c1b174",
        "parentSpanId": "eee19b7ec3c1b173",
        "name": "click",
        "kind": 3,
        "startTimeUnixNano": "1790000000000000000",
        "endTimeUnixNano": "1790000001000000000",
        "attributes": [
            {"key": "lead.id", "value": {"stringValue": "browser"}},
            {"key": "n", "value": {"intValue": "9007199254740993"}},
        ],
        "events": [
            {"name": "shown", "timeUnixNano": "1790000000500000000", "attributes": [], "droppedAttributesCount": 0}
        ],
        "links": [],
        "status": {"code": 0},
        "flags": 257,
        "entityRefs": [{"new": True}],
    }
    scoped = {"scope": {"name": "web", "version": ""}, "spans": [span]}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "page"}}]}
    body = json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [scoped]}]}).encode()
    answer = served.request("POST", "/v1/traces", body, Content_Type="application/json; charset=utf-8")
    assert (answer.status, answer.headers["content-type"], answer.data) == (200, "application/json", b"{}")
    (found,) = served.source().lead("browser").spans
    assert (found.trace_id, found.parent_span_id, found.kind) == (
        "5b8efff798038103d269b633813fc60c",
        "eee19b7ec3c1b173",
        3,
    )
    assert found.attributes["n"] == 9007199254740993


def test_the_same_request_twice_changes_nothing(served):
    body = json.dumps(
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": "7", "body": {"stringValue": "twice"}}]}]}]}
    ).encode()
    before = served.metrics()
    for _ in range(2):
        assert served.request("POST", "/v1/logs", body, Content_Type="application/json").status == 200
    after = served.metrics()
    changed = {
        name: after[name] - before[name] for name in before if after[name] != before[name] and "bytes" not in name
    }
    assert changed == {
        "leadtrace_requests_total": 2,
        'leadtrace_records_received_total{signal="log_records"}': 2,
        "leadtrace_records_stored_total": 1,
        "leadtrace_records_repeated_total": 1,
    }


def test_it_ends_with_0_on_either_signal_and_what_was_accepted_is_stored(serve):
    for number, end in enumerate((signal.SIGTERM, signal.SIGINT)):
        with serve() as served:
            _send("http", served, f"{number}")
            served.process.send_signal(end)
            assert served.process.wait(20) == 0
        assert not served.store.with_name("store.db-wal").exists()
        store = EmbeddedStore.open(served.store)
        assert {one.lead_id for one in store.leads(LeadFilter())} >= {f"{number}"}
        store.close()


def test_a_kill_loses_nothing_that_was_answered(tmp_path, serve):
    body = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"%d"}]}]}]}'
    with serve() as served:
        for n in range(50):
            assert served.request("POST", "/v1/logs", body % (n + 1), Content_Type="application/json").status == 200
        served.process.kill()
        served.process.wait(20)
        served.process.returncode = 0  # this once, not by its own will
    with serve() as again:
        assert [one.time_ns for one in again.source().events(EventFilter())] == list(range(1, 51))


def test_health_metrics_and_a_page_are_there(served):
    assert json.loads(served.request("GET", "/healthz").data)["status"] == "ok"
    assert served.metrics()["leadtrace_store_bytes"] > 0
    page = served.request("GET", "/")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


def test_the_page_shows_telemetry_as_text_only(served):
    body = {"lead.id": "<script>alert(1)</script>\"'"}
    pairs = [{"key": key, "value": {"stringValue": value}} for key, value in body.items()]
    text = {
        "resourceLogs": [
            {"scopeLogs": [{"logRecords": [{"timeUnixNano": "1790000099000000000", "attributes": pairs}]}]}
        ]
    }
    assert served.request("POST", "/v1/logs", json.dumps(text).encode(), Content_Type="application/json").status == 200
    page = served.request("GET", "/").data.decode()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;" in page


def test_the_timeline_is_answered_as_json(served):
    _send("http", served, "5")
    answer = json.loads(served.request("GET", "/api/v1/timeline?lead_id=5").data)
    assert [one["name"] for one in answer["entries"]] == ["sell", "lead.sold"]


@pytest.mark.parametrize("query", ["", "?lead_id=a&trace_id=b"])
def test_records_of_neither_or_both_are_asked_wrongly(served, query):
    answer = served.request("GET", f"/api/v1/records{query}")
    assert (answer.status, json.loads(answer.data)) == (400, {"error": "either lead_id or trace_id is needed"})


@pytest.mark.parametrize("number", ["-1", "x", "1.5", "9" * 30, "%C2%B2", ""])
def test_a_limit_that_is_no_number_is_asked_wrongly(served, number):
    assert served.request("GET", f"/api/v1/events?limit={number}").status == 400


# --- who may ask ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4318", "127.0.0.1.evil.example", "", "[::2]:1"])
def test_on_loopback_another_host_name_is_refused(served, host):
    for path in ("/healthz", "/api/v1/leads", "/"):
        assert served.request("GET", path, Host=host).status == 403
    assert served.request("POST", "/v1/traces", b"", Host=host, Content_Type="application/x-protobuf").status == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:4318"])
def test_on_loopback_the_names_of_this_machine_are_taken(served, host):
    assert served.request("GET", "/healthz", Host=host).status == 200


def test_off_loopback_all_but_health_needs_the_token(serve):
    with serve("--host", "0.0.0.0", token="secret-1") as served:
        served.http, served.grpc = (
            served.http.replace("0.0.0.0", "127.0.0.1"),
            served.grpc.replace("0.0.0.0", "127.0.0.1"),
        )
        _send("http", served, "1", {"authorization": "Bearer secret-1"})
        _send("grpc", served, "2", {"authorization": "Bearer secret-1"})
        assert sorted(one.lead_id for one in served.source().leads(LeadFilter())) == ["1", "2"]
        for wrong in ("Bearer secret-2", "secret-1", "", "Basic x"):
            for method, path in (("GET", "/"), ("GET", "/metrics"), ("GET", "/api/v1/leads"), ("POST", "/v1/traces")):
                answer = served.request(method, path, Authorization=wrong)
                assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert served.request("GET", "/healthz", Authorization="none").status == 200
        assert served.request("GET", "/healthz", Host="leadtrace:4318").status == 200


def test_off_loopback_without_a_token_it_does_not_start(tmp_path):
    assert _refused(tmp_path, "--host", "0.0.0.0") == (
        2,
        (
            "leadtrace serve: 0.0.0.0 can be reached from other machines: set LEADTRACE_TOKEN or --token-file, which senders "
            "and readers then present, or listen on 127.0.0.1\n"
        ),
    )


@pytest.mark.parametrize("which", ["http", "grpc"])
def test_a_port_in_use_is_one_line(tmp_path, which):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = _refused(tmp_path, f"--{which}-port", str(port))
        assert code == 2
        assert said.count("\n") == 1
        assert f"cannot listen on 127.0.0.1:{port} for {'HTTP' if which == 'http' else 'gRPC'}" in said


def test_a_store_that_another_server_writes_is_one_line(serve, tmp_path):
    with serve() as served:
        code, said = _refused(tmp_path, "--store", str(served.store))
    assert (code, said.count("\n")) == (3, 1)
    assert f"process {served.process.pid}" in said


def test_an_empty_token_file_is_refused(tmp_path):
    (tmp_path / "token").write_text("\n")
    code, said = _refused(tmp_path, "--token-file", str(tmp_path / "token"))
    assert (code, "holds no token" in said) == (2, True)


def _refused(tmp_path, *options: str) -> tuple[int, str]:
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    spec = spec_from_file_location("receiver_conftest", Path(__file__).with_name("conftest.py"))
    made = sys.modules.setdefault("receiver_conftest", module_from_spec(spec))
    spec.loader.exec_module(made)
    defaults = ["--grpc-port", "0", "--http-port", "0", "--store", str(tmp_path / "other.db")]
    ran = subprocess.run(
        made.command(*defaults, *options), capture_output=True, text=True, timeout=30, env=made.environment()
    )
    assert ran.stdout == ""
    return ran.returncode, ran.stderr
