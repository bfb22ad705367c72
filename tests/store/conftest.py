"""Sources over one set of records, for the contract suite: each way to open one is a context manager in SOURCES."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from typing import TYPE_CHECKING, TypeAlias

import pytest
import uvicorn

from leadtrace.otlp.records import EventRecord, Resource, Scope, SpanRecord, Value
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.served import ServedStore
from leadtrace.web.app import web_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from leadtrace.store.interface import Source

Opening: TypeAlias = (
    "Callable[[Path, Sequence[SpanRecord], Sequence[EventRecord]], contextlib.AbstractContextManager[Source]]"
)

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
RESOURCE = Resource({"service.name": "pipeline", "process.pid": 7}, "https://opentelemetry.io/schemas/1.30.0")
OTHER = Resource({"service.name": "buyer"})
SCOPE = Scope("leadtrace", "0.1.0", {"short": True}, "https://leadtrace.dev/catalogue/1")


@contextlib.contextmanager
def _embedded(folder: Path, spans: Sequence[SpanRecord], events: Sequence[EventRecord]) -> Iterator[Source]:
    writer = EmbeddedStore.open(folder / "store.db", write=True)
    writer.append(spans, events)
    writer.close()
    reader = EmbeddedStore.open(folder / "store.db")
    yield reader
    reader.close()


class _ThreadServer(uvicorn.Server):
    def install_signal_handlers(self) -> None: ...

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets=None) -> None:
        await super().startup(sockets)
        self.port = self.servers[0].sockets[0].getsockname()[1]
        self.ready.set()


@contextlib.contextmanager
def serving(below: Source | str) -> Iterator[str]:
    """The reading API over a source, or over the embedded store at a path; gives its address."""
    source = EmbeddedStore.open(below) if isinstance(below, str) else below
    config = uvicorn.Config(web_app(source, lambda: ""), port=0, log_config=None, lifespan="off")
    server = _ThreadServer(config)
    server.ready = threading.Event()
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.ready.wait(10)
    yield f"http://127.0.0.1:{server.port}"
    server.should_exit = True
    thread.join(10)
    if source is not below:
        source.close()


@contextlib.contextmanager
def _served(folder: Path, spans: Sequence[SpanRecord], events: Sequence[EventRecord]) -> Iterator[Source]:
    with _embedded(folder, spans, events) as below, serving(below) as url:
        source = ServedStore(url)
        yield source
        source.close()


SOURCES: dict[str, Opening] = {"embedded": _embedded, "served": _served}


def an_event(name: str, at: int, trace: int = 1, span: int = 0, **more: object) -> EventRecord:
    """An event `at` seconds in, in trace and span of those numbers."""
    attributes = more.pop("attributes", {})
    return EventRecord(
        name,
        START + at * SECOND,
        f"{trace:032x}" if trace else "",
        f"{span:016x}" if span else "",
        attributes,  # type: ignore[arg-type]
        **{"resource": RESOURCE, "scope": SCOPE, **more},  # type: ignore[arg-type]
    )


def a_span(name: str, at: int, end: int, trace: int, span: int, parent: int = 0, **more: object) -> SpanRecord:
    """A span from `at` to `end` seconds (0: unfinished)."""
    return SpanRecord(
        f"{trace:032x}",
        f"{span:016x}",
        name,
        START + at * SECOND,
        START + end * SECOND if end else 0,
        f"{parent:016x}" if parent else "",
        **{"resource": RESOURCE, "scope": SCOPE, **more},  # type: ignore[arg-type]
    )


def uid(number: int, boot: int = 0xA1B2C3D4E5F60718) -> str:
    return f"{boot:016x}{number:012x}"


def on_span(event: EventRecord, index: int) -> EventRecord:
    """The copy of a log event on its span."""
    return dataclasses.replace(event, origin="span", index=index, body=None, severity_number=0, observed_ns=0)


def lead(lead_id: str, run: str = "", **more: Value) -> dict[str, Value]:
    return {"lead.id": lead_id} | ({"leadtrace.run_id": run} if run else {}) | more


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    found = EmbeddedStore.open(tmp_path / "store.db", write=True)
    yield found
    found.close()
