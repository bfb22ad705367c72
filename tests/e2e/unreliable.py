"""A receiver that fails in every way that receivers do, in front of one that works: told what to do request by request."""

from __future__ import annotations

import random
import socket
import threading
import urllib.error
import urllib.request
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["FAULTS", "Unreliable"]

FAULTS = (
    "fine",
    "busy",  # 429 with Retry-After: 0
    "unavailable",  # 503
    "cut_before",  # the connection is cut before the request is passed on
    "dies_before_storing",  # the request is read whole, then the connection is cut: nothing was stored
    "cut_after",  # stored, and the connection cut before the answer: the sender cannot know
    "slow",  # a third of a second before anything happens
)


class Unreliable:
    """One of `faults` is drawn by `seed` for each request; `down` cuts every connection at once."""

    def __init__(self, target: str, token: str, seed: int, faults: tuple[str, ...] = FAULTS) -> None:
        self.down = False
        self.faults = faults
        self.met: Counter[str] = Counter()
        chance, lock = random.Random(seed), threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with lock:
                    fault = "cut_before" if outer.down else chance.choice(outer.faults)
                    outer.met[fault] += 1
                if fault == "slow":
                    threading.Event().wait(0.3)
                if fault in ("cut_before", "dies_before_storing"):
                    self.cut()
                    return
                if fault in ("busy", "unavailable"):
                    self.answer(429 if fault == "busy" else 503, b"", [("retry-after", "0")] if fault == "busy" else [])
                    return
                status, content = self.pass_on(body)
                if fault == "cut_after":
                    self.cut()
                    return
                self.answer(status, content, [("content-type", "application/x-protobuf")])

            def pass_on(self, body: bytes) -> tuple[int, bytes]:
                headers = {"content-type": self.headers["content-type"], "authorization": f"Bearer {token}"}
                request = urllib.request.Request(target + self.path, data=body, headers=headers)
                try:
                    with urllib.request.urlopen(request, timeout=20) as answer:
                        return answer.status, answer.read()
                except urllib.error.HTTPError as refused:
                    return refused.code, refused.read()
                except OSError:
                    return 503, b""

            def answer(self, status: int, content: bytes, headers: list[tuple[str, str]]) -> None:
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def cut(self) -> None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """Senders are killed amid their requests here."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
