"""Gets requests to their receivers: an endpoint per kind of records, each over HTTP or gRPC."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from leadtrace.journal.answers import Answer
    from leadtrace.journal.endpoints import Endpoint, Kind

__all__ = ["OtlpTransport", "Transport", "uninstrumented"]


class Transport(Protocol):
    """Sends one request and says what became of it. Each kind is used by one thread at a time; nothing raises."""

    @property
    def kinds(self) -> frozenset[Kind]:
        """What it takes; records of another kind have nowhere to go."""
        ...

    def send(self, kind: Kind, body: bytes) -> Answer: ...

    def reset(self) -> None:
        """Called in a forked child: connections belong to the parent."""
        ...

    def close(self) -> None: ...


class _Sender(Protocol):
    def send(self, body: bytes) -> Answer: ...
    def reset(self) -> None: ...
    def close(self) -> None: ...


class OtlpTransport:
    """A `Transport` to the endpoints of `leadtrace.journal.endpoints.endpoints()`."""

    def __init__(self, endpoints: Mapping[Kind, Endpoint]) -> None:
        self.endpoints = dict(endpoints)
        self._senders = {kind: _sender(endpoint) for kind, endpoint in endpoints.items()}

    @property
    def kinds(self) -> frozenset[Kind]:
        return frozenset(self._senders)

    def send(self, kind: Kind, body: bytes) -> Answer:
        return self._senders[kind].send(body)

    def reset(self) -> None:
        for sender in self._senders.values():
            sender.reset()

    def close(self) -> None:
        for sender in self._senders.values():
            sender.close()


def _sender(endpoint: Endpoint) -> _Sender:
    if endpoint.protocol == "grpc":
        try:
            from leadtrace.journal.over_grpc import GrpcSender
        except ImportError as why:
            raise SettingsError("OTLP over gRPC needs grpcio: pip install 'leadtrace[grpc]'", missing=why.name) from why
        return GrpcSender(endpoint)
    try:
        from leadtrace.journal.over_http import HttpSender
    except ImportError as why:
        raise SettingsError("OTLP over HTTP needs urllib3: pip install 'leadtrace[export]'", missing=why.name) from why
    return HttpSender(endpoint)


@contextmanager
def uninstrumented() -> Iterator[None]:
    """Within it, a host's instrumentation of clients makes no spans: else each export would make another."""
    from opentelemetry import context

    here = context.set_value("suppress_http_instrumentation", True, context.set_value("suppress_instrumentation", True))
    token = context.attach(here)
    try:
        yield
    finally:
        context.detach(token)
