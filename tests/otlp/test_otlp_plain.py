"""Records as plain data and back: nothing is lost, rounded or mixed up."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadtrace.errors import OtlpError
from leadtrace.otlp.plain import (
    dumps_attributes,
    event_from_plain,
    event_to_plain,
    loads_attributes,
    span_from_plain,
    span_to_plain,
    value_from_plain,
    value_to_plain,
)
from leadtrace.otlp.records import EventRecord, Link, Resource, Scope, SpanRecord

_keys = st.text(max_size=5) | st.sampled_from(["$bytes", "$double", "$int", "$map", "$", "null"])
_values = st.recursive(
    st.text() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3),
    max_leaves=8,
)
_attributes = st.dictionaries(_keys, _values, max_size=4)


@settings(max_examples=300)
@given(value=_values)
def test_any_value_comes_back_as_it_was(value):
    """Compared as text: NaN is not equal to itself, and 1 is equal to 1.0 and True."""
    assert repr(value_from_plain(orjson.loads(orjson.dumps(value_to_plain(value))))) == repr(value)


@settings(max_examples=300)
@given(attributes=_attributes)
def test_any_attributes_come_back_from_json_text(attributes):
    assert repr(loads_attributes(dumps_attributes(attributes))) == repr(attributes)


@settings(max_examples=60)
@given(attributes=_attributes, body=_values | st.none(), time=st.integers(0, 2**64 - 1))
def test_any_record_comes_back_from_json_text(attributes, body, time):
    resource, scope = Resource(attributes, "https://r"), Scope("s", "1", attributes, "https://s")
    event = EventRecord(
        "e",
        time,
        "ab" * 16,
        "cd" * 8,
        attributes,
        resource,
        scope,
        "both",
        3,
        time,
        9,
        "INFO",
        body,
        257,
        ("bad_id",),
        77,
    )
    span = SpanRecord(
        "ab" * 16, "cd" * 8, "s", time, time, "ef" * 8, 3, "error", "no", attributes, resource, scope,
        (Link("01" * 16, "02" * 8, attributes),), [event], "a=b", 257, (1, 2, 3), ("time_in_future",), 78,
    )  # fmt: skip
    assert repr(event_from_plain(orjson.loads(orjson.dumps(event_to_plain(event))))) == repr(event)
    assert repr(span_from_plain(orjson.loads(orjson.dumps(span_to_plain(span))))) == repr(span)


@pytest.mark.parametrize("wrong", [{}, {"name": "e"}, [], 7, None])
def test_what_is_no_record_is_refused(wrong):
    for read in (event_from_plain, span_from_plain):
        with pytest.raises(OtlpError, match="as a served store writes it"):
            read(wrong)
