"""A listing that may lack something says so on standard error; what is on standard output stays for programs."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner

from leadtrace.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BEGAN = 1_795_300_000_000_000_000
MOMENT = "2026-11-21T22:26:40.000000000Z"
WINDOW = ["--since", "2026-11-20", "--until", "2026-11-25"]


def _resource_spans(number: int) -> dict:
    lead = [{"key": "lead.id", "value": {"stringValue": f"lead_{number}"}}]
    ids = {"traceId": f"{number + 1:032x}", "spanId": f"{number + 1:016x}"}
    times = {"startTimeUnixNano": str(BEGAN), "endTimeUnixNano": str(BEGAN + 1)}
    event = {"name": "lead.received", "timeUnixNano": str(BEGAN), "attributes": lead}
    return {"scopeSpans": [{"spans": [{**ids, **times, "name": "flow", "attributes": lead, "events": [event]}]}]}


@pytest.fixture
def jaeger() -> Iterator[Callable[[int], str]]:
    """A newer Jaeger with so many traces, all of which began in one moment: no narrower window holds fewer."""
    servers: list[ThreadingHTTPServer] = []

    def start(traces: int) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
                least, most = asked.get("query.startTimeMin", ""), asked.get("query.startTimeMax", "")
                found = min(traces, int(asked.get("query.searchDepth", 0))) if least <= MOMENT <= most else 0
                told = {"result": {"resourceSpans": [_resource_spans(number) for number in range(found)]}}
                known = {"/api/v3/services": {"services": ["intake"]}, "/api/v3/traces": told}
                body = json.dumps(known.get(parts.path, {})).encode()
                self.send_response(200 if parts.path in known else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return f"jaeger://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("command", ["leads", "events"])
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_a_list_that_hit_the_depth_says_so_beside_it(jaeger, command: str, form: list[str]) -> None:
    ran = CliRunner().invoke(main, [command, "--from", jaeger(500), *WINDOW, *form])
    assert ran.exit_code == 0
    said = ran.stderr.splitlines()
    assert 0 < len(said) < 5
    assert all(line.startswith("leadtrace: Jaeger answers 200 traces at most, and has more between ") for line in said)
    assert len(ran.stdout.splitlines()) >= 200
    assert "at most" not in ran.stdout
    if form:
        assert len([json.loads(line) for line in ran.stdout.splitlines()]) == 200


@pytest.mark.parametrize("command", ["leads", "events"])
def test_a_list_that_is_whole_says_nothing(jaeger, command: str) -> None:
    ran = CliRunner().invoke(main, [command, "--from", jaeger(150), *WINDOW, "--json"])
    assert (ran.exit_code, ran.stderr, len(ran.stdout.splitlines())) == (0, "", 150)
