"""The report of cold outbound over a story written out by hand, whose figures one can count on one's fingers."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from traffic import HOUR, MONDAY, SCOPE

import leadtrace
from leadtrace.analysis.exchange import report_from_json
from leadtrace.analysis.model import Rate, Report
from leadtrace.analysis.outbound import (
    OUTBOUND,
    AdapterRow,
    HealthRow,
    PolicyRow,
    PoolRow,
    ReassignmentRow,
    SequenceRow,
    TemplateRow,
)
from leadtrace.otlp.records import EventRecord, Resource
from leadtrace.store.embedded import EmbeddedStore


def story(lines: str) -> list[EventRecord]:
    """Events, a line each: the hour, the name, then fields `key=value`; whole numbers and numbers as such."""
    events = []
    for number, line in enumerate(lines.strip().splitlines()):
        hour, name, *fields = line.split()
        attributes: dict[str, object] = {"log.record.uid": f"{6:016x}{number:012x}"}
        for field in fields:
            key, _, text = field.partition("=")
            value: object = text
            if key.endswith("ids"):
                value = text.split(",")
            elif key in ("count", "sent_count", "cap"):
                value = int(text)
            elif key in ("defer_until", "return_at", "scheduled_for"):
                value = MONDAY + int(text) * HOUR
            elif key in ("rate", "health_score"):
                value = float(text)
            attributes["tenant_key" if key == "tenant" else f"outbound.{key}"] = value
        resource = Resource({"service.name": "engine"})
        at = MONDAY + int(hour) * HOUR + number * 1_000_000
        events.append(EventRecord(name, at, "", "", attributes, resource, SCOPE, observed_ns=at))  # type: ignore[arg-type]
    return events


STORY = """
0 dispatch.adapter_pinned enrollment_id=e1 adapter_id=a
0 dispatch.adapter_pinned enrollment_id=e2 adapter_id=b
1 dispatch.sent enrollment_id=e1 step_execution_id=x1 sequence_key=homes step_key=intro channel=email adapter_provider=post
1 dispatch.sent enrollment_id=e2 step_execution_id=x2 sequence_key=homes step_key=intro channel=email adapter_provider=letter
1 policy.min_gap adapter_id=a step_execution_id=x3 defer_until=2 min_gap_seconds=600
1 policy.min_gap adapter_id=a step_execution_id=x3 defer_until=3 min_gap_seconds=600
1 policy.ramp_cap adapter_id=a step_execution_id=x4 sent_count=9 cap=10 rate=0.9
2 policy.ramp_cap adapter_id=a step_execution_id=x5 sent_count=12 cap=12 rate=1.0
2 policy.adapter_resting adapter_id=b step_execution_id=x6 defer_until=24
2 health.state_changed adapter_id=a from=healthy to=degraded reason=bounces source=engine
2 health.external_signal adapter_id=a health_state=suspended health_score=0.1 source=postmaster
3 health.state_changed adapter_id=a from=degraded to=suspended reason=score source=postmaster
3 enrollment.sender_reassigned enrollment_id=e1 old_adapter_id=a new_adapter_id=c reason=suspended
3 enrollment.paused_pin_unavailable enrollment_id=e7 adapter_id=a
3 dispatch.pool_exhausted pool_id=p sequence_version_id=v1 evicted_adapter_ids=a,b
4 dispatch.pool_exhausted pool_id=p sequence_version_id=v1 evicted_adapter_ids=b,d count=2
4 dispatch.sent enrollment_id=e1 step_execution_id=x7 sequence_key=homes step_key=nudge channel=email adapter_provider=post
4 dispatch.sent enrollment_id=e9 step_execution_id=x8 sequence_key=homes step_key=nudge channel=email adapter_provider=post count=3
5 ingest.inbound_message step_execution_id=x1 intent=bounce provider=post
5 ingest.inbound_message step_execution_id=x2 intent=interested provider=letter
5 ingest.inbound_message step_execution_id=x7 intent=out_of_office provider=post
5 ingest.ooo_rescheduled enrollment_id=e1 return_at=48 scheduled_for=72
5 template.spintax_error reason=unclosed step_execution_id=x7
5 template.spintax_warning reason=empty step_execution_id=x7
5 template.spintax_warning reason=empty step_execution_id=x8
"""


@pytest.fixture
def told(tmp_path: Path) -> Callable[..., Report]:
    def answer(events: list[EventRecord], **options: object) -> Report:
        store = EmbeddedStore.open(tmp_path / f"{random.random()}.db", write=True)
        store.append([], events)
        path = store.path
        store.close()
        with leadtrace.open(str(path)) as reader:
            return reader.report("outbound", now_ns=1, **options)

    return answer


def at(hour: int, line: int) -> int:
    return MONDAY + hour * HOUR + line * 1_000_000


def test_the_whole_story_counts_as_one_counts_it_by_hand(told: Callable[..., Report]) -> None:
    found = told(story(STORY))
    assert found.sample.counts == {"sent": 6, "deferrals": 5, "came_in": 3, "moved_by_absence": 1}

    def adapter(
        name: str, provider: str, sent: int, pinned: int, deferred: int, replies: int, bounces: int, *health: object
    ) -> AdapterRow:
        return AdapterRow(
            name,
            provider,
            sent,
            Rate(sent, 6, "messages sent", 1),
            pinned,
            deferred,
            replies,
            Rate(bounces, sent, "messages sent by it"),
            *(health or ("", None)),  # type: ignore[arg-type]
        )

    assert found.of(AdapterRow) == (
        adapter("", "post", 3, 0, 0, 0, 0),  # e9 was never told to be pinned
        adapter("a", "post", 1, 1, 4, 0, 1, "suspended", at(3, 11)),
        adapter("b", "letter", 1, 1, 1, 1, 0),
        adapter("c", "post", 1, 0, 0, 1, 0),  # e1 was moved to it before its second message
    )
    assert found.of(PolicyRow) == (
        PolicyRow("a", "policy.min_gap", 2, 1, MONDAY + 3 * HOUR, None, None),
        PolicyRow("a", "policy.ramp_cap", 2, 2, None, 1.0, 12),
        PolicyRow("b", "policy.adapter_resting", 1, 1, MONDAY + 24 * HOUR, None, None),
    )
    assert found.of(HealthRow) == (
        HealthRow(at(2, 9), "a", "changed", "healthy", "degraded", "bounces", "engine", None),
        HealthRow(at(2, 10), "a", "signal", "", "suspended", "", "postmaster", 0.1),
        HealthRow(at(3, 11), "a", "changed", "degraded", "suspended", "score", "postmaster", None),
    )
    assert found.of(PoolRow) == (PoolRow("p", "v1", 3, ("a", "b", "d"), at(3, 14), at(4, 15)),)
    assert found.of(ReassignmentRow) == (
        ReassignmentRow("a", "", "", 1, at(3, 13), at(3, 13)),
        ReassignmentRow("a", "c", "suspended", 1, at(3, 12), at(3, 12)),
    )
    assert found.of(SequenceRow) == (
        SequenceRow("homes", "nudge", "email", 4, Rate(1, 4, "messages sent"), ("out_of_office 1",)),
        SequenceRow("homes", "intro", "email", 2, Rate(1, 2, "messages sent"), ("bounce 1", "interested 1")),
    )
    assert found.of(TemplateRow) == (
        TemplateRow("warning", "empty", 2, 2),
        TemplateRow("error", "unclosed", 1, 1),
    )
    assert "3 of 6 sends have no adapter: their enrollments were never told to be pinned" in found.notes


def test_a_pin_and_a_send_before_the_window_are_known_in_it(told: Callable[..., Report]) -> None:
    found = told(story(STORY), since_ns=at(4, 0), until_ns=at(6, 0))
    assert {one.adapter: one.sent for one in found.of(AdapterRow) if one.sent} == {"": 3, "c": 1}
    # The reply to a message of before counts, for what it was sent by.
    assert {one.adapter: one.replies for one in found.of(AdapterRow) if one.replies} == {"b": 1, "c": 1}
    assert {one.adapter: one.health for one in found.of(AdapterRow) if one.health} == {"a": "suspended"}
    early = told(story(STORY), until_ns=at(3, 0))
    assert {one.adapter: one.health for one in early.of(AdapterRow) if one.health} == {"a": "degraded"}


def test_order_of_arrival_and_duplicates_change_nothing(told: Callable[..., Report]) -> None:
    straight = told(story(STORY)).as_json()
    shuffled = story(STORY)
    random.Random(3).shuffle(shuffled)
    assert told([*shuffled, *shuffled[5:15]]).as_json() == straight


def test_sends_by_a_clock_that_is_behind_that_of_the_pins_are_told_as_without_an_adapter(
    told: Callable[..., Report],
) -> None:
    """Two hours: the send seems to have come before its pin. The counts stay, and a note says what is not known."""
    off = [replace(one, time_ns=one.time_ns - 2 * HOUR) if one.name == "dispatch.sent" else one for one in story(STORY)]
    found = told(off)
    assert found.sample.counts == told(story(STORY)).sample.counts
    assert {one.adapter: one.sent for one in found.of(AdapterRow) if one.sent} == {"": 5, "a": 1}
    assert "5 of 6 sends have no adapter: their enrollments were never told to be pinned" in found.notes
    assert [one.sent for one in found.of(SequenceRow)] == [4, 2]


def test_a_season_of_sends_is_what_one_counts_by_going_through_it(told: Callable[..., Report]) -> None:
    """Generated pins, reassignments, sends, deferrals and replies; each send is its enrollment's last adapter's."""
    chance, lines = random.Random(6), []
    pinned: dict[str, str] = {}
    sender: dict[str, tuple[str, str]] = {}
    sent: Counter[str] = Counter()
    pins: Counter[str] = Counter()
    deferred: Counter[str] = Counter()
    replies: Counter[str] = Counter()
    bounces: Counter[str] = Counter()
    steps: Counter[tuple[str, str]] = Counter()
    for number in range(400):
        hour, enrollment = number // 10, f"e{chance.randrange(30)}"
        what = chance.random()
        if enrollment not in pinned:
            pinned[enrollment] = adapter = chance.choice("abc")
            pins[adapter] += 1
            lines.append(f"{hour} dispatch.adapter_pinned enrollment_id={enrollment} adapter_id={adapter}")
        elif what < 0.1:
            old, pinned[enrollment] = pinned[enrollment], chance.choice("abc")
            lines.append(
                f"{hour} enrollment.sender_reassigned enrollment_id={enrollment} old_adapter_id={old} "
                f"new_adapter_id={pinned[enrollment]} reason=suspended"
            )
        elif what < 0.25:
            deferred[pinned[enrollment]] += 1
            lines.append(
                f"{hour} policy.min_gap adapter_id={pinned[enrollment]} step_execution_id=x{number} defer_until=99"
            )
        elif what < 0.4 and sender:
            execution = chance.choice(sorted(sender))
            adapter, _ = sender.pop(execution)
            intent = chance.choice(("bounce", "interested", "out_of_office"))
            (bounces if intent == "bounce" else replies)[adapter] += 1
            lines.append(f"{hour} ingest.inbound_message step_execution_id={execution} intent={intent} provider=post")
        else:
            step = chance.choice(("intro", "nudge"))
            sent[pinned[enrollment]] += 1
            steps["homes", step] += 1
            sender[f"x{number}"] = (pinned[enrollment], step)
            lines.append(
                f"{hour} dispatch.sent enrollment_id={enrollment} step_execution_id=x{number} sequence_key=homes "
                f"step_key={step} channel=email adapter_provider=post"
            )
    found = told(story("\n".join(lines)))
    rows = {
        one.adapter: (one.sent, one.pinned, one.deferred, one.replies, one.bounces.numerator)
        for one in found.of(AdapterRow)
    }
    assert rows == {one: (sent[one], pins[one], deferred[one], replies[one], bounces[one]) for one in "abc"}
    assert found.sample["sent"] == sum(sent.values()) > 150
    assert {(one.sequence, one.step): one.sent for one in found.of(SequenceRow)} == steps


def test_what_is_missing_leaves_the_rest_as_it_is(told: Callable[..., Report]) -> None:
    without = [one for one in story(STORY) if one.name not in ("dispatch.adapter_pinned", "ingest.inbound_message")]
    found = told(without)
    assert {one.adapter: one.sent for one in found.of(AdapterRow) if one.sent} == {"": 5, "c": 1}
    assert [one.intents for one in found.of(SequenceRow)] == [(), ()]


def test_tenants_with_the_same_ids_are_kept_apart(told: Callable[..., Report]) -> None:
    lines = """
0 dispatch.adapter_pinned enrollment_id=e1 adapter_id=a tenant=north
0 dispatch.adapter_pinned enrollment_id=e1 adapter_id=b tenant=south
1 dispatch.sent enrollment_id=e1 step_execution_id=x1 sequence_key=s step_key=1 tenant=north
1 dispatch.sent enrollment_id=e1 step_execution_id=x1 sequence_key=s step_key=1 tenant=south
2 ingest.inbound_message step_execution_id=x1 intent=interested tenant=south
"""
    found = told(story(lines))
    assert {one.adapter: (one.sent, one.replies) for one in found.of(AdapterRow)} == {"a": (1, 0), "b": (1, 1)}
    north = told(story(lines), tenant="north")
    assert {one.adapter: one.sent for one in north.of(AdapterRow)} == {"a": 1}


def test_json_reads_back_and_a_limit_keeps_the_first_and_of_health_the_last(told: Callable[..., Report]) -> None:
    found = told(story(STORY), limit=1)
    assert report_from_json(OUTBOUND, found.as_json()) == found
    assert [len(found.of(sort)) for sort in OUTBOUND.rows] == [1] * 7
    assert found.of(HealthRow)[0].state == "suspended"
    assert found.of(HealthRow)[0].what == "changed"


def test_nothing_recorded_is_no_answer(told: Callable[..., Report]) -> None:
    found = told([])
    assert (found.rows, found.notes) == ((), ())
