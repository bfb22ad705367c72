"""Kept lead events as bytes: read again as they were written, and nothing else is ever taken for one."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadtrace.errors import SealError
from leadtrace.otlp.lead_event import Arrival, Content, Kept, Problem, open_content, utf8
from leadtrace.otlp.sealing import Sealer

SEALER = Sealer([b"the key of these tests"])
TEXT = st.text(max_size=20).map(utf8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.builds(
        Arrival,
        TEXT,
        st.lists(TEXT, min_size=1, max_size=3).map(tuple),
        st.builds(Content, JSON, st.none() | st.text(max_size=9), st.dictionaries(TEXT, TEXT, max_size=2), JSON),
        TEXT,
        TEXT,
        st.integers(0, 2**63 - 1),
        st.dictionaries(TEXT, TEXT, max_size=3),
        st.dictionaries(TEXT, st.builds(Problem, TEXT, TEXT), max_size=2),
    )
)
@settings(max_examples=50)
def test_what_was_kept_is_read_again_exactly(arrival: Arrival) -> None:
    kept = Kept.of(arrival, SEALER)
    again = Kept.unpacked(kept.packed())
    assert again == kept
    assert open_content(again.id, again.digest, again.sealed, SEALER) == arrival.content


@given(
    st.binary(max_size=200)
    | JSON.map(lambda one: (head := json.dumps(one).encode()) and len(head).to_bytes(4, "big") + head)
)
@settings(max_examples=50)
def test_bytes_that_are_none_are_refused_and_nothing_else_is_raised(record: bytes) -> None:
    with contextlib.suppress(SealError):
        Kept.unpacked(record)


@pytest.mark.parametrize(
    "change",
    [
        {"id": 5},
        {"id": "\ud800"},
        {"to": "meta", "digest": "zz"},
        {"to": [1]},
        {"at": 1 << 63},
        {"at": "now"},
        {"fields": {"type": 3}},
        {"malformed": {"meta": ["a", "b", "c"]}},
        {"lead_id": ["l"]},
    ],
)
def test_a_head_with_a_value_that_cannot_be_is_no_kept_record(change: dict[str, object]) -> None:
    head = json.dumps({"id": "e", "to": ["meta"], "digest": "00", **change}).encode()
    with pytest.raises(SealError, match="no kept lead event"):
        Kept.unpacked(len(head).to_bytes(4, "big") + head + b"sealed")


def test_equal_content_has_one_digest_whatever_the_order_of_its_keys() -> None:
    first, second = (
        Kept.of(Arrival("e", ("m",), Content(one), "", "", 0, {}), SEALER)
        for one in ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    )
    assert first.digest == second.digest
