"""Crossing: what is open here, as text that travels with a message, and opened again where the message arrives.

producer   carry()   ──►  {"leadtrace": "…"}  ──►   consumer   with resume(carried): …
           same run, same lead, same delivery, same state; a new trace with a link, so that its own sampler decides
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace import Link, SpanContext, TraceFlags

from leadtrace.otlp import identity
from leadtrace.words.context import innermost
from leadtrace.words.guard import counts, guarded
from leadtrace.words.run import Run
from leadtrace.words.tries import Tries

if TYPE_CHECKING:
    from opentelemetry.context.context import Context

    from leadtrace.otlp.records import Value
    from leadtrace.words.handle import Handle

__all__ = ["Arrival", "carry", "carry_from"]

_VERSION = "1"
_HEX = re.compile(r"[0-9a-f]+")
_NUMBER = re.compile(r"[0-9]{1,19}")
_LONGEST = 65_536


def carry() -> dict[str, str]:
    """What is open here, as a flat dict of text for a queue's message or a header; empty where nothing is open.

    Give it to `leadtrace.resume` where the work goes on. It holds ids, names and states; what was redacted stays so.
    """
    here = innermost()
    return carry_from(here) if here is not None else {}


@guarded(dict[str, str])
def carry_from(handle: Handle) -> dict[str, str]:
    """`carry` from a handle."""
    context = handle.span.get_span_context()
    handover = identity.current().token("handover")
    flow = handle.in_flow
    found: dict[str, str] = {
        "leadtrace": _VERSION,
        "handover": handover,
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "trace_flags": f"{int(context.trace_flags):02x}",
        "run_id": handle.run_id,
        "parent_run_id": handle.run.parent_id if handle.run is not None else "",
        "lead_id": handle.lead_id,
        "lead_ids": json.dumps(list(handle.lead_ids)) if handle.lead_ids else "",
        "tenant": handle.tenant,
        "state": handle.states.get(handle.lead_id, ""),
        "word": handle.kind.word,
        "name": handle.name,
    }
    if flow is not None and flow.arrival is not None:
        found.update(flow.arrival.handed_on)
    elif flow is not None:
        for keyword in ("id", "name", "version", "journey_source", "journey_campaign", "journey_campaign_group"):
            known = (flow.options.get("repeated") or {}).get(keyword)
            if known is not None:
                found[f"flow_{keyword.removeprefix('journey_')}"] = str(known)
        found["flow_started_ns"] = str(flow.started_ns)
    if handle.in_delivery is not None:
        found["delivery_id"] = handle.in_delivery.id
        if buyer := (handle.in_delivery.options.get("repeated") or {}).get("buyer"):
            found["buyer"] = str(buyer)
    tries = {name: one.last for name, one in _tries_of(handle).items() if one.failed}
    if tries:
        found["attempts"] = json.dumps(tries)
    if handle.run is not None:
        with handle.run.lock:
            handle.run.handed_over.append(handover)
    return {key: value for key, value in found.items() if value}


def _tries_of(handle: Handle) -> Mapping[str, Tries]:
    at: Handle | None = handle
    while at is not None:
        if at.tries:
            return at.tries
        at = at.parent if at.in_delivery is not None else None
    return {}


class Arrival:
    """A carried dict, read: what a `resume` opens with. Nonsense is read as far as it makes sense, and marked."""

    __slots__ = ("_carried", "_marks")

    def __init__(self, carried: object) -> None:
        self._marks: list[str] = []
        self._carried: dict[str, str] = {}
        if carried is None:
            self._marks.append("nothing_carried")
        elif not isinstance(carried, Mapping):
            self._marks.append("carried_unreadable")
        else:
            for key, value in carried.items():
                text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
                name = key.decode("utf-8", "replace") if isinstance(key, bytes) else key
                if isinstance(name, str) and isinstance(text, str) and len(text) <= _LONGEST:
                    self._carried[name] = text
            if self._carried.get("leadtrace") != _VERSION:
                self._marks.append("carried_unreadable" if self._carried else "nothing_carried")
                if "leadtrace" not in self._carried:
                    self._carried = {}

    @property
    def name(self) -> str:
        flow = self._carried.get("flow_name") or self._carried.get("name")
        return f"resume {flow}" if flow else "resume"

    def arrive(self, handle: Handle, around: Context) -> tuple[Context, list[Link], dict[str, Value]]:
        """Open the carried run on that handle: the context to open in, the link, and what start and end events say of it."""
        carried = self._carried
        handle.name = self.name
        handle.in_flow = handle
        handle.run = Run(carried.get("run_id") or identity.current().token("run"), carried.get("parent_run_id", ""))
        handle.told = handle.run.told
        handle.states = {}
        if "lead_ids" in carried:
            handle.lead_ids = tuple(str(one) for one in _loaded(carried["lead_ids"], list))
        handle._lead = handle._lead or carried.get("lead_id", "")
        handle._tenant = handle._tenant or carried.get("tenant", "")
        if state := carried.get("state"):
            handle.states[handle._lead] = state
        if delivery := carried.get("delivery_id"):
            handle.in_delivery = handle
            handle.id = delivery
        for name, last in _loaded(carried.get("attempts", "{}"), dict).items():
            if isinstance(last, int) and 0 < last < 1_000_000:
                handle.tries[str(name)] = Tries(last=last, failed=True)
        if self._marks:
            counts["resume_unreadable"] += 1
        return self._opened_in(around)

    def _opened_in(self, around: Context) -> tuple[Context, list[Link], dict[str, Value]]:
        said: dict[str, Value] = {}
        if handover := self._carried.get("handover"):
            said["leadtrace.handover_id"] = handover
        if self._marks:
            said["leadtrace.marks"] = list(self._marks)
        origin = self._origin()
        if origin is None:
            return around, [], said
        said["leadtrace.parent_span_id"] = f"{origin.span_id:016x}"
        current = trace.get_current_span(around).get_span_context()
        if current.is_valid and current.trace_id == origin.trace_id:
            return (
                around,
                [],
                said,
            )  # the trace was carried by the host's own propagation: the current span is the parent
        bare = trace.set_span_in_context(trace.INVALID_SPAN, around)
        links = [Link(origin, {"leadtrace.handover_id": handover or ""})]
        if current.is_valid:
            links.append(Link(current))
        return bare, links, said

    def _origin(self) -> SpanContext | None:
        trace_id, span_id = self._carried.get("trace_id", ""), self._carried.get("span_id", "")
        if len(trace_id) != 32 or len(span_id) != 16 or not _HEX.fullmatch(trace_id + span_id):
            return None
        flags = self._carried.get("trace_flags", "00")
        sampled = TraceFlags(int(flags, 16) if _HEX.fullmatch(flags) and len(flags) == 2 else 0)
        found = SpanContext(int(trace_id, 16), int(span_id, 16), True, sampled)
        return found if found.is_valid else None

    @property
    def handed_on(self) -> dict[str, str]:
        """What the next handover says as this one did: the flow that is passed from hand to hand, and the buyer."""
        return {key: one for key, one in self._carried.items() if key.startswith("flow_") or key == "buyer"}

    @property
    def flow_fields(self) -> dict[str, Any]:
        """The carried flow's own fields, for its end event."""
        fields: dict[str, Any] = {}
        for keyword in ("id", "name", "version"):
            if f"flow_{keyword}" in self._carried:
                text = self._carried[f"flow_{keyword}"]
                fields[keyword] = int(text) if keyword == "version" and _NUMBER.fullmatch(text) else text
        for keyword in ("source", "campaign", "campaign_group"):
            if f"flow_{keyword}" in self._carried:
                fields[f"journey_{keyword}"] = self._carried[f"flow_{keyword}"]
        return fields

    @property
    def flow_started_ns(self) -> int:
        text = self._carried.get("flow_started_ns", "")
        return int(text) if _NUMBER.fullmatch(text) else 0


def _loaded(text: str, kind: type) -> Any:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return kind()
    return found if isinstance(found, kind) else kind()
