"""Redaction: nothing personal is recorded unless it is allowed, ids are spared, and doing it twice changes nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadtrace.catalogue import get
from leadtrace.otlp.redact import Redactor

KEY = b"a key of thirty-two bytes or so!"
REDACTOR = Redactor(KEY)
HASH = re.compile(r"(phone|email|name|text|personal)#[0-9a-f]{16}")

area = st.from_regex(r"[2-9][0-8][0-9]", fullmatch=True)
exchange = st.from_regex(r"[2-9][0-9]{2}", fullmatch=True)
line = st.from_regex(r"[0-9]{4}", fullmatch=True)
phones = st.builds(
    lambda shape, a, e, n: shape.format(a, e, n),
    st.sampled_from(
        ["+1{}{}{}", "({}) {}-{}", "{}-{}-{}", "{}.{}.{}", "{} {} {}", "1-{}-{}-{}", "{}{}{}", "+1 ({}) {}-{}"]
    ),
    area,
    exchange,
    line,
)
emails = st.emails(domains=st.from_regex(r"[a-z]{3,12}\.(com|org|co\.uk|io)", fullmatch=True)).filter(
    lambda one: len(one.rpartition("@")[0]) <= 64 and not set(one) & set("/=?`{}#&'")
)
words = st.from_regex(r"[A-Za-z ,;:]{0,20}", fullmatch=True)
ids = st.one_of(
    st.uuids().map(str),
    st.from_regex(r"lead_[0-9A-Za-z]{16}", fullmatch=True),
    st.from_regex(r"[1-9][0-9]{6,14}", fullmatch=True),
    phones,
)


@given(words, phones, words, emails)
def test_no_number_and_no_address_survives_in_any_value(before, phone, between, email):
    """Wherever it stands: in text, in lists, in maps."""
    text = f"{before} {phone} {between} {email}"
    recorded = REDACTOR.attributes("step.told", None, {"step.note": text, "step.list": [text], "step.map": {"a": text}})
    assert phone not in str(recorded)
    assert email not in str(recorded)
    assert phone not in REDACTOR.text(text)
    assert email not in REDACTOR.text(text)


@given(ids)
def test_ids_survive_as_they_are(value):
    """Whatever they look like: an id is needed to find what it names."""
    attributes = {
        "enhancement.step_id": value,
        "delivery.id": value,
        "log.record.uid": value,
        "step.request_ids": [value],
    }
    assert REDACTOR.attributes("enhancement.success", get("enhancement.success"), attributes) == attributes


@given(
    st.dictionaries(
        st.sampled_from(["lead.phone", "x.email", "x.first_name", "step.note", "url.full", "lead.id", "error.message"]),
        st.one_of(phones, emails, words, st.integers(), st.booleans(), st.lists(emails, max_size=3)),
    )
)
def test_redacting_twice_changes_nothing(attributes):
    """A record may pass several times: as an event, then on a span."""
    once = REDACTOR.attributes("e.told", None, attributes)
    assert REDACTOR.attributes("e.told", None, once) == once
    assert REDACTOR.span_attributes(once) == once


def test_a_field_of_the_catalogue_is_hashed_as_a_whole_with_its_facets():
    """The catalogue says what is personal; a text leaves its length."""
    spec = get("error.occurred")
    recorded = REDACTOR.attributes(
        "error.occurred", spec, {"error.context.input": "Doe, John", "error.type": "KeyError"}
    )
    assert recorded == {
        "error.context.input": REDACTOR.hash("text", "Doe, John"),
        "error.context.input_length": 9,
        "error.type": "KeyError",
    }


def test_an_undeclared_field_with_a_personal_name_is_hashed():
    """By name alone, and an int as well."""
    recorded = REDACTOR.attributes(
        "lead.told",
        None,
        {"lead.firstName": "John", "lead.phone": 4155550100, "lead.phone_type": "mobile", "lead.email": True},
    )
    assert recorded == {
        "lead.firstName": REDACTOR.hash("name", "john"),
        "lead.phone": REDACTOR.hash("phone", "+1 415 555 0100"),
        "lead.phone_country": "US",
        "lead.phone_area": "415",
        "lead.phone_type": "mobile",
        "lead.email": True,
    }


def test_facets_stand_beside_what_they_were_taken_from():
    """The domain of an address; none where several were found."""
    recorded = REDACTOR.attributes("s.told", None, {"s.a": "to Jo@Example.com", "s.b": "a@x.com b@y.com"})
    assert recorded == {
        "s.a": f"to {REDACTOR.hash('email', 'jo@example.com')}",
        "s.a_domain": "example.com",
        "s.b": f"{REDACTOR.hash('email', 'a@x.com')} {REDACTOR.hash('email', 'b@y.com')}",
    }


def test_numbers_counts_and_times_are_left_alone():
    """An int is no phone number unless its field is."""
    attributes = {
        "s.count": 4155550100,
        "s.at": 1700000000123456789,
        "s.score": 0.4155550100,
        "s.ok": True,
        "s.raw": b"\xff1",
    }
    assert REDACTOR.attributes("s.told", None, attributes) == attributes


def test_bytes_are_scrubbed_too():
    """As text as far as they are one."""
    assert (
        REDACTOR.attributes("s.told", None, {"s.raw": b"\xff a@x.com"})["s.raw"]
        == b"\xff " + REDACTOR.hash("email", "a@x.com").encode()
    )


@pytest.mark.parametrize(
    "allow",
    [
        ["lead.phone"],
        "phone",
        ["lead.*"],
        ["lead.told:lead.phone"],
        {"lead.told": ["phone"]},
        {"*": "lead.phone"},
    ],
)
def test_an_allowed_field_is_recorded_as_it_is(allow):
    """Everywhere, or in one event; on a span as in its event."""
    redactor = Redactor(KEY, allow=allow)
    told = {"lead.phone": "+1 415 555 0100"}
    assert redactor.attributes("lead.told", None, told) == told
    assert redactor.span_attributes(told, ours=True) == told


def test_a_field_allowed_in_one_event_is_hashed_in_another():
    """Allowing is as narrow as it is written."""
    redactor = Redactor(KEY, allow={"lead.told": ["phone"]})
    assert HASH.fullmatch(str(redactor.attributes("lead.sold", None, {"lead.phone": "4155550100"})["lead.phone"]))


def test_users_extend_the_list_of_personal_names():
    """Bare names count everywhere, full ones for that attribute."""
    redactor = Redactor(KEY, personal=["loanNumber", "user.id"])
    recorded = redactor.attributes("s.told", None, {"s.loan_number": "L-1", "user.id": "jo", "s.id": "jo"})
    assert recorded == {
        "s.loan_number": redactor.hash("personal", "L-1"),
        "user.id": redactor.hash("personal", "jo"),
        "s.id": "jo",
    }


def test_one_number_has_one_hash_in_a_tenant_and_another_in_another_tenant_or_under_another_key():
    """Hashes join what belongs together and nothing more."""
    written = ["+1 (415) 555-0100", "415-555-0100", "4155550100"]
    assert len({REDACTOR.hash("phone", one) for one in written}) == 1
    assert len({REDACTOR.hash("phone", written[0], tenant) for tenant in ("", "a", "b")}) == 3
    assert Redactor(b"another key").hash("phone", written[0]) != REDACTOR.hash("phone", written[0])
    assert Redactor(KEY, tenant="a").hash("phone", written[0]) == REDACTOR.hash("phone", written[0], "a")
    assert REDACTOR.attributes("s.told", None, {"tenant_key": "a", "s.x": "4155550100"})["s.x"] == REDACTOR.hash(
        "phone", "4155550100", "a"
    )


def test_a_lead_id_is_hashed_only_where_as_a_whole_it_is_a_contact():
    """Readers ask with the same function."""
    assert REDACTOR.lead_id("lead_4155550100") == "lead_4155550100"
    assert REDACTOR.lead_id("lead-of-a@x.com-1 ") == "lead-of-a@x.com-1 "
    assert REDACTOR.lead_id("A@x.com") == REDACTOR.lead_id(" a@X.com") == REDACTOR.hash("email", "a@x.com")
    assert REDACTOR.lead_id("+14155550100") == REDACTOR.hash("phone", "4155550100")
    recorded = REDACTOR.attributes("s.told", None, {"lead.id": "a@x.com", "leadtrace.lead_ids": ["a@x.com", "lead_1"]})
    assert recorded == {
        "lead.id": REDACTOR.hash("email", "a@x.com"),
        "leadtrace.lead_ids": [REDACTOR.hash("email", "a@x.com"), "lead_1"],
    }


def test_text_loses_the_calls_personal_values_first_however_it_writes_them():
    """As a message quotes them, in any case, escaped or not, but not inside of other words."""
    text = """no match for JOHN Smith ('O\\'Brien', "Jos\\u00e9", %22Jos%C3%A9%22, J. Smithson) in main street"""
    scrubbed = REDACTOR.text(text, ["John", "Smith", "O'Brien", "José"])
    assert HASH.sub("•", scrubbed) == """no match for • • ('•', "•", %22•%22, J. Smithson) in main street"""
    assert REDACTOR.text("找不到王小明的记录", ["王小明"]) == f"找不到{REDACTOR.hash('personal', '王小明')}的记录"


def test_attributes_lose_the_calls_personal_values_too():
    """An exception's message stands in attributes; ids and closed lists stay."""
    recorded = REDACTOR.attributes(
        "error.occurred",
        get("error.occurred"),
        {"error.message": "John has no car", "error.severity": "high", "lead.id": "John"},
        call_values=["John", "high"],
    )
    assert recorded == {
        "error.message": f"{REDACTOR.hash('personal', 'john')} has no car",
        "error.severity": "high",
        "lead.id": "John",
    }


def test_urls_of_foreign_spans_lose_queries_and_credentials():
    """The names of a query stay, its values do not, but for allowed ones."""
    redactor = Redactor(KEY, allow=["page"])
    attributes = {
        "url.full": "https://u:p@api.example.com:8443/leads/a@x.com?email=a%40x.com&page=2&flag#top",
        "url.query": "q=John&page=1",
        "http.target": "/v1/search?name=John",
        "http.url": "http://api.example.com/v1",
        "server.address": "api.example.com",
    }
    email = REDACTOR.hash("email", "a@x.com")
    assert redactor.span_attributes(attributes) == {
        "url.full": f"https://REDACTED:REDACTED@api.example.com:8443/leads/{email}?email=REDACTED&page=2&REDACTED#top",
        "url.query": "q=REDACTED&page=1",
        "http.target": "/v1/search?name=REDACTED",
        "http.url": "http://api.example.com/v1",
        "server.address": "api.example.com",
    }


def test_statements_of_foreign_spans_lose_their_literals():
    """What they do stays."""
    attributes = {"db.statement": "SELECT * FROM leads WHERE name = 'O''Brien' AND phone = 4155550100"}
    assert REDACTOR.span_attributes(attributes)["db.statement"] == (
        f"SELECT * FROM leads WHERE name = ? AND phone = {REDACTOR.hash('phone', '4155550100')}"
    )


def test_an_attribute_named_in_the_catalogue_is_treated_on_a_span_as_in_its_event():
    """A span carries the fields of its end event."""
    recorded = REDACTOR.span_attributes({"error.context.input": "x", "enhancement.name": "Phone Intelligence"})
    assert recorded["enhancement.name"] == "Phone Intelligence"
    assert HASH.fullmatch(str(recorded["error.context.input"]))


def test_what_one_event_may_carry_no_other_library_may():
    """Allowed in an event of yours, a field is that of the word's span too, and not of any span with such an attribute."""
    redactor = Redactor(KEY, allow={"lead.told": ["phone", "page"], "*": ["carrier"]})
    said = {"crm.phone": "+14155550100", "url.full": "https://x/y?page=7&carrier=a", "phone.carrier": "x"}
    assert redactor.span_attributes(said, ours=True)["crm.phone"] == "+14155550100"
    foreign = redactor.span_attributes(said)
    assert str(foreign["crm.phone"]).startswith("phone#")
    assert foreign["url.full"] == "https://x/y?page=REDACTED&carrier=a"
    assert redactor.attributes("lead.told", None, said)["url.full"] == "https://x/y?page=7&carrier=a"
