"""A real HTTP endpoint on loopback for alerts: shaped like Slack's `chat.postMessage`, and a webhook for anything else."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


class AlertCatcher:
    """Keeps every request with the moment at which it came; Slack's answers name each message by a rising `ts`."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        """Of `chat.postMessage`, each with `at` (seconds)."""
        self.hooks: list[dict[str, Any]] = []
        """Bodies of all other posts."""
        catcher = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"])).decode()
                said = json.loads(raw) if raw.startswith("{") else {key: one[0] for key, one in parse_qs(raw).items()}
                answer: dict[str, Any] = {}
                if self.path.endswith("/chat.postMessage"):
                    token = self.headers.get("authorization", "").removeprefix("Bearer ")
                    catcher.messages.append(said | {"at": time.time(), "token": token})
                    answer = {"ok": True, "channel": said["channel"], "ts": f"{len(catcher.messages)}.000100"}
                else:
                    catcher.hooks.append(said | {"at": time.time()})
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
