"""OTLP over gRPC: the same bytes through a generic stub; one request, one answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import grpc

from leadtrace.journal.answers import Answer, partial_success, retry_delay_s
from leadtrace.version import __version__

if TYPE_CHECKING:
    from leadtrace.journal.endpoints import Endpoint, Kind

__all__ = ["GrpcSender"]

_METHODS: dict[Kind, str] = {
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
}
_LATER = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
_COMPRESSION = {
    "none": grpc.Compression.NoCompression,
    "gzip": grpc.Compression.Gzip,
    "deflate": grpc.Compression.Deflate,
}
_OPTIONS = (
    ("grpc.primary_user_agent", f"leadtrace-OTLP/{__version__}"),
    ("grpc.enable_retries", 0),  # trying again is the sink's
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),  # its own two minutes would outlast our waits
)


class GrpcSender:
    """Sends to one endpoint. The channel opens at the first request, so that a process may fork before it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        parts = urlsplit(endpoint.url)
        self._target = parts.netloc or endpoint.url
        self._metadata = tuple((name.lower(), value) for name, value in endpoint.headers)
        self._channel: grpc.Channel | None = None
        self._export: grpc.UnaryUnaryMultiCallable[bytes, bytes] | None = None

    def _open(self) -> grpc.UnaryUnaryMultiCallable[bytes, bytes]:
        end = self.endpoint
        compression = _COMPRESSION[end.compression]
        if end.insecure:
            self._channel = grpc.insecure_channel(self._target, _OPTIONS, compression)
        else:
            credentials = grpc.ssl_channel_credentials(
                _bytes(end.certificate), _bytes(end.client_key), _bytes(end.client_certificate)
            )
            self._channel = grpc.secure_channel(self._target, credentials, _OPTIONS, compression)
        self._export = self._channel.unary_unary(_METHODS[end.kind], None, None)  # bytes as they are, both ways
        return self._export

    def send(self, body: bytes) -> Answer:
        """Send one request. Never raises for what the network or the receiver does."""
        try:
            export = self._export or self._open()
            answer = export(body, timeout=self.endpoint.timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            return self._refusal(error)
        except OSError as why:  # a certificate that went away
            return Answer("later", f"{self.endpoint.url}: {why}")
        rejected, why_not = partial_success(answer)
        return Answer("taken", why_not, rejected=rejected)

    def _refusal(self, error: grpc.RpcError) -> Answer:
        call = error if isinstance(error, grpc.Call) else None
        code = call.code() if call else grpc.StatusCode.UNKNOWN
        why = f"{self.endpoint.url} answered {code.name}: {(call.details() if call else str(error)) or ''}"[:400]
        trailing: dict[str, str | bytes] = dict(call.trailing_metadata() or ()) if call else {}
        details = trailing.get("grpc-status-details-bin", b"")
        delay = retry_delay_s(details) if isinstance(details, bytes) else None
        if code in _LATER or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and delay is not None):
            return Answer("later", why, delay)
        split = code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT)
        return Answer("refused", why, split=split)

    def reset(self) -> None:
        """Forget the channel, which belongs to the parent process."""
        self._channel = self._export = None

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = self._export = None


def _bytes(path: str) -> bytes | None:
    return Path(path).read_bytes() if path else None
