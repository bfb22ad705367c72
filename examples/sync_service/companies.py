"""The two companies that the desk calls: a real HTTP server of the standard library, on a free port of loopback."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

__all__ = ["answering"]


class _Companies(BaseHTTPRequestHandler):
    """`GET /band/ZIP` is the credit bureau, `POST /leads` the buyer; the same question gets the same answer."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        zip_code = self.path.rpartition("/")[2]
        if zip_code.startswith("0"):
            self._answer(404, {"error": "address not known"})
        else:
            self._answer(200, {"band": "ABCD"[int(zip_code[-1]) % 4]})

    def do_POST(self) -> None:
        enquiry = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked[enquiry["id"]] += 1
        if enquiry["loan"] > 50_000 and self.server.asked[enquiry["id"]] < 3:
            self._answer(503, {"error": "all agents are busy"})
        elif enquiry["band"] == "D":
            self._answer(200, {"taken": False, "why": "Credit band too low"})
        else:
            self._answer(200, {"taken": True, "pays": enquiry["loan"] / 1000})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing: the timelines tell what was asked."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Companies)
        self.asked: Counter[str] = Counter()


@contextmanager
def answering() -> Iterator[str]:
    """The companies' address, for as long as the block lasts."""
    with _Server() as server:
        thread = Thread(target=server.serve_forever, name="companies", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
