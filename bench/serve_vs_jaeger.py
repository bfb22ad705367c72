"""`leadtrace serve` beside Jaeger with badger: both ends given the same OTLP/HTTP bodies, then look-ups by lead.id.

    python bench/serve_vs_jaeger.py [--leads 20000] [--jaeger PATH]

Each lead is 8 spans with 6 attributes and 2 events each, 512 spans a request, two client threads on the same machine.
serve answers when a batch is on the disk (synchronous=FULL); Jaeger is run twice, as it comes (asynchronous writes) and
with `consistency: true`, which is the like of it. Each server runs alone, on an empty store, in one run.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import queue
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from otlp_bodies import SPANS, START_NS, bodies, lead_id

JAEGER = """
service:
  extensions: [jaeger_storage, jaeger_query]
  telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}}}
extensions:
  jaeger_query:
    storage: {{traces: some}}
    http: {{endpoint: "127.0.0.1:{query}"}}
    grpc: {{endpoint: "127.0.0.1:{grpc}"}}
  jaeger_storage:
    backends:
      some: {{badger: {{directories: {{keys: {folder}/keys, values: {folder}/values}}, ephemeral: false, consistency: {sync}}}}}
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{otlp}"}}}}}}
exporters:
  jaeger_storage_exporter: {{trace_storage: some, queue: {{enabled: false}}}}
"""


@dataclass
class Server:
    name: str
    process: subprocess.Popen
    otlp: int
    query: int
    """The port that answers questions."""
    look_up: Callable[[str], int]
    """How many spans of that lead it answers."""


@dataclass
class Figures:
    name: str
    spans_per_s: float
    cpu_us_per_span: float
    memory_mb: float
    disk_mb: float
    p50_ms: float
    worst_ms: float


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
    return body


def start_serve(folder: Path) -> Server:
    code = "from leadtrace.cli.serve import serve; serve()"
    options = ["--http-port", "0", "--grpc-port", "0", "--store", str(folder / "store.db")]
    process = subprocess.Popen([sys.executable, "-c", code, *options], stdout=subprocess.PIPE, text=True)
    port = int(re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())[1])

    def look_up(lead: str) -> int:
        return get(port, f"/api/v1/records?lead_id={lead}").count(b'{"span":')

    return Server("leadtrace serve", process, port, port, look_up)


def start_jaeger(program: Path, sync: bool) -> Callable[[Path], Server]:
    def start(folder: Path) -> Server:
        query, otlp = free_port(), free_port()
        config = folder / "jaeger.yaml"
        config.write_text(
            JAEGER.format(query=query, otlp=otlp, grpc=free_port(), folder=folder, sync=str(sync).lower())
        )
        log = (folder / "log").open("w")
        process = subprocess.Popen([program, "--config", config], stdout=log, stderr=log)
        while True:
            try:
                get(query, "/api/services")
                socket.create_connection(("127.0.0.1", otlp), 1).close()
                break
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError((folder / "log").read_text()[-2_000:]) from None
                time.sleep(0.1)

        def look_up(lead: str) -> int:
            window = f"start={START_NS // 1000 - 1}&end={START_NS // 1000 + 10**12}"
            tags = quote(json.dumps({"lead.id": lead}))
            found = json.loads(get(query, f"/api/traces?service=pipeline&tags={tags}&{window}&limit=20"))
            return sum(len(one["spans"]) for one in found["data"])

        return Server(f"Jaeger, badger, {'synchronous' if sync else 'asynchronous'}", process, otlp, query, look_up)

    return start


def send(port: int, sent: list[bytes]) -> float:
    """Post all bodies with two threads; seconds."""
    waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    for one in [*sent, None, None]:
        waiting.put(one)
    failed: list[str] = []

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while (body := waiting.get()) is not None:
            connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                failed.append(f"{answer.status}")
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    began = time.perf_counter()
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    if failed:
        raise RuntimeError(f"{len(failed)} requests failed: {failed[:3]}")
    return time.perf_counter() - began


def cpu_s(process: subprocess.Popen) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(process: subprocess.Popen) -> float:
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1]) / 1024


def disk_mb(folder: Path) -> float:
    return sum(one.stat().st_blocks * 512 for one in folder.rglob("*") if one.is_file()) / 2**20


def measure(start: Callable[[Path], Server], sent: list[bytes], leads: int) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        server = start(Path(folder))
        try:
            before = cpu_s(server.process)
            seconds = send(server.otlp, sent)
            cpu = cpu_s(server.process) - before
            times = []
            for number in range(30):
                lead = lead_id((number * 7919) % leads)
                began = time.perf_counter()
                deadline = began + 20
                while (found := server.look_up(lead)) != SPANS and number == 0 and time.perf_counter() < deadline:
                    began = time.perf_counter()  # what is written asynchronously may not be there yet
                times.append((time.perf_counter() - began) * 1e3)
                if found != SPANS:
                    raise RuntimeError(f"{server.name} answers {found} spans of {lead}, not {SPANS}")
            spans = leads * SPANS
            return Figures(
                server.name,
                spans / seconds,
                cpu / spans * 1e6,
                memory_mb(server.process),
                disk_mb(Path(folder)),
                statistics.median(times),
                max(times),
            )
        finally:
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(60)


def runs(jaeger: Path) -> Iterator[Callable[[Path], Server]]:
    yield start_serve
    yield start_jaeger(jaeger, sync=False)
    yield start_jaeger(jaeger, sync=True)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--leads", type=int, default=20_000)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    options.add_argument("--jaeger", type=Path, default=cache / "leadtrace/servers/jaeger")
    options.add_argument("--only", choices=("serve", "all"), default="all")
    asked = options.parse_args()
    sent = list(bodies(asked.leads))
    size = sum(map(len, sent)) / asked.leads / SPANS
    print(f"{asked.leads * SPANS:,} spans of {size:.0f} bytes in {len(sent)} requests\n")
    print("| | spans/s | × serve | server CPU µs/span | memory MB | disk MB | look-up p50 / worst ms |")
    print("|---|---|---|---|---|---|---|")
    base = 0.0
    for start in runs(asked.jaeger):
        one = measure(start, sent, asked.leads)
        base = base or one.spans_per_s
        print(
            f"| {one.name} | {one.spans_per_s:,.0f} | {one.spans_per_s / base:.2f} | {one.cpu_us_per_span:.0f} "
            f"| {one.memory_mb:.0f} | {one.disk_mb:.0f} | {one.p50_ms:.1f} / {one.worst_ms:.1f} |",
            flush=True,
        )
        if asked.only == "serve":
            break


if __name__ == "__main__":
    main()
