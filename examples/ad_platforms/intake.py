"""The intake service: takes lead events over HTTP, says 202 only for what is on the disk, and sends in the background.

    python -m ad_platforms.intake --port 8080

It may be killed at any time. Whoever posted and got no 202 posts again; what got one is sent by the next process, if need be.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import leadtrace as lt

from . import senders  # noqa: F401 - marks the senders

SCHEMA = Path(__file__).with_name("lead_event.schema.json")
CLICKS = {"fbclid": "Meta Ads", "gclid": "Google Ads"}


def take_in(body: bytes, event_id: str | None) -> tuple[int, dict[str, Any]]:
    """One request's body: status and answer. The body goes in as it came, so that a broken one is kept as it is, too."""
    try:
        event = json.loads(body)
        if not isinstance(event, dict):
            event = {}
    except ValueError:
        event = {}
    clicks = event.get("click")
    platforms = [CLICKS[name] for name in clicks if name in CLICKS] if isinstance(clicks, dict) else []
    receipt = lt.lead_event(
        body,
        id=event.get("event_id") or event_id,
        type=event.get("event_type", ""),
        destination=platforms or list(CLICKS.values()),
        account_id=event.get("account_id"),
        campaign_group=event.get("campaign_group"),
        campaign_id=event.get("campaign_id"),
        ad_id=event.get("ad_id"),
        lead_id=event.get("lead_id", "unknown"),
        schema=SCHEMA,
    )
    answer = {"id": receipt.id, "saved": receipt.saved, "quarantined": receipt.quarantined, "why": receipt.why}
    return (202 if receipt.saved else 503), answer


class Intake(BaseHTTPRequestHandler):
    """`POST /lead-events`; `GET /healthz`."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self._answer(*take_in(body, self.headers.get("x-event-id")))

    def do_GET(self) -> None:
        self._answer(200, {"status": "ok"})

    def _answer(self, status: int, said: dict[str, Any]) -> None:
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing: the timelines tell what came."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    allow_reuse_address = True


def main() -> int:
    parser = argparse.ArgumentParser(description="Take lead events in over HTTP, and send them to their platforms.")
    parser.add_argument("--port", type=int, default=0, help="on loopback; 0: any free one, which is printed")
    asked = parser.parse_args()
    with (
        lt.configure(service_name="lead-event-intake"),
        lt.sending(),
        Server(("127.0.0.1", asked.port), Intake) as server,
    ):
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever(poll_interval=0.05)
    return 0


if __name__ == "__main__":
    sys.exit(main())
