"""A served store that cannot answer says why and what to do; an answer that was cut short never looks complete."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from leadtrace.errors import SourceError
from leadtrace.store.interface import EventFilter, LeadFilter
from leadtrace.store.served import ServedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def answering() -> Iterator[Callable[..., ServedStore]]:
    """A server that gives one and the same answer to everything."""
    servers = []

    def start(status: int, body: bytes, length: int | None = None) -> ServedStore:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever).start()
        servers.append(server)
        return ServedStore(f"http://127.0.0.1:{server.server_port}/")

    yield start
    for one in servers:
        one.shutdown()
        one.server_close()


LEAD = b'{"lead":{"lead_id":"L1","tenant":"","first_ns":1,"last_ns":2,"state":"","outcome":""}}\n'


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (401, b"a token is needed\n", "refuses to answer: a token is needed (do: set LEADTRACE_TOKEN"),
        (503, b'{"error":"the store is damaged"}', "answers 503: the store is damaged"),
        (404, b"<html>\x1b[31mnot here", "answers 404: <html> [31mnot here"),
        (200, b"<html>", "broke off its answer"),
        (200, b"<html>\n", "does not answer as leadtrace does"),
        (200, b"[]\n", "does not answer as leadtrace does"),
        (200, b"", "broke off its answer"),
        (200, LEAD, "broke off its answer"),
        (200, LEAD + LEAD[:20], "broke off its answer"),
        (
            200,
            LEAD + b'{"error":"the store has been closed"}\n',
            "could not finish its answer (cause: the store has been closed)",
        ),
        (200, b'{"event":{"name":"e"}}\n{"end":{}}\n', "does not answer as leadtrace does"),
        (200, b'{"something":{"new":1}}\n{"end":{}}\n', "does not answer as leadtrace does"),
    ],
)
def test_what_is_wrong_with_an_answer_is_one_line(answering, status, body, told):
    source = answering(status, body)
    for ask in (lambda: list(source.leads(LeadFilter())), lambda: list(source.events(EventFilter()))):
        try:
            ask()
        except SourceError as cause:
            said = str(cause)
            assert "\n" not in said
            assert "\x1b" not in said
            if told in said:
                break
    else:
        pytest.fail(f"nobody said: {told}")


def test_an_answer_that_the_network_cut_is_not_complete(answering):
    source = answering(200, LEAD, length=10_000)
    found = source.leads(LeadFilter())
    with pytest.raises(SourceError, match="broke off"):
        list(found)


def test_a_server_that_is_not_there_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(
        SourceError, match=r"cannot reach http://127\.0\.0\.1:\d+ .*is `leadtrace serve` running there\?"
    ):
        ServedStore(f"http://127.0.0.1:{port}").lead("L1")


def test_an_address_that_is_none_is_one_line():
    with pytest.raises(SourceError, match="cannot reach"):
        ServedStore("http://[::1").lead("L1")
