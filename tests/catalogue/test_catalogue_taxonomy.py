"""Exceptions, statuses and answers land in the catalogue's closed lists; most exceptions here come from real calls."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import ssl
import struct
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

import grpc
import httpx
import pytest
import requests
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from leadtrace.catalogue import taxonomy
from leadtrace.catalogue.taxonomy import LEVELS, Failure, classify, extend, failed_status, status_of, unwrap
from leadtrace.catalogue.taxonomy_table import ERRNOS, EXCEPTIONS, NAME_ENDINGS, STATUSES, Row
from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A loopback server that does `answer` with each connection; gives its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    open_connections: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            open_connections.append(connection)
            answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)
        for one in open_connections:
            one.close()


def say_nothing(connection: socket.socket) -> None:
    pass


def hang_up(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.close()


def reset(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def half_a_body(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    connection.close()


def no_json(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{invalid json}")
    connection.close()


def too_many(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n")
    connection.close()


def not_tls(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    connection.close()


def by_httpx(url: str) -> None:
    with httpx.Client(timeout=0.2, trust_env=False) as client:
        answer = client.post(url)
        answer.raise_for_status()
        answer.json()


def by_requests(url: str) -> None:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(url, timeout=0.2)
        answer.raise_for_status()
        answer.json()


def by_urllib(url: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, data=b"", timeout=0.2) as answer:
        json.loads(answer.read())


CALLS = [by_httpx, by_requests, by_urllib]


def raised_by(call: Callable[[str], None], url: str) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - each library has its own
        call(url)
    return caught.value


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("answer", "scheme", "expected"),
    [
        (say_nothing, "http", ("technical", "timeout", "slow_response", "TIMEOUT_ERROR", "maybe")),
        (hang_up, "http", ("technical", "connection", "service_down", "CONNECTION_ERROR", "maybe")),
        (reset, "http", ("technical", "connection", "service_down", "CONNECTION_ERROR", "maybe")),
        (half_a_body, "http", ("technical", "connection", "service_down", "CONNECTION_ERROR", "maybe")),
        (no_json, "http", ("processing", "parsing", "invalid_json", "PARSE_ERROR", "yes")),
        (too_many, "http", ("technical", "authentication", "rate_limit", "RATE_LIMIT", "yes")),
        (not_tls, "https", ("technical", "connection", "tls_error", "TLS_ERROR", "no")),
    ],
)
def test_a_real_call_that_goes_wrong_is_told_the_same_by_every_client(
    call: Callable[[str], None],
    answer: Callable[[socket.socket], None],
    scheme: str,
    expected: tuple[str, ...],
) -> None:
    """A time-out, a hang-up, a reset, half a body, nonsense, a status and a failed handshake."""
    with server(answer) as port:
        exception = raised_by(call, f"{scheme}://127.0.0.1:{port}/")
    assert classify(exception)[:5] == expected


@pytest.mark.parametrize("call", CALLS)
def test_a_refused_connection_cannot_have_reached_the_other_side(call: Callable[[str], None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    failure = classify(raised_by(call, f"http://127.0.0.1:{port}/"))
    assert failure[:5] == ("technical", "connection", "service_down", "CONNECTION_ERROR", "no")


@pytest.mark.parametrize("call", CALLS)
def test_a_name_that_does_not_resolve_is_a_dns_failure(
    call: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resolver's answer is fixed here, so that the test needs no network."""

    def no_such_name(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    failure = classify(raised_by(call, "http://buyer.invalid/"))
    assert failure[:5] == ("technical", "connection", "dns_failure", "DNS_ERROR", "no")


def test_the_status_of_a_failed_answer_is_kept() -> None:
    with server(too_many) as port:
        assert classify(raised_by(by_httpx, f"http://127.0.0.1:{port}/")).status == 429
        assert classify(raised_by(by_urllib, f"http://127.0.0.1:{port}/")).status == 429


def test_a_grpc_call_to_nobody_is_refused_and_one_without_an_answer_timed_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/buyer/Offer")(b"", timeout=5)
    assert classify(refused.value)[:5] == ("technical", "connection", "service_down", "CONNECTION_ERROR", "no")
    with (
        server(say_nothing) as port,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
        pytest.raises(grpc.RpcError) as late,
    ):
        channel.unary_unary("/buyer/Offer")(b"", timeout=0.2)
    assert classify(late.value)[:5] == ("technical", "timeout", "slow_response", "TIMEOUT_ERROR", "maybe")


@pytest.mark.parametrize(
    ("exception", "expected"),
    [
        (TimeoutError(), ("technical", "timeout", "slow_response", "TIMEOUT_ERROR", "maybe")),
        (OSError(errno.ENOSPC, "No space left on device"), ("system", "resource", "disk", "RESOURCE_ERROR", "no")),
        (MemoryError(), ("system", "resource", "memory", "RESOURCE_ERROR", "no")),
        (KeyError("price"), ("processing", "data", "required_missing", "DATA_ERROR", "no")),
        (TypeError("x"), ("processing", "data", "type_mismatch", "DATA_ERROR", "no")),
        (ValueError("x"), ("processing", "data", "validation_failed", "DATA_ERROR", "no")),
        (RecursionError(), ("processing", "logic", "circular_reference", "LOGIC_ERROR", "no")),
        (ssl.SSLCertVerificationError("expired"), ("technical", "connection", "tls_error", "TLS_ERROR", "no")),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), ("processing", "parsing", "encoding", "PARSE_ERROR", "yes")),
        (Exception("?"), ("", "", "", "", "no")),
        (asyncio.CancelledError(), ("", "", "", "", "no")),
    ],
)
def test_pythons_own_exceptions_have_their_places(exception: BaseException, expected: tuple[str, ...]) -> None:
    assert classify(exception)[:5] == expected


@pytest.mark.parametrize(
    ("exception", "expected"),
    [
        (json.JSONDecodeError("x", "{", 0), ("data", "quality", "invalid_json")),
        (KeyError("age"), ("data", "invalid_input", "required_missing")),
        (MemoryError(), ("technical", "", "memory")),
        (TimeoutError(), ("technical", "timeout", "slow_response")),
    ],
)
def test_an_enhancement_fails_by_its_own_two_categories(exception: BaseException, expected: tuple[str, ...]) -> None:
    assert classify(exception, domain="enhancement")[:3] == expected


class BuyerDown(Exception):
    """A pipeline's own exception."""


def test_an_unknown_exception_is_what_it_was_raised_from() -> None:
    def post() -> None:
        try:
            raise httpx.ReadTimeout("no answer")
        except httpx.ReadTimeout as error:
            raise BuyerDown("Acme") from error

    with pytest.raises(BuyerDown) as caught:
        post()
    assert classify(caught.value)[:5] == ("technical", "timeout", "slow_response", "TIMEOUT_ERROR", "maybe")


def test_an_own_mistake_while_a_lost_answer_was_handled_may_still_have_reached_the_buyer() -> None:
    def post() -> None:
        try:
            raise httpx.ReadTimeout("no answer")
        except httpx.ReadTimeout:
            {}["price"]

    with pytest.raises(KeyError) as caught:
        post()
    assert classify(caught.value)[:5] == ("processing", "data", "required_missing", "DATA_ERROR", "maybe")


def test_a_name_that_says_timeout_is_believed_last() -> None:
    acme_timeout = type("AcmeTimeout", (Exception,), {})
    assert classify(acme_timeout())[:2] == ("technical", "timeout")


def test_an_exception_that_was_raised_from_itself_in_a_circle_ends() -> None:
    first, second = BuyerDown("a"), BuyerDown("b")
    first.__cause__, second.__cause__ = second, first
    assert classify(first) == Failure()


def test_an_exception_brings_its_own_code() -> None:
    error = BuyerDown("no")
    error.error_code = "ACME_17"  # type: ignore[attr-defined]
    assert classify(error).error_code == "ACME_17"


@pytest.mark.parametrize(
    ("answer", "enhancement", "other"),
    [
        (SimpleNamespace(status_code=200), ("", "", ""), ("", "", "")),
        (SimpleNamespace(status=404), ("data", "no_match", ""), ("system", "integration", "api_change")),
        (SimpleNamespace(status_code=503), ("technical", "connection", "service_down"), None),
        (SimpleNamespace(status_code=418), ("data", "invalid_input", ""), ("processing", "data", "")),
        (SimpleNamespace(status="404"), ("", "", ""), None),
        (SimpleNamespace(status=True), ("", "", ""), None),
        ({"status": 500}, ("", "", ""), None),
        (None, ("", "", ""), None),
    ],
)
def test_a_returned_answer_is_judged_by_its_integer_status(
    answer: object, enhancement: tuple[str, ...], other: tuple[str, ...] | None
) -> None:
    assert classify(answer, domain="enhancement")[:3] == enhancement
    assert classify(answer)[:3] == (enhancement if other is None else other)


def test_an_answer_whose_status_raises_has_none() -> None:
    class Odd:
        @property
        def status_code(self) -> int:
            raise RuntimeError("closed")

    assert status_of(Odd()) == 0


def test_only_408_425_429_and_5xx_fail_a_try() -> None:
    assert [status for status in range(100, 600) if failed_status(status)] == [408, 425, 429, *range(500, 600)]


def test_tenacitys_wrapper_is_its_cause() -> None:
    @tenacity.retry(stop=tenacity.stop_after_attempt(2), wait=tenacity.wait_none())
    def post() -> None:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    with pytest.raises(tenacity.RetryError) as caught:
        post()
    assert type(unwrap(caught.value)) is ConnectionRefusedError
    assert classify(caught.value).cause == "service_down"


def test_tenacitys_wrapper_of_an_unwanted_result_stays_itself() -> None:
    @tenacity.retry(
        stop=tenacity.stop_after_attempt(2), wait=tenacity.wait_none(), retry=tenacity.retry_if_result(lambda _: True)
    )
    def post() -> None:
        return None

    with pytest.raises(tenacity.RetryError) as caught:
        post()
    assert unwrap(caught.value) is caught.value


def test_a_group_is_its_first_known_member_and_reached_if_any_may_have() -> None:
    group = ExceptionGroup("both", [BuyerDown("?"), ConnectionRefusedError(), ExceptionGroup("in", [TimeoutError()])])
    assert classify(group)[:5] == ("technical", "connection", "service_down", "CONNECTION_ERROR", "maybe")


def test_users_extend_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taxonomy, "_own_exceptions", {})
    monkeypatch.setattr(taxonomy, "_own_statuses", {})
    extend(BuyerDown, "technical", "connection", "maintenance")
    extend("builtins.KeyError", "system", "integration", "api_change", reached="yes")
    extend(460, "data", "no_match", "person")
    assert classify(BuyerDown()) == Failure("technical", "connection", "maintenance", "CONNECTION_ERROR", "no")
    assert classify(KeyError())[:5] == ("system", "integration", "api_change", "INTEGRATION_ERROR", "yes")
    assert classify(SimpleNamespace(status_code=460), domain="enhancement")[:3] == ("data", "no_match", "person")


def test_a_row_of_no_such_category_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(SettingsError, match="'netwrk' is not one of: technical, data, processing, system"):
        extend(BuyerDown, "netwrk")
    with pytest.raises(SettingsError, match="'parsing' is not one of technical's: timeout, authentication, connection"):
        extend(BuyerDown, "technical", "parsing")


def rows() -> Iterator[Row]:
    yield from EXCEPTIONS.values()
    yield from ERRNOS.values()
    yield from (row for _, row in NAME_ENDINGS)
    for pair in STATUSES.values():
        yield from pair


def test_every_row_of_the_table_is_of_the_closed_lists() -> None:
    for row in rows():
        assert row.category in LEVELS, row
        assert row.subcategory == "" or row.subcategory in LEVELS[row.category], row


@given(
    st.one_of(
        st.builds(lambda status: SimpleNamespace(status_code=status), st.integers()),
        st.builds(OSError, st.integers(0, 200), st.text()),
        st.sampled_from([KeyError(), httpx.PoolTimeout("x"), requests.ConnectionError(), UnicodeError()]),
    )
)
def test_whatever_is_classified_is_of_its_domains_lists(what: object) -> None:
    for domain, categories in (
        ("enhancement", ("technical", "data")),
        ("error", ("technical", "processing", "system")),
    ):
        found = classify(what, domain=domain)  # type: ignore[arg-type]
        assert found.category in ("", *categories)
        assert found.subcategory in ("", *LEVELS.get(found.category, ()))
