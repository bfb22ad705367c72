"""POST /api/v1/erase: a lead removed from the store by the process that writes it. POST /api/v1/readmit: let in again.

    {"lead_ids": ["…"], "tenant": null}   →   200 and what was removed, as `leadtrace.store.erased.Erased` has it;
                                              {"lifted": 1, "still": false}, as `leadtrace.otlp.tombstone.Readmitted`

`lead_ids` are those of one lead, as they are recorded: one by each key of the writers' ring. `tenant` null is any. Who may
ask is decided before (`leadtrace.web.guard`). A page that somebody visits could send a form to this machine too: so the
type must be JSON, which no page may send elsewhere without asking first, and nobody answers that.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from leadtrace.errors import LeadtraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from leadtrace.otlp.tombstone import Readmitted
    from leadtrace.store.erased import Erased

__all__ = ["erasing_routes"]

_MOST_BYTES: Final = 64 << 10
_MOST_IDS: Final = 100
_LONGEST: Final = 1_000


class _Erases(Protocol):
    def erase(self, lead_ids: Sequence[str], tenant: str | None = None) -> Erased: ...

    def readmit(self, lead_ids: Sequence[str], tenant: str | None = None) -> Readmitted: ...


class _UsageError(LeadtraceError):
    """A request that asks for nothing that can be done."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def erasing_routes(store: _Erases) -> list[Route]:
    """The routes over a store that is open for writing."""

    async def erase(request: Request) -> Response:
        return await _answer(request, lambda lead_ids, tenant: store.erase(lead_ids, tenant).as_json())

    async def readmit(request: Request) -> Response:
        return await _answer(request, lambda lead_ids, tenant: asdict(store.readmit(lead_ids, tenant)))

    return [
        Route("/api/v1/erase", erase, methods=["POST"]),
        Route("/api/v1/readmit", readmit, methods=["POST"]),
    ]


async def _answer(request: Request, do: Callable[[list[str], str | None], dict[str, Any]]) -> Response:
    try:
        lead_ids, tenant = _asked(request, await _body(request))
        told = await run_in_threadpool(do, lead_ids, tenant)
    except _UsageError as cause:
        return _json({"error": str(cause)}, cause.status)
    except LeadtraceError as cause:
        return _json({"error": str(cause)}, 503)
    return _json(told)


async def _body(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > _MOST_BYTES:
            raise _UsageError(f"the body is larger than {_MOST_BYTES:,} bytes", 413)
        parts.append(part)
    return b"".join(parts)


def _asked(request: Request, body: bytes) -> tuple[list[str], str | None]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise _UsageError("Content-Type must be application/json", 415)
    try:
        asked: Any = orjson.loads(body)
    except ValueError:
        raise _UsageError("the body is not JSON") from None
    if not isinstance(asked, dict) or not set(asked) <= {"lead_ids", "tenant"}:
        raise _UsageError('the body is {"lead_ids": [text, …], "tenant": text or null}')
    lead_ids, tenant = asked.get("lead_ids"), asked.get("tenant")
    if not isinstance(lead_ids, list) or not 1 <= len(lead_ids) <= _MOST_IDS:
        raise _UsageError(f"lead_ids is a list of 1 to {_MOST_IDS} ids")
    if not all(isinstance(one, str) and 0 < len(one) <= _LONGEST for one in lead_ids):
        raise _UsageError(f"a lead id is text of 1 to {_LONGEST:,} letters")
    if not (tenant is None or (isinstance(tenant, str) and len(tenant) <= _LONGEST)):
        raise _UsageError("tenant is text or null")
    return lead_ids, tenant


def _json(value: Any, status: int = 200) -> Response:
    headers = {"Connection": "close"} if status == 413 else None  # the rest of the body is not read
    return Response(orjson.dumps(value), status, headers, media_type="application/json")
