"""What durability costs: an event with the journal in each fsync mode, beside pipelines without any and beside durable peers.

    python bench/journal.py [--rounds 20] [--calls 200] [--million]

One event is one log record of 6 attributes under a span that is open, with the same attributes for all. Contenders take
turns within one process, round by round, so that whatever else the machine does hits all alike; a round gives one
ratio to the stock SDK, the table has the median of the rounds.

- stock SDK: `Logger.emit` into the batch processor with its OTLP exporter, on the processor's thread; and the same with the
  event on the open span as well, which is what leadtrace does.
- leadtrace, memory: `emit` without a journal.
- leadtrace, off / interval / always: `emit` with the journal; `always` returns with the record on the disk.
- append alone, always: the journal's own part of that, without making the event.
- write, write + fdatasync: the same bytes, bare.
- SQLite queue: one INSERT and commit of the same bytes per event, WAL, `synchronous` NORMAL (as `interval` and `off`
  survive the process) and FULL (as `always` survives the machine).
- persist-queue: `SQLiteAckQueue`, a library made for it, where it is installed.
- Collector: `Logger.emit` through a simple processor and OTLP/HTTP into a real Collector whose sending queue is persistent:
  durable when the call returns; where the Collector has been built (`make servers`).

Then: how many events a second one thread writes and the journal sends, and how long recovery takes per million records.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

import leadtrace as lt
from leadtrace.journal.disk import JournalSink
from leadtrace.journal.endpoints import Target, endpoints
from leadtrace.journal.folder import Folder
from leadtrace.journal.recovery import recover
from leadtrace.journal.transport import OtlpTransport
from leadtrace.otlp import encode, identity
from leadtrace.setup import composition

FIELDS = {"confidence_score": 0.62, "threshold": 0.7, "action_taken": "manual review"}
ATTRIBUTES = {
    "lead.id": "lead_7K9mHpQR3x2B5N8j",
    "leadtrace.run_id": "run_0123456789abcdef",
    "leadtrace.kind": "milestone",
    "confidence.score": 0.62,
    "threshold": 0.7,
    "action.taken": "manual review",
    "log.record.uid": "5f0c9a3be1d4770200000000002a",
}
RECORD = encode.log_record("low.confidence.detected", 1_795_000_000_000_000_000, ATTRIBUTES, trace_id=7, span_id=8)

FRAME = RECORD + bytes(15)
"""As many bytes as the journal writes: a record in its frame."""


class Taker:
    """A receiver that takes everything and keeps nothing."""

    def __init__(self) -> None:
        self.requests = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:  # a sender that ended
                    self.close_connection = True

            def do_POST(self) -> None:
                left = int(self.headers["content-length"])
                while left:
                    left -= len(self.rfile.read(min(left, 1 << 20)))
                outer.requests += 1
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()


class Leadtrace:
    """`emit` under an open flow, with one sort of journal."""

    def __init__(self, folder: Path, fsync: str, url: str) -> None:
        journal: Any = "off" if fsync == "memory" else folder / fsync
        self._setup = lt.configure(
            endpoint=url,
            journal=journal,
            fsync="interval" if fsync == "memory" else fsync,
            send_spans=False,
            key=b"k" * 32,
        )
        self._running = composition.runtime.current()
        self._flow = lt.flow("Flow", lead_id="lead_7K9mHpQR3x2B5N8j")
        self._handle = self._flow.__enter__()  # stays open: events go on its span, as in a pipeline

    def __call__(self, calls: int) -> None:
        composition.runtime.install(self._running)
        emit = self._handle.emit
        for _ in range(calls):
            emit("low.confidence.detected", **FIELDS)


def stock(url: str, *, on_span: bool = False) -> Callable[[int], None]:
    from opentelemetry._logs import SeverityNumber
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.trace import TracerProvider

    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(f"{url}/v1/logs")))
    logger = provider.get_logger("bench")
    span = TracerProvider(shutdown_on_exit=False).get_tracer("bench").start_span("Flow")

    def run(calls: int) -> None:
        for _ in range(calls):
            logger.emit(
                event_name="low.confidence.detected", attributes=ATTRIBUTES, severity_number=SeverityNumber.INFO
            )
            if on_span:
                span.add_event("low.confidence.detected", ATTRIBUTES)

    return run


def through_collector(url: str) -> Callable[[int], None]:
    from opentelemetry._logs import SeverityNumber
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(f"{url}/v1/logs")))
    logger = provider.get_logger("bench")

    def run(calls: int) -> None:
        for _ in range(calls):
            logger.emit(
                event_name="low.confidence.detected", attributes=ATTRIBUTES, severity_number=SeverityNumber.INFO
            )

    return run


def append_alone(folder: Path, url: str) -> Callable[[int], None]:
    sink = JournalSink(
        Folder(folder), {"default": OtlpTransport(endpoints(Target(url), {}))}, encode.resource({}), fsync="always"
    )
    signal = encode.signal("logs", "leadtrace")

    def run(calls: int) -> None:
        for _ in range(calls):
            sink.append(signal, RECORD)

    return run


def bare(path: Path, *, sync: bool) -> Callable[[int], None]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def run(calls: int) -> None:
        for _ in range(calls):
            os.write(descriptor, FRAME)
            if sync:
                os.fdatasync(descriptor)

    return run


def sqlite_queue(path: Path, synchronous: str) -> Callable[[int], None]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute("CREATE TABLE queue (id INTEGER PRIMARY KEY, record BLOB NOT NULL)")

    def run(calls: int) -> None:
        for _ in range(calls):
            connection.execute("INSERT INTO queue (record) VALUES (?)", (RECORD,))

    return run


def persist_queue(path: Path) -> Callable[[int], None] | None:
    try:
        import persistqueue
    except ImportError:
        return None
    queue = persistqueue.SQLiteAckQueue(str(path), auto_commit=True)

    def run(calls: int) -> None:
        for _ in range(calls):
            queue.put(RECORD)

    return run


def collector(folder: Path, url: str) -> tuple[str, subprocess.Popen[bytes]] | None:
    """The real Collector with a persistent queue that syncs, in front of the taker."""
    program = Path(os.environ.get("LEADTRACE_SERVERS") or Path.home() / ".cache" / "leadtrace" / "servers") / "otelcol"
    if not program.exists():
        return None
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    (folder / "queue").mkdir()
    (folder / "collector.yaml").write_text(
        f"""
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters:
  otlp_http:
    endpoint: "{url}"
    compression: none
    sending_queue: {{storage: file_storage, sizer: items, queue_size: 10000000}}
extensions: {{file_storage: {{directory: "{folder / "queue"}", fsync: true}}}}
service:
  extensions: [file_storage]
  telemetry: {{logs: {{level: error}}, metrics: {{level: none}}}}
  pipelines: {{logs: {{receivers: [otlp], exporters: [otlp_http]}}}}
"""
    )
    process = subprocess.Popen([program, "--config", folder / "collector.yaml"], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return f"http://127.0.0.1:{port}", process
        except OSError:
            time.sleep(0.05)
    process.kill()
    return None


def costs(folder: Path, rounds: int, calls: int) -> None:
    taker = Taker()
    contenders: dict[str, Callable[[int], None] | None] = {
        "stock SDK, batch processor (not durable)": stock(taker.url),
        "stock SDK, and on the span (not durable)": stock(taker.url, on_span=True),
        "leadtrace, memory (not durable)": Leadtrace(folder, "memory", taker.url),
        "leadtrace, journal, off": Leadtrace(folder, "off", taker.url),
        "leadtrace, journal, interval": Leadtrace(folder, "interval", taker.url),
        "leadtrace, journal, always": Leadtrace(folder, "always", taker.url),
        "append alone, always": append_alone(folder / "alone", taker.url),
        "write of the same bytes": bare(folder / "bare", sync=False),
        "write + fdatasync of the same bytes": bare(folder / "bare-sync", sync=True),
        "SQLite queue, NORMAL": sqlite_queue(folder / "normal.db", "NORMAL"),
        "SQLite queue, FULL": sqlite_queue(folder / "full.db", "FULL"),
        "persist-queue, SQLiteAckQueue": persist_queue(folder / "persist"),
    }
    peer = collector(folder, taker.url)
    contenders["Collector, persistent queue, per event"] = through_collector(peer[0]) if peer else None
    slow = ("always", "fdatasync", "FULL", "persist", "Collector")
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            if run is None:
                continue
            several = max(20, calls // 10) if any(one in name for one in slow) else calls
            began = time.perf_counter()
            run(several)
            if number:  # the first round warms up
                taken[name].append((time.perf_counter() - began) / several * 1e6)
    if peer:
        peer[1].kill()
    base = taken["stock SDK, batch processor (not durable)"]
    synced = taken["write + fdatasync of the same bytes"]
    print("| one event | median µs | ÷ stock SDK | ÷ write + fdatasync |\n|---|---|---|---|")
    for name, times in taken.items():
        if not times:
            print(f"| {name} | not here | | |")
            continue
        ratio = statistics.median(one / other for one, other in zip(times, base, strict=True))
        durable = statistics.median(one / other for one, other in zip(times, synced, strict=True))
        print(f"| {name} | {statistics.median(times):.1f} | {ratio:.2f} | {durable:.2f} |")
    sys.stdout.flush()


def throughput(folder: Path, events: int) -> None:
    """Write as fast as one thread can, sending beside it, until all is acknowledged."""
    taker = Taker()
    run = Leadtrace(folder, "interval", taker.url)
    began = time.perf_counter()
    run(events)
    written = time.perf_counter() - began
    run._setup.flush(600)
    whole = time.perf_counter() - began
    print(
        f"\n{events:,} events: written at {events / written:,.0f}/s with the sending beside it, all acknowledged after "
        f"{whole:.1f} s ({events / whole:,.0f}/s), {taker.requests} requests"
    )
    sys.stdout.flush()
    run._setup.shutdown()


def recovery(folder: Path, events: int) -> None:
    """A process dies with a million records in its segment and flows open; how long until they are closed and sealed."""
    script = (
        "import os, sys\n"
        "from leadtrace.journal.disk import JournalSink\n"
        "from leadtrace.journal.folder import Folder\n"
        "from leadtrace.journal.endpoints import Target, endpoints\n"
        "from leadtrace.journal.transport import OtlpTransport\n"
        "from leadtrace.otlp import encode, identity\n"
        "way = OtlpTransport(endpoints(Target('http://127.0.0.1:9'), {}))\n"
        "from pathlib import Path\n"
        f"folder, large = Folder(Path({str(folder)!r})), 1 << 40\n"
        "ways = {'default': way}\n"
        "sink = JournalSink(folder, ways, b'', fsync='off', segment_bytes=large, capacity_bytes=large)\n"
        "signal = encode.signal('logs', 'leadtrace')\n"
        f"for n in range({events}):\n"
        "    uid = identity.current().uid()\n"
        f"    told = {{**{ATTRIBUTES!r}, 'log.record.uid': uid}}\n"
        "    record = encode.log_record('low.confidence.detected', 1, told, trace_id=7, span_id=n + 1)\n"
        "    sink.append(signal, record, uid=uid, opens=n + 1 if n % 1000 == 0 else 0)\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stderr=subprocess.DEVNULL)
    where = Folder(folder)
    (segment,) = where.segments()
    size = segment.path.stat().st_size
    began = time.perf_counter()
    assert recover(where, segment)
    took = time.perf_counter() - began
    print(
        f"\nrecovery of {events:,} records ({size / 1e6:.0f} MB, {events // 1000:,} flows open): {took:.1f} s, "
        f"{took / events * 1e6:.1f} s per million"
    )


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=20)
    asked.add_argument("--calls", type=int, default=200)
    asked.add_argument("--events", type=int, default=100_000, help="for throughput")
    asked.add_argument("--records", type=int, default=1_000_000, help="for recovery")
    given = asked.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="leadtrace-bench-", dir=os.environ.get("TMPDIR")))
    try:
        costs(folder / "costs" if (folder / "costs").mkdir() is None else folder, given.rounds, given.calls)
        throughput(folder / "throughput", given.events)
        recovery(folder / "recovery", given.records)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert identity.current().boot


if __name__ == "__main__":
    main()
