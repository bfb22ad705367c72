"""`lt.lead_event`: received, checked, kept, and only then saved; what is malformed is kept and not sent."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from uuid import UUID

import pytest

import leadtrace as lt
from leadtrace.errors import DecorationError, SettingsError, StrictError
from leadtrace.otlp.lead_event import open_content

SCHEMA = {
    "type": "object",
    "required": ["event_name", "user"],
    "properties": {
        "event_name": {"enum": ["Lead", "Purchase"]},
        "value": {"type": "number", "minimum": 0},
        "user": {"type": "object", "required": ["phone"], "properties": {"phone": {"pattern": "^\\+[0-9]+$"}}},
    },
    "additionalProperties": False,
}
GOOD = {"event_name": "Lead", "value": 12.5, "user": {"phone": "+14155550100"}}


def content(told):
    [one] = told.kept()
    return open_content(one.id, one.digest, one.sealed, told.lead_events.sealer)


def test_it_is_received_kept_and_then_saved_with_all_that_was_given(told):
    receipt = lt.lead_event(
        GOOD,
        id="ev_1",
        type="Lead",
        destination="meta",
        account_id=17,
        campaign_group="solar",
        campaign_id="c1",
        ad_id="a1",
        lead_id="lead_1",
        tenant="acme",
        schema=SCHEMA,
    )
    assert (receipt.saved, receipt.why, receipt.id, receipt.quarantined) == (True, "", "ev_1", "")
    assert told.names() == ["lead.event.received", "lead.event.saved"]
    about = {
        "id": "ev_1",
        "type": "Lead",
        "destination": "meta",
        "account_id": "17",
        "campaign_group": "solar",
        "campaign_id": "c1",
        "ad_id": "a1",
    }
    assert told.of("lead.event.saved") == told.of("lead.event.received") == [about]
    assert {one.lead_id for one in told.events} == {"lead_1"}
    assert {one.attributes["tenant_key"] for one in told.events} == {"acme"}
    assert receipt.uid == told.events[0].uid
    assert content(told).payload == GOOD
    assert content(told).given["lead_id"] == "lead_1"


def test_an_id_is_made_where_none_is_given_and_reported(told):
    first, second = (lt.lead_event(GOOD, destination="meta", lead_id="l") for _ in range(2))
    assert first.id != second.id
    assert told.of("lead.event.saved")[0]["id"] == first.id


def test_each_platform_has_its_own_events(told):
    lt.lead_event(GOOD, id="ev_1", destination=["meta", "google", "meta"], lead_id="l")
    assert [one["destination"] for one in told.of("lead.event.received")] == ["meta", "google"]
    assert [one["destination"] for one in told.of("lead.event.saved")] == ["meta", "google"]
    assert len(told.kept()) == 1, "both or none: one record"


def test_the_innermost_open_lead_is_whose_it_is(told):
    with lt.flow("Ads", lead_id="lead_7", tenant="acme"):
        lt.lead_event(GOOD, destination="meta")
    [kept] = told.kept()
    assert (kept.lead_id, kept.tenant) == ("lead_7", "acme")
    assert {one.lead_id for one in told.events if one.name.startswith("lead.event")} == {"lead_7"}


def test_what_the_journal_has_no_room_for_is_not_said_to_be_saved(process):
    told = process(room=10)
    receipt = lt.lead_event(GOOD, destination="meta", lead_id="l")
    assert (receipt.saved, receipt.why) == (False, "full")
    assert told.names() == ["lead.event.received"]


@pytest.mark.parametrize(
    ("payload", "field", "reason"),
    [
        ({"event_name": "Lead"}, "user", "is missing"),
        ({"event_name": "purchas3", "user": GOOD["user"]}, "event_name", "is none of Lead, Purchase"),
        ({**GOOD, "value": "12,5"}, "value", "is string, not number"),
        ({**GOOD, "value": -1}, "value", "breaks minimum 0"),
        ({**GOOD, "user": {"phone": "call me"}}, "user.phone", "does not match ^\\+[0-9]+$"),
        ({**GOOD, "user": {}}, "user.phone", "is missing"),
        ({**GOOD, "extra": 1}, "", "has a key that the schema does not know"),
        ([1], "", "is array, not object"),
    ],
)
def test_a_malformed_payload_is_quarantined_with_field_and_reason_and_kept(told, payload, field, reason):
    receipt = lt.lead_event(payload, id="ev_1", destination="meta", lead_id="l", schema=SCHEMA)
    assert (receipt.saved, receipt.quarantined) == (True, f"{field} {reason}".strip())
    assert told.names() == ["lead.event.received", "lead.event.quarantined"]
    [quarantined] = told.of("lead.event.quarantined")
    assert (quarantined.get("field", ""), quarantined["reason"]) == (field, reason)
    assert quarantined["location"] == str(told.folder / "lead-events" / "outbox.db")
    assert content(told).payload == payload
    assert content(told).schema == SCHEMA
    assert told.lead_events.malformed == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"event_name": "Lead"', "is not JSON: Expecting ',' delimiter at line 1, column 22"),
        ("event=Lead", "is not JSON: Expecting value at line 1, column 1"),
        (b"\xff\xfe\x00", "is not JSON: not utf-16-le: truncated data"),
        (b'{"a": NaN}', "is not JSON: NaN is no JSON number"),
        (b"[" * 100_000, "is not JSON: nested too deeply"),
    ],
)
def test_a_body_that_is_no_json_is_quarantined_byte_for_byte(told, body, reason):
    receipt = lt.lead_event(body, destination="meta", lead_id="l")
    assert (receipt.saved, receipt.quarantined) == (True, reason)
    assert content(told).raw.encode("latin-1") == (body if isinstance(body, bytes) else body.encode())


def test_a_body_of_json_is_the_payload_that_it_holds(told):
    lt.lead_event(json.dumps(GOOD).encode(), destination="meta", lead_id="l", schema=SCHEMA)
    assert content(told).payload == GOOD


class Size(Enum):
    LARGE = "L"


@dataclass
class Order:
    price: Decimal
    at: datetime


def test_what_python_has_and_json_has_not_becomes_what_a_platform_reads(told):
    lt.lead_event(
        {
            "order": Order(Decimal("33.75"), datetime(2026, 1, 2, tzinfo=UTC)),
            "size": Size.LARGE,
            "id": UUID(int=1),
            "exact": Decimal("0.1000000000000000055511151231257827021181583404541015625"),
            "all": (1, 2),
            3: None,
        },
        destination="meta",
        lead_id="l",
    )
    assert content(told).payload == {
        "order": {"price": 33.75, "at": "2026-01-02T00:00:00+00:00"},
        "size": "L",
        "id": "00000000-0000-0000-0000-000000000001",
        "exact": "0.1000000000000000055511151231257827021181583404541015625",
        "all": [1, 2],
        "3": None,
    }


@pytest.mark.parametrize(
    ("payload", "quarantined"),
    [
        ({"a": [object()]}, "a[0] is of the type object, which JSON does not have"),
        ({"a": float("nan")}, "a is not a number that JSON has"),
        ({"a": {(1, 2): 3}}, "a has a key of the type tuple"),
    ],
)
def test_what_json_has_no_word_for_is_quarantined_as_its_repr(told, payload, quarantined):
    assert lt.lead_event(payload, destination="meta", lead_id="l").quarantined == quarantined
    assert content(told).raw == repr(payload)


def raising(payload):
    raise ValueError(f"no such person: {payload['user']['phone']}")


class PydanticsError(Exception):
    def errors(self):
        return [{"loc": ("user", "phone"), "msg": "not a phone number"}]


PydanticsError.__name__ = "ValidationError"


def like_pydantic(payload):
    raise PydanticsError


@pytest.mark.parametrize(
    ("check", "quarantined"),
    [
        (lambda payload: None, ""),
        (lambda payload: True, ""),
        (lambda payload: [], ""),
        (lambda payload: {}, ""),
        (lambda payload: "", ""),
        (lambda payload: False, "<lambda> says no"),
        (lambda payload: "too old", "too old"),
        (lambda payload: ["too old", "too cheap"], "too old; too cheap"),
        (lambda payload: {"field": "value", "reason": "too cheap"}, "value too cheap"),
        (like_pydantic, "user.phone not a phone number"),
    ],
)
def test_a_callable_says_what_is_wrong_by_what_it_returns_or_raises(told, check, quarantined):
    assert lt.lead_event(GOOD, destination="meta", lead_id="l", schema=check).quarantined == quarantined


def test_what_a_check_says_is_told_without_the_values_of_the_payload(told):
    receipt = lt.lead_event(GOOD, destination="meta", lead_id="l", schema=raising)
    assert "no such person: " in receipt.quarantined
    assert "5550100" not in receipt.quarantined
    assert not [one for one in told.events if "5550100" in str(one.attributes)]


def test_a_schema_may_be_a_file_which_is_read_again_when_it_changes(told, tmp_path: Path):
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(SCHEMA))
    assert lt.lead_event({"value": 1}, destination="meta", lead_id="l", schema=file).quarantined
    file.write_text("{}")
    assert not lt.lead_event({"value": 1}, destination="meta", lead_id="l", schema=str(file)).quarantined


def test_checks_registered_for_a_type_and_a_platform_apply_to_each_call(told):
    lt.payload_schema("Lead", SCHEMA)

    @lt.payload_schema("Lead", destination="google")
    def dear(payload):
        return None if payload.get("value", 0) > 20 else {"field": "value", "reason": "too cheap"}

    receipt = lt.lead_event(GOOD, type="Lead", destination=["meta", "google"], lead_id="l")
    assert receipt.quarantined == "value too cheap"
    assert [(one["destination"]) for one in told.of("lead.event.saved")] == ["meta"]
    assert [(one["destination"]) for one in told.of("lead.event.quarantined")] == ["google"]
    assert not lt.lead_event({}, type="Other", destination="meta", lead_id="l").quarantined
    assert dear({"value": 30}) is None, "the decorated function is itself"


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "objekt"}, "this is no JSON Schema"),
        ("/nowhere.json", "the JSON Schema cannot be read"),
        (5, "schema= is a JSON Schema, the path of one, or a callable"),
    ],
)
def test_a_schema_that_is_none_is_a_mistake_and_nothing_goes_out_unchecked(process, schema, said):
    process()
    with pytest.raises(StrictError, match=said):
        lt.lead_event(GOOD, destination="meta", lead_id="l", schema=schema)
    told = process("lenient", strict=False)
    receipt = lt.lead_event(GOOD, destination="meta", lead_id="l", schema=schema)
    assert receipt.saved
    assert receipt.quarantined.startswith(f"cannot be checked: {said}")
    assert told.names() == ["lead.event.received", "lead.event.quarantined"]


def test_a_registered_schema_that_is_none_fails_where_it_is_written():
    with pytest.raises(SettingsError, match="this is no JSON Schema"):
        lt.payload_schema("Lead", {"type": "objekt"})


def test_without_a_platform_it_is_a_mistake_and_kept_all_the_same(process):
    process()
    with pytest.raises(StrictError, match="needs destination="):
        lt.lead_event(GOOD, destination=[], lead_id="l")
    process("lenient", strict=False)
    assert lt.lead_event(GOOD, destination="", lead_id="l").saved


def test_a_reference_is_refused(told):
    with pytest.raises(DecorationError):
        lt.lead_event(GOOD, destination="meta", lead_id=lt.arg.lead)


def test_before_configure_it_is_said_once_that_nothing_is_kept(caplog):
    for _ in range(2):
        receipt = lt.lead_event(GOOD, destination="meta", lead_id="l")
    assert (receipt.saved, receipt.why) == (False, "off")
    assert caplog.text.count("before lt.configure()") == 1


def test_a_payload_beyond_a_megabyte_is_refused_and_said_to_be(told):
    receipt = lt.lead_event({"x": "x" * 1_100_000}, destination="meta", lead_id="l")
    assert (receipt.saved, receipt.why) == (False, "too large")


async def test_a_receipt_can_be_awaited(told):
    receipt = await lt.lead_event(GOOD, destination="meta", lead_id="l")
    assert receipt.saved


def test_without_the_extra_it_is_one_sentence_under_strict_and_otherwise_told_once():
    code = """
import sys, logging
sys.modules['cryptography.hazmat.primitives.ciphers.aead'] = None
logging.basicConfig(format='%(message)s', stream=sys.stdout)
import leadtrace as lt
for strict in (False, True):
    with lt.capture(strict=strict):
        for _ in range(2):
            try: print(lt.lead_event({}, destination='meta', lead_id='l').why)
            except lt.StrictError as why: print('raised', why)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True).stdout
    lines = said.splitlines()
    assert [one for one in lines if not one.startswith(("raised", "lt.lead_event"))] == ["not encrypted"] * 2
    assert (
        sum(one.startswith("lt.lead_event keeps nothing: payloads of lead events are kept enc") for one in lines) == 1
    )
    assert sum(one.startswith("raised lt.lead_event keeps nothing") for one in lines) == 2
