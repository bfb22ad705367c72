"""Starts the real servers on free loopback ports with the very files that docker-compose.yml mounts, and stops them.

A server is ready when its own health endpoint says so; nothing waits by the clock alone, and every wait has an end.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
READY_S = 60.0
ARRIVAL_S = 60.0


def programs() -> Path:
    """The folder into which scripts/real-servers.sh built Jaeger and the Collector."""
    chosen = os.environ.get("LEADTRACE_SERVERS")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(chosen) if chosen else cache / "leadtrace" / "servers"


def free_ports(count: int) -> list[int]:
    """Ports that are free now; held together until all are known, so that they differ."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def fetch(url: str, *, data: bytes | None = None, headers: Mapping[str, str] | None = None) -> bytes:
    """The body of a 2xx answer; anything else raises."""
    request = urllib.request.Request(url, data=data, headers=dict(headers or {}))
    with urllib.request.urlopen(request, timeout=20) as answer:
        body: bytes = answer.read()
    return body


def fetch_json(url: str, **options: Any) -> Any:
    return json.loads(fetch(url, **options))


def wait_until(what: str, check: Callable[[], T], *, within: float = ARRIVAL_S, every: float = 0.1) -> T:
    """The first true answer of `check`; refused connections count as not yet. Fails with `what` and the last answer."""
    deadline = time.monotonic() + within
    last: object = None
    while True:
        try:
            answer = check()
            if answer:
                return answer
            last = answer
        except (OSError, ValueError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"after {within:.0f} s still not {what}; last: {last!r}")
        time.sleep(every)


class Server:
    """One process with a log file. It may be started again after it was stopped or killed: same ports, same storage."""

    def __init__(
        self, name: str, argv: Sequence[str | Path], env: Mapping[str, str], *, folder: Path, health: str
    ) -> None:
        self.name = name
        self.argv = [str(part) for part in argv]
        self.env = dict(env)
        self.folder = folder
        self.log = folder / f"{name}.log"
        self.health = health
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv, env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(f"ready: {self.name} at {self.health}", self._ready, within=READY_S)

    def _ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")
        fetch(self.health)
        return True

    def stop(self, within: float = 30.0) -> int:
        """SIGTERM, as an operator would; its exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {within:.0f} s of SIGTERM:\n{self.tail()}") from None
        self.process = None
        return code

    def kill(self) -> None:
        """SIGKILL: no farewell, nothing flushed."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def tail(self, lines: int = 15) -> str:
        """What a failed test shows: all complaints, then the last lines."""
        if not self.log.exists():
            return "(no log)"
        last = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(line[:400] for line in [*self.complaints(), "…", *last])

    def complaints(self) -> list[str]:
        """The lines of its log that a Collector or a Jaeger wrote at warn or worse."""
        grave = ("warn", "error", "dpanic", "panic", "fatal")
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if (parts := line.split("\t", 2))[1:] and parts[1] in grave]


def clean_environment() -> dict[str, str]:
    """This process's environment without anything that would steer a server or an SDK."""
    steering = ("OTEL_", "LEADTRACE_", "COLLECTOR_", "JAEGER_")
    return {name: value for name, value in os.environ.items() if not name.startswith(steering)}


class Jaeger(Server):
    """deploy/jaeger.yaml in the real Jaeger."""

    def __init__(self, folder: Path) -> None:
        grpc_in, http_in, page, grpc_out, health = free_ports(5)
        self.otlp = f"127.0.0.1:{grpc_in}"
        self.otlp_http = f"http://127.0.0.1:{http_in}"
        self.api = f"http://127.0.0.1:{page}"
        self.source = f"jaeger://127.0.0.1:{page}"
        env = clean_environment() | {
            "JAEGER_OTLP_GRPC_PORT": str(grpc_in),
            "JAEGER_OTLP_HTTP_PORT": str(http_in),
            "JAEGER_HTTP_PORT": str(page),
            "JAEGER_GRPC_PORT": str(grpc_out),
            "JAEGER_HEALTH_PORT": str(health),
            "JAEGER_DATA": str(folder / "jaeger-data"),
        }
        argv = [programs() / "jaeger", "--config", ROOT / "deploy" / "jaeger.yaml"]
        super().__init__("jaeger", argv, env, folder=folder, health=f"http://127.0.0.1:{health}/status")


class Collector(Server):
    """collector-config.yaml in the real Collector."""

    def __init__(self, folder: Path, *, jaeger_otlp: str, leadtrace_url: str, token: str = "") -> None:
        grpc_in, http_in, health, prometheus, own = free_ports(5)
        self.otlp_grpc = f"http://127.0.0.1:{grpc_in}"
        self.otlp_http = f"http://127.0.0.1:{http_in}"
        self.metrics = f"http://127.0.0.1:{prometheus}/metrics"
        self.own_metrics = f"http://127.0.0.1:{own}/metrics"
        env = clean_environment() | {
            "COLLECTOR_GRPC_PORT": str(grpc_in),
            "COLLECTOR_HTTP_PORT": str(http_in),
            "COLLECTOR_HEALTH_PORT": str(health),
            "COLLECTOR_PROMETHEUS_PORT": str(prometheus),
            "COLLECTOR_TELEMETRY_PORT": str(own),
            "COLLECTOR_METRICS_INTERVAL": "500ms",
            "COLLECTOR_STORAGE": str(folder / "collector-storage"),
            "JAEGER_OTLP_ENDPOINT": jaeger_otlp,
            "LEADTRACE_SERVE_URL": leadtrace_url,
        }
        if token:
            env["LEADTRACE_TOKEN"] = token
        argv = [programs() / "otelcol", "--config", ROOT / "collector-config.yaml"]
        super().__init__("collector", argv, env, folder=folder, health=f"http://127.0.0.1:{health}/")


class Prometheus(Server):
    """deploy/prometheus.yml in the real Prometheus, with the test's Collector in place of deploy/targets.yml."""

    def __init__(self, folder: Path, collector: Collector) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        config = folder / "prometheus.yml"
        config.symlink_to(ROOT / "deploy" / "prometheus.yml")
        targets = [urllib.parse.urlsplit(url).netloc for url in (collector.metrics, collector.own_metrics)]
        (folder / "targets.yml").write_text(json.dumps([{"targets": targets}]))
        argv = [programs() / "prometheus", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"]
        argv.append(f"--storage.tsdb.path={folder / 'prometheus-data'}")
        super().__init__("prometheus", argv, clean_environment(), folder=folder, health=f"{self.url}/-/ready")

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The samples that a PromQL expression has now."""
        answer = fetch_json(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}")
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found


class Serve(Server):
    """`leadtrace serve` over a store of its own, with a token as off loopback."""

    TOKEN = "the-token-of-the-e2e-run"

    def __init__(self, folder: Path) -> None:
        grpc_in, http = free_ports(2)
        self.url = f"http://127.0.0.1:{http}"
        self.store = folder / "store.db"
        token_file = folder / "token"
        token_file.write_text(self.TOKEN + "\n")
        argv = [*LEADTRACE, "serve", "--grpc-port", str(grpc_in), "--http-port", str(http)]
        argv += ["--store", self.store, "--token-file", token_file]
        super().__init__("serve", argv, leadtrace_environment(), folder=folder, health=f"{self.url}/healthz")


class Alertmanager(Server):
    """The real Alertmanager with a configuration of the test's."""

    def __init__(self, folder: Path, config: Path) -> None:
        (port,) = free_ports(1)
        self.address = f"127.0.0.1:{port}"
        argv = [programs() / "alertmanager", f"--config.file={config}", f"--web.listen-address={self.address}"]
        argv += [f"--storage.path={folder / 'alertmanager-data'}", "--cluster.listen-address="]
        health = f"http://{self.address}/-/ready"
        super().__init__("alertmanager", argv, clean_environment(), folder=folder, health=health)


class AlertingPrometheus(Server):
    """deploy/prometheus.yml, looking once a second instead of four times a minute, with rules and an Alertmanager."""

    def __init__(self, folder: Path, collector: Collector, rules: Path, alertmanager: Alertmanager) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        config = folder / "prometheus.yml"
        text = (ROOT / "deploy" / "prometheus.yml").read_text()
        assert "scrape_interval: 15s" in text
        config.write_text(text.replace("scrape_interval: 15s", "scrape_interval: 1s"))
        targets = [urllib.parse.urlsplit(url).netloc for url in (collector.metrics, collector.own_metrics)]
        (folder / "targets.yml").write_text(json.dumps([{"targets": targets}]))
        (folder / "alertmanagers.yml").write_text(json.dumps([{"targets": [alertmanager.address]}]))
        (folder / "rules").mkdir()
        (folder / "rules" / rules.name).symlink_to(rules)
        argv = [programs() / "prometheus", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"]
        argv.append("--rules.alert.resend-delay=2s")  # it finds Alertmanager seconds after its first evaluation
        argv.append(f"--storage.tsdb.path={folder / 'prometheus-data'}")
        super().__init__("prometheus", argv, clean_environment(), folder=folder, health=f"{self.url}/-/ready")


class Watch(Server):
    """`leadtrace watch` over a running `Serve`; ready once it has judged its rules for the first time."""

    def __init__(self, folder: Path, serve: Serve, rules: Path) -> None:
        (port,) = free_ports(1)
        self.state = folder / "watch.alerts.db"
        argv = [*LEADTRACE, "watch", "--rules", rules, "--from", serve.url, "--state", self.state]
        argv += ["--metrics-port", str(port)]
        env = leadtrace_environment() | {"SLACK_TOKEN": "xoxb-e2e"}
        super().__init__("watch", argv, env, folder=folder, health=f"http://127.0.0.1:{port}/healthz")


LEADTRACE = [sys.executable, "-c", "import sys; from leadtrace.cli import main; sys.exit(main())"]
"""The command line, installed or not."""


def leadtrace_environment() -> dict[str, str]:
    """For a process that imports leadtrace from this checkout, with the token of `Serve`."""
    return clean_environment() | {"PYTHONPATH": str(ROOT / "src"), "LEADTRACE_TOKEN": Serve.TOKEN}


def leadtrace(*arguments: str, expect: tuple[int, ...] = (0,)) -> str:
    """What a command prints; its exit code must be an expected one (1 is: asked and found nothing)."""
    ran = subprocess.run(
        [*LEADTRACE, *arguments], env=leadtrace_environment(), capture_output=True, text=True, timeout=120
    )
    assert ran.returncode in expect, f"leadtrace {' '.join(arguments)} ended with {ran.returncode}:\n{ran.stderr}"
    return ran.stdout


def samples(metrics_text: str, name: str) -> Iterator[tuple[dict[str, str], float]]:
    """The samples of one metric in Prometheus's text form, each with its labels."""
    for line in metrics_text.splitlines():
        if not line.startswith((name + "{", name + " ")):
            continue
        head, _, value = line.rpartition(" ")
        labels: dict[str, str] = {}
        for part in head[len(name) :].strip("{}").split('",'):
            key, _, text = part.partition('="')
            if key:
                labels[key] = text.rstrip('"')
        yield labels, float(value)
