"""The delivery engine of cold outreach: its decisions one by one, and its telemetry beside its own books and database."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outbound.engine import Engine
from outbound.policy import decide, next_morning
from outbound.provider import Provider, ThrottledError
from outbound.records import Records
from outbound.senders import Adapter, Pool
from outbound.spintax import MalformedError, Warned, render
from outbound.world import TENANT, make_engine

import leadtrace as lt
from leadtrace.testing import Captured

DAY = date(2026, 11, 2)
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def adapter(**changed: object) -> Adapter:
    given = {"began": DAY, "first_day": 4, "more_a_day": 2, "most": 10, "min_gap": timedelta(minutes=10)}
    return Adapter("a", "postbox", **(given | changed))  # type: ignore[arg-type]


def test_a_cap_ramps_up_to_its_most_and_halves_while_degraded() -> None:
    one = adapter()
    assert [one.cap(DAY + timedelta(days=day)) for day in range(5)] == [4, 6, 8, 10, 10]
    one.health = "degraded"
    assert one.cap(DAY) == 2


def test_what_keeps_a_sender_back_and_until_when() -> None:
    one = adapter()
    assert decide(one, "v1", 50, NOON) is None
    one.note_sent(NOON, "v1")
    gap = decide(one, "v1", 50, NOON + timedelta(minutes=4))
    assert gap is not None
    assert (gap.event, gap.until, gap.told["min_gap_seconds"]) == ("policy.min_gap", NOON + timedelta(minutes=10), 600)
    one.note_sent(NOON, "v1")
    share = decide(one, "v1", 50, NOON + timedelta(hours=1))
    assert share is not None
    assert (share.event, share.told["sent_count"], share.told["cap"], share.told["rate"]) == (
        "policy.sub_cap",
        2,
        2,
        1.0,
    )
    assert decide(one, "v2", 50, NOON + timedelta(hours=1)) is None
    one.note_sent(NOON, "v2")
    one.note_sent(NOON, "v2")
    cap = decide(one, "v3", 50, NOON + timedelta(hours=1))
    assert cap is not None
    assert (cap.event, cap.until, cap.told) == (
        "policy.ramp_cap",
        datetime(2026, 11, 3, 8, tzinfo=UTC),
        {"sent_count": 4, "cap": 4, "rate": 1.0},
    )
    one.resting_until = NOON + timedelta(hours=5)
    rest = decide(one, "v3", 50, NOON + timedelta(hours=1))
    assert rest is not None
    assert (rest.event, rest.until) == ("policy.adapter_resting", NOON + timedelta(hours=5))


def test_bounces_degrade_a_sender_then_rest_it() -> None:
    one = adapter()
    for _ in range(10):
        one.note_sent(NOON, "v")
    assert [one.note_bounce() for _ in range(4)] == ["healthy", "degraded", "degraded", "resting"]
    one.health = "suspended"
    assert one.note_bounce() == "suspended"


def test_a_pool_chooses_the_member_with_the_most_room() -> None:
    one, other = adapter(), adapter(first_day=3)
    other.id = "b"
    pool = Pool("p", [one, other])
    assert pool.choose(DAY) is one
    for _ in range(2):
        one.note_sent(NOON, "v")
    assert pool.choose(DAY) is other
    other.health = "suspended"
    one.health = "resting"
    assert (pool.choose(DAY), pool.evicted) == (None, [one, other])


@pytest.mark.parametrize(
    ("text", "made", "warned"),
    [
        ("Hi {{name}}", "Hi Ada", []),
        ("{a|a} b", "a b", []),
        ("{x {y|y}|x y}", "x y", []),
        ("a | b", "a | b", []),
        ("{one}", "one", [Warned("only one variant", "{one}")]),
        ("{|} z", " z", [Warned("empty variant", "{|}")]),
        ("{{nobody}}!", "!", [Warned("unknown variable", "{{nobody}}")]),
    ],
)
def test_variants_are_chosen_and_faults_that_can_be_mended_are_told(text: str, made: str, warned: list[Warned]) -> None:
    assert render(text, {"name": "Ada"}, "s") == (made, warned)


@pytest.mark.parametrize("text", ["{a|b", "a}", "{a|{b}", "{a}}"])
def test_braces_that_do_not_fit_are_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        render(text, {}, "s")


@given(st.text("ab|{} ", max_size=30), st.text(max_size=5))
def test_any_text_renders_the_same_each_time_or_is_refused(text: str, seed: str) -> None:
    try:
        once = render(text, {}, seed)
    except MalformedError:
        with pytest.raises(MalformedError):
            render(text, {}, seed)
        return
    assert render(text, {}, seed) == once
    if text.count("{") != text.count("}"):
        raise AssertionError(f"{text!r} has braces that do not fit")


def test_both_variants_come_up_and_a_value_is_no_variant() -> None:
    made = {render("{a|b}", {}, str(number))[0] for number in range(50)}
    assert made == {"a", "b"}
    assert render("{{name}}", {"name": "{x|y}"}, "s")[0] == "{x|y}"


def test_a_provider_throttles_and_tells_some_things_twice() -> None:
    provider = Provider("p", 1, throttles_every=5)
    for number in range(4):
        provider.send("a", str(number), "text", NOON)
    with pytest.raises(ThrottledError):
        provider.send("a", "4", "text", NOON)
    for number in range(200):
        try:
            provider.send("a", f"more_{number}", "text", NOON)
        except ThrottledError:
            continue
    came = Counter(one.provider_event for one in provider.due(NOON + timedelta(days=10)))
    assert set(came.values()) == {1, 2}
    assert provider.due(NOON + timedelta(days=10)) == []


@pytest.fixture(scope="module")
def ran() -> Iterator[tuple[Engine, Captured]]:
    """Two weeks of the whole world."""
    with lt.capture() as captured:
        engine = make_engine(start=DAY, records=Records())
        engine.run(engine.now + timedelta(days=14))
        yield engine, captured


def test_it_emits_the_whole_family_as_declared(ran: tuple[Engine, Captured]) -> None:
    from leadtrace import catalogue

    _, captured = ran
    family = {name for name, spec in lt.events().items() if spec.source == "003"}
    told = {one.name for one in captured.events()}
    assert family - told == set()
    for one in captured.events():
        if one.name in family:
            assert catalogue.problems(one.name, one.attributes) == []
            assert one.attributes["tenant_key"] == TENANT
            assert "leadtrace.marks" not in one.attributes


def test_a_message_counts_as_sent_once_it_is_stored(ran: tuple[Engine, Captured]) -> None:
    engine, captured = ran
    sent = captured.events("dispatch.sent")
    stored = engine.records.count("sent", "adapter")
    assert len(sent) == sum(stored.values()) == sum(engine.ledger.sent.values())
    assert stored == dict(engine.ledger.sent)
    assert len({one.attributes["outbound.out_message_id"] for one in sent}) == len(sent)
    inbound = Counter(one.attributes["outbound.intent"] for one in captured.events("ingest.inbound_message"))
    assert dict(inbound) == engine.records.count("inbound", "intent") == dict(engine.ledger.inbound)


def test_no_sender_goes_beyond_its_cap_its_gap_or_its_rest(ran: tuple[Engine, Captured]) -> None:
    engine, _ = ran
    rows = engine.records._database.execute("SELECT adapter, at FROM sent ORDER BY at").fetchall()
    by_day: Counter[tuple[str, date]] = Counter()
    last: dict[str, datetime] = {}
    for name, at in rows:
        when, one = datetime.fromisoformat(at), engine.adapters[name]
        by_day[name, when.date()] += 1
        full = min(one.most, one.first_day + one.more_a_day * (when.date() - one.began).days)
        assert by_day[name, when.date()] <= full
        assert name not in last or when - last[name] >= one.min_gap
        last[name] = when
    assert len(rows) > 150


def test_who_is_gone_sends_no_more_and_its_people_are_moved_or_paused(ran: tuple[Engine, Captured]) -> None:
    engine, captured = ran
    gone = {name for name, one in engine.adapters.items() if one.gone}
    assert gone == {"fresh_2", "warm_1"}
    moved = captured.events("enrollment.sender_reassigned")
    assert {one.attributes["outbound.old_adapter_id"] for one in moved} == {"warm_1"}
    paused = captured.events("enrollment.paused_pin_unavailable")
    assert {one.attributes["outbound.adapter_id"] for one in paused} == {"fresh_2"}
    enrolled = {one.attributes["outbound.enrollment_id"] for one in moved}
    assert not enrolled & {one.attributes["outbound.enrollment_id"] for one in paused}


def test_a_malformed_text_goes_out_as_written_and_is_not_recorded(ran: tuple[Engine, Captured]) -> None:
    engine, captured = ran
    errors = captured.events("template.spintax_error")
    assert {one.attributes["outbound.reason"] for one in errors} == {"opening brace without a closing one"}
    assert all("May I close" not in str(one.attributes) for one in errors)  # personal text: hash and length alone
    [(text,)] = engine.records._database.execute(
        "SELECT DISTINCT text FROM sent WHERE execution LIKE '%_3' LIMIT 1"
    ).fetchall()
    assert text == "{Shall I|May I close this, {{first_name}}?"


def test_the_engines_calendar_is_the_same_for_the_same_seed() -> None:
    with lt.capture():
        books = []
        for _ in range(2):
            engine = make_engine(people=30, start=DAY)
            engine.run(engine.now + timedelta(days=5))
            books.append(engine.ledger)
    assert books[0] == books[1]
    assert next_morning(NOON) == datetime(2026, 11, 3, 8, tzinfo=UTC)


_spec = importlib.util.spec_from_file_location("small_examples", Path(__file__).with_name("test_examples_small.py"))
assert _spec is not None
assert _spec.loader is not None
small = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small)


def test_the_report_of_a_run_into_a_real_server_is_what_the_database_says(tmp_path: Path) -> None:
    records = tmp_path / "engine.db"
    [said] = small.run(tmp_path, ["outbound", "--people", "60", "--days", "8", "--records", str(records)])
    stored = Records(str(records))
    sent, intents = stored.count("sent", "adapter"), stored.count("inbound", "intent")
    stored.close()
    with lt.open(str(tmp_path / "store.db")) as reader:
        found = reader.report("outbound", tenant=TENANT)
        nobody = reader.report("outbound", tenant="other")
    from leadtrace.analysis.outbound import AdapterRow, SequenceRow

    assert {one.adapter: one.sent for one in found.of(AdapterRow) if one.sent} == sent
    assert found.sample["sent"] == sum(sent.values())
    assert found.sample["came_in"] == sum(intents.values())
    told = Counter()
    for row in found.of(SequenceRow):
        told.update({one.rpartition(" ")[0]: int(one.rpartition(" ")[2]) for one in row.intents})
    assert told == intents
    assert f"sent {sum(sent.values())}, by sender" in said
    assert nobody.rows == ()
