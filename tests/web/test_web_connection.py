"""A connection on which no request comes is closed, so that silent ones cannot keep senders out."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
import uvicorn
from starlette.responses import PlainTextResponse

from leadtrace.web.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_S = 0.4
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


class _Hasty(Connection):
    head_timeout_s = WAIT_S


async def _answer(scope, receive, send) -> None:
    await asyncio.sleep(2 * WAIT_S)  # a request that has come may take its time
    await PlainTextResponse("ok")(scope, receive, send)


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(_answer, http=_Hasty, ws="none", lifespan="off", log_config=None))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    yield listening.getsockname()
    server.should_exit = True
    thread.join(10)


def _until_closed(connection: socket.socket, trickle: bytes = b"") -> float:
    began = time.monotonic()
    connection.settimeout(0.05)
    while time.monotonic() - began < 10 * WAIT_S:
        try:
            if trickle:
                connection.sendall(trickle)
            if connection.recv(1000) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


@pytest.mark.parametrize(("first", "trickle"), [(b"", b""), (b"G", b""), (HEAD, b""), (HEAD, b"X: y\r\n"), (b"", b"G")])
def test_without_a_whole_head_in_time_it_is_closed(address, first: bytes, trickle: bytes) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(first)
        assert WAIT_S / 2 < _until_closed(connection, trickle) < 10 * WAIT_S


def test_a_second_head_has_no_more_time_than_the_first(address) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(HEAD + b"\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        connection.sendall(b"G")
        assert _until_closed(connection, b"E") < 10 * WAIT_S


def test_requests_that_come_whole_are_answered_one_after_another(address) -> None:
    with socket.create_connection(address) as connection, contextlib.closing(connection.makefile("rb")) as answers:
        for _ in range(2):
            connection.sendall(HEAD + b"\r\n")
            assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
            while answers.readline() != b"\r\n":
                pass
            assert answers.read(2) == b"ok"
