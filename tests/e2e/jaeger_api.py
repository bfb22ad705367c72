"""What the real Jaeger's own API answers, read without leadtrace: the other witness."""

from __future__ import annotations

import json
import time
import urllib.parse
from dataclasses import dataclass
from typing import Any

from real_servers import fetch_json


@dataclass(frozen=True)
class JaegerEvent:
    name: str
    time_us: int
    trace_id: str
    span_id: str
    attributes: dict[str, Any]

    @property
    def uid(self) -> str:
        return str(self.attributes.get("log.record.uid", ""))


@dataclass(frozen=True)
class JaegerSpan:
    name: str
    service: str
    trace_id: str
    span_id: str
    parent_span_id: str
    """Its parent in its own trace, '' for a root."""
    links: tuple[tuple[str, str], ...]
    tags: dict[str, Any]
    events: tuple[JaegerEvent, ...]
    warnings: tuple[str, ...] = ()
    """What Jaeger mended in it."""


def spans_of(api: str, service: str, tags: dict[str, str] | None = None) -> list[JaegerSpan]:
    """All spans of the traces of a service of the last hour in which one span has these tags."""
    now = time.time_ns() // 1000
    query = {"service": service, "start": now - 3_600_000_000, "end": now + 60_000_000, "limit": 100_000}
    if tags:
        query["tags"] = json.dumps(tags)
    answer = fetch_json(f"{api}/api/traces?{urllib.parse.urlencode(query)}")
    return [_span(found, trace["processes"]) for trace in answer["data"] for found in trace["spans"]]


def _span(found: dict[str, Any], processes: dict[str, Any]) -> JaegerSpan:
    trace_id, span_id = found["traceID"], found["spanID"]
    parent = [
        ref["spanID"] for ref in found["references"] if ref["refType"] == "CHILD_OF" and ref["traceID"] == trace_id
    ]
    links = [(ref["traceID"], ref["spanID"]) for ref in found["references"] if ref["refType"] == "FOLLOWS_FROM"]
    events = []
    for log in found["logs"]:
        fields = _values(log["fields"])
        events.append(JaegerEvent(fields.pop("event", ""), log["timestamp"], trace_id, span_id, fields))
    return JaegerSpan(
        found["operationName"],
        processes[found["processID"]]["serviceName"],
        trace_id,
        span_id,
        parent[0] if parent else "",
        tuple(links),
        _values(found["tags"]),
        tuple(events),
        tuple(found.get("warnings") or ()),
    )


def _values(fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {field["key"]: field["value"] for field in fields}


def as_jaeger_shows(value: Any) -> Any:
    """A recorded value in the form in which Jaeger keeps it: lists become JSON text."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False) if isinstance(value, list) else value
