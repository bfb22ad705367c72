"""OTLP over HTTP: POST /v1/traces and /v1/logs, in protobuf or JSON, plain or gzip, answered as the specification says.

    200  stored: the empty answer of the signal, in the request's encoding
    400  it does not decode            413  larger than the limit, as it came or inflated
    415  another type or compression   429, 503  come back after Retry-After

Metrics are not kept: /v1/metrics is 404, which senders do not retry.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from leadtrace.errors import OtlpError
from leadtrace.otlp.framing import TooManyRecordsError
from leadtrace.receiver.intake import (
    MAX_BODY,
    BusyError,
    Encoding,
    FailedError,
    Intake,
    SignalName,
    TooLargeError,
    UnavailableError,
)
from leadtrace.receiver.status import INTERNAL, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE, status_body

__all__ = ["otlp_routes"]

_TYPES: Final[dict[str, Encoding]] = {"application/x-protobuf": "protobuf", "application/json": "json"}
_READ_TIMEOUT_S: Final = 30  # a sender that trickles its body holds memory


def otlp_routes(intake: Intake) -> list[Route]:
    """The routes of OTLP/HTTP over one intake."""

    async def traces(request: Request) -> Response:
        return await _export(intake, request, "traces")

    async def logs(request: Request) -> Response:
        return await _export(intake, request, "logs")

    async def metrics(_request: Request) -> Response:
        return Response("leadtrace keeps traces and logs; send metrics elsewhere\n", 404, media_type="text/plain")

    return [
        Route("/v1/traces", traces, methods=["POST"]),
        Route("/v1/logs", logs, methods=["POST"]),
        Route("/v1/metrics", metrics, methods=["POST"]),
    ]


async def _export(intake: Intake, request: Request, signal: SignalName) -> Response:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = _TYPES.get(media_type)
    if encoding is None:
        intake.refuse("content_type")
        return _refusal(415, INVALID_ARGUMENT, f"Content-Type must be one of: {', '.join(_TYPES)}", "protobuf")
    compression = request.headers.get("content-encoding", "identity").strip().lower() or "identity"
    if compression not in ("gzip", "identity"):
        intake.refuse("content_encoding")
        return _refusal(415, INVALID_ARGUMENT, "Content-Encoding must be gzip or identity", encoding)
    held = 0
    try:
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared[:20]) > MAX_BODY:
            raise _too_large(intake)
        parts: list[bytes] = []
        async with asyncio.timeout(_READ_TIMEOUT_S):
            async for part in request.stream():
                intake.hold(len(part))
                held += len(part)
                if held > MAX_BODY:
                    raise _too_large(intake)
                parts.append(part)
        body = b"".join(parts)
        parts.clear()
        held = 0  # from here on they are the intake's to let go of
        await intake.take(signal, encoding, body, gzip=compression == "gzip")
    except (TooLargeError, TooManyRecordsError) as cause:
        return _refusal(413, INVALID_ARGUMENT, str(cause), encoding)
    except OtlpError as cause:
        return _refusal(400, INVALID_ARGUMENT, str(cause), encoding)
    except BusyError as cause:
        return _refusal(429, RESOURCE_EXHAUSTED, str(cause), encoding, cause.retry_after_s)
    except UnavailableError as cause:
        return _refusal(503, UNAVAILABLE, str(cause), encoding, cause.retry_after_s)
    except FailedError as cause:
        return _refusal(500, INTERNAL, str(cause), encoding)
    except TimeoutError:
        intake.refuse("slow")
        return _refusal(408, INVALID_ARGUMENT, f"the body did not come within {_READ_TIMEOUT_S} s", encoding)
    except ClientDisconnect:
        intake.refuse("disconnected")
        return Response(status_code=400)
    finally:
        intake.let_go(held)
    return Response(b"{}" if encoding == "json" else b"", media_type=media_type)


def _too_large(intake: Intake) -> TooLargeError:
    intake.refuse("too_large")
    return TooLargeError(f"the request is larger than {MAX_BODY:,} bytes")


def _refusal(status: int, code: int, message: str, encoding: Encoding, retry_after_s: int = 0) -> Response:
    json = encoding == "json"
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s else {}
    if status in (408, 413):
        headers["Connection"] = "close"  # what is left of the body is not read
    media_type = "application/json" if json else "application/x-protobuf"
    return Response(status_body(code, message, json), status, headers, media_type)
