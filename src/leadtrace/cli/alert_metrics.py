"""`/metrics` and `/healthz` of `leadtrace watch`, on loopback, in a thread of their own."""

from __future__ import annotations

import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from leadtrace.errors import LeadtraceError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from leadtrace.alerts.watch import Watch

__all__ = ["serving"]


@contextlib.contextmanager
def serving(port: int | None, state_file: Path, watch: Watch) -> Iterator[str]:
    """Serve while the block runs; gives the address, '' where no port is asked for."""
    if port is None:
        yield ""
        return
    from leadtrace.alerts.database import Database
    from leadtrace.alerts.history import state
    from leadtrace.alerts.metrics import declared_lines, watch_lines

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            try:
                with Database.open(state_file, create=False) as database:
                    self._answer(database)
            except LeadtraceError as problem:
                self._send(503, f"{problem}\n")

        def _answer(self, database: Database) -> None:
            now = time.time_ns()
            if self.path == "/metrics":
                lines = [*declared_lines(watch.rules, now), *watch_lines(database, now)]
                self._send(200, "\n".join(lines) + "\n")
            elif self.path == "/healthz":
                late = now - state(database, "rules").at_ns > 3 * watch.every_ns
                self._send(503 if late else 200, "late\n" if late else "ok\n")
            else:
                self._send(404, "there are /metrics and /healthz\n")

        def _send(self, status: int, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("content-type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's signature
            """Nothing is logged of who asks."""

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as cause:
        raise SettingsError(f"cannot listen on 127.0.0.1:{port} for metrics: {cause.strerror or cause}") from cause
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="leadtrace-metrics", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
