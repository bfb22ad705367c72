"""What `leadtrace serve` runs: the store, the intake and both servers, started in order, ended in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import time
from typing import TYPE_CHECKING

import uvicorn

from leadtrace.errors import SettingsError
from leadtrace.receiver.intake import Intake
from leadtrace.receiver.metrics import prometheus
from leadtrace.receiver.otlp_grpc import grpc_server
from leadtrace.receiver.otlp_http import otlp_routes
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.web.app import web_app
from leadtrace.web.connection import Connection
from leadtrace.web.erasing import erasing_routes
from leadtrace.web.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from leadtrace.alerts.rules import Rules
    from leadtrace.cli.keeping import Keeping

__all__ = ["serve_until_stopped"]

_GRACE_S = 5  # for requests that are being answered when the server ends


class _HttpServer(uvicorn.Server):
    """Tells when it is ready and leaves the signals to us, who have more to end than HTTP."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_until_stopped(
    host: str, grpc_port: int, http_port: int, path: Path, token: str, keeping: Keeping, rules: Rules | None = None
) -> None:
    """Serve until SIGTERM or SIGINT; prints one line with the addresses when ready. The groups of `rules` are at /metrics.

    Raises SourceError where the store cannot be opened, SettingsError where a port cannot be had.
    """
    # Records are made by the hundred thousand and have no cycles: at its own pace the collector would take a fifth of
    # the time, looking for some.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # or whoever sends nonsense writes our log
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    listening = _listen(host, http_port)
    store = EmbeddedStore.open(path, write=True)
    try:
        intake = Intake(store)
        app = web_app(store, lambda: _metrics(intake, store, rules), [*otlp_routes(intake), *erasing_routes(store)])
        config = uvicorn.Config(
            Guard(app, host, token, intake.refuse),
            http=Connection,
            ws="none",
            log_config=None,  # nothing of a request is logged: its address names a lead
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
        http, grpc = _HttpServer(config), grpc_server(intake, token)
        try:
            bound = grpc.add_insecure_port(_address(host, grpc_port))
        except RuntimeError as cause:
            raise SettingsError(
                f"cannot listen on {_address(host, grpc_port)} for gRPC: is the port in use?"
            ) from cause
        intake.start()
        upkeep = asyncio.create_task(keeping.run(store, stop))
        await grpc.start()
        serving = asyncio.create_task(http.serve([listening]))
        try:
            await http.ready.wait()
            addresses = f"http://{_address(host, listening.getsockname()[1])} grpc://{_address(host, bound)}"
            asked = "needed" if token else "none"
            print(f"leadtrace serve: {addresses} store {store.path} (token: {asked})", flush=True)
            await stop.wait()
        finally:
            http.should_exit = True
            await grpc.stop(_GRACE_S)
            await serving
            await intake.stop()
            await upkeep
    finally:
        store.close()
        listening.close()


def _metrics(intake: Intake, store: EmbeddedStore, rules: Rules | None) -> str:
    found = prometheus(intake, store.size())
    if rules is None:
        return found
    from leadtrace.alerts.metrics import declared_lines

    return found + "".join(f"{line}\n" for line in declared_lines(rules, time.time_ns()))


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=512)
    except OSError as cause:
        raise SettingsError(f"cannot listen on {_address(host, port)} for HTTP: {cause.strerror or cause}") from cause
    # asyncio does this only for sockets that name their protocol, and an accepted one inherits it: without it, the rest of
    # an answer waits 40 ms for the acknowledgement of its first part.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
