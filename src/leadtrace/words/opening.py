"""How a word begins: the only place that opens a span, and the only one that says that a word began.

Fields are read, the span is opened, the start event is told; the caller enters the context inside it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context.context import Context
from opentelemetry.trace import Link

from leadtrace.otlp import identity
from leadtrace.otlp.values import clean, flat
from leadtrace.words import runtime
from leadtrace.words.context import entered, innermost
from leadtrace.words.crossing import Arrival
from leadtrace.words.handle import Handle
from leadtrace.words.raised import scrubbed
from leadtrace.words.summary import flow_began, flow_gone
from leadtrace.words.tell import own_span, resolve, tell, tracer
from leadtrace.words.timeouts import timeouts_here
from leadtrace.words.tries import Tries

if TYPE_CHECKING:
    from leadtrace.otlp.records import Value
    from leadtrace.words.plan import Plan

__all__ = ["abandon", "begin", "parent_span_id", "put", "recorded_lead", "said_of", "survives", "switched_on"]

_OFF_PROVIDERS = ("ProxyTracerProvider", "NoOpTracerProvider")


def switched_on() -> bool:
    """Whether anything listens: a runtime, a tracer provider or a handler. With none, a word only calls through."""
    if runtime.current() is not None:
        return True
    from leadtrace.words import tell as telling

    return telling.handed is not None or type(trace.get_tracer_provider()).__name__ not in _OFF_PROVIDERS


def begin(
    plan: Plan,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    context: Context | None = None,
) -> Handle:
    """Open a word: its span, its start event, and the context inside it (`handle.context`), which the caller attaches."""
    around = otel.get_current() if context is None else context
    parent = innermost(around)
    kind = plan.kind
    handle = Handle(kind, plan.name, plan, parent)
    given = kwargs or {}
    handle.call = (args, given)
    handle.timeouts = timeouts_here(around)
    attributes: dict[str, Value] = dict(plan.static)
    missing: list[str] = []
    if plan.start_fields:
        missing += plan.read(plan.start_fields, args, given, None, lambda key, value: put(attributes, key, value))
    options = handle.options = dict(plan.static_options)
    if plan.start_options:
        missing += plan.read(plan.start_options, args, given, None, options.__setitem__)
    for wanted in ("tenant", "lead_id", "lead_ids"):  # a lead's hash is its tenant's
        if wanted in options:
            _belongs(handle, wanted, options.pop(wanted))
    start: dict[str, Value] = {}
    links: list[Link] = []
    if kind.word == "flow":
        flow_began(handle, attributes)
    elif kind.word == "resume":
        handle.arrival = Arrival(options.pop("carried", None))
        handle.cpu_ns = time.process_time_ns()
        around, links, start = handle.arrival.arrive(handle, around)
        handle.options["arrived"] = {key: value for key, value in start.items() if key != "leadtrace.marks"}
    elif kind.word == "delivery":
        handle.id = str(attributes.setdefault("delivery.id", identity.current().token("delivery")))
        buyer = attributes.get("delivery.buyer")
        # Nothing redacts a span's name, so what goes into it is scrubbed here.
        handle.name = f"deliver to {scrubbed(None, str(buyer))}" if buyer else "deliver"
        handle.in_delivery = handle
        handle.options.setdefault("currency", runtime.active().currency)
    elif kind.word == "enhancement":
        _placed(handle, attributes)
    if kind.word == "attempt":
        _begin_try(handle, attributes)
    _open_span(handle, around, links)
    try:
        _say_start(handle, attributes, start, missing)
    except BaseException:
        abandon(handle)
        raise
    if handle.run is not None:
        handle.run.opened()
    return handle


def abandon(handle: Handle) -> None:
    """Close what a word holds open, without a word about it: telling it has failed."""
    if handle.kind.word == "flow":
        flow_gone(handle)
    if handle.span.is_recording():
        handle.span.end()


_PLAIN = frozenset({str, int, float, bool})  # asked first: to ask whether something is a Mapping takes long


def put(attributes: dict[str, Value], key: str, value: object) -> None:
    if value.__class__ not in _PLAIN and isinstance(value, Mapping):
        prefix = key.removesuffix(".*")
        for name, one in value.items():
            if (cleaned := clean(one)) is not None:
                attributes[f"{prefix}.{name}"] = cleaned
        return
    cleaned = clean(value)
    if cleaned is not None and cleaned != "":
        attributes[key] = cleaned


def _belongs(handle: Handle, what: str, value: object) -> None:
    if value is None or value == "":
        return
    if what == "lead_id":
        handle._lead = recorded_lead(value, handle.tenant)
        handle.lead_ids = ()
    elif what == "tenant":
        handle._tenant = str(value)
    else:
        listed = list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]
        handle.lead_ids = tuple(dict.fromkeys(recorded_lead(one, handle.tenant) for one in listed))
        handle.bulk = True


def recorded_lead(value: object, tenant: str = "") -> str:
    """A lead id as it is recorded: as text; hashed where the whole of it is an e-mail address or a phone number."""
    text = str(value)
    current = runtime.active()
    return current.redactor.lead_id(text, tenant or current.tenant) if current.redactor is not None else text


def _placed(handle: Handle, attributes: dict[str, Value]) -> None:
    attributes.setdefault("enhancement.name", handle.name)
    if handle.in_flow is not None:
        handle.in_flow.positions += 1
        attributes.setdefault("enhancement.position", handle.in_flow.positions)
    handle.options.setdefault("currency", runtime.active().currency)


def _begin_try(handle: Handle, attributes: dict[str, Value]) -> None:
    """Number an attempt, and tell a retry before it begins."""
    parent = handle.parent
    tries = Tries()
    if parent is not None:
        tries = parent.tries.setdefault(handle.name, tries)
        if handle.in_delivery is not None:
            handle.in_delivery.attempts_begun += 1
            handle.in_delivery.plan.uses_attempts = True
    number = handle.options.get("number")
    begun = tries.begin(time.monotonic_ns(), int(number) if number is not None else None)
    handle.number = begun.number
    attributes["attempt"] = begun.number
    if begun.retry and parent is not None:
        fields = {
            "attempt": begun.number,
            "waited_ms": begun.waited_ns / 1e6,
            "max_attempts": attributes.get("max_attempts"),
        }
        spec, resolved = resolve("system.retry.attempted", fields, [])
        tell(spec, "system.retry.attempted", resolved, at=parent, lead=parent.lead_id, tenant=parent.tenant)


def _open_span(handle: Handle, around: Context, links: list[Link]) -> None:
    handle.started_mono, handle.started_ns = runtime.active().clock.both()
    on_span: dict[
        str, Value
    ] = {}  # what a sampler may ask for; all else is set at the end, with the end event's fields
    lead, tenant = handle.lead_id, handle.tenant
    if lead:
        on_span["lead.id"] = lead
    if handle.lead_ids:
        on_span["leadtrace.lead_ids"] = list(handle.lead_ids)
    if tenant:
        on_span["tenant_key"] = tenant
    on_span["leadtrace.word"] = handle.kind.word
    context = Context() if handle.options.get("new_trace") else around
    above = trace.get_current_span(around).get_span_context()
    if handle.options.get("new_trace") and above.is_valid:
        links = [*links, Link(above)]
    span = tracer().start_span(
        handle.name,
        context,
        handle.kind.span_kind,
        {key: flat(value) for key, value in on_span.items()},
        links,
        handle.started_ns,
    )
    made = span.get_span_context()
    parent_id = trace.get_current_span(context).get_span_context()
    if not made.is_valid or made.span_id == parent_id.span_id:
        span = own_span(parent_id)
        made = span.get_span_context()
    handle.span = span
    handle.span_id = f"{made.span_id:016x}"
    if not handle.id:
        handle.id = handle.span_id
    handle.context = entered(handle, around)


def said_of(handle: Handle) -> dict[str, Value]:
    """What start and end events both carry."""
    said: dict[str, Value] = {"leadtrace.word": handle.kind.word, "leadtrace.name": handle.name}
    if parent_id := parent_span_id(handle):
        said["leadtrace.parent_span_id"] = parent_id
    if handle.run is not None and handle.run.parent_id and handle.kind.word == "flow":
        said["leadtrace.parent_run_id"] = handle.run.parent_id
    said.update(handle.options.get("arrived") or {})
    return said


def survives(handle: Handle) -> int:
    """The key of a word whose end is told even where the process dies amid it, 0 of all others."""
    word = handle.kind.word
    if word in ("flow", "delivery") or (word == "resume" and handle.options.get("ends_flow")):
        return handle.span.get_span_context().span_id
    return 0


def parent_span_id(handle: Handle) -> str:
    if handle.parent is not None:
        return handle.parent.span_id
    parent = getattr(handle.span, "parent", None)
    return f"{parent.span_id:016x}" if parent is not None else ""


def _say_start(handle: Handle, attributes: dict[str, Value], start: dict[str, Value], missing: list[str]) -> None:
    kind = handle.kind
    handle.options["repeated"] = {k: attributes[name] for k, name in kind.repeats.items() if name in attributes}
    spec, at_start = kind.start_spec, kind.at_start
    said = said_of(handle)
    said.update(start)
    for key, value in attributes.items():
        if key in at_start:
            said[key] = value
    handle.notes.update(attributes)  # everything said at the start stands on the end event and the span as well
    lead, tenant = handle.lead_id, handle.tenant
    marks = [f"missing:{name}" for name in missing]
    tell(
        spec,
        kind.start,
        said,
        at=handle,
        lead=lead,
        tenant=tenant,
        time_ns=handle.started_ns,
        marks=marks,
        opens=survives(handle),
    )
    if kind.word == "fallback":
        extra, fields = resolve(
            "fallback.used", {"name": handle.name, "instead_of": handle.options.get("instead_of")}, []
        )
        tell(extra, "fallback.used", fields, at=handle, lead=lead, tenant=tenant)
