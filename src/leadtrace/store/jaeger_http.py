"""Jaeger's HTTP API, both searches: which traces there are, and a trace's spans.

Servers up to 2.20 have the older search (`/api/traces`: a service, microseconds, tags as JSON); their v3 search ignores
attributes. Newer ones have v3 alone (`/api/v3/traces`: attributes without a service, nanoseconds). Both give a single
trace by `/api/v3/traces/{id}`, exact and in OTLP. Only a server that has no v3 at all is read in the older form.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

import urllib3

from leadtrace.errors import OtlpError, SettingsError, SourceError
from leadtrace.otlp.decode_json import spans_of
from leadtrace.store.jaeger_legacy import spans_of_trace
from leadtrace.store.jaeger_lists import restore_lists

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from leadtrace.otlp.records import SpanRecord

__all__ = ["JaegerApi", "Traces"]

Traces = dict[str, "list[SpanRecord]"]
"""Whole traces by their id."""

_TIMEOUT: Final = urllib3.Timeout(connect=5, read=60)
_MOST_BYTES: Final = 512 * 1024 * 1024
_DEFAULT_PORT: Final = 16686


class JaegerApi:
    """One server. Several threads may use it; the connections are pooled."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        try:
            port = _DEFAULT_PORT if parts.port is None else parts.port
        except ValueError:
            port = 0
        if not parts.hostname or not port:
            raise SettingsError("a Jaeger is named jaeger://host:port", got=url)
        scheme = "https" if parts.scheme.lower() == "jaegers" else "http"
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.base: Final = f"{scheme}://{host}:{port}{parts.path.rstrip('/')}"
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT, retries=False, maxsize=4)
        self._has_v3: bool | None = None

    def close(self) -> None:
        self._pool.clear()

    def services(self) -> tuple[list[str], bool]:
        """Every service that the server knows, and whether the server has the older search."""
        status, answer = self._get("/api/services")
        if status == 200 and isinstance(answer, dict) and isinstance(answer.get("data"), (list, type(None))):
            return sorted(map(str, answer["data"] or ())), True
        status, answer = self._get("/api/v3/services")
        if status == 200 and isinstance(answer, dict):
            return sorted(map(str, answer.get("services") or ())), False
        raise self._refused("its services", status, answer)

    def search(self, service: str, attributes: Mapping[str, str], start_ns: int, end_ns: int, depth: int) -> Traces:
        """Whole traces by the v3 search; `service` '' asks for all of them at once, which not every storage can.

        Raises `SourceError` where the server refuses.
        """
        query = {
            "query.startTimeMin": _rfc3339(start_ns),
            "query.startTimeMax": _rfc3339(end_ns),
            "query.searchDepth": str(depth),
            "query.rawTraces": "true",
        }
        if attributes:
            query["query.attributes"] = json.dumps(attributes)
        if service:
            query["query.serviceName"] = service
        status, answer = self._get("/api/v3/traces", query)
        if status == 404 and isinstance(answer, dict):
            return {}
        if status != 200:
            raise self._refused("its search", status, answer)
        return _by_trace(self._decoded(answer))

    def search_older(
        self,
        service: str,
        tags: Mapping[str, str],
        start_ns: int,
        end_ns: int,
        depth: int,
        known: Traces | None = None,
    ) -> Traces:
        """Whole traces of one service by the older search. Those that are `known` are not fetched exactly again."""
        query = {
            "service": service,
            "start": str(start_ns // 1000),
            "end": str(-(-end_ns // 1000)),
            "limit": str(depth),
        }
        if tags:
            query["tags"] = json.dumps(tags)
        status, answer = self._get("/api/traces", query)
        if status != 200 or not isinstance(answer, dict):
            raise self._refused("its search", status, answer)
        found: Traces = {}
        for one in answer.get("data") or ():
            trace_id = str(one.get("traceID", "")).rjust(32, "0")
            exact = known.get(trace_id) if known is not None else None
            if exact is None and self._has_v3 is not False:
                exact = self._trace_v3(trace_id)
            found[trace_id] = exact if exact is not None else spans_of_trace(one)
        if known is not None:
            known |= found
        return found

    def trace(self, trace_id: str) -> list[SpanRecord]:
        """All spans of one trace; none where the server does not know it."""
        exact = self._trace_v3(trace_id) if self._has_v3 is not False else None
        if exact is not None:
            return exact
        status, answer = self._get(f"/api/traces/{quote(trace_id, safe='')}", {"raw": "true"})
        if status in (400, 404):
            return []
        if status != 200 or not isinstance(answer, dict):
            raise self._refused("a trace", status, answer)
        return [span for one in answer.get("data") or () for span in spans_of_trace(one)]

    def _trace_v3(self, trace_id: str) -> list[SpanRecord] | None:
        """A trace by v3, unadjusted; None where the server has no v3."""
        status, answer = self._get(
            f"/api/v3/traces/{quote(trace_id, safe='')}", {"rawTraces": "true", "raw_traces": "true"}
        )
        if status == 200:
            self._has_v3 = True
            return list(self._decoded(answer))
        if isinstance(answer, dict) and "error" in answer and status in (400, 404):
            return []  # v3 says in JSON that it knows no such trace; a server without v3 says 404 in plain text
        if status == 404:
            self._has_v3 = False
            return None
        raise self._refused("a trace", status, answer)

    def _decoded(self, answer: object) -> Iterator[SpanRecord]:
        for one in answer if isinstance(answer, list) else [answer]:
            message = one.get("result", one) if isinstance(one, dict) else one
            try:
                yield from map(restore_lists, spans_of(message))
            except OtlpError as problem:
                raise SourceError(
                    f"Jaeger at {self.base} answered something else than spans", cause=problem
                ) from problem

    def _get(self, path: str, query: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """The status and the JSON of an answer, or its text where it is none."""
        url = f"{self.base}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            with self._pool.request("GET", url, preload_content=False, redirect=False) as response:
                body = response.read(_MOST_BYTES + 1)
                status = response.status
        except urllib3.exceptions.HTTPError as problem:
            raise SourceError(
                f"Jaeger at {self.base} cannot be reached",
                cause=_why(problem),
                do="is it running, and is this its query port?",
            ) from problem
        if len(body) > _MOST_BYTES:
            raise SourceError(
                f"Jaeger at {self.base} answered more than {_MOST_BYTES >> 20} MiB", do="narrow the window"
            )
        text = body.decode(errors="replace")
        try:
            return status, _documents(text)
        except ValueError:
            return status, text[:200].strip()

    def _refused(self, what: str, status: int, answer: object) -> SourceError:
        """What the server said, in whichever of its forms."""
        said = answer
        if isinstance(answer, dict):
            errors, error = answer.get("errors"), answer.get("error")
            if isinstance(errors, list) and errors and isinstance(errors[0], dict):
                said = errors[0].get("msg", errors[0])
            elif isinstance(error, dict):
                said = error.get("message", error)
        return SourceError(f"Jaeger at {self.base} refused {what}", status=status, said=said)


def _documents(text: str) -> Any:
    """One JSON document, or a list of them where several stand one behind another, as streamed answers come."""
    decoder, found, at = json.JSONDecoder(), [], 0
    text = text.strip()
    while at < len(text):
        one, at = decoder.raw_decode(text, at)
        found.append(one)
        while at < len(text) and text[at].isspace():
            at += 1
    if not found:
        raise ValueError("empty")
    return found[0] if len(found) == 1 else found


def _by_trace(spans: Iterator[SpanRecord]) -> Traces:
    found: Traces = {}
    for span in spans:
        found.setdefault(span.trace_id, []).append(span)
    return found


def _rfc3339(time_ns: int) -> str:
    seconds, rest = divmod(max(time_ns, 0), 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def _why(problem: BaseException) -> str:
    cause = problem.__cause__ or problem.__context__
    return str(cause) if isinstance(cause, OSError) else str(problem).partition(": ")[2] or str(problem)
