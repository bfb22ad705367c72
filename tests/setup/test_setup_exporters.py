"""The standard entry points: spans and logs of any library go through the journal, without a line of code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

SRC = str(Path(__file__).parents[2] / "src")
BIN = Path(sys.executable).parent

CONTRIB = """
    import logging, os, sys
    from opentelemetry import trace
    tracer = trace.get_tracer("contrib.library", "1.0")
    with tracer.start_as_current_span("outer", attributes={"http.route": "/leads"}):
        with tracer.start_as_current_span("inner"):
            pass
        AMID
"""


@pytest.fixture
def instrumented(tmp_path, over_http):
    """Starts a script under `opentelemetry-instrument`, as a user would; gives the process."""
    started: list[subprocess.Popen] = []

    def start(script: str, address: str = over_http.address, **environ: str) -> subprocess.Popen:
        (tmp_path / "app.py").write_text(textwrap.dedent(script))
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "LEADTRACE_"))}
        started.append(
            subprocess.Popen(
                [BIN / "opentelemetry-instrument", sys.executable, tmp_path / "app.py"],
                env={
                    **kept,
                    "PYTHONPATH": SRC,
                    "HOME": str(tmp_path),
                    "OTEL_SERVICE_NAME": "contrib",
                    "OTEL_METRICS_EXPORTER": "none",
                    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                    "OTEL_EXPORTER_OTLP_ENDPOINT": address,
                    **environ,
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for one in started:
        if one.poll() is None:
            one.kill()
        one.communicate()


def ended(process: subprocess.Popen, code: int = 0) -> str:
    out, err = process.communicate(timeout=50)
    assert process.returncode == code, out + err
    return err


def send_once(tmp_path, address: str) -> None:
    """What the next process of the service would do, as a command."""
    done = subprocess.run(
        [sys.executable, "-m", "leadtrace", "journal", "send", "--once", "--to", address],
        env={**os.environ, "PYTHONPATH": SRC, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configurator_has_spans_from_their_start_and_closes_them_after_a_kill(instrumented, over_http, tmp_path):
    """The batch processor would lose the one that ended, and nobody would know of the one that had not."""
    process = instrumented(
        CONTRIB.replace("AMID", "os.kill(os.getpid(), 9)"), "http://127.0.0.1:9", OTEL_PYTHON_CONFIGURATOR="leadtrace"
    )
    ended(process, -signal.SIGKILL)
    send_once(tmp_path, over_http.address)
    spans = {one.name: one for one in over_http.records("traces")}
    assert sorted(spans) == ["inner", "outer"]
    assert spans["outer"].end_time_unix_nano >= spans["inner"].end_time_unix_nano
    marks = [
        one.value.array_value.values[0].string_value
        for one in spans["outer"].attributes
        if one.key == "leadtrace.marks"
    ]
    assert marks == ["recovered"]
    assert not [one for one in spans["inner"].attributes if one.key == "leadtrace.marks"]
    request = next(one for one in over_http.accepted if one.kind == "traces")
    resource = {one.key: one.value.string_value for one in request.message.resource_spans[0].resource.attributes}
    assert resource["service.name"] == "contrib"


def test_the_configurator_takes_logs_too_and_leaves_other_exporters_to_the_sdk(instrumented, over_http):
    """A host's log records are redacted as its spans are; the console exporter still prints."""
    script = CONTRIB.replace(
        "AMID",
        """from opentelemetry._logs import get_logger, SeverityNumber
        get_logger("contrib.logs").emit(
            body="call +1 415 555 0132 back", severity_number=SeverityNumber.WARN, attributes={"code": 7}
        )""",
    )
    process = instrumented(script, OTEL_PYTHON_CONFIGURATOR="leadtrace", OTEL_TRACES_EXPORTER="otlp,console")
    out, err = process.communicate(timeout=50)
    assert process.returncode == 0, err
    assert '"name": "inner"' in out
    (record,) = over_http.records("logs")
    assert (record.severity_number, record.attributes[0].value.int_value) == (13, 7)
    assert "call phone#" in record.body.string_value
    assert sorted(over_http.names("traces")) == ["inner", "outer"]


def test_the_exporters_are_durable_from_the_exporter_on(instrumented, over_http, tmp_path):
    """With the receiver down and the process gone by os._exit right after the flush."""
    script = CONTRIB.replace("AMID", "pass") + (
        """
    from opentelemetry._logs import get_logger, get_logger_provider
    get_logger("contrib.logs").emit(body="kept")
    trace.get_tracer_provider().force_flush(1)
    get_logger_provider().force_flush(1)
    os._exit(0)
"""
    )
    process = instrumented(
        script, "http://127.0.0.1:9", OTEL_TRACES_EXPORTER="leadtrace", OTEL_LOGS_EXPORTER="leadtrace"
    )
    ended(process)
    send_once(tmp_path, over_http.address)
    assert sorted(over_http.names("traces")) == ["inner", "outer"]
    assert [one.body.string_value for one in over_http.records("logs")] == ["kept"]


@pytest.mark.parametrize("configurator", ["leadtrace", "configurator"])
def test_the_words_records_are_journaled_once_whatever_is_named(instrumented, over_http, configurator):
    """leadtrace's own scope passes its own seam, and neither exporter nor processor takes it again."""
    script = """
    import leadtrace as lt
    lt.configure()
    with lt.flow("Flow", lead_id="lead_1"):
        lt.emit("lead.received")
    """
    process = instrumented(
        script,
        OTEL_PYTHON_CONFIGURATOR=configurator,
        OTEL_TRACES_EXPORTER="leadtrace",
        OTEL_LOGS_EXPORTER="leadtrace",
    )
    ended(process)
    assert sorted(over_http.names("logs")) == ["flow.completed", "flow.started", "lead.received"]
    assert over_http.names("traces") == ["Flow"]


def test_a_configurator_that_nobody_named_is_the_sdks_own(instrumented, over_http, tmp_path):
    """The agent takes whichever is installed; having leadtrace installed changes nothing."""
    process = instrumented(
        CONTRIB.replace("AMID", "pass"), OTEL_TRACES_EXPORTER="otlp_proto_http", OTEL_LOGS_EXPORTER="none"
    )
    ended(process)
    assert sorted(over_http.names("traces")) == ["inner", "outer"]
    assert over_http.accepted[0].headers["user-agent"].startswith("OTel-OTLP-Exporter-Python")
    assert not (tmp_path / ".local").exists()


def test_a_library_that_is_instrumented_nests_under_the_words(instrumented, over_http):
    """httpx by its contrib instrumentation, found by the agent; our own sending makes no spans."""
    script = f"""
    import httpx
    import leadtrace as lt
    with lt.flow("Flow", lead_id="lead_1"):
        httpx.post("{over_http.address}/v1/nowhere", content=b"")
    """
    process = instrumented(script, OTEL_PYTHON_CONFIGURATOR="leadtrace")
    ended(process)
    deadline = time.monotonic() + 5
    while len(over_http.names("traces")) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    spans = {one.name: one for one in over_http.records("traces")}
    assert sorted(spans) == ["Flow", "POST"]
    assert spans["POST"].parent_span_id == spans["Flow"].span_id
