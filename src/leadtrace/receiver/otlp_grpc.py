"""OTLP over gRPC: TraceService/Export and LogsService/Export on raw bytes, over the same intake as HTTP.

A malformed request is INVALID_ARGUMENT, one that is too large RESOURCE_EXHAUSTED; when too much waits or the store
cannot write, RESOURCE_EXHAUSTED or UNAVAILABLE come with RetryInfo: so OTLP says that a retry is welcome.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

import grpc
import grpc.aio

from leadtrace.errors import OtlpError
from leadtrace.otlp.framing import TooManyRecordsError
from leadtrace.receiver.intake import (
    MAX_BODY,
    BusyError,
    FailedError,
    Intake,
    SignalName,
    TooLargeError,
    UnavailableError,
)
from leadtrace.receiver.status import RESOURCE_EXHAUSTED, UNAVAILABLE, retry_details

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["grpc_server"]

_SERVICES: Final[dict[str, SignalName]] = {
    "opentelemetry.proto.collector.trace.v1.TraceService": "traces",
    "opentelemetry.proto.collector.logs.v1.LogsService": "logs",
}
_AT_ONCE: Final = 16  # requests held by gRPC itself, each of MAX_BODY at most


def grpc_server(intake: Intake, token: str) -> grpc.aio.Server:
    """A server with the OTLP services, no port yet; with a token only for who sends `authorization: Bearer TOKEN`."""
    server = grpc.aio.server(
        maximum_concurrent_rpcs=_AT_ONCE,
        options=[
            ("grpc.max_receive_message_length", MAX_BODY),
            ("grpc.max_metadata_size", 16 << 10),
            ("grpc.so_reuseport", 0),  # or a second server on the port would share it in silence
        ],
    )
    for service, signal in _SERVICES.items():
        method = grpc.unary_unary_rpc_method_handler(_export(intake, signal, token))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": method}),))
    return server


def _export(
    intake: Intake, signal: SignalName, token: str
) -> Callable[[bytes, grpc.aio.ServicerContext[bytes, bytes]], Awaitable[bytes]]:
    expected = f"Bearer {token}".encode()

    async def export(body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        if token:
            metadata = dict(context.invocation_metadata() or ())
            came = metadata.get("authorization", "")
            if not hmac.compare_digest(came.encode() if isinstance(came, str) else came, expected):
                intake.refuse("token")
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, "a token is needed: authorization: Bearer TOKEN")
        try:
            intake.hold(len(body))
            await intake.take(signal, "protobuf", body)
        except (TooLargeError, TooManyRecordsError) as cause:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(cause))
        except OtlpError as cause:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(cause))
        except BusyError as cause:
            details = retry_details(RESOURCE_EXHAUSTED, str(cause), cause.retry_after_s)
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(cause), (("grpc-status-details-bin", details),))
        except UnavailableError as cause:
            details = retry_details(UNAVAILABLE, str(cause), cause.retry_after_s)
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(cause), (("grpc-status-details-bin", details),))
        except FailedError as cause:
            await context.abort(grpc.StatusCode.INTERNAL, str(cause))
        return b""

    return export
