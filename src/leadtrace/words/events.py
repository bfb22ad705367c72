"""Events told by hand: `emit`, `move_to`, `error`, and where each of them goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leadtrace.catalogue.taxonomy import classify
from leadtrace.otlp.sink import NOWHERE, Receipt
from leadtrace.otlp.values import clean
from leadtrace.words import runtime
from leadtrace.words.context import innermost
from leadtrace.words.guard import guarded, mistake, trouble
from leadtrace.words.opening import recorded_lead, switched_on
from leadtrace.words.plan import refuse_reference
from leadtrace.words.raised import fingerprint, qualified, scrubbed, unwrapped
from leadtrace.words.tell import as_fields, event_span, on_span, resolve, tell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leadtrace.catalogue.model import Event
    from leadtrace.otlp.records import Value
    from leadtrace.words.handle import Handle

__all__ = ["emit", "emit_at", "error", "error_at", "move_at", "move_to", "recorded_event"]


def _failed() -> Receipt:
    """What became of an event that could not be made."""
    return Receipt("", saved=False, why="failed")


def emit(
    event: str | Event,
    /,
    *,
    attributes: Mapping[str, object] | None = None,
    lead_id: object = None,
    tenant: object = None,
    **keywords: object,
) -> Receipt:
    """Record an event: a declared name with its keywords, or an instance of an event class.

    `attributes` takes full attribute names. The event belongs to `lead_id`, or to the innermost open lead, and goes on the
    span of the innermost open word of that lead. Never raises for storage: the `Receipt` says what became of it. An
    undeclared name or a wrong type raises `StrictError` under LEADTRACE_STRICT=1, and is marked and counted otherwise.
    """
    return emit_at(None, event, attributes, lead_id, tenant, keywords)


@guarded(_failed)
def emit_at(
    handle: Handle | None,
    event: str | Event,
    attributes: Mapping[str, object] | None,
    lead_id: object,
    tenant: object,
    keywords: Mapping[str, object],
) -> Receipt:
    """`emit` from a handle, or from what is open here."""
    if not switched_on():
        return NOWHERE
    name, fields = as_fields(event)
    for key, value in keywords.items():
        refuse_reference(value, f"emit({name!r}) {key}")
    return _emit(
        handle if handle is not None else innermost(), name, {**fields, **keywords}, attributes, lead_id, tenant
    )


def _emit(
    here: Handle | None,
    name: str,
    fields: Mapping[str, object],
    attributes: Mapping[str, object] | None,
    lead_id: object,
    tenant: object,
    more: Mapping[str, Value] | None = None,
) -> Receipt:
    return recorded_event(here, name, fields, attributes, lead_id, tenant, more)[0]


def recorded_event(
    here: Handle | None,
    name: str,
    fields: Mapping[str, object],
    attributes: Mapping[str, object] | None,
    lead_id: object,
    tenant: object,
    more: Mapping[str, Value] | None = None,
    *,
    uid: str = "",
    time_ns: int = 0,
) -> tuple[Receipt, dict[str, Value]]:
    """An event told by hand: its receipt, and what was recorded. `uid` and `time_ns` are those of one that is told late."""
    marks: list[str] = []
    spec, resolved = resolve(name, fields, marks)
    for key, value in (attributes or {}).items():
        refuse_reference(value, f"emit({name!r}) {key}")
        if (cleaned := clean(value)) is not None:
            resolved[str(key)] = cleaned
    resolved.update(more or {})
    _complete_money(resolved)
    whose = str(tenant) if tenant is not None else here.tenant if here is not None else runtime.active().tenant
    of_lead = spec is None or bool(spec.lead)
    lead = recorded_lead(lead_id, whose) if lead_id is not None else here.lead_id if here is not None else ""
    at = _carrier(here, lead) if of_lead else here
    if spec is not None and spec.needs_lead and not lead and (here is None or not (here.run or here.lead_ids)):
        mistake(
            f"no_lead:{name}", f"event {name!r} belongs to a lead and has none: pass lead_id=, or open a flow with one"
        )
        marks.append("no_lead")
    span, now = None, time_ns
    if at is None and lead and of_lead and runtime.active().events != "logs":
        now = now or runtime.active().clock.now()
        span = event_span(name, now)
    try:
        receipt, recorded = tell(
            spec,
            name,
            resolved,
            at=at,
            lead=lead if of_lead else "",
            tenant=whose,
            span=span,
            time_ns=now,
            marks=marks,
            uid=uid,
        )
        if span is not None:
            span.set_attributes(on_span(recorded))
    finally:
        if span is not None:
            span.end(now + 1)  # Jaeger mends, and marks, a span that ends when it starts
    _take(at, name, recorded)
    return receipt, recorded


def _carrier(here: Handle | None, lead: str) -> Handle | None:
    """The innermost open word of that lead; of a lead that is not known yet, the innermost word."""
    at = here
    while at is not None:
        if not at.ended and (not lead or at.lead_id == lead or lead in at.lead_ids):
            return at
        at = at.parent
    return None


_MONEY = {
    "delivery.revenue": "delivery.currency",
    "enhancement.cost": "enhancement.currency",
    "lead.price": "lead.currency",
    "lead.return.amount": "lead.return.currency",
    "bid.price": "bid.currency",
}


def _complete_money(attributes: dict[str, Value]) -> None:
    """An amount never stands without its currency."""
    for money, currency in _MONEY.items():
        if money in attributes:
            attributes.setdefault(currency, runtime.active().currency)


def _take(at: Handle | None, name: str, recorded: Mapping[str, Value]) -> None:
    """What the words around learn from an event told by hand."""
    if at is None:
        return
    if name in ("system.cache.hit", "system.cache.miss"):
        word: Handle | None = at
        while word is not None and word.kind.word != "enhancement":
            word = word.parent
        if word is not None:
            word.notes.setdefault("enhancement.cache_hit", name.endswith("hit"))
    if at.run is not None and name.startswith(("delivery.", "lead.purchased")):
        at.run.count(name, recorded, runtime.active().currency)


def move_to(
    state: object, reason: str = "", *, final: bool = False, lead_id: object = None, tenant: object = None
) -> Receipt:
    """Record that the lead is now in `state`; the state before is remembered, and absent at first.

    `final=True` says that no other state is to follow.
    """
    if not switched_on():
        return NOWHERE
    return move_at(innermost(), state, reason, final, lead_id, tenant)


@guarded(_failed)
def move_at(here: Handle | None, state: object, reason: str, final: bool, lead_id: object, tenant: object) -> Receipt:
    """`move_to` from a handle, or from what is open here."""
    refuse_reference(state, "move_to")
    refuse_reference(reason, "move_to reason")
    to = clean(state)
    whose = str(tenant) if tenant is not None else here.tenant if here is not None else runtime.active().tenant
    lead = recorded_lead(lead_id, whose) if lead_id is not None else here.lead_id if here is not None else ""
    running = runtime.active()
    before = (here.states.get(lead) if here is not None else None) or running.states.get((whose, lead))
    fields = {"from_": before, "to": str(to), "reason": reason, "final": True if final else None}
    if here is not None:
        here.states[lead] = str(to)
    if lead:
        running.moved(whose, lead, str(to))
    return _emit(here, "lead.state.changed", fields, None, lead_id, tenant)


def error(problem: BaseException | str, /, recovery_action: str = "", severity: str = "", **impact: object) -> Receipt:
    """Record an error that was handled: an exception that was caught, or a sentence.

    An exception that a word has told already is not told again: the record amends the first. With `recovery_action`
    also `error.recovered` is recorded. Keywords are the fields of `error.occurred` (`data_lost=`, `lead_affected=`,
    `code=`, `input=`, `expected=` …).
    """
    if not switched_on():
        return NOWHERE
    return error_at(innermost(), problem, recovery_action, severity, impact)


@guarded(_failed)
def error_at(
    here: Handle | None,
    problem: BaseException | str,
    recovery_action: str,
    severity: str,
    impact: Mapping[str, object],
) -> Receipt:
    """`error` from a handle, or from what is open here."""
    spec, _ = resolve("error.occurred", {}, [])
    fields: dict[str, Any] = {"severity": severity or "medium", "impact_recovery_action": recovery_action or None}
    more: dict[str, Value] = {}
    if isinstance(problem, BaseException):
        told = unwrapped(problem)
        failure = classify(told, domain="error")
        message = scrubbed(here, told)
        fields.update(
            type=qualified(told),
            message=message,
            code=failure.error_code,
            category=failure.category,
            subcategory=failure.subcategory,
            cause=failure.cause,
            fingerprint=fingerprint(told, message),
        )
        if here is not None and (first := here.told.uid(told) or here.told.uid(problem)):
            more["leadtrace.amends"] = first
    else:
        fields.update(type="Error", message=scrubbed(here, problem))
    if here is not None:
        fields.update(context_step=here.name, context_operation=here.kind.word)
        fields["impact_lead_affected"] = True if here.lead_id else None
    for key, value in impact.items():
        known = spec.fields if spec is not None else {}
        names = (key, f"impact_{key}", f"context_{key}")
        name = next((one for one in names if one in known), key)
        fields[name] = str(value) if name == "code" and value is not None else value
    receipt = _emit(here, "error.occurred", fields, None, None, None, more)
    if isinstance(problem, BaseException) and here is not None and not more:
        here.told.add(unwrapped(problem), receipt.uid)
    if recovery_action:
        try:
            _emit(
                here,
                "error.recovered",
                {"recovery_action": recovery_action, "recovery_success": True},
                None,
                None,
                None,
            )
        except Exception as failed:  # noqa: BLE001 - the error itself has been told
            trouble("error.recovered", failed)
    return receipt
