"""A watch over leads that a test gives it, with a clock that the test moves; and a server shaped like Slack's."""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from leadtrace.alerts.database import Database
from leadtrace.alerts.model import Observations, Point, Series, State
from leadtrace.alerts.rules import MINUTE, Rules
from leadtrace.alerts.sending import NotSentError
from leadtrace.alerts.watch import Watch
from leadtrace.errors import SourceError

NOON = 1_764_072_000 * 1_000_000_000  # 2025-11-25 12:00 UTC

RULES = """
[groups.brand]
kind = "campaign_group"
owners = ["anna"]
value_per_lead = 40
[groups.search]
kind = "campaign_group"
[rules.silence]
kind = "absence"
groups = "*"
window = "1h"
keep_firing = "0s"
severity = "high"
runbook = "https://wiki.example/silence"
[channels.team]
kind = "slack"
token = "xoxb-test"
to = "C042"
people = { anna = "U0ANNA0001" }
repeat = "4h"
[sides.client]
owners = ["@carla"]
"""


class Told:
    """A sink of messages: what was sent where, and which channels fail."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, tuple[str, ...], str]] = []
        """Channel, what, groups, thread."""
        self.bodies: list[str] = []
        self.failing: dict[str, str] = {}

    def __call__(self, channel: Any, message: Any, rendered: Any) -> str:
        if why := self.failing.get(channel.name):
            raise NotSentError(why)
        self.sent.append((channel.name, message.what, tuple(one.group for one in message.alerts), message.thread))
        self.bodies.append(rendered.body)
        return f"{len(self.sent)}.0001"

    def take(self) -> list[tuple[str, str, tuple[str, ...], str]]:
        found, self.sent = self.sent, []
        return found


class Taken:
    """A sink of events: the request bodies, and why it takes none."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.why = ""

    def send(self, body: bytes) -> str:
        if not self.why:
            self.bodies.append(body)
        return self.why


@dataclass
class World:
    """Leads, time, and one watcher or several."""

    path: Path
    rules: Rules
    now_ns: int = NOON
    leads: dict[str, list[int]] = field(default_factory=dict)
    unreadable: str = ""
    told: Told = field(default_factory=Told)
    taken: Taken = field(default_factory=Taken)
    watches: list[Watch] = field(default_factory=list)

    def watch(self, owner: str = "here/1/1") -> Watch:
        found = Watch(
            self.rules,
            "store.db",
            Database.open(self.path),
            self.observe,
            self.taken,
            every_ns=MINUTE,
            owner=owner,
            deliver=self.told,
        )
        self.watches.append(found)
        return found

    def observe(self, rules: Rules, state: State, now_ns: int) -> Observations:
        if self.unreadable:
            raise SourceError(self.unreadable)
        series = {}
        for name in rules.groups:
            at = sorted(one for one in self.leads.get(name, ()) if one < now_ns)
            series["leads", name] = Series(tuple(Point(one, one) for one in at), NOON - 30 * 24 * 60 * MINUTE)
        return Observations(now_ns, series)  # type: ignore[arg-type]

    def lead(self, *groups: str) -> None:
        for one in groups:
            self.leads.setdefault(one, []).append(self.now_ns)

    def minutes(self, count: int, watch: Watch | None = None, step: int = 1) -> None:
        """Move the clock minute by minute (or in steps of several), a whole round of the watch at each."""
        for _ in range(0, count, step):
            self.now_ns += step * MINUTE
            self.round(watch or self.watches[0])

    def round(self, watch: Watch) -> None:
        watch.evaluate(self.now_ns)
        watch.tell(self.now_ns)
        watch.look(self.now_ns)
        watch.tell(self.now_ns)
        watch.hand_over(self.now_ns)


class Slack:
    """Takes `chat.postMessage` as Slack does: form or JSON, a `ts` for each message, errors when it is told to."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.answer: dict[str, Any] = {}
        self.hold = threading.Event()
        self.hold.set()
        slack = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"])).decode()
                said = json.loads(raw) if raw.startswith("{") else {key: one[0] for key, one in parse_qs(raw).items()}
                said["token"] = self.headers.get("authorization", "").removeprefix("Bearer ")
                slack.messages.append(said | {"path": self.path})
                slack.hold.wait(30)
                found = slack.answer or {
                    "ok": True,
                    "channel": said.get("channel"),
                    "ts": f"{len(slack.messages)}.000100",
                }
                body = json.dumps(found).encode()
                self.send_response(429 if found.get("error") == "ratelimited" else 200)
                if found.get("error") == "ratelimited":
                    self.send_header("retry-after", "30")
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):  # whoever asked may have been killed meanwhile
                    self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/api/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()
