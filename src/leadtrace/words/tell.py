"""Telling: the one way by which an event is made, whoever asks for it.

    name and fields -> checked against the catalogue -> redacted -> identity and bytes -> sink -> span -> handlers

The log record comes first and is never sampled; the span's copy, with the same `log.record.uid`, is what Jaeger shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, TraceFlags

from leadtrace import catalogue
from leadtrace.catalogue.checking import problems_of
from leadtrace.catalogue.model import Event, EventSpec, Kind
from leadtrace.otlp import encode, identity
from leadtrace.otlp.records import EventRecord, Resource, Scope, Value
from leadtrace.otlp.sink import NOWHERE, Receipt
from leadtrace.otlp.values import clean, flat
from leadtrace.version import __version__
from leadtrace.words import runtime
from leadtrace.words.guard import mistake, trouble
from leadtrace.words.onto_span import add_event

if TYPE_CHECKING:
    from leadtrace.words.handle import Handle
    from leadtrace.words.runtime import Runtime

__all__ = ["SIGNAL", "as_fields", "event_span", "on_span", "own_span", "resolve", "tell", "tracer"]

SIGNAL = encode.signal("logs", "leadtrace", __version__, catalogue.SCHEMA_URL)
"""leadtrace's own log events; one object for the process, because sinks group by it."""

_SCOPE = Scope("leadtrace", __version__, {}, catalogue.SCHEMA_URL)
_RESOURCE = Resource()
_SEVERITY = {Kind.FAILURE: 17, Kind.ERROR: 17, Kind.ATTEMPT_FAILURE: 13, Kind.CANCELLED: 13, Kind.ALERT: 13}
_INFO = 9
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)

_tracer: tuple[object, trace.Tracer] | None = None

handed: Callable[[EventRecord], None] | None = None
"""Where handlers get their events, set by `leadtrace.words.handlers` when the first one is attached."""


def tracer() -> trace.Tracer:
    """leadtrace's tracer of the provider in place now: tests and hosts may set one late."""
    global _tracer
    provider = trace.get_tracer_provider()
    known = _tracer
    if known is None or known[0] is not provider:
        made = provider.get_tracer("leadtrace", __version__, schema_url=catalogue.SCHEMA_URL)
        known = _tracer = (provider, made)
    return known[1]


def resolve(name: str, fields: Mapping[str, object], marks: list[str]) -> tuple[EventSpec | None, dict[str, Value]]:
    """The declaration of an event, and its keywords as cleaned attributes under their full names.

    Absent values are left out. An undeclared event, or a keyword that its event does not have, is a mistake: raised under
    strict, else recorded under the event's namespace and put into `marks`.
    """
    spec = catalogue.get(name)
    if spec is None:
        nearest = catalogue.nearest(name)
        hint = f"; did you mean {nearest}?" if nearest else ""
        mistake(
            f"undeclared:{name}", f"event {name!r} is not declared{hint} Declare it as a class: see docs/catalogue.md"
        )
        marks.append("undeclared")
    namespace = name.rpartition(".")[0]
    attributes: dict[str, Value] = {}
    for keyword, value in fields.items():
        field = spec.fields.get(keyword) if spec is not None else None
        if field is not None and field.type == "map" and isinstance(value, Mapping):
            prefix = field.attribute[:-1]
            for key, one in value.items():
                if (cleaned := clean(one)) is not None:
                    attributes[f"{prefix}{key}"] = cleaned
            continue
        cleaned = clean(value)
        if cleaned is None or cleaned == "":
            continue
        if field is not None:
            if field.type == "double" and type(cleaned) is int:
                cleaned = float(cleaned)
            attributes[field.attribute] = cleaned
            continue
        attribute = f"{namespace}.{keyword.rstrip('_')}" if namespace else keyword
        attributes[attribute] = cleaned
        if spec is not None:
            known = ", ".join(spec.fields) or "none"
            mistake(f"undeclared:{name}.{keyword}", f"event {name!r} has no field {keyword!r}; its fields are: {known}")
            marks.append(f"undeclared:{attribute}")
    return spec, attributes


def tell(
    spec: EventSpec | None,
    name: str,
    attributes: dict[str, Value],
    *,
    at: Handle | None,
    lead: str = "",
    tenant: str = "",
    span: Span | None = None,
    time_ns: int = 0,
    marks: list[str] | None = None,
    check: bool = True,
    opens: int = 0,
    closes: int = 0,
    uid: str = "",
) -> tuple[Receipt, dict[str, Value]]:
    """Make one event of these attributes and hand it on; gives its receipt and what was recorded, redacted.

    `at` is the open word that it belongs to, `span` the span that it goes on where that is another one (or none is open).
    `opens` and `closes`: see `Sink.append`.
    `uid` is given where it was made before. Never raises for storage; under strict it raises for wrong fields.
    """
    rt = runtime.active()
    if marks is None:
        marks = []
    if check and spec is not None and (wrong := problems_of(spec, attributes)):
        for problem in wrong:
            mistake(f"wrong:{name}", f"event {name!r}: {problem}")
        marks.append("wrong_fields")
    recorded = _common(spec, attributes, at, lead, tenant, marks, rt)
    if rt.redactor is not None:
        free_text = at is not None and (spec is None or spec.kind in _MAY_QUOTE)
        call_values = at.personal_values() if at is not None and free_text else ()
        recorded = cast(
            "dict[str, Value]", rt.redactor.attributes(name, spec, recorded, call_values=call_values, tenant=tenant)
        )
    uid = uid or identity.current().uid()
    recorded["log.record.uid"] = uid
    recorded = encode.Encoded(recorded)
    now = time_ns or rt.clock.now()
    target = span if span is not None else (at.span if at is not None else None)
    context = target.get_span_context() if target is not None else None
    receipt = _to_sink(rt, spec, name, now, recorded, context, uid, opens, closes)
    if rt.events != "logs" and target is not None and target.is_recording():
        add_event(target, name, recorded, now)
    if rt.on_event is not None or handed is not None:
        _hand_out(rt, name, now, recorded, context)
    return receipt, recorded


_MAY_QUOTE = {Kind.FAILURE, Kind.ERROR, Kind.ATTEMPT_FAILURE, Kind.REJECTION, Kind.CANCELLED}
"""Events whose text often repeats what the call was given: an exception's message, a buyer's reason."""


def _common(
    spec: EventSpec | None,
    attributes: dict[str, Value],
    at: Handle | None,
    lead: str,
    tenant: str,
    marks: list[str],
    rt: Runtime,
) -> dict[str, Value]:
    """The attributes that every event carries, then its own."""
    found: dict[str, Value] = {}
    if lead and (spec is None or spec.lead):
        found["lead.id"] = lead
    if at is not None and at.lead_ids and not lead:
        found["leadtrace.lead_ids"] = list(at.lead_ids)
    if tenant:
        found["tenant_key"] = tenant
    if at is not None and at.run is not None:
        found["leadtrace.run_id"] = at.run.id
    if spec is not None:
        found["leadtrace.kind"] = spec.kind.value
    found.update(attributes)
    if rt.clock.take_mark():
        marks.append("clock_reanchored")
    if marks:
        found["leadtrace.marks"] = list(marks)
    return found


def _to_sink(
    rt: Runtime,
    spec: EventSpec | None,
    name: str,
    now: int,
    recorded: dict[str, Value],
    context: SpanContext | None,
    uid: str,
    opens: int,
    closes: int,
) -> Receipt:
    if rt.sink is None:
        return Receipt(uid, False, NOWHERE.why)
    if rt.events == "span":
        return Receipt(uid, False, "span only")
    try:
        record = encode.log_record(
            name,
            now,
            recorded,
            trace_id=context.trace_id if context is not None else 0,
            span_id=context.span_id if context is not None else 0,
            trace_flags=int(context.trace_flags) if context is not None else 0,
            severity_number=_SEVERITY.get(spec.kind, _INFO) if spec is not None else _INFO,
        )
        answer = rt.sink.append(SIGNAL, record, uid=uid, opens=opens, closes=closes)
    except Exception as problem:  # noqa: BLE001 - a sink of a host's own may do anything; the host goes on
        trouble("sink", problem)
        return Receipt(uid, False, "sink failed")
    return answer if answer.uid else Receipt(uid, answer.saved, answer.why)


def _hand_out(rt: Runtime, name: str, now: int, recorded: dict[str, Value], context: SpanContext | None) -> None:
    record = EventRecord(
        name,
        now,
        f"{context.trace_id:032x}" if context is not None and context.trace_id else "",
        f"{context.span_id:016x}" if context is not None and context.span_id else "",
        recorded,
        _RESOURCE,
        _SCOPE,
        observed_ns=now,
    )
    for taker in (rt.on_event, handed):
        if taker is not None:
            try:
                taker(record)
            except Exception as problem:  # noqa: BLE001 - a taker's failure is not the host's
                trouble("on_event", problem)


def event_span(name: str, now: int) -> Span:
    """A span of no length for an event that no open word can carry: a root, linked to the current span if there is one."""
    current = trace.get_current_span().get_span_context()
    links = [trace.Link(current)] if current.is_valid else []
    from opentelemetry.context import Context

    made = tracer().start_span(name, Context(), links=links, start_time=now)
    if made.get_span_context().is_valid:
        return made
    return own_span(None)


_NOT_ON_SPANS = frozenset({"log.record.uid", "leadtrace.marks"})


def on_span(recorded: Mapping[str, Value]) -> dict[str, Any]:
    """What a span shows of an event: all its fields but what belongs to the record alone."""
    return {key: flat(value) for key, value in recorded.items() if key not in _NOT_ON_SPANS}


def own_span(parent: SpanContext | None) -> Span:
    """A span that only has ids, for processes without an SDK: the tree then stands on the events alone."""
    ids = identity.current()
    if parent is not None and parent.is_valid:
        return NonRecordingSpan(SpanContext(parent.trace_id, ids.span_id(), False, parent.trace_flags))
    return NonRecordingSpan(SpanContext(ids.trace_id(), ids.span_id(), False, _SAMPLED))


def as_fields(event: str | Event) -> tuple[str, dict[str, object]]:
    """A name, or a typed event with its fields, as name and keywords."""
    if isinstance(event, Event):
        return event.spec.name, {
            key: getattr(event, key) for key in event.spec.fields if getattr(event, key) is not None
        }
    return event, {}
