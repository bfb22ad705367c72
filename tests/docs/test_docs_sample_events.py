"""Each field of each sample event in the source documents, found in an event that the words or `emit` recorded, or where only a
reader can know it, on the timeline."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import leadtrace as lt
from leadtrace.catalogue.document import own_events
from leadtrace.catalogue.model import EventSpec, FieldSpec
from leadtrace.catalogue.nested import from_nested
from leadtrace.testing import Captured

SEEDS = Path(__file__).parents[1] / "data" / "seeds"
SPECS = own_events()
MEASURED = ("duration_ms", "total_retry_time_ms")
"""Fields that the words measure: any positive number is right."""

KNOWN_FROM_OTHER_LEADS = {"flow.performance.processing_time", "troubleshooting.pattern_detected"}
"""Whether a flow was fast for its kind, and whether errors form a pattern, only reports over many leads can say."""


def sample(name: str) -> dict[str, Any]:
    return json.loads((SEEDS / f"{name}.json").read_text(encoding="utf-8"))


def recorded(captured: Captured, name: str, lead_id: str) -> dict[str, Any]:
    """The only event of that name on the lead's timeline: what was recorded, and what the reader adds."""
    [entry] = [one for one in captured.timeline_of(lead_id).events if one.name == name]
    return {**entry.attributes, **entry.reader}


def compare(found: Mapping[str, Any], wanted: Mapping[str, Any], changed: Mapping[str, Any] | None = None) -> None:
    """Every wanted attribute is there with its value; `changed` has those for which another is right, and why is said there."""
    expected = {key: value for key, value in wanted.items() if key not in KNOWN_FROM_OTHER_LEADS} | (changed or {})
    measured = {key for key in expected if key.endswith(MEASURED)}
    assert {key: found.get(key) for key in expected if key not in measured} == {
        key: value for key, value in expected.items() if key not in measured
    }
    assert {key for key in measured if not found.get(key, -1.0) >= 0.0} == set()


# -- the system events


@lt.enhancement(
    "Phone Intelligence",
    service="TrueCaller ID",
    step_id="step_9K3nL5mP2Q8wR4xB",
    position=2,
    cost=0.02,
    data=["phone_type", "carrier", "risk_score", "line_status", "is_wireless"],
)
def phone_intelligence(phone: str) -> dict[str, Any]:
    lt.note(
        cache_hit=False, metadata_api_version="2.1", metadata_response_size=1024, metadata_data_freshness="real-time"
    )
    return {
        "phone_type": "mobile",
        "carrier": "Verizon",
        "risk_score": 15,
        "line_status": "active",
        "is_wireless": True,
    }


def test_enhancement_success() -> None:
    wanted = from_nested(sample("enhancement.success"))
    with lt.capture() as captured, lt.flow("Premium Insurance Flow", lead_id=wanted.lead_id):
        phone_intelligence("+1 312 555 0100")
    compare(recorded(captured, "enhancement.success", wanted.lead_id), wanted.attributes)


@lt.attempt("GET identity", max_attempts=3)
def ask_for_identity() -> None:
    raise TimeoutError("No response after 5 seconds")


@lt.enhancement(
    "Identity Verification",
    service="ID Verify Pro",
    step_id="step_9K3nL5mP2Q8wR4xB",
    provides=["identity_verified", "age", "financial_band"],
)
def verify_identity(*, says: str = "") -> None:
    for number in (1, 2, 3):
        try:
            ask_for_identity()
            return
        except TimeoutError:
            if number == 3:
                lt.note(impact_used_defaults=True)
                if says:
                    lt.current().failed(says, category="technical", subcategory="timeout")
                raise


def test_enhancement_failed() -> None:
    wanted = from_nested(sample("enhancement.failed"))
    with (
        lt.capture() as captured,
        lt.flow("Premium Insurance Flow", lead_id=wanted.lead_id),
        pytest.raises(TimeoutError),
    ):
        verify_identity(says="Service timeout")
    compare(recorded(captured, "enhancement.failed", wanted.lead_id), wanted.attributes)


def test_enhancement_failed_has_a_reason_of_its_own_where_nobody_says_one() -> None:
    with lt.capture() as captured, lt.flow("Premium Insurance Flow", lead_id="lead_1"), pytest.raises(TimeoutError):
        verify_identity()
    assert captured.one("enhancement.failed").attributes["enhancement.failure.reason"] == "timeout: slow response"


@lt.step("one of eight")
def step() -> None: ...


@lt.enhancement(cost=0.02)
def cached() -> None:
    lt.note(cache_hit=True)


@lt.delivery(buyer=lt.arg.buyer)
def deliver(buyer: str, pays: float) -> lt.Answer:
    return lt.accepted(revenue=pays)


@lt.flow(
    "Premium Insurance Flow",
    id="flow_3Q8mK5nL2P9wR4xB",
    version=12,
    source="Facebook Lead Ads",
    lead_id=lt.arg.lead_id,
)
def premium_insurance(lead_id: str) -> None:
    lt.emit("lead.purchased", price=12.48)
    for _ in range(8):
        step()
    phone_intelligence("+1 312 555 0100")
    cached()
    cached()
    deliver("Premier Insurance", 40.00)
    deliver("Standard Insurance", 27.50)


def test_flow_completed() -> None:
    wanted = from_nested(sample("flow.completed"))
    with lt.capture() as captured:
        premium_insurance(wanted.lead_id)
    found = recorded(captured, "flow.completed", wanted.lead_id)
    # The sample has no bottlenecks. What has no value is left out, and where the words find some they are named.
    bottlenecks = found.pop("flow.performance.bottlenecks", [])
    assert set(bottlenecks) <= {"one of eight", "Phone Intelligence", "cached", "deliver to Premier Insurance"} | {
        "deliver to Standard Insurance"
    }
    compare({**found, "flow.performance.bottlenecks": []}, wanted.attributes)


class ProcessingError(Exception):
    """What a reply that cannot be used is told as."""


def test_error_occurred() -> None:
    wanted = from_nested(sample("error.occurred"))
    asked = wanted.attributes
    with lt.capture() as captured, lt.flow("Premium Insurance Flow", lead_id=wanted.lead_id), lt.step("Buyer Delivery"):
        for _ in range(16):
            lt.error(
                ProcessingError("Failed to parse delivery response"),
                recovery_action="Used default response",
                severity="high",
                code="PARSE_ERROR",
                operation="Response parsing",
                input="{invalid json}",
                expected="JSON object",
                data_lost=False,
            )
    entries = [one for one in captured.timeline_of().events if one.name == "error.occurred"]
    found = {**entries[0].attributes, **entries[0].reader}
    changed = {
        # The type's full name is what the conventions ask for.
        "error.type": f"{__name__}.ProcessingError",
        # What could not be parsed may hold anything about a person: its hash, and its length.
        "error.context.input": found["error.context.input"],
        # The sample's advice is the platform's; ours comes from the table that users extend.
        "troubleshooting.suggestion": found["troubleshooting.suggestion"],
    }
    compare(found, asked, changed)
    assert found["error.context.input"].startswith("text#")
    assert found["error.context.input_length"] == len("{invalid json}")
    assert len(found["troubleshooting.suggestion"]) > 20


# -- the span events


def by_words(name: str, wanted: Mapping[str, Any]) -> Callable[[], None] | None:
    """How the words make that sample; None for events that a user tells by hand."""

    @lt.step(input_size=wanted.get("input.size"), input_type=wanted.get("input.type"))
    def operation() -> None:
        lt.note(output_size=wanted.get("output.size"))
        if name == "operation.failed":
            raise ValueError(wanted["error.message"])

    @lt.attempt(max_attempts=wanted.get("max_attempts"), will_retry=True)
    def call(fails: bool) -> None:
        if fails:
            raise TimeoutError("no answer")

    def calls() -> None:
        if name != "api.call.succeeded":
            with pytest.raises(TimeoutError):
                call(fails=True)
        else:
            call(fails=False)

    def operating() -> None:
        if name == "operation.failed":
            with pytest.raises(ValueError, match=wanted["error.message"]):
                operation()
        else:
            operation()

    def error() -> None:
        lt.error(
            type("APIError", (Exception,), {"__module__": "builtins"})(wanted["error.message"]),
            recovery_action="retry_with_backoff",
            code=wanted.get("error.code"),
            retry_count=wanted["error.retry_count"],
            retry_after=wanted["error.retry_after"],
        )

    if name.startswith("operation."):
        return operating
    if name.startswith("api.call."):
        return calls
    return error if name == "error.occurred" else None


SPAN_EVENTS = [from_nested(one) for one in json.loads((SEEDS / "span-events.json").read_text(encoding="utf-8"))]


@pytest.mark.parametrize("wanted", SPAN_EVENTS, ids=lambda one: one.name)
def test_a_sample_of_the_span_events(wanted: Any) -> None:
    spec = SPECS[wanted.name]
    make = by_words(wanted.name, wanted.attributes)
    with lt.capture() as captured, lt.flow("Support", lead_id="lead_7K9mHpQR3x2B5N8j"):
        if make is not None:
            make()
        else:
            lt.emit(wanted.name, **{spec.field_of(key).keyword: value for key, value in wanted.attributes.items()})  # type: ignore[union-attr]
    compare(recorded(captured, wanted.name, "lead_7K9mHpQR3x2B5N8j"), wanted.attributes)


# -- lead events, and the delivery engine's telemetry: no sample values, but lists of fields

VALUES: Mapping[str, Any] = {"string": "x-1", "int": 3, "double": 0.5, "boolean": True, "string[]": ["x-1", "x-2"]}


def value_of(field: FieldSpec) -> Any:
    if field.unit == "ns":
        return datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
    return field.values[0] if field.values else VALUES[field.type]


@pytest.mark.parametrize(
    "spec", [one for one in SPECS.values() if one.source in ("001", "003")], ids=lambda one: one.name
)
def test_every_field_of_the_other_two_documents_can_be_told_by_its_keyword(spec: EventSpec) -> None:
    """The keyword is the document's own key; personal ones are recorded as hashes."""
    fields = [one for one in spec.fields.values() if one.by != "reader" and one.attribute != "tenant_key"]
    given = {one.keyword: value_of(one) for one in fields}
    with lt.capture() as captured:
        lt.emit(spec.name, lead_id="lead_1" if spec.lead else None, tenant="acme", **given)
    found = captured.one(spec.name).attributes
    assert found["tenant_key"] == "acme"
    expected = {
        one.attribute: int(given[one.keyword].timestamp()) * 1_000_000_000 if one.unit == "ns" else given[one.keyword]
        for one in fields
        if not one.personal
    }
    assert {key: found.get(key) for key in expected} == expected
    assert all("#" in found[one.attribute] for one in fields if one.personal)


@pytest.mark.parametrize("spec", [one for one in SPECS.values() if one.source == "003"], ids=lambda one: one.name)
def test_a_handler_gets_the_delivery_engines_counts_apart_from_the_rest(spec: EventSpec) -> None:
    seen: list[tuple[str, Mapping[str, Any], Mapping[str, Any], Any]] = []
    lt.attach("sample", spec.name, lambda *arguments: seen.append(arguments), "config", inline=True)
    try:
        with lt.capture():
            lt.emit(spec.name, lead_id="lead_1" if spec.lead else None, tenant="acme")
    finally:
        lt.detach("sample")
    [(name, measurements, metadata, config)] = seen
    assert (name, measurements["count"], metadata["tenant_key"], config) == (spec.name, 1, "acme", "config")
