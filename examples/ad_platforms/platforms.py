"""Two advertising platforms that differ in what they ask for and in how they say no: real HTTP servers on loopback.

Meta Ads takes one event a request and answers every trouble with 400 and a code in the body, too many requests included; its
token runs out. Google Ads answers 200 also where it took nothing (a partial failure), and 429 and 503 with `Retry-After`.
Both cut a connection now and then after they have taken an event, so that whoever sent it cannot know. What they do with
an event depends on the seed, its id and how often it has come.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

__all__ = ["GoogleAds", "MetaAds", "Platform", "running"]

HASH = re.compile(r"[0-9a-f]{64}")


@dataclass
class Arrival:
    """One request about one event, and what became of it."""

    id: str
    resend: bool
    """Whether the sender said that it may have been here before."""
    taken: bool


@dataclass
class Platform:
    """A platform's own book."""

    name: str
    seed: int
    trouble: float = 0.25
    """How often something goes wrong, from 0 to 1."""
    url: str = ""
    arrivals: list[Arrival] = field(default_factory=list)
    tries: Counter[str] = field(default_factory=Counter)
    lock: Lock = field(default_factory=Lock)

    def taken(self) -> Counter[str]:
        """How often each event was taken; whoever has an id already counts it once."""
        with self.lock:
            return Counter(one.id for one in self.arrivals if one.taken)

    def answer(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, dict[str, str], Any] | None:
        """Status, headers and body; None cuts the connection."""
        raise NotImplementedError

    def chance(self, event_id: str) -> random.Random:
        """What decides about this try of this event."""
        with self.lock:
            self.tries[event_id] += 1
            return random.Random(f"{self.seed}:{self.name}:{event_id}:{self.tries[event_id]}")

    def note(self, event_id: str, headers: dict[str, str], taken: bool) -> None:
        with self.lock:
            self.arrivals.append(Arrival(event_id, headers.get("x-resend") == "1", taken))


class MetaAds(Platform):
    """`POST /events`: one event, contact data hashed, a token that lasts for forty requests."""

    tokens = 0
    left = 0

    def answer(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, dict[str, str], Any] | None:
        if "events" not in body:  # POST /token
            with self.lock:
                self.tokens, self.left = self.tokens + 1, 40
                return 200, {}, {"access_token": f"token-{self.tokens}"}
        [event] = body["events"]
        with self.lock:
            valid = headers.get("authorization") == f"Bearer token-{self.tokens}" and self.left > 0
            self.left -= 1
        if not valid:
            return 400, {}, {"error": {"code": 190, "message": "Error validating access token: it has expired"}}
        chance = self.chance(event["event_id"])
        if not HASH.fullmatch(event["user_data"].get("em", "")):
            return 400, {}, {"error": {"code": 100, "message": "Invalid parameter", "field": "user_data.em"}}
        if event["custom_data"]["value"] > 85:
            self.note(event["event_id"], headers, taken=False)
            return 400, {}, {"error": {"code": 2804, "message": "Value above the account's limit", "field": "value"}}
        fate = chance.random() / self.trouble if self.trouble else 1
        if fate < 0.3:
            return 400, {}, {"error": {"code": 613, "message": "Calls to this API have exceeded the rate limit"}}
        if fate < 0.5:
            return 500, {}, {"error": {"code": 1, "message": "An unknown error occurred"}}
        self.note(event["event_id"], headers, taken=True)
        return None if fate < 0.7 else (200, {}, {"events_received": 1})


class GoogleAds(Platform):
    """`POST /conversions:upload`: a list of conversions, of which some may fail while the answer is 200."""

    def answer(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, dict[str, str], Any] | None:
        [conversion] = body["conversions"]
        order = conversion["order_id"]
        chance = self.chance(order)
        fate = chance.random() / self.trouble if self.trouble else 1
        if fate < 0.2:
            return 429, {"retry-after": "0.2"}, {"error": {"status": "RESOURCE_EXHAUSTED"}}
        if fate < 0.4:
            return 503, {}, {"error": {"status": "UNAVAILABLE"}}
        if fate < 0.5:
            return 200, {}, _partial_failure("CONVERSION_PRECEDES_CLICK: the click is not known yet")
        if conversion["gclid"].endswith("00"):
            self.note(order, headers, taken=False)
            return 200, {}, _partial_failure("UNPARSEABLE_GCLID")
        self.note(order, headers, taken=True)
        return None if fate < 0.7 else (200, {}, {"results": [{"order_id": order}]})


def _partial_failure(message: str) -> dict[str, Any]:
    return {"partial_failure_error": {"code": 3, "message": message}, "results": [{}]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
        answer = self.server.platform.answer(body, {name.lower(): value for name, value in self.headers.items()})
        if answer is None:
            self.close_connection = True
            return
        status, headers, said = answer
        content = json.dumps(said).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing: the platform's book tells what came."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, platform: Platform) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.platform = platform
        platform.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A sender that died amid a request is what this example is about."""


@contextmanager
def running(seed: int = 7, trouble: float = 0.25) -> Iterator[dict[str, Platform]]:
    """Both platforms by name, for as long as the block lasts."""
    platforms = [MetaAds("Meta Ads", seed, trouble), GoogleAds("Google Ads", seed, trouble)]
    with ExitStack() as stack:
        for platform in platforms:
            server = stack.enter_context(_Server(platform))
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
        yield {platform.name: platform for platform in platforms}
