"""`lead_event`: a lead event comes in, is checked and kept, and only then may be sent. See `leadtrace.words.sending`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from leadtrace.errors import SettingsError
from leadtrace.otlp import identity
from leadtrace.otlp.lead_event import Arrival, Content, Problem, utf8
from leadtrace.otlp.sink import Receipt
from leadtrace.otlp.values import clean
from leadtrace.words import runtime
from leadtrace.words.context import innermost
from leadtrace.words.events import recorded_event
from leadtrace.words.guard import guarded, mistake, warn_once
from leadtrace.words.opening import switched_on
from leadtrace.words.payloads import check_payload, checks_for, read_payload, schema_given
from leadtrace.words.plan import refuse_reference

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from leadtrace.words.handle import Handle
    from leadtrace.words.payloads import Check, Schema

__all__ = ["LeadEventReceipt", "lead_event"]


@dataclass(slots=True, frozen=True)
class LeadEventReceipt(Receipt):
    """What became of a lead event. `saved`: its payload is on disk, and will be sent, or is in quarantine."""

    id: str = ""
    """The lead event's own id: the one given, or the one made here."""
    quarantined: str = ""
    """Why it is not sent (to every platform, or to some); '' where it is."""

    def __await__(self) -> Generator[Any, Any, LeadEventReceipt]:
        yield from Receipt.__await__(self)
        return self


def _failed() -> LeadEventReceipt:
    return LeadEventReceipt("", saved=False, why="failed")


def lead_event(
    payload: object,
    /,
    *,
    destination: str | Iterable[str],
    id: object = None,  # noqa: A002 - the event's own word
    type: object = "",  # noqa: A002 - as above
    account_id: object = None,
    campaign_group: object = None,
    campaign_id: object = None,
    ad_id: object = None,
    lead_id: object = None,
    tenant: object = None,
    schema: Schema | None = None,
) -> LeadEventReceipt:
    """Take in what an advertising platform, or several, are to be told of a lead: checked, kept encrypted, sent later.

    Records `lead.event.received`, keeps the payload with everything given here, and records `lead.event.saved` once it is
    in the journal. `receipt.saved` is true only then. A payload that `schema` (a JSON Schema, its path, or a callable
    over the payload) or what `payload_schema` registered finds malformed, or that is no JSON, is kept in quarantine,
    recorded as `lead.event.quarantined`, and never sent; so is bytes or text that cannot be read as JSON.

    payload: anything that is JSON, with dates, UUIDs, Decimals, Enums and dataclasses; or JSON as text or bytes.
    destination: the platform, or several: each has its own order, its own tries and its own quarantine.
    id: what platforms tell resends by; made where none is given. The same id, platform and content is one lead event.
    lead_id: without it the innermost open lead.

    Never raises for storage. Without the extra `lead-events` a mistake: raised under strict, else told once, not saved.
    """
    if not switched_on():
        warn_once("lead_event:off", "lt.lead_event() before lt.configure(): the lead event is neither kept nor sent")
        return LeadEventReceipt("", saved=False, why="off")
    given = {
        "type": type,
        "account_id": account_id,
        "campaign_group": campaign_group,
        "campaign_id": campaign_id,
        "ad_id": ad_id,
        "lead_id": lead_id,
        "id": id,
        "tenant": tenant,
    }
    for key, value in given.items():
        refuse_reference(value, f"lead_event {key}")
    return _take_in(innermost(), payload, destination, given, schema)


@guarded(_failed)
def _take_in(
    here: Handle | None,
    payload: object,
    destination: str | Iterable[str],
    given: Mapping[str, object],
    schema: Schema | None,
) -> LeadEventReceipt:
    running = runtime.active()
    told = {key: text for key, value in given.items() if (text := _text(value))}
    event_id = told.pop("id", "") or identity.current().token("lead_event")
    tenant = told.pop("tenant", "") or (here.tenant if here is not None else running.tenant)
    if "lead_id" not in told and here is not None and here.lead_id:
        told["lead_id"] = here.lead_id
    destinations = _destinations(destination)
    about: dict[str, object] = {"id": event_id, **{key: one for key, one in told.items() if key != "lead_id"}}
    received_ns = running.clock.now()

    value, raw, unreadable = read_payload(payload)
    malformed: dict[str, Problem] = {}
    checked_by: object = None
    for one in destinations:
        wrong, by = (unreadable, None) if unreadable else _check(value, schema, told.get("type", ""), one)
        if wrong is not None:
            malformed[one] = wrong
            checked_by = by

    uid = ""
    recorded: Mapping[str, object] = {}
    for one in destinations:
        receipt, recorded = recorded_event(
            here,
            "lead.event.received",
            {**about, "destination": one},
            None,
            told.get("lead_id"),
            tenant,
            time_ns=received_ns,
        )
        uid = uid or receipt.uid
    if running.lead_events is None:
        warn_once("lead_event:nowhere", "lead events have no place to be kept here: they are recorded, not sent")
        return LeadEventReceipt(uid, saved=False, why="off", id=event_id)
    arrival = Arrival(
        event_id,
        destinations,
        Content(value, raw, told, checked_by),
        utf8(str(recorded.get("lead.id", ""))),
        utf8(tenant),
        received_ns,
        {key: utf8(str(recorded[f"lead.event.{key}"])) for key in told if f"lead.event.{key}" in recorded},
        malformed,
    )
    try:
        kept = running.lead_events.keep(arrival)
    except SettingsError as why:
        mistake("lead_event:extra", f"lt.lead_event keeps nothing: {why}")
        return LeadEventReceipt(uid, saved=False, why="not encrypted", id=event_id)
    for one in destinations:
        about["destination"] = one
        wrong = malformed.get(one)
        if wrong is not None:
            more = {"reason": wrong.reason, "field": wrong.field, "location": running.lead_events.location}
            recorded_event(here, "lead.event.quarantined", {**about, **more}, None, told.get("lead_id"), tenant)
        elif kept.saved:
            recorded_event(here, "lead.event.saved", about, None, told.get("lead_id"), tenant)
    reasons = list(dict.fromkeys(f"{one.field} {one.reason}".strip() for one in malformed.values()))
    as_kept = {one.name: getattr(kept, one.name) for one in fields(kept)} | {"uid": uid}
    return LeadEventReceipt(**as_kept, id=event_id, quarantined="; ".join(reasons))


def _text(value: object) -> str:
    """An id or a name as text; '' where there is none."""
    cleaned = clean(value)
    return "" if cleaned is None else utf8(str(cleaned))


def _destinations(destination: str | Iterable[str]) -> tuple[str, ...]:
    named = [destination] if isinstance(destination, str) else list(destination)
    found = tuple(dict.fromkeys(utf8(str(one)) for one in named if one is not None and str(one)))
    if not found:
        mistake("lead_event:nobody", "lt.lead_event needs destination=: the platform that it is for, or several")
        return ("",)  # kept all the same, and listed as nobody's
    return found


def _check(
    payload: Any,
    schema: Schema | None,
    type: str,  # noqa: A002 - the event's own word
    destination: str,
) -> tuple[Problem | None, object]:
    """What is wrong with it, and the JSON Schema that says so."""
    checks: list[Mapping[str, object] | bool | Check] = checks_for(type, destination)
    try:
        if schema is not None:
            checks.insert(0, schema_given(schema))
        for check in checks:
            if (wrong := check_payload(payload, check)) is not None:
                return wrong, None if callable(check) else check
    except SettingsError as why:
        mistake("lead_event:schema", str(why))
        return Problem(f"cannot be checked: {why.message}"), None
    return None, None
