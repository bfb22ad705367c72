"""Finding phone numbers and e-mail addresses, and what is said of them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadtrace.otlp.contacts import is_contact, replace_contacts
from leadtrace.otlp.facets import normal_email, normal_phone, phone_facets

ONE_NUMBER = [
    "+14155550100",
    "+1 (415) 555-0100",
    "+1.415.555.0100",
    "001 415 555 0100",
    "%2B14155550100",
    "(415) 555-0100",
    "(415)5550100",
    "1-415-555-0100",
    "415-555-0100",
    "415.555.0100",
    "415 555 0100",
    "415-5550100",
    "415\u2011555\u20110100",
    "415\u00a0555\u00a00100",
    "4155550100",
    "14155550100",
]
OTHERS = [
    "+44 20 7946 0958",
    "0044 20 7946 0958",
    "44 20 7946 0958",
    "020 7946 0958",
    "(020) 7946 0958",
    "07700 900123",
    "+49 30 123456",
    "+49 (0) 30 123456",
    "06 12 34 56 78",
    "+33 6 12 34 56 78",
    "+852 5123 4567",
    "123-456-7890",
    "+911234567890",
]
NEITHER = [
    "2024-01-15T10:30:45.456Z",
    "2024-01-15 10:30:45,456",
    "2026-11-22T02:17:05+00:00",
    "20240115103045",
    "15.01.2024",
    "01/15/2024",
    "1700000000",
    "1700000000123",
    "1700000000123456789",
    "192.168.100.200",
    "123e4567-e89b-12d3-a456-426614174000",
    "5f0c9a3be1d4770200000000002a",
    "12345678",
    "1,234,567.89",
    "0.1234567890",
    "234567.8901",
    "500-1000",
    "75000-100000",
    "02139-4307",
    "lead_7K9mHpQR3x2B5N8j",
    "100 200 300 400",
    "ORD-000012345678",
    "4111 1111 1111 1111",
    "3456 ms after 3 tries, 2 of 10",
    "phone#5f0c9a3be1d47702",
    "phone#4155550100415555",
    "@app.route and a @ b",
]


@pytest.mark.parametrize("text", ONE_NUMBER)
def test_one_number_has_one_form_however_it_is_written(text):
    """So that it has one hash."""
    assert is_contact(text) == "phone"
    assert normal_phone(text) == "+14155550100"
    assert replace_contacts(f"call {text}, then wait 20 s", lambda what, _: what) == "call phone, then wait 20 s"


@pytest.mark.parametrize("text", OTHERS)
def test_numbers_of_other_countries_are_found(text):
    """With their country, or with a leading zero."""
    assert is_contact(text) == "phone"
    assert replace_contacts(f"call {text}, please", lambda what, _: what) == "call phone, please"


@pytest.mark.parametrize("text", NEITHER)
def test_what_only_looks_like_a_number_stays(text):
    """Dates, times, counts, ids, addresses of machines, money."""
    assert is_contact(text) is None
    assert replace_contacts(text, lambda *_: "FOUND") == text
    assert replace_contacts(f"<{text}>", lambda *_: "FOUND") == f"<{text}>"


@pytest.mark.parametrize(
    "text",
    [
        "john@example.com",
        "J.Doe+tag@Sub.Example.ORG",
        "o'brien@example.co.uk",
        "john%40example.com",
        "josé@exämple.com",
    ],
)
def test_addresses_are_found(text):
    """Escaped ones and those of other scripts as well."""
    assert is_contact(text) == "email"
    assert replace_contacts(f"<{text}>; next", lambda what, _: what) == "<email>; next"


def test_a_line_with_several_kinds_loses_just_what_is_personal():
    """As parse errors quote them."""
    line = "2024-01-15T10:30:45Z bad line 17: 42,John,4155550100,a@example.com,1700000000123,10.0.0.1"
    assert (
        replace_contacts(line, lambda what, _: f"<{what}>")
        == "2024-01-15T10:30:45Z bad line 17: 42,John,<phone>,<email>,1700000000123,10.0.0.1"
    )


def test_a_word_that_says_phone_makes_a_short_number_one():
    """Seven digits alone are a count."""
    text = '{"phone": "5550100", "hotel": 5550100, "count": 5550100} tel. 555-0100'
    assert (
        replace_contacts(text, lambda what, _: what)
        == '{"phone": "phone", "hotel": 5550100, "count": 5550100} tel. phone'
    )


@pytest.mark.parametrize(
    ("number", "facets"),
    [
        ("+14155550100", {"country": "US", "area": "415"}),
        ("+14165550100", {"country": "CA", "area": "416"}),
        ("+17875550100", {"country": "PR", "area": "787"}),
        ("+18005550100", {}),
        ("+442079460958", {"country": "GB"}),
        ("+77012345678", {"country": "KZ"}),
        ("+79161234567", {"country": "RU"}),
        ("+35312345678", {"country": "IE"}),
        ("02079460958", {}),
    ],
)
def test_a_number_tells_its_country_and_area_as_far_as_they_are_known(number, facets):
    """A free number is in no country."""
    assert phone_facets(number) == facets


def test_an_address_has_one_form():
    """Whatever its case, however it is escaped."""
    assert {normal_email(one) for one in ("John@Example.com", " john@example.com ", "john%40example.com")} == {
        "john@example.com"
    }


@settings(max_examples=300)
@given(st.text(max_size=200))
def test_any_text_can_be_looked_at(text):
    """Whatever it holds, nothing raises, and what was replaced holds no more."""
    once = replace_contacts(text, lambda what, _: "")
    assert isinstance(once, str)


@pytest.mark.parametrize("unit", ["1", "1 ", "a.", "a@", "+1-", "(0", "%2B", "phone ", "0-", "1.1."])
def test_a_long_hostile_text_takes_linear_time(unit):
    """A megabyte of the worst is done within a request's time; ten times the text takes about ten times as long."""
    began = time.process_time()
    replace_contacts(unit * (100_000 // len(unit)), lambda *_: "x")
    assert time.process_time() - began < 5


def test_an_address_with_its_sign_typed_twice_is_one():
    """A form's mistake: a person sees whose it is."""
    assert (
        replace_contacts("wrote to jane.doe8@@example.com, twice", lambda contact, found: f"<{contact}>")
        == "wrote to <email>, twice"
    )
