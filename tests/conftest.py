"""What tests of several layers share: how they run, and a receiver of OTLP on loopback that keeps what came and answers as told."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from hypothesis import HealthCheck, settings
from opentelemetry import trace
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.util._once import Once

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

# The same examples each time, so that a run says something of the change and not of the draw; `make fuzz` draws anew. A busy
# machine is no finding.
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("anew", settings.get_profile("same"), derandomize=False)
settings.load_profile("same")

_MEMORY = Path("/dev/shm")
_ROOM = 2 << 30

_MESSAGES = {"logs": ExportLogsServiceRequest, "traces": ExportTraceServiceRequest}


@dataclass
class Request:
    """One request as it came, its body inflated."""

    kind: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> Any:
        made = _MESSAGES[self.kind]()
        made.ParseFromString(self.body)
        return made

    @property
    def records(self) -> list[Any]:
        """Its log records or spans, in order."""
        if self.kind == "logs":
            return [one for r in self.message.resource_logs for s in r.scope_logs for one in s.log_records]
        return [one for r in self.message.resource_spans for s in r.scope_spans for one in s.spans]


@dataclass
class Receiver:
    """Keeps requests that it accepted; `judge` answers others with a status (HTTP) or a code (gRPC) and headers or details."""

    address: str
    accepted: list[Request] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)
    judge: Callable[[Request], tuple[Any, Any] | None] | None = None
    scripted: deque[tuple[Any, Any]] = field(default_factory=deque)
    body: bytes = b""
    gate: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, request: Request) -> tuple[Any, Any] | None:
        with self.changed:
            self.asked.append(request)
            self.changed.notify_all()
        self.gate.wait(20)
        with self.changed:
            answer = self.scripted.popleft() if self.scripted else self.judge(request) if self.judge else None
            if answer is None:
                self.accepted.append(request)
            self.changed.notify_all()
        return answer

    def records(self, kind: str) -> list[Any]:
        with self.changed:
            return [one for request in self.accepted if request.kind == kind for one in request.records]

    def names(self, kind: str) -> list[str]:
        """The events' or the spans' names in the order in which they came."""
        return [one.event_name if kind == "logs" else one.name for one in self.records(kind)]

    def wait(self, until: Callable[[], object], timeout: float = 10.0) -> None:
        with self.changed:
            assert self.changed.wait_for(until, timeout), "what was waited for did not happen"


def http_receiver(port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver over HTTP, on any free port unless told otherwise."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            match self.headers.get("content-encoding"):
                case "gzip":
                    body = gzip.decompress(body)
                case "deflate":
                    body = zlib.decompress(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            kind = "logs" if "log" in self.path else "traces"
            answer = receiver.take(Request(kind, self.path, headers, body))
            status, more = answer or (200, {"content-type": "application/x-protobuf"})
            content = receiver.body if answer is None else b"said so"
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that went away is what some tests are about."""

    server = Server(("127.0.0.1", port), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    receiver = Receiver(f"{'https' if tls else 'http'}://localhost:{server.server_port}")
    receiver.gate.set()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()


def grpc_receiver(port: int = 0, credentials: grpc.ServerCredentials | None = None) -> Iterator[Receiver]:
    """A receiver over gRPC."""
    methods = {
        "opentelemetry.proto.collector.logs.v1.LogsService": "logs",
        "opentelemetry.proto.collector.trace.v1.TraceService": "traces",
    }

    def handler(service: str, kind: str) -> grpc.GenericRpcHandler:
        def export(body: bytes, context: grpc.ServicerContext) -> bytes:
            headers = {name: str(value) for name, value in context.invocation_metadata()}
            answer = receiver.take(Request(kind, service, headers, body))
            if answer is None:
                return receiver.body
            code, details = answer
            if details:
                context.set_trailing_metadata((("grpc-status-details-bin", details),))
            context.abort(code, "said so")
            raise AssertionError

        return grpc.method_handlers_generic_handler(service, {"Export": grpc.unary_unary_rpc_method_handler(export)})

    server = grpc.server(
        ThreadPoolExecutor(4), options=(("grpc.so_reuseport", 0),), handlers=[handler(*one) for one in methods.items()]
    )
    where = f"localhost:{port}"
    port = server.add_secure_port(where, credentials) if credentials else server.add_insecure_port(where)
    receiver = Receiver(f"{'https' if credentials else 'http'}://localhost:{port}")
    receiver.gate.set()
    server.start()
    try:
        yield receiver
    finally:
        receiver.gate.set()
        server.stop(0).wait()


def pytest_configure(config: pytest.Config) -> None:
    """Temporary files lie in memory where there is room: what is synced is there at once, and thousands of times it is."""
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


@pytest.fixture(autouse=True)
def _no_provider_stays() -> Iterator[None]:
    """A tracer provider is set once in a process: what one test has set would switch the words on in the next."""
    before = trace._TRACER_PROVIDER
    yield
    if trace._TRACER_PROVIDER is not before:
        trace._TRACER_PROVIDER = before
        trace._TRACER_PROVIDER_SET_ONCE = Once()


@pytest.fixture
def over_http() -> Iterator[Receiver]:
    """A receiver of OTLP over HTTP."""
    yield from http_receiver()


@pytest.fixture
def over_grpc() -> Iterator[Receiver]:
    """A receiver of OTLP over gRPC."""
    yield from grpc_receiver()


@pytest.fixture
def http_receiver_on() -> Iterator[Callable[..., Receiver]]:
    """Starts a receiver over HTTP on a port of the test's own choice, or with TLS."""
    running: list[Iterator[Receiver]] = []

    def start(port: int = 0, tls: ssl.SSLContext | None = None) -> Receiver:
        made = http_receiver(port, tls)
        running.append(made)
        return next(made)

    yield start
    for one in running:
        next(one, None)


@pytest.fixture
def grpc_receiver_on() -> Iterator[Callable[..., Receiver]]:
    """Starts a receiver over gRPC on a port of the test's own choice, or with TLS."""
    running: list[Iterator[Receiver]] = []

    def start(port: int = 0, credentials: grpc.ServerCredentials | None = None) -> Receiver:
        made = grpc_receiver(port, credentials)
        running.append(made)
        return next(made)

    yield start
    for one in running:
        next(one, None)


SRC = str(Path(__file__).parents[1] / "src")


@pytest.fixture
def run_journaled(tmp_path):
    """Runs a script whose journal is in the test's folder; gives the process."""
    started: list[subprocess.Popen] = []

    def start(
        script: str, *, wait: int | None = 0, endpoint: str = "http://127.0.0.1:9", **environ: str
    ) -> subprocess.Popen:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "LEADTRACE_"))}
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script)],
            env={
                **kept,
                "PYTHONPATH": SRC,
                "HOME": str(tmp_path),
                "LEADTRACE_JOURNAL": str(tmp_path / "journal"),
                "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                "OTEL_SERVICE_NAME": "test",
                **environ,
            },
            stdin=subprocess.PIPE,  # a script that reads it waits until it is ended
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        if wait is not None:
            out, err = process.communicate(timeout=50)
            assert process.returncode == wait, out + err
            process.told = out
        return process

    yield start
    for one in started:
        if one.poll() is None:
            one.kill()
        one.communicate()


@pytest.fixture(scope="session")
def published() -> Callable[[str, Any], None]:
    """Asserts that what a command printed as JSON keeps to the published schema of its output."""
    import json

    import jsonschema

    schemas = Path(__file__).parents[1] / "docs" / "schemas"

    def holds(name: str, printed: Any) -> None:
        schema = json.loads((schemas / f"output-{name}.schema.json").read_text("utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(printed, schema)

    return holds
