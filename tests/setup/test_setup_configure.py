"""configure(), each time in a process of its own: it changes what a whole process shares."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

SRC = str(Path(__file__).parents[2] / "src")


@pytest.fixture
def run(tmp_path):
    """Runs a script with these variables; gives what it printed."""

    def start(script: str, code: int = 0, **environ: str) -> str:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "LEADTRACE_"))}
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            env={**kept, "PYTHONPATH": SRC, "HOME": str(tmp_path), **environ},
            capture_output=True,
            text=True,
            timeout=50,
        )
        assert done.returncode == code, done.stdout + done.stderr
        start.stderr = done.stderr
        return done.stdout.strip()

    return start


LEAD = """
    import leadtrace as lt
    @lt.step("check")
    def check(): pass
    def lead():
        with lt.flow("Flow", lead_id="lead_1"):
            check()
"""


def test_without_arguments_the_standard_variables_decide(run, over_http):
    """Spans and events of the words arrive, with the service's name, and once."""
    out = run(
        LEAD
        + """
    with lt.configure() as telemetry:
        lead()
        print(telemetry.flush(10), telemetry.spans, telemetry.notes)
    """,
        OTEL_EXPORTER_OTLP_ENDPOINT=over_http.address,
        OTEL_SERVICE_NAME="shop",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
    )
    assert out == "True leadtrace []"
    assert over_http.names("logs") == ["flow.started", "operation.started", "operation.completed", "flow.completed"]
    assert over_http.names("traces") == ["check", "Flow"]
    for request in over_http.accepted:
        (resource,) = request.message.resource_logs if request.kind == "logs" else request.message.resource_spans
        attributes = {one.key: one.value.string_value for one in resource.resource.attributes}
        assert (attributes["service.name"], attributes["deployment.environment.name"]) == ("shop", "test")


def test_grpc_by_the_variable(run, over_grpc):
    """The same over gRPC."""
    run(
        LEAD
        + """
    lt.configure()
    lead()
    """,
        OTEL_EXPORTER_OTLP_ENDPOINT=over_grpc.address,
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
    )
    assert over_grpc.names("traces") == ["check", "Flow"]
    assert len(over_grpc.names("logs")) == 4


def test_a_hosts_provider_and_exporters_stay_and_the_logger_provider_is_never_set(run, over_http, http_receiver_on):
    """Our processor stands beside the host's; both receivers get each span once."""
    theirs = http_receiver_on()
    out = run(
        LEAD
        + f"""
    from opentelemetry import trace, _logs
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    provider = TracerProvider(resource=Resource.create({{"service.name": "host"}}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint="{theirs.address}/v1/traces")))
    trace.set_tracer_provider(provider)
    telemetry = lt.configure(endpoint="{over_http.address}", service_name="ours")
    lead()
    print(telemetry.spans, trace.get_tracer_provider() is provider, type(_logs.get_logger_provider()).__name__)
    """
    )
    assert out == "leadtrace True ProxyLoggerProvider"
    assert theirs.names("traces") == over_http.names("traces") == ["check", "Flow"]
    (resource,) = next(one.message.resource_logs for one in over_http.accepted if one.kind == "logs")
    assert {one.key: one.value.string_value for one in resource.resource.attributes}["service.name"] == "ours"


def test_where_the_host_already_sends_spans_to_the_same_receiver_they_are_not_sent_twice(run, over_http):
    """Said once; events still come from us."""
    out = run(
        LEAD
        + f"""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint="{over_http.address}/v1/traces")))
    trace.set_tracer_provider(provider)
    telemetry = lt.configure(endpoint="{over_http.address}")
    lead()
    print(telemetry.spans)
    """
    )
    assert out == "host"
    assert over_http.names("traces") == ["check", "Flow"]
    assert len(over_http.names("logs")) == 4
    assert run.stderr.count("spans are left to the host's own exporter") == 1


def test_a_host_with_the_stock_exporter_and_without_configure_gets_our_spans_like_any_other(run, over_http):
    """No call of ours is needed for spans; events live on them."""
    run(
        LEAD
        + f"""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint="{over_http.address}/v1/traces")))
    trace.set_tracer_provider(provider)
    lead()
    """
    )
    check, flow = over_http.records("traces")
    assert [one.name for one in check.events] == ["operation.started", "operation.completed"]
    assert [one.name for one in flow.events] == ["flow.started", "flow.completed"]
    assert over_http.names("logs") == []


def test_a_second_call_replaces_the_first_and_loses_nothing(run, over_http, http_receiver_on):
    """What was told before goes where it was to go."""
    second = http_receiver_on()
    run(
        LEAD
        + f"""
    lt.configure(endpoint="{over_http.address}")
    lead()
    lt.configure(endpoint="{second.address}")
    lead()
    """
    )
    for receiver in (over_http, second):
        assert receiver.names("traces") == ["check", "Flow"]
        assert len(receiver.names("logs")) == 4


def test_without_an_sdk_events_are_sent_all_the_same(run, over_http):
    """The timeline stands on events."""
    out = run(
        """
    import sys
    class NoSdk:
        def find_spec(self, name, path=None, target=None):
            if name.startswith("opentelemetry.sdk"):
                raise ModuleNotFoundError(name)
    sys.meta_path.insert(0, NoSdk())
    """
        + LEAD
        + f"""
    with lt.configure(endpoint="{over_http.address}", service_name="shop") as telemetry:
        lead()
    print(telemetry.spans, telemetry.stats.sent)
    """
    )
    assert out == "off 4"
    assert over_http.names("logs") == ["flow.started", "operation.started", "operation.completed", "flow.completed"]
    assert {one.trace_id for one in over_http.records("logs")} != {b""}


def test_a_dead_receiver_holds_the_end_of_a_process_only_shortly(run):
    """Without a journal: one more try, and what was lost is said."""
    began = time.monotonic()
    run(
        LEAD
        + """
    lt.configure(endpoint="http://127.0.0.1:9", journal="off")
    lead()
    """
    )
    assert (
        time.monotonic() - began < 20
    )  # seconds, on a busy machine too: what counts is that it does not wait for the receiver
    assert re.search(
        r"records were not delivered before the end \(http://127.0.0.1:9/v1/(logs|traces): \[Errno 111\] Connection refused\)",
        run.stderr,
    )


def test_a_receiver_that_does_not_answer_holds_the_end_of_a_process_a_few_seconds(run, over_http):
    """Five seconds, and one for the provider."""
    over_http.gate.clear()
    began = time.monotonic()
    run(
        LEAD
        + f"""
    lt.configure(endpoint="{over_http.address}")
    lead()
    """
    )
    assert time.monotonic() - began < 10


def test_what_waits_at_the_end_of_a_process_is_sent(run, over_http):
    """Without a word from the user."""
    run(
        LEAD
        + f"""
    lt.configure(endpoint="{over_http.address}")
    lead()
    """
    )
    assert len(over_http.names("logs")) == 4
    assert over_http.names("traces") == ["check", "Flow"]


@pytest.mark.parametrize(
    ("way", "itself"), [("fork", False), ("fork", True), ("spawn", True), ("forkserver", True)], ids=str
)
def test_children_of_multiprocessing_send_what_they_recorded(run, over_http, way, itself, tmp_path):
    """They leave by os._exit, past atexit; a spawned one configures itself, and a forked one may."""
    script = tmp_path / "job.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import multiprocessing, sys
            sys.path.insert(0, {SRC!r})
            import leadtrace as lt
            def work():
                if {itself}:
                    lt.configure(endpoint="{over_http.address}")
                with lt.flow("In the child", lead_id="lead_2"):
                    pass
            if __name__ == "__main__":
                lt.configure(endpoint="{over_http.address}")
                with lt.flow("In the parent", lead_id="lead_1"):
                    pass
                child = multiprocessing.get_context("{way}").Process(target=work)
                child.start()
                child.join()
                assert child.exitcode == 0
            """
        )
    )
    run(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')") if not itself else subprocess.run(
        [sys.executable, str(script)], env={**os.environ, "HOME": str(tmp_path)}, check=True, timeout=50
    )
    assert sorted(over_http.names("traces")) == ["In the child", "In the parent"]
    assert sorted(over_http.names("logs")) == ["flow.completed"] * 2 + ["flow.started"] * 2
    uids = [
        a.value.string_value for one in over_http.records("logs") for a in one.attributes if a.key == "log.record.uid"
    ]
    assert len(set(uids)) == 4


def test_a_disabled_sdk_sends_nothing(run, over_http):
    """OTEL_SDK_DISABLED=true."""
    out = run(
        LEAD
        + f"""
    with lt.configure(endpoint="{over_http.address}") as telemetry:
        lead()
        print(telemetry.spans, telemetry.endpoints, lt.emit("lead.received", lead_id="1").why)
    """,
        OTEL_SDK_DISABLED="true",
    )
    assert out == "off {} off"
    assert over_http.asked == []


def test_sampling_never_decides_whether_an_event_is_sent(run, over_http):
    """The sampler is the SDK's, and spans only."""
    run(
        LEAD
        + f"""
    lt.configure(endpoint="{over_http.address}")
    lead()
    """,
        OTEL_TRACES_SAMPLER="always_off",
    )
    assert len(over_http.names("logs")) == 4
    assert over_http.names("traces") == []


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"LEADTRACE_EVENTS": "span"}, "LEADTRACE_EVENTS=span: events live on spans alone, so sampling"),
        ({"LEADTRACE_JOURNAL": "/proc/no/journal"}, "what is not sent when the process dies is LOST"),
        ({"LEADTRACE_JOURNAL": "off"}, ""),
        ({}, ""),
    ],
)
def test_what_may_not_be_expected_is_said(run, over_http, environ, sentence):
    """A warning where the setup is made, with its line; none where nothing is odd."""
    run(f"import leadtrace as lt; lt.configure(endpoint='{over_http.address}').shutdown()", **environ)
    assert (sentence in run.stderr) if sentence else ("Warning" not in run.stderr)
    if sentence:
        assert "<string>:1: UserWarning" in run.stderr


def test_a_key_that_cannot_be_read_is_said_by_configure(run, tmp_path):
    """And never by emit."""
    run("import leadtrace as lt; lt.configure()", code=1, LEADTRACE_KEY=str(tmp_path))
    assert "SettingsError: the key file cannot be read; LEADTRACE_KEY names another" in run.stderr


def test_a_setup_that_fails_changes_nothing(run, over_http):
    """The one before goes on."""
    run(
        LEAD
        + f"""
    lt.configure(endpoint="{over_http.address}")
    for wrong in ({{"endpoint": "nowhere"}}, {{"protocol": "http/json"}}, {{"expected": "ValueError"}}, {{"currency": "?"}}):
        try: lt.configure(**wrong)
        except lt.LeadtraceError: pass
        else: raise SystemExit(1)
    lead()
    """
    )
    assert len(over_http.names("logs")) == 4


def test_the_token_of_serve_goes_with_what_is_sent_unless_headers_say_who_sends(run, over_http):
    """LEADTRACE_TOKEN for senders."""
    script = LEAD + f"\n    lt.configure(endpoint='{over_http.address}')\n    lead()\n"
    run(script, LEADTRACE_TOKEN="t0k")
    assert {one.headers.get("authorization") for one in over_http.accepted} == {"Bearer t0k"}
    over_http.accepted.clear()
    run(script, LEADTRACE_TOKEN="t0k", OTEL_EXPORTER_OTLP_HEADERS="authorization=Basic%20x")
    assert {one.headers.get("authorization") for one in over_http.accepted} == {"Basic x"}


def test_after_shutdown_words_only_call_through_and_may_be_configured_again(run, over_http):
    """Nothing is left behind but the provider."""
    run(
        LEAD
        + f"""
    telemetry = lt.configure(endpoint="{over_http.address}")
    telemetry.shutdown()
    telemetry.shutdown()
    lead()
    with lt.configure(endpoint="{over_http.address}"):
        lead()
    """
    )
    assert len(over_http.names("logs")) == 4
    assert over_http.names("traces") == ["check", "Flow"]


def test_refused_records_are_told_as_an_event_once_there_is_room(run, over_http):
    """One event names the range."""
    run(
        f"""
    import leadtrace as lt
    telemetry = lt.configure(endpoint="{over_http.address}", journal="off")
    telemetry._sink._capacity = 10
    receipts = [lt.emit("lead.received", lead_id="1") for _ in range(30)]
    assert receipts[-1].why == "full", receipts[-1]
    telemetry.flush(10)
    telemetry.flush(10)
    """,
        OTEL_TRACES_EXPORTER="none",
    )
    (lost,) = [one for one in over_http.records("logs") if one.event_name == "leadtrace.records.dropped"]
    told = {one.key: one.value.int_value or one.value.string_value for one in lost.attributes}
    assert (told["leadtrace.records.count"], told["leadtrace.records.reason"], told["leadtrace.records.signal"]) == (
        20,
        "full",
        "logs",
    )
    assert over_http.names("logs").count("lead.received") == 10


def test_instrumented_clients_make_no_spans_of_our_own_requests(run, over_http):
    """A host that instruments urllib3 would otherwise see an export for each export."""
    out = run(
        LEAD
        + f"""
    import urllib3
    from opentelemetry import context
    seen = []
    real = urllib3.PoolManager.request
    def request(self, *args, **more):
        seen.append(context.get_value("suppress_instrumentation"))
        return real(self, *args, **more)
    urllib3.PoolManager.request = request
    with lt.configure(endpoint="{over_http.address}"):
        lead()
    print(set(seen))
    """
    )
    assert out == "{True}"
