"""How a word ends: the error told once, the end event, the span closed; the only place that says that a word ended.

What happened and what came of it is worked out in `outcome`, which event says so in `endings`, what others learn of it
in `counting`.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from leadtrace import catalogue
from leadtrace.catalogue.model import Kind
from leadtrace.words import endings, runtime
from leadtrace.words.answers import Answer
from leadtrace.words.counting import count
from leadtrace.words.onto_span import set_attributes
from leadtrace.words.opening import put, said_of, survives
from leadtrace.words.outcome import read_result, what_happened
from leadtrace.words.raised import scrubbed, tell_raised
from leadtrace.words.summary import figures, flow_ended
from leadtrace.words.tell import resolve, tell

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from leadtrace.otlp.records import Value
    from leadtrace.words.endings import Ending, Happened
    from leadtrace.words.handle import Handle

__all__ = ["end"]


def end(
    handle: Handle, problem: BaseException | None = None, result: Any = None, returned: bool = False, reason: str = ""
) -> None:
    """Close a word. `returned` says that `result` is what its function gave back; `reason` that of an early close."""
    if handle.ended:
        return
    handle.ended = True
    now_mono = time.monotonic_ns()
    if returned:
        handle.found, handle.has_found = result, True
        if isinstance(result, Answer):
            handle.answer = result
    happened = what_happened(handle, problem, now_mono, reason)
    marks = read_result(handle, happened)
    if happened.how == "raised" and happened.problem is not None:
        tell_raised(handle, happened.problem, happened, handle.started_ns + (now_mono - handle.started_mono))
    if handle.kind.word == "flow":
        flow_ended(handle, now_mono)
    elif handle.arrival is not None and handle.options.get("ends_flow"):
        _end_carried_flow(handle, happened, now_mono)
    ending = handle.kind.settle(handle, happened)
    _say_end(handle, ending, marks, now_mono)
    count(handle, ending, now_mono)


def _end_carried_flow(handle: Handle, happened: Happened, now_mono: int) -> None:
    """The end of the flow that was handed over to this block, as the block ended; counted over the run's words here."""
    arrival = handle.arrival
    assert arrival is not None
    now = runtime.active().clock.now()
    began = arrival.flow_started_ns or handle.started_ns
    handle.options["summary"] = {**arrival.flow_fields, **figures(handle, now_mono - handle.started_mono)}
    ending = endings.flow(handle, replace(happened, duration_ms=max(now - began, 0) / 1e6))
    spec, fields = resolve(ending.event, ending.fields, [])
    said: dict[str, Value] = {"leadtrace.word": "flow", "leadtrace.name": str(arrival.flow_fields.get("name", ""))}
    said.update(fields)
    said.update({key: value for key, value in ending.attributes.items() if value})
    tell(
        spec,
        ending.event,
        {k: v for k, v in said.items() if v != ""},
        at=handle,
        lead=handle.lead_id,
        tenant=handle.tenant,
        closes=survives(handle),
        check=False,  # what was carried is told as it came: resuming never raises
    )


def _say_end(handle: Handle, ending: Ending, marks: list[str], now_mono: int) -> None:
    extra = _beyond(handle, ending)
    spec, fields = resolve(ending.event, ending.fields, [])
    said = said_of(handle)
    noted = _noted(handle, spec)
    said.update(noted)
    said.update(extra)
    said.update(fields)
    said.update((key, noted[key]) for key in handle.stated if key in noted)  # what the user states stands
    said.update({key: value for key, value in ending.attributes.items() if value})
    if handle.items >= 0:
        said["items"] = handle.items
        said["active_ms"] = handle.active_ns / 1e6
    if marks:
        marks = list(dict.fromkeys(marks))
    ended_ns = handle.started_ns + (now_mono - handle.started_mono)
    tenant = handle.tenant
    if handle.bulk and handle.lead_ids:
        recorded = _say_each(handle, spec, ending, said, marks, ended_ns, tenant)
    else:
        _, recorded = tell(
            spec,
            ending.event,
            said,
            at=handle,
            lead=handle.lead_id,
            tenant=tenant,
            time_ns=ended_ns,
            marks=marks,
            closes=survives(handle),
        )
    ending.attributes = dict(recorded)
    _close_span(handle, ending, recorded, spec.kind if spec is not None else Kind.MILESTONE, ended_ns)


def _beyond(handle: Handle, ending: Ending) -> dict[str, Value]:
    """What an answer says beyond its event's fields: as any keyword of a user's own, it goes under the word's name."""
    extra: dict[str, Value] = {}
    if handle.answer is not None and (spec := catalogue.get(ending.event)) is not None:
        for keyword in handle.answer.fields:
            if keyword in ending.fields and keyword not in spec.fields:
                put(extra, f"{handle.kind.word}.{keyword.rstrip('_')}", ending.fields.pop(keyword))
    return extra


def _noted(handle: Handle, spec: Any) -> dict[str, Value]:
    """The noted fields that belong on this end event: its own, and those that no sibling declares for another ending."""
    siblings = handle.kind.attributes
    return {
        key: value
        for key, value in handle.notes.items()
        if spec is None or key not in siblings or spec.field_of(key) is not None
    }


def _say_each(
    handle: Handle,
    spec: Any,
    ending: Ending,
    said: dict[str, Value],
    marks: list[str],
    ended_ns: int,
    tenant: str,
) -> dict[str, Value]:
    """One end event per lead of a bulk call; its cost, or the cost avoided, is split in micro-units with nothing lost."""
    from leadtrace.words.run import amount

    shares = {name: _shares(amount(said.get(name)), len(handle.lead_ids)) for name in _WHOLE_CALL}
    last: dict[str, Value] = {}
    no_copy = trace.NonRecordingSpan(handle.span.get_span_context())  # its ids, and nothing of it on the span
    for index, lead in enumerate(handle.lead_ids):
        own = {**said, **handle.notes_for.get(lead, {})}
        for name, each in shares.items():
            if each and name not in handle.notes_for.get(lead, {}):
                own[name] = each[index] / 1_000_000
        _, last = tell(
            spec,
            ending.event,
            own,
            at=handle,
            lead=lead,
            tenant=tenant,
            time_ns=ended_ns,
            marks=[*marks],
            span=no_copy,
            closes=survives(handle) if index == len(handle.lead_ids) - 1 else 0,
        )
    redactor = runtime.active().redactor
    summary: dict[str, Value] = {**said, "leadtrace.kind": last["leadtrace.kind"]} if "leadtrace.kind" in last else said
    if redactor is None:
        return summary
    values = handle.personal_values()
    return redactor.attributes(ending.event, spec, summary, call_values=values, tenant=tenant)  # type: ignore[return-value]


_WHOLE_CALL = ("enhancement.cost", "enhancement.cost_avoided")
"""Amounts that are the whole call's, however many leads it served."""


def _shares(total: Decimal | None, leads: int) -> list[int]:
    """A total as micro-units for each lead, the first ones bearing what does not divide; none where there is no total."""
    if total is None:
        return []
    units = round(total * 1_000_000)
    return [units // leads + (1 if index < units % leads else 0) for index in range(leads)]


def _close_span(handle: Handle, ending: Ending, recorded: Mapping[str, Value], kind: Kind, ended_ns: int) -> None:
    span = handle.span
    if span.is_recording():
        shown = {**handle.plan.code, **recorded}
        shown.pop("log.record.uid", None)
        shown.pop("leadtrace.marks", None)
        if handle.notes.keys() - recorded.keys():
            shown.update(_left_over(handle, ending, recorded))
        set_attributes(span, shown)
        if kind in (Kind.FAILURE, Kind.ATTEMPT_FAILURE) and not ending.expected:
            message = str(recorded.get("error.message") or scrubbed(handle, ending.status_message))
            span.set_status(Status(StatusCode.ERROR, message or None))
    span.end(ended_ns)


def _left_over(handle: Handle, ending: Ending, recorded: Mapping[str, Value]) -> dict[str, Value]:
    """Noted fields that this ending does not carry: the span still does, redacted like all else."""
    left_over: dict[str, Any] = {key: value for key, value in handle.notes.items() if key not in recorded}
    redactor = runtime.active().redactor
    if redactor is None:
        return left_over
    return cast("dict[str, Value]", redactor.attributes(ending.event, None, left_over, tenant=handle.tenant))
