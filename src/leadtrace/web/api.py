"""The reading API under /api/v1: a source's answers over HTTP, which `ServedStore` reads back into records.

    GET /api/v1/records?lead_id=…[&tenant=…]   all that is needed for a lead's timeline
    GET /api/v1/records?trace_id=…             all records of a trace
    GET /api/v1/events?name=…&kind=…&lead_id=…&trace_id=…&tenant=…&since_ns=…&until_ns=…&after_arrival=…&limit=…
    GET /api/v1/leads?since_ns=…&until_ns=…&tenant=…&state=…&outcome=…&contains=…&limit=…
    GET /api/v1/nearest?lead_id=…[&tenant=…]   {"lead_id": …}
    GET /api/v1/sequences                      {"process": …}: which numbers of each process's events are there, or erased
    GET /api/v1/timeline?lead_id=…[&tenant=…]  the timeline, as `leadtrace lead --json` prints it
    GET /api/v1/report?name=…&option=…         a report, as `leadtrace report NAME --json` prints it; POST for long options

Records, events, leads and sequences answer JSON Lines, one record each (`{"span": …}`, `{"event": …}` …), the last line is
`{"end": …}`: an answer without it was cut short. Errors are `{"error": …}` with the status, or as the last line.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from leadtrace.errors import LeadtraceError, NotFoundError, SettingsError
from leadtrace.otlp.plain import event_to_plain, span_to_plain
from leadtrace.store.interface import EventFilter, Found, LeadFilter, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from starlette.requests import Request

__all__ = ["api_routes"]

_CHUNK: Final = 64 << 10
_LARGEST_QUESTION: Final = 8 << 20
"""Of a posted one, in bytes: options that hold a file's content."""


class _UsageError(LeadtraceError):
    """A parameter that cannot be."""


def api_routes(source: Source) -> list[Route]:
    """The routes of the reading API over one source."""

    def records(request: Request) -> Response:
        lead_id, trace_id = _text(request, "lead_id"), _text(request, "trace_id")
        if bool(lead_id) == bool(trace_id):
            raise _UsageError("either lead_id or trace_id is needed")
        found = source.lead(lead_id, _tenant(request)) if lead_id else source.trace(trace_id)
        return _lines(_found_lines(found))

    def events(request: Request) -> Response:
        which = EventFilter(
            names=request.query_params.getlist("name"),
            lead_id=_text(request, "lead_id"),
            trace_id=_text(request, "trace_id"),
            tenant=_tenant(request),
            since_ns=_integer(request, "since_ns"),
            until_ns=_integer(request, "until_ns"),
            kinds=request.query_params.getlist("kind"),
            after_arrival=_integer(request, "after_arrival"),
            limit=_integer(request, "limit"),
        )
        return _lines({"event": event_to_plain(one)} for one in source.events(which))

    def leads(request: Request) -> Response:
        which = LeadFilter(
            since_ns=_integer(request, "since_ns"),
            until_ns=_integer(request, "until_ns"),
            tenant=_tenant(request),
            state=_text(request, "state"),
            outcome=_text(request, "outcome"),
            contains=_text(request, "contains"),
            limit=_integer(request, "limit"),
        )
        return _lines({"lead": asdict(one)} for one in source.leads(which))

    def nearest(request: Request) -> Response:
        return _json({"lead_id": source.nearest(_text(request, "lead_id"), _tenant(request))})

    def sequences(_request: Request) -> Response:
        return _lines({"process": one.as_json()} for one in source.sequences())

    def timeline(request: Request) -> Response:
        from leadtrace.query.timeline import timeline as timeline_of

        lead_id = _text(request, "lead_id")
        if not lead_id:
            raise _UsageError("lead_id is needed")
        return _json(timeline_of(source, lead_id, _tenant(request)).as_json())

    def report(request: Request) -> Response:
        return _report(source, request.query_params.multi_items())

    async def posted_report(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _LARGEST_QUESTION:
                return _json({"error": f"a question has at most {_LARGEST_QUESTION:,} bytes"}, 413)
        return await run_in_threadpool(_answering(lambda _: _report(source, _pairs(body))), request)

    answers: dict[str, Callable[[Request], Response]] = {
        "records": records,
        "events": events,
        "leads": leads,
        "nearest": nearest,
        "sequences": sequences,
        "timeline": timeline,
        "report": report,
    }
    return [
        *(Route(f"/api/v1/{name}", _answering(answer), methods=["GET"]) for name, answer in answers.items()),
        Route("/api/v1/report", posted_report, methods=["POST"]),
    ]


def _pairs(body: bytes) -> list[tuple[str, str]]:
    """The pairs of text that a posted question is."""
    try:
        return [(str(name), str(text)) for name, text in orjson.loads(body)]
    except (ValueError, TypeError) as cause:
        raise _UsageError("a question is a JSON list of pairs: name and text") from cause


def _report(source: Source, pairs: Sequence[tuple[str, str]]) -> Response:
    """One analysis, run here, where the records are."""
    from leadtrace.analysis.answer import answer
    from leadtrace.analysis.options import options_from_texts
    from leadtrace.analysis.registry import analysis

    name = next((text for key, text in pairs if key == "name"), "")
    asked = analysis(name)
    options = options_from_texts(name, asked.options, [one for one in pairs if one[0] != "name"])
    if not options.now_ns:
        options = replace(options, now_ns=time.time_ns())
    return _json(answer(source, asked, options).as_json())


def _answering(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Errors as answers; starlette runs what is no coroutine in a thread, so the store may be waited for."""

    def endpoint(request: Request) -> Response:
        try:
            return answer(request)
        except (_UsageError, SettingsError) as cause:
            return _json({"error": str(cause)}, 400)
        except NotFoundError as cause:
            return _json({"error": str(cause)}, 404)
        except LeadtraceError as cause:
            return _json({"error": str(cause)}, 503)

    return endpoint


def _text(request: Request, name: str) -> str:
    return request.query_params.get(name, "")


def _tenant(request: Request) -> str | None:
    return request.query_params.get("tenant")


def _integer(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) < 2**63):
        raise _UsageError(f"{name} is a whole number")
    return int(text)


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def _found_lines(found: Found) -> Iterator[dict[str, Any]]:
    yield from ({"span": span_to_plain(one)} for one in found.spans)
    yield from ({"event": event_to_plain(one)} for one in found.events)
    yield {"end": {"incomplete": found.incomplete}}


def _lines(lines: Iterable[dict[str, Any]]) -> StreamingResponse:
    return StreamingResponse(_chunks(lines), media_type="application/x-ndjson")


def _chunks(lines: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """Lines in pieces worth sending; the status has left before the first one, so an error is the last line."""
    parts: list[bytes] = []
    size, ended = 0, False
    try:
        for line in lines:
            ended = "end" in line
            parts.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
            size += len(parts[-1])
            if size >= _CHUNK:
                yield b"".join(parts)
                parts, size = [], 0
        if not ended:
            parts.append(b'{"end":{}}\n')
    except LeadtraceError as cause:
        parts.append(orjson.dumps({"error": str(cause)}, option=orjson.OPT_APPEND_NEWLINE))
    yield b"".join(parts)
