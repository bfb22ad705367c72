"""A real `leadtrace serve` process for the tests of what it receives and answers."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import urllib3

from leadtrace.store.served import ServedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_READY = re.compile(r"^leadtrace serve: (http://\S+) grpc://(\S+) store (.+) \(token: (needed|none)\)\n$")


@dataclass
class Served:
    """A server that runs: its addresses, its store, its process."""

    http: str
    grpc: str
    store: Path
    process: subprocess.Popen[str]
    token: str = ""

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> urllib3.BaseHTTPResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            named.setdefault("Authorization", f"Bearer {self.token}")
        return urllib3.request(method, self.http + path, body=body, headers=named, retries=False, timeout=30)

    def source(self) -> ServedStore:
        return ServedStore(self.http, self.token)

    def metrics(self) -> dict[str, int]:
        lines = self.request("GET", "/metrics").data.decode().splitlines()
        return {name: int(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}

    def memory(self) -> int:
        """The most memory that the process has had, in bytes."""
        return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())[1]) << 10

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def command(*options: str, busy_ms: int = 0) -> list[str]:
    """The server's command line; `busy_ms`: how long it waits for another program that holds its store, if not as ever."""
    first = f"from leadtrace.store import file; file.BUSY_MS = {busy_ms}; " if busy_ms else ""
    return [sys.executable, "-c", f"{first}from leadtrace.cli.serve import serve; serve()", *options]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEADTRACE_")}
    return kept | {"PYTHONPATH": os.pathsep.join(sys.path)} | more


@contextlib.contextmanager
def serving(store: Path, *options: str, token: str = "", says: str = "", busy_ms: int = 0) -> Iterator[Served]:
    """A server that ends cleanly; on its standard error it says nothing, or one line with `says` in it."""
    process = subprocess.Popen(
        command("--grpc-port", "0", "--http-port", "0", "--store", str(store), *options, busy_ms=busy_ms),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**({"LEADTRACE_TOKEN": token} if token else {})),
    )
    line = process.stdout.readline()
    ready = _READY.match(line)
    assert ready, (line, process.stderr.read() if process.poll() is not None else "")
    served = Served(ready[1], ready[2], Path(ready[3]), process, token)
    try:
        yield served
    finally:
        code = served.stop()
        said = process.stderr.read()
        process.stdout.close()
        process.stderr.close()
    assert (code, said.count("\n")) == (0, 1 if says else 0), said
    assert says in said


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., contextlib.AbstractContextManager[Served]]:
    """Starts a server over the test's own store."""
    return lambda *options, **more: serving(tmp_path / "store.db", *options, **more)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that the tests of a module share."""
    with serving(tmp_path_factory.mktemp("served") / "store.db") as found:
        yield found
