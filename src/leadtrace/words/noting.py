"""What is said of a word while it is open: fields, the lead it is about, and what must not be repeated of its call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadtrace import catalogue
from leadtrace.words import runtime
from leadtrace.words.guard import guarded, mistake, trouble
from leadtrace.words.opening import put, recorded_lead
from leadtrace.words.plan import refuse_reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leadtrace.otlp.records import Value
    from leadtrace.words.handle import Handle

__all__ = ["identify", "note", "note_for", "personal_values"]


def _nothing() -> None: ...


@guarded(_nothing)
def note(handle: Handle, fields: Mapping[str, object], attributes: Mapping[str, object] | None) -> None:
    """Set fields of a word under its keywords' attributes; see `Handle.note`."""
    found = _noted_fields(handle, fields, attributes)
    handle.notes.update(found)
    handle.stated.update(found.keys() - {"enhancement.cost"})  # a cost is weighed with the answer's, in the ending


@guarded(_nothing)
def note_for(handle: Handle, lead_id: object, fields: Mapping[str, object]) -> None:
    lead = recorded_lead(lead_id, handle.tenant)
    if lead not in handle.lead_ids:
        mistake("note_for", f"note_for({lead!r}): not among the lead_ids of {handle.kind.word} {handle.name!r}")
    handle.notes_for.setdefault(lead, {}).update(_noted_fields(handle, fields, None))


def _noted_fields(
    handle: Handle, fields: Mapping[str, object], attributes: Mapping[str, object] | None
) -> dict[str, Value]:
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
        put(found, handle.kind.attribute(keyword), value)
    for key, value in (attributes or {}).items():
        put(found, key, value)
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
