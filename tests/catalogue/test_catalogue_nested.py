"""The nested JSON form is read and written without loss; the samples are those of the source documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadtrace.catalogue.document import own_events
from leadtrace.catalogue.nested import Nested, from_nested, to_nested

SEEDS = Path(__file__).parents[1] / "data" / "seeds"
SYSTEM_EVENTS = ["enhancement.success", "enhancement.failed", "flow.completed", "error.occurred"]


def sample(name: str) -> dict[str, object]:
    return json.loads((SEEDS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SYSTEM_EVENTS)
def test_a_sample_of_the_system_events_document_comes_back_as_it_was(name: str) -> None:
    read = from_nested(sample(name))
    assert read.problems == []
    assert to_nested(read.name, read.attributes, lead_id=read.lead_id, time_ns=read.time_ns) == sample(name)


@pytest.mark.parametrize("name", SYSTEM_EVENTS)
def test_every_field_of_a_sample_is_a_declared_one(name: str) -> None:
    spec = own_events()[name]
    assert [one for one in from_nested(sample(name)).attributes if spec.field_of(one) is None] == []


def test_a_sample_is_read_whole() -> None:
    assert from_nested(sample("enhancement.failed")) == Nested(
        "enhancement.failed",
        {
            "enhancement.step_id": "step_9K3nL5mP2Q8wR4xB",
            "enhancement.name": "Identity Verification",
            "enhancement.service": "ID Verify Pro",
            "enhancement.outcome": "failed",
            "enhancement.duration_ms": 5023.0,
            "enhancement.failure.reason": "Service timeout",
            "enhancement.failure.category": "technical",
            "enhancement.failure.error_code": "TIMEOUT_ERROR",
            "enhancement.failure.details": "No response after 5 seconds",
            "enhancement.impact.data_missing": ["identity_verified", "age", "financial_band"],
            "enhancement.impact.flow_continued": True,
            "enhancement.impact.used_defaults": True,
            "enhancement.retry.attempted": True,
            "enhancement.retry.count": 2,
            "enhancement.retry.will_retry": False,
        },
        "lead_8M1pL5nR2x6C3K9j",
        1_705_314_648_789_000_000,
        [],
    )


def test_the_span_events_of_the_second_document_are_read_by_the_same_rules() -> None:
    """Flat attributes with Unix times; what is told is exactly what the catalogue resolves about them."""
    told = {}
    for index, event in enumerate(json.loads((SEEDS / "span-events.json").read_text(encoding="utf-8"))):
        read = from_nested(event)
        spec = own_events()[read.name]
        assert [one for one in read.attributes if spec.field_of(one) is None] == [], read
        assert read.time_ns == 1_705_314_600_250_000_000
        if read.problems:
            told[index, read.name] = read.problems
    assert told == {
        (11, "operation.started"): [
            "timestamp.iso differs from the record's own time by 0.25 s (earlier)",
            "timestamp.unix differs from the record's own time by 40 min (earlier)",
        ],
        (20, "api.call.attempted"): ["max_retries 3 is read as max_attempts 4: the first try counts"],
    }


def test_aliases_are_accepted_and_written_under_the_canonical_name() -> None:
    read = from_nested({"event_type": "flow.completed", "duration_ms": 3456, "currency": "EUR"})
    assert read.attributes == {"flow.summary.total_duration_ms": 3456.0, "flow.journey.currency": "EUR"}
    assert to_nested(read.name, read.attributes) == {
        "event_type": "flow.completed",
        "summary": {"total_duration_ms": 3456.0},
        "journey": {"currency": "EUR"},
    }


def test_a_status_given_as_the_code_becomes_a_string() -> None:
    assert from_nested({"event_type": "error.occurred", "error": {"code": 429}}).attributes == {"error.code": "429"}


@pytest.mark.parametrize(
    ("event", "time_ns", "problems"),
    [
        ({"event_type": "lead.received", "lead_id": 7, "timestamp": "2024-01-15T10:30:00+02:00"}, 0, []),
        (
            {"event_type": "lead.received", "timestamp": "2024-01-15T10:30:00"},
            0,
            ["timestamp '2024-01-15T10:30:00' has no time zone and is read as UTC"],
        ),
        (
            {"event_type": "lead.received", "timestamp": "yesterday"},
            0,
            ["timestamp is 'yesterday'; it is an ISO 8601 time, or Unix seconds"],
        ),
        (
            {"event_type": "lead.received", "timestamp": "2024-01-15T10:30:01.5Z"},
            1_705_314_600_000_000_000,
            ["timestamp differs from the record's own time by 1.5 s (later)"],
        ),
        (
            {"event_type": "lead.receivd"},
            0,
            ["event 'lead.receivd' is not declared; the nearest that is: 'lead.received'"],
        ),
        ({"lead_id": "l1"}, 0, ["event_type is None; it is the event's name"]),
        ({"event_type": "lead.received", "source": None}, 0, ["source has no value and was left out"]),
        (
            {"event_type": "enhancement.success", "cost": "cheap"},
            0,
            ["enhancement.success: enhancement.cost is declared as double, and str came"],
        ),
        (
            {"event_type": "enhancement.success", "cost": 1, "enhancement": {"cost": 2}},
            0,
            ["enhancement.cost says 2.0, but enhancement.cost is 1.0 already; the first is kept"],
        ),
    ],
)
def test_what_is_wrong_or_was_changed_is_told(event: dict[str, object], time_ns: int, problems: list[str]) -> None:
    assert from_nested(event, time_ns=time_ns).problems == problems


def test_the_records_own_time_wins() -> None:
    event = {"event_type": "lead.received", "timestamp": "2024-01-15T10:30:01Z"}
    assert from_nested(event).time_ns == 1_705_314_601_000_000_000
    assert from_nested(event, time_ns=5).time_ns == 5


NAMES = st.sampled_from([*own_events(), "something.else.happened", "plain"])
KEYS = st.one_of(
    st.sampled_from(
        [
            *sorted({one.replace("*", "k") for spec in own_events().values() for one in spec.attributes}),
            "timestamp",
            "timestamp.iso",
            "event_type",
            "lead_id",
            "attributes",
            "attributes.a",
            "step.chosen",
            "cost",
        ]
    ),
    st.text("ab.", min_size=1, max_size=6),
)
TEXT = st.text(max_size=5)


@given(
    name=NAMES,
    attributes=st.dictionaries(KEYS, st.one_of(TEXT, st.booleans(), st.lists(TEXT, max_size=2)), max_size=8),
    lead_id=TEXT,
    time_ns=st.integers(0, 4_102_444_800_000_000_000),
)
def test_what_is_written_is_read_back(name: str, attributes: dict[str, object], lead_id: str, time_ns: int) -> None:
    """Any attributes, declared or not, dotted so that one is the other's namespace, or named as the form's own keys."""
    written = json.loads(json.dumps(to_nested(name, attributes, lead_id=lead_id, time_ns=time_ns)))
    assert from_nested(written)[:4] == (name, attributes, lead_id, time_ns)


@given(st.recursive(st.one_of(st.none(), st.booleans(), st.floats(), TEXT), lambda inner: st.dictionaries(TEXT, inner)))
def test_any_json_object_is_read_without_an_error(value: object) -> None:
    from_nested({"event_type": "flow.completed", "x": value, "timestamp": value, "flow": value})
