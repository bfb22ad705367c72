"""Nothing personal leaves by the words: not in bytes, not on spans, whatever it came in by; ids survive."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from words_provider import Spans, recording

import leadtrace as lt
from leadtrace.testing import Captured


@dataclass
class Person:
    id: str
    first_name: str
    last_name: str
    email: str
    phone: str


def everything(told: Captured, spans: Spans) -> str:
    """All that was recorded, as one text: encoded records, events, spans with names, events, links and status."""
    said = [record.decode("utf-8", "replace") for _, record in told.sink.records]
    said += [f"{one.name} {dict(one.attributes)}" for one in told.events()]
    for span in spans.all():
        said.append(f"{span.name} {dict(span.attributes or {})} {span.status.description}")
        said += [f"{event.name} {dict(event.attributes or {})}" for event in span.events]
    return "\n".join(said)


AREA = st.sampled_from(["212", "415", "305", "617", "713"])
PHONES = st.builds(
    lambda area, rest, form: form.format(area, rest[:3], rest[3:]),
    AREA,
    st.integers(2_000_000, 9_999_999).map(str),
    st.sampled_from(["({}) {}-{}", "+1 {} {} {}", "{}-{}-{}", "+1{}{}{}", "{}.{}.{}"]),
)
EMAILS = st.builds(
    lambda who, where, end: f"{who}@{where}.{end}",
    st.from_regex(r"[a-z][a-z0-9]{3,9}(\.[a-z]{3,8})?", fullmatch=True),
    st.from_regex(r"[a-z][a-z0-9]{3,9}", fullmatch=True),
    st.sampled_from(["com", "org", "example", "co.uk"]),
)
NAMES = st.sampled_from(["Quimby", "Zarathustra", "Wolfeschlegel", "Featherstone", "O'Shaughnessy"])


@settings(max_examples=25)
@given(phone=PHONES, email=EMAILS, first=NAMES, last=NAMES)
def test_contacts_and_names_never_appear_in_what_is_recorded(phone: str, email: str, first: str, last: str) -> None:
    person = Person("lead_7K9mHpQR3x2B5N8j", first, last, email, phone)

    @lt.flow("F", lead_id=lt.arg.person.id, contact=lt.arg.person.email, number=lambda person: f"call {person.phone}")
    def run(person: Person) -> None:
        lt.note(remark=f"{person.phone} or {person.email}")
        lt.emit("lead.received", source=f"form of {person.email}")
        lt.emit("low.confidence.detected", action_taken=f"rang {person.phone}", attributes={"lead.phone": person.phone})
        lt.move_to("received", reason=f"mail from {person.email}")
        look_up(person)
        with contextlib.suppress(ValueError), lt.step("check"):
            raise ValueError(f"{person.first_name} {person.last_name} <{person.email}> has no phone {person.phone}")
        with contextlib.suppress(KeyError):
            offer(person)
        lt.error(f"could not reach {person.email}", recovery_action=f"mailed {person.email}", input=person.phone)
        with lt.delivery(buyer=person.email) as delivery:
            delivery.rejected(f"{person.phone} is on a list")
        with lt.delivery("Acme") as delivery:
            delivery.unconfirmed(f"no word of {person.email}")

    @lt.enhancement("Phone", data=["phone", "line_type"])
    def look_up(person: Person) -> dict[str, Any]:
        return {"phone": person.phone, "line_type": f"mobile of {person.phone}", "email": person.email}

    @lt.delivery("Acme")
    @lt.attempt("POST")
    def offer(person: Person) -> None:
        raise KeyError(f"{person.last_name} at {person.email}")

    with recording() as spans, lt.capture() as told:
        run(person)
    said = everything(told, spans)
    assert email not in said
    assert phone not in said
    digits = "".join(one for one in phone if one.isdigit())[-10:]
    assert digits not in said
    for name in (first, last):
        assert name not in said
    assert "lead_7K9mHpQR3x2B5N8j" in said
    assert {one.lead_id for one in told.events()} == {"lead_7K9mHpQR3x2B5N8j"}


@pytest.mark.parametrize("opted", ["", "logs", "logs/dup"])
def test_stack_traces_say_nothing_personal(opted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", opted)

    @lt.step
    def check(first_name: str, email: str) -> None:
        try:
            raise LookupError(f"nobody called {first_name}")
        except LookupError as problem:
            raise ValueError(f"bad address {email}") from problem

    with recording() as spans, lt.capture() as told, pytest.raises(ValueError, match="bad address") as caught:
        check("Zarathustra", "ann@x.example")
    assert str(caught.value) == "bad address ann@x.example", "the host's own is unchanged"
    said = everything(told, spans)
    assert "Traceback" in said
    assert "ann@x" not in said
    assert "Zarathustra" not in said


@settings(max_examples=25)
@given(st.one_of(EMAILS, PHONES.filter(lambda one: one.startswith(("+1", "(")))))
def test_a_lead_id_that_is_a_contact_is_hashed_the_same_everywhere(contact: str) -> None:
    with recording() as spans, lt.capture() as told:
        with lt.flow("F", lead_id=contact, tenant="acme"):
            lt.move_to("received")
        lt.emit("lead.returned", lead_id=contact, tenant="acme")
        with lt.flow("G", tenant="acme"):
            lt.identify(contact)
        with lt.step("batch", lead_ids=[contact, "L2"], tenant="acme"):
            pass
        with lt.flow("other tenant", lead_id=contact, tenant="other"):
            pass
    ids = {one.lead_id for one in told.events() if one.attributes.get("tenant_key") == "acme"} - {"", "L2"}
    assert len(ids) == 1
    assert told.events("flow.completed")[-1].lead_id not in ids, "a hash is its tenant's"
    assert contact not in everything(told, spans)


@pytest.mark.parametrize(
    "lead", ["lead_4155550100", "4155550100-1", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "20261122", "007", "a@b"]
)
def test_ids_survive(lead: str, told: Captured) -> None:
    with lt.flow("F", lead_id=lead, id=lead), lt.delivery("Acme") as delivery:
        delivery.pending(lead)
    assert {one.lead_id for one in told.events()} == {lead}
    assert told.one("flow.started").attributes["flow.id"] == lead


def test_personal_names_may_be_added_and_fields_allowed() -> None:
    @lt.step
    def check(policy_holder: str) -> None:
        raise ValueError(f"{policy_holder} is unknown")

    with lt.capture(personal=("policy_holder",)) as told, pytest.raises(ValueError, match="unknown"):
        check("Quimby Jones")
    assert "Quimby" not in str(told.events("error.occurred"))
    with lt.capture(allow=("error.context.input",)) as told:
        lt.error("bad", input="as it came")
    assert told.one("error.occurred").attributes["error.context.input"] == "as it came"
