"""The life of a word: the only place that opens a span, and the only one that says how a word began and ended.

begin   fields read · span opened · start event                     context: entered by the caller
end     what happened · error told once · end event · span closed   counted into its run and its parent
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context.context import Context
from opentelemetry.trace import Link, Status, StatusCode

from leadtrace.catalogue.model import Kind
from leadtrace.otlp import identity
from leadtrace.otlp.values import clean, flat
from leadtrace.words import endings, runtime
from leadtrace.words.answers import Answer
from leadtrace.words.context import entered, innermost
from leadtrace.words.crossing import Arrival
from leadtrace.words.endings import Ending, Happened
from leadtrace.words.guard import counts, guarded, mistake, trouble, warn_once
from leadtrace.words.handle import Handle
from leadtrace.words.onto_span import set_attributes
from leadtrace.words.plan import Plan, refuse_reference
from leadtrace.words.raised import cancelled, is_expected, qualified, scrubbed, tell_raised, unwrapped
from leadtrace.words.summary import figures, flow_began, flow_ended, flow_gone
from leadtrace.words.tell import own_span, resolve, tell, tracer
from leadtrace.words.timeouts import expired, timeouts_here
from leadtrace.words.tries import Tries

if TYPE_CHECKING:
    from leadtrace.otlp.records import Value

__all__ = ["abandon", "begin", "end", "identify", "note", "note_for", "personal_values", "switched_on"]

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
        missing += plan.read(plan.start_fields, args, given, None, lambda key, value: _put(attributes, key, value))
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
    handle.started_mono = time.monotonic_ns()
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


def _put(attributes: dict[str, Value], key: str, value: object) -> None:
    if isinstance(value, Mapping):
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
    begun = tries.begin(handle.started_mono, int(number) if number is not None else None)
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
    now = runtime.active().clock.now()
    handle.started_ns = now
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
        now,
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


def _said_of(handle: Handle) -> dict[str, Value]:
    """What start and end events both carry."""
    said: dict[str, Value] = {"leadtrace.word": handle.kind.word, "leadtrace.name": handle.name}
    if parent_id := _parent_span_id(handle):
        said["leadtrace.parent_span_id"] = parent_id
    if handle.run is not None and handle.run.parent_id and handle.kind.word == "flow":
        said["leadtrace.parent_run_id"] = handle.run.parent_id
    said.update(handle.options.get("arrived") or {})
    return said


def _parent_span_id(handle: Handle) -> str:
    if handle.parent is not None:
        return handle.parent.span_id
    parent = getattr(handle.span, "parent", None)
    return f"{parent.span_id:016x}" if parent is not None else ""


def _say_start(handle: Handle, attributes: dict[str, Value], start: dict[str, Value], missing: list[str]) -> None:
    kind = handle.kind
    handle.options["repeated"] = {k: attributes[name] for k, name in kind.repeats.items() if name in attributes}
    spec, at_start = kind.start_spec, kind.at_start
    said = _said_of(handle)
    said.update(start)
    for key, value in attributes.items():
        if key in at_start:
            said[key] = value
    handle.notes.update(attributes)  # everything said at the start stands on the end event and the span as well
    lead, tenant = handle.lead_id, handle.tenant
    marks = [f"missing:{name}" for name in missing]
    tell(spec, kind.start, said, at=handle, lead=lead, tenant=tenant, time_ns=handle.started_ns, marks=marks)
    if kind.word == "fallback":
        extra, fields = resolve(
            "fallback.used", {"name": handle.name, "instead_of": handle.options.get("instead_of")}, []
        )
        tell(extra, "fallback.used", fields, at=handle, lead=lead, tenant=tenant)


# -- the end


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
    happened = _what_happened(handle, problem, now_mono, reason)
    marks = _read_result(handle, happened)
    if happened.how == "raised" and happened.problem is not None:
        tell_raised(handle, happened.problem, happened)
    if handle.kind.word == "flow":
        flow_ended(handle, now_mono)
    elif handle.arrival is not None and handle.options.get("ends_flow"):
        _end_carried_flow(handle, happened, now_mono)
    ending = handle.kind.settle(handle, happened)
    _say_end(handle, ending, marks, now_mono)
    _count(handle, ending, now_mono)


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
        check=False,  # what was carried is told as it came: resuming never raises
    )


def _what_happened(handle: Handle, problem: BaseException | None, now_mono: int, reason: str) -> Happened:
    happened = Happened("returned", (now_mono - handle.started_mono) / 1e6)
    happened.has_result, happened.result = handle.has_found, handle.found
    if problem is None and not reason:
        return happened
    if problem is None or cancelled(problem):
        timed_out = expired(handle.timeouts) if type(problem).__name__ == "CancelledError" else None
        if timed_out is not None:
            happened.how = "timed_out"
            happened.problem = None
            happened.reason = timed_out.reason or "timed out"
        else:
            happened.how = "cancelled"
            happened.reason = reason or _message_of_cancel(problem)
        return happened
    told = unwrapped(problem)
    happened.problem = told
    happened.type = qualified(told)
    happened.message = scrubbed(handle, told)
    happened.how = "expected" if is_expected(handle, problem) or is_expected(handle, told) else "raised"
    return happened


def _message_of_cancel(problem: BaseException | None) -> str:
    if problem is None or not problem.args:
        return ""
    return str(problem.args[0])


def _read_result(handle: Handle, happened: Happened) -> list[str]:
    """Read what was named of the result: late fields, `answer=` and its like, and the data that were asked for."""
    plan, options = handle.plan, handle.options
    args, kwargs = handle.call
    missing: list[str] = []
    if handle.has_found:
        if plan.end_fields:
            missing += plan.read(plan.end_fields, args, kwargs, handle.found, lambda k, v: _put(handle.notes, k, v))
        for key, one in plan.end_options:
            if key == "reason":
                continue  # read only for a no, below
            if key in ("answer", "outcome"):
                missing += _judge(handle, key, one)
            else:
                missing += plan.read([(key, one)], args, kwargs, handle.found, options.__setitem__)
        if handle.kind.word == "enhancement" and happened.how == "returned":
            _pick_data(handle)
    marks: list[str] = []
    if handle.kind.word in ("validation", "rule"):
        unread, marks = _judged(handle)
        missing += unread
    return [*(f"missing:{name}" for name in missing), *marks]


def _judge(handle: Handle, key: str, one: Any) -> list[str]:
    """An answer made from the result. One that fails itself leaves a delivery unconfirmed, any other word as it was."""
    found: list[Any] = []
    missing = handle.plan.read([(key, one)], *handle.call, handle.found, lambda _, value: found.append(value))
    if missing:
        handle.options["no_answer"] = f"{key}= failed"
        return missing
    if isinstance(found[0], Answer):
        handle.answer = found[0]
    elif found[0] is not None:
        warn_once(
            f"answer:{handle.plan.where}",
            f"{handle.plan.where}: {key}= gave {type(found[0]).__name__}, expected lt.accepted(…) or its like, or None",
        )
        return [key]
    return []


def _judged(handle: Handle) -> tuple[list[str], list[str]]:
    """A check's yes or no into `options["passed"]`, with the reason of a no; gives the names of the missing, and marks.

    `passed=` decides, else the truth of the result; nothing returned, or a result without a truth, passes.
    """
    options = handle.options
    verdict = options.get("passed", handle.found)
    marks: list[str] = []
    try:
        passed = verdict is None or bool(verdict)
    except Exception:  # noqa: BLE001 - an array, say: its truth may raise anything
        passed = True
        marks.append("no_truth")
        warn_once(
            f"truth:{handle.plan.where}",
            f"{handle.plan.where}: {type(verdict).__name__} is neither true nor false; say passed=lambda result: …",
        )
    options["passed"] = passed
    if passed:
        return [], marks
    late_reason = [(key, one) for key, one in handle.plan.end_options if key == "reason"]
    return handle.plan.read(late_reason, *handle.call, handle.found, options.__setitem__), marks


def _pick_data(handle: Handle) -> None:
    """The keys of the returned data that were named (`data=`) or are allowed; all others are only named."""
    found = handle.found.fields if isinstance(handle.found, Answer) else handle.found
    wanted = handle.options.get("data")
    names = [wanted] if isinstance(wanted, str) else list(wanted) if isinstance(wanted, (list, tuple, set)) else []
    allowed = runtime.active().allow
    picked: dict[str, object] = {}
    unnamed: list[str] = []
    if isinstance(found, Mapping):
        for key, value in found.items():
            text = str(key)
            if text in names or text in allowed or f"enhancement.data_appended.{text}" in allowed:
                picked[text] = value
            else:
                unnamed.append(text)
    else:
        for name in names:
            try:
                picked[name] = getattr(found, name)
            except Exception:  # noqa: BLE001 - a host's property may raise anything; that one is missing
                counts["data_missing"] += 1
    if isinstance(wanted, Mapping):
        picked.update(wanted)
    if picked:
        handle.options["data_appended"] = picked
    if unnamed:
        handle.notes["enhancement.data_unrecorded"] = [*unnamed[:50]]


def _say_end(handle: Handle, ending: Ending, marks: list[str], now_mono: int) -> None:
    extra = _beyond(handle, ending)
    spec, fields = resolve(ending.event, ending.fields, [])
    said = _said_of(handle)
    said.update(_noted(handle, spec))
    said.update(extra)
    said.update(fields)
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
            spec, ending.event, said, at=handle, lead=handle.lead_id, tenant=tenant, time_ns=ended_ns, marks=marks
        )
    ending.attributes = dict(recorded)
    _close_span(handle, ending, recorded, spec.kind if spec is not None else Kind.MILESTONE, ended_ns)


def _beyond(handle: Handle, ending: Ending) -> dict[str, Value]:
    """What an answer says beyond its event's fields: as any keyword of a user's own, it goes under the word's name."""
    from leadtrace import catalogue

    extra: dict[str, Value] = {}
    if handle.answer is not None and (spec := catalogue.get(ending.event)) is not None:
        for keyword in handle.answer.fields:
            if keyword in ending.fields and keyword not in spec.fields:
                _put(extra, f"{handle.kind.word}.{keyword.rstrip('_')}", ending.fields.pop(keyword))
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
    """One end event per lead of a bulk call; the cost is split in micro-units with nothing lost."""
    from leadtrace.words.run import amount

    total = amount(said.get("enhancement.cost"))
    shares: list[int] = []
    if total is not None:
        units, n = round(total * 1_000_000), len(handle.lead_ids)
        shares = [units // n + (1 if index < units % n else 0) for index in range(n)]
    last: dict[str, Value] = {}
    no_copy = trace.NonRecordingSpan(handle.span.get_span_context())  # its ids, and nothing of it on the span
    for index, lead in enumerate(handle.lead_ids):
        own = {**said, **handle.notes_for.get(lead, {})}
        if shares and "enhancement.cost" not in handle.notes_for.get(lead, {}):
            own["enhancement.cost"] = shares[index] / 1_000_000
        _, last = tell(
            spec, ending.event, own, at=handle, lead=lead, tenant=tenant, time_ns=ended_ns, marks=[*marks], span=no_copy
        )
    redactor = runtime.active().redactor
    summary: dict[str, Value] = {**said, "leadtrace.kind": last["leadtrace.kind"]} if "leadtrace.kind" in last else said
    if redactor is None:
        return summary
    values = handle.personal_values()
    return redactor.attributes(ending.event, spec, summary, call_values=values, tenant=tenant)  # type: ignore[return-value]


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


def _count(handle: Handle, ending: Ending, now_mono: int) -> None:
    """Take the ended word into what its parent, its delivery and its run know."""
    parent, word = handle.parent, handle.kind.word
    spent = now_mono - handle.started_mono
    if parent is not None:
        parent.beneath_ns += spent
    attributes = ending.attributes
    good = ending.event in ("enhancement.success", "delivery.accepted")
    if handle.in_flow is not None and handle.in_flow is not handle and ending.event in _FAILED:
        handle.in_flow.failed_beneath.update((handle.plan.name, handle.name, str(attributes.get("delivery.buyer", ""))))
    if good:
        at = parent
        while at is not None:
            if at.kind.word == "fallback":
                _recovered_by_fallback(at)
            at = at.parent
    if word == "attempt":
        _count_try(handle, ending, now_mono)
    run = handle.run
    if run is not None:
        if word == "flow":
            run.closed()
            run.told.clear()
        else:
            run.count(ending.event, attributes, runtime.active().currency, word)
            run.closed(handle.name, max(spent - handle.beneath_ns, 0))


_FAILED = frozenset({"enhancement.failed", "delivery.failed", "delivery.unconfirmed", "operation.failed"})


def _recovered_by_fallback(fallback: Handle) -> None:
    instead = fallback.options.get("instead_of")
    if (
        fallback.options.get("recovered")
        or fallback.in_flow is None
        or str(instead) not in fallback.in_flow.failed_beneath
    ):
        return
    fallback.options["recovered"] = True
    spec, fields = resolve("error.recovered", {"recovery_action": "fallback", "recovery_success": True}, [])
    tell(spec, "error.recovered", fields, at=fallback, lead=fallback.lead_id, tenant=fallback.tenant)


def _count_try(handle: Handle, ending: Ending, now_mono: int) -> None:
    failed = ending.event != "api.call.succeeded"
    parent = handle.parent
    delivery = handle.in_delivery
    if delivery is not None:
        if not failed:
            delivery.maybe_reached = False
        elif ending.reached:  # `yes`: the buyer answered, if only by an error; `no`: an earlier doubt stands
            delivery.maybe_reached = ending.reached == "maybe" or (ending.reached == "no" and delivery.maybe_reached)
    if parent is None:
        return
    tries = parent.tries.get(handle.name)
    if tries is None:
        return
    took_ns = tries.end(now_mono, failed, handle.number)
    if took_ns:
        spec, fields = resolve(
            "error.recovered",
            {"recovery_action": "retry", "recovery_success": True, "total_retry_time_ms": took_ns / 1e6},
            [],
        )
        tell(spec, "error.recovered", fields, at=parent, lead=parent.lead_id, tenant=parent.tenant)


# -- said while it is open


def _nothing() -> None: ...


@guarded(_nothing)
def note(handle: Handle, fields: Mapping[str, object], attributes: Mapping[str, object] | None) -> None:
    """Set fields of a word under its keywords' attributes; see `Handle.note`."""
    handle.notes.update(_noted_fields(handle, fields, attributes))


@guarded(_nothing)
def note_for(handle: Handle, lead_id: object, fields: Mapping[str, object]) -> None:
    lead = recorded_lead(lead_id, handle.tenant)
    if lead not in handle.lead_ids:
        mistake("note_for", f"note_for({lead!r}): not among the lead_ids of {handle.kind.word} {handle.name!r}")
    handle.notes_for.setdefault(lead, {}).update(_noted_fields(handle, fields, None))


def _noted_fields(
    handle: Handle, fields: Mapping[str, object], attributes: Mapping[str, object] | None
) -> dict[str, Value]:
    from leadtrace import catalogue

    found: dict[str, Value] = {}
    for keyword, value in fields.items():
        refuse_reference(value, "note")
        if like := catalogue.keyword_like(keyword, handle.kind.fields):
            mistake(
                f"keyword:{handle.kind.word}.{keyword}",
                f"{handle.kind.word} has no keyword {keyword!r}; did you mean {like!r}?",
            )
        field = handle.kind.fields.get(keyword)
        if field is not None and field.type == "double" and type(value) is int:
            value = float(value)
        _put(found, handle.kind.attribute(keyword), value)
    for key, value in (attributes or {}).items():
        _put(found, key, value)
    return found


@guarded(_nothing)
def identify(handle: Handle, lead_id: object, tenant: object) -> None:
    """Name the lead of a passage that began without one: from now on its events carry it; its open spans get it too."""
    if tenant is not None:
        (handle.in_flow or handle)._tenant = str(tenant)
    lead = recorded_lead(lead_id, handle.tenant)
    top = handle.in_flow or handle
    top._lead = lead
    if "" in handle.states:  # what it was moved to while nobody knew whose state that is
        handle.states.setdefault(lead, handle.states.pop(""))
    at: Handle | None = handle
    while at is not None:
        if at.span.is_recording() and at.lead_id == lead:
            at.span.set_attribute("lead.id", lead)
            if at.tenant:
                at.span.set_attribute("tenant_key", at.tenant)
        at = at.parent


def personal_values(handle: Handle) -> tuple[str, ...]:
    """Values of personal arguments of the open calls, innermost first; see `Redactor.personal_values`."""
    redactor = runtime.active().redactor
    if redactor is None:
        return ()
    found: list[str] = []
    at: Handle | None = handle
    while at is not None:
        signature = at.plan.signature
        args, kwargs = at.call
        if signature is not None and (args or kwargs):
            try:
                found.extend(redactor.personal_values(signature.bind_partial(*args, **kwargs).arguments))
            except Exception as problem:  # noqa: BLE001 - a host's object may raise anything when looked into
                trouble("personal_values", problem)
        at = at.parent
    return tuple(dict.fromkeys(found))
