"""Lint of recorded data: each rule finds what was planted for it and nothing else, in whatever order it came."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from drawn import BEGAN, MS, Drawn, merged, records, sources_example, word
from hypothesis import given, settings
from hypothesis import strategies as st

import leadtrace
from leadtrace.analysis.lint import Linted, Linter
from leadtrace.analysis.lint_rules import RULES, findings_of
from leadtrace.catalogue.nested import from_nested
from leadtrace.cli.group import main
from leadtrace.errors import NotFoundError, SettingsError
from leadtrace.otlp.records import EventRecord, Resource
from leadtrace.query.timeline import build
from leadtrace.reading import Reader
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.interface import Found

SEEDS = Path(__file__).parents[1] / "data" / "seeds"
NOW = BEGAN + 60_000 * MS


def rules(*roots: Drawn, now_ns: int = NOW, **more) -> list[tuple[str, str]]:
    """What one lead's records break: rule and what it is about."""
    found = records(*roots, **more)
    return [(one.rule, one.what) for one in findings_of(build(found, "lead_A"), now_ns)]


def event(name: str, at_ms: float, span: str = "", lead: str = "lead_A", **attributes: object) -> EventRecord:
    told = {"lead.id": lead, **{key.replace("__", "."): value for key, value in attributes.items()}}
    return EventRecord(name, BEGAN + round(at_ms * MS), "1" * 32, span, told, Resource({"service.name": "foreign"}))


def of_events(*events: EventRecord, now_ns: int = NOW) -> list[tuple[str, str]]:
    return [(one.rule, one.what) for one in findings_of(build(Found([], list(events)), "lead_A"), now_ns)]


def linted(*several: tuple[str, Found], **more) -> list[Linted]:
    linter = Linter(now_ns=NOW, **more)
    for lead, found in several:
        linter.look(build(found, lead), found)
    return linter.lines()


def test_a_sound_lead_has_nothing_wrong() -> None:
    assert rules(sources_example()) == []
    assert rules(sources_example(), spans=False) == []
    assert rules(sources_example(), events=False) == []


def test_what_is_known_of_the_traffic_is_found_and_nothing_else(reader: Reader, traffic) -> None:
    found = reader.report("lint", lead=tuple(f"lead_{number:08d}" for number in range(9, 600, 10)))
    assert {one.rule for one in found.rows} == {"orphan_start"}
    assert sum(one.count for one in found.rows) == traffic.truth.planted["unfinished"]["runs"]
    assert found.sample.counts == {"leads_looked_at": 60, "leads": 60}


@pytest.mark.parametrize(("began", "ended"), [(-20, 10), (90, 130)])
def test_a_child_outside_its_parent(began: float, ended: float) -> None:
    child = word("step", "inner", began + 100, ended + 100)
    assert rules(word("flow", "F", 0, 300, word("step", "outer", 100, 200, child))) == [
        ("child_outside_parent", "inner")
    ]


def test_work_taken_up_later_and_other_services_are_not_outside_their_parent() -> None:
    assert rules(word("flow", "F", 0, 100, word("step", "a", 50, 150, service="other"))) == []
    flow = word("flow", "F", 0, 100, end=("flow.handed_over", "milestone"), flow__summary__handed_over=["h1"])
    later = word("resume", "resume F", 400, 460, leadtrace__handover_id="h1")
    assert rules(replace(flow, below=(later,))) == []


def test_seconds_in_a_field_for_milliseconds() -> None:
    flow = word("flow", "F", 0, 2000, word("enhancement", "E", 0, 1800, told_ms=1.8))
    assert rules(flow) == [("seconds_in_ms", "enhancement.duration_ms of enhancement.success")]
    assert rules(flow, events=False) == [("seconds_in_ms", "enhancement.duration_ms of E")]


def test_seconds_are_also_found_by_what_other_services_tell() -> None:
    """Foreign events have no begin to measure by; the same field a thousand times smaller in one service shows it."""
    several = []
    for number in range(12):
        one = event("customer.query.processed", number, lead="lead_A", processing_time_ms=1.5 + number / 10)
        other = event("customer.query.processed", number, lead="lead_A", processing_time_ms=1500.0 + number * 100)
        several += [one, replace(other, resource=Resource({"service.name": "sound"}))]
    (line,) = linted(("lead_A", Found([], several)))
    assert (line.rule, line.service, line.count) == ("seconds_in_ms", "foreign", 12)
    assert "seconds in one?" in line.text


@pytest.mark.parametrize(
    ("told_ms", "rule"), [(900.0, "duration_differs"), (1.7e12, "moment_in_ms"), (-5.0, "negative_duration")]
)
def test_durations_that_cannot_be(told_ms: float, rule: str) -> None:
    flow = word("flow", "F", 0, 300, word("enhancement", "E", 0, 200, told_ms=told_ms))
    assert [one for one, _ in rules(flow)] == [rule]


def test_a_start_without_an_end_is_an_orphan_once_its_run_is_over_or_an_hour_has_passed() -> None:
    ended = word("flow", "F", 0, 100, word("step", "lost", 10, None))
    assert rules(ended) == [("orphan_start", "lost")]
    open_ = word("flow", "F", 0, None, word("step", "going on", 10, None))
    assert rules(open_, now_ns=BEGAN + 1000 * MS) == []
    assert rules(open_, now_ns=BEGAN + 2 * 3_600_000 * MS) == [("orphan_start", "F"), ("orphan_start", "going on")]


def test_a_start_that_others_told_by_hand_pairs_with_its_own_end() -> None:
    pair = [
        event("operation.started", 0, "a" * 16),
        event("operation.completed", 50, "a" * 16, duration_ms=50.0, success=True),
    ]
    later = NOW + 2 * 3_600_000 * MS
    assert of_events(*pair, now_ns=later) == []
    assert of_events(pair[0], now_ns=later) == [("orphan_start", "operation.started")]
    seconds = event("operation.completed", 1800, "a" * 16, duration_ms=1.8)
    assert of_events(pair[0], seconds) == [("seconds_in_ms", "duration_ms of operation.completed")]


def test_an_end_whose_begin_is_missing_while_its_process_told_others() -> None:
    found = records(word("flow", "F", 0, 100, word("step", "cut", 10, 50)), spans=False)
    found.events = [
        one for one in found.events if (one.name, one.attributes["leadtrace.name"]) != ("operation.started", "cut")
    ]
    told = [(one.rule, one.what) for one in findings_of(build(found, "lead_A"), NOW)]
    assert told == [("orphan_end", "cut")]


def test_totals_that_do_not_add_up() -> None:
    money = {"flow__journey__total_revenue": 45.0, "flow__journey__total_cost": 5.0, "flow__journey__currency": "USD"}
    sold = word(
        "delivery", "deliver to A", 0, 50, delivery__buyer="A", delivery__revenue=45.0, delivery__currency="USD"
    )
    bought = word("enhancement", "E", 50, 60, enhancement__cost=5.0, enhancement__currency="USD")
    assert rules(word("flow", "F", 0, 100, sold, bought, flow__journey__margin=40.0, **money)) == []
    wrong = rules(word("flow", "F", 0, 100, sold, bought, flow__journey__margin=41.0, **money))
    assert {rule for rule, _ in wrong} == {"totals_differ"}
    unspent = rules(word("flow", "F", 0, 100, sold, flow__journey__margin=40.0, **money))
    assert unspent == [("totals_differ", "flow")]
    going_on = word("step", "task", 0, 150, service="other")
    counted = {"flow__summary__steps_executed": 0, "flow__summary__open": 1}
    assert rules(word("flow", "F", 0, 100, going_on, **counted)) == []
    assert rules(word("flow", "F", 0, 100, going_on, **counted | {"flow__summary__open": 0})) == [
        ("totals_differ", "flow")
    ]
    tries = word("delivery", "D", 0, 50, word("attempt", "POST", 0, 50), delivery__attempts=3)
    assert rules(word("flow", "F", 0, 100, tries)) == [("totals_differ", "D")]


def test_one_step_id_under_two_names_over_several_leads() -> None:
    def lead(number: int, name: str) -> tuple[str, Found]:
        one = word("enhancement", name, 0, 10, enhancement__step_id="step_9K")
        return f"lead_{number}", records(word("flow", "F", 0, 20, one), lead=f"lead_{number}")

    (line,) = linted(lead(1, "Phone Intelligence"), lead(2, "Phone Intelligence"), lead(3, "Identity Verification"))
    assert (line.rule, line.what, line.samples) == ("step_id_two_meanings", "step_9K", ("lead_1", "lead_3"))
    assert line.text == "step_id step_9K is Identity Verification and Phone Intelligence"
    assert line.leads.denominator == 3
    assert linted(lead(1, "Phone Intelligence"), lead(2, "Phone Intelligence")) == []


def test_clocks_of_two_hosts_that_differ() -> None:
    def lead(number: int, off_ms: float) -> tuple[str, Found]:
        theirs = word("step", "their work", 20, 80, service="buyer", off_ms=off_ms)
        call = word("attempt", "POST", 10, 90, theirs)
        return f"lead_{number}", records(word("flow", "F", 0, 100, call), lead=f"lead_{number}")

    (line,) = linted(lead(1, -500), lead(2, -3000), lead(3, 0))
    assert (line.rule, line.count, line.leads.numerator) == ("clock_skew", 2, 2)
    assert line.text == "the clock of buyer on host-buyer is about 3.00 s behind that of intake on host-intake"
    (line,) = linted(lead(1, 500), lead(2, 3000), lead(3, 30))  # 30 ms: begins late, and within its caller
    assert (line.rule, line.count, line.leads.numerator) == ("clock_skew", 2, 2)
    assert line.text == "the clock of buyer on host-buyer is about 3.00 s ahead of that of intake on host-intake"


def test_events_that_are_not_declared() -> None:
    assert of_events(event("enhancement.sucess", 0)) == [("undeclared_event", "enhancement.sucess")]
    marked = event("my.thing.happened", 0, leadtrace__kind="milestone", leadtrace__marks=["undeclared"])
    assert of_events(marked) == [("undeclared_event", "my.thing.happened")]
    assert of_events(event("exception", 0), event("gen_ai.user.message", 1)) == []
    declared_elsewhere = event("lead.pulse.measured", 0, leadtrace__kind="milestone")
    assert of_events(declared_elsewhere) == []


def test_events_of_no_lead_are_looked_at_too(tmp_path: Path) -> None:
    wrong = EventRecord("circuit.openned", BEGAN, "", "", {"circuit.name": "A"}, Resource({"service.name": "x"}))
    with stored(tmp_path, Found([], [wrong, replace(wrong, time_ns=BEGAN + 1)])) as reader:
        (line,) = reader.report("lint").rows
    assert (line.rule, line.what, line.count, line.leads.numerator) == ("undeclared_event", "circuit.openned", 2, 0)
    assert line.text == "circuit.openned is not in the catalogue; the nearest that is: circuit.opened"


def test_fields_and_kinds_that_are_not_as_declared() -> None:
    kind = {"leadtrace__kind": "milestone"}
    assert of_events(event("lead.purchased", 0, lead__price="cheap", **kind)) == [("wrong_field", "lead.purchased")]
    assert of_events(event("lead.purchased", 0, leadtrace__kind="failure", lead__price=1.0)) == [
        ("wrong_kind", "lead.purchased")
    ]
    undeclared = event(
        "lead.purchased", 0, lead__price=1.0, lead__colour="red", leadtrace__marks=["undeclared:lead.colour"], **kind
    )
    assert of_events(undeclared) == [("undeclared_field", "lead.colour of lead.purchased")]


def test_the_sources_timestamps_that_lie_forty_minutes_apart() -> None:
    """Its unix form says 10:30:00 of another zone's clock than its ISO form."""
    at = event("operation.started", 0, timestamp__iso="2024-01-15T10:30:00Z", timestamp__unix=1705312200)
    same = replace(at, time_ns=1705312200 * 10**9)
    told = of_events(same, now_ns=same.time_ns)
    assert told == [
        ("timestamp_differs", "timestamp.iso of operation.started"),
        ("timestamp_differs", "timestamps of operation.started"),
    ]
    sound = replace(same, attributes={"lead.id": "lead_A", "timestamp": 1705312200.4})
    assert of_events(sound, now_ns=same.time_ns) == []


def test_marks_of_the_timeline_are_findings() -> None:
    found = records(word("flow", "F", 0, 100))
    twice = replace(found.events[-1], name="flow.failed", time_ns=found.events[-1].time_ns + 5 * MS)
    twice.attributes = {**twice.attributes, "leadtrace.kind": "failure", "log.record.uid": "f" * 28}
    found.events.append(twice)
    assert {one.rule for one in findings_of(build(found, "lead_A"), NOW)} >= {"ended_twice"}


def sources_records() -> list[tuple[str, Found]]:
    """The document's samples as they would have been imported."""
    found: dict[str, list[EventRecord]] = {}
    for file in sorted(SEEDS.glob("*.json")):
        nested = json.loads(file.read_text())
        if isinstance(nested, dict):
            one = from_nested(nested)
            told = {**one.attributes, "lead.id": one.lead_id}
            found.setdefault(one.lead_id, []).append(EventRecord(one.name, one.time_ns, attributes=told))
    return [(lead, Found([], events)) for lead, events in found.items()]


def test_the_sources_own_samples_contradict_each_other_in_two_ways() -> None:
    """A flow of 3,456 ms that began after its own enhancement had ended, and one step_id with two names."""
    lines = {one.rule: one for one in linted(*sources_records())}
    assert "had ended" in lines["flow_after_enhancement"].text
    assert "211 ms after its enhancement Phone Intelligence" in lines["flow_after_enhancement"].text
    assert lines["step_id_two_meanings"].text == (
        "step_id step_9K3nL5mP2Q8wR4xB is Identity Verification and Phone Intelligence"
    )
    assert set(lines) == {"flow_after_enhancement", "step_id_two_meanings"}


def test_a_flow_that_began_before_its_enhancements_is_sound() -> None:
    assert rules(sources_example(), spans=False) == []
    several = merged(records(sources_example(), run=""), records(sources_example(), run="", trace=2, at_ms=60_000))
    several.events = [one for one in several.events if one.attributes["leadtrace.kind"] != "start"]
    several.spans = []
    told = [one.rule for one in findings_of(build(several, "lead_A"), NOW)]
    assert "flow_after_enhancement" not in told


# --- whatever comes, in whatever order ----------------------------------------------------------------------------------


FAULTY = word(
    "flow",
    "F",
    0,
    400,
    word("step", "lost", 10, None),
    word("step", "outer", 20, 60, word("step", "late", 30, 90)),
    word("enhancement", "E", 100, 300, told_ms=0.2, enhancement__step_id="s1"),
    word("attempt", "POST", 300, 390, word("step", "theirs", 310, 380, service="buyer", off_ms=-200)),
)


@given(st.randoms(), st.booleans())
@settings(max_examples=30)
def test_order_of_arrival_and_duplicates_do_not_change_what_is_found(chance: random.Random, backwards: bool) -> None:
    several = [(f"lead_{n}", records(FAULTY, lead=f"lead_{n}", run=f"run_{n}", trace=n + 1)) for n in range(3)]
    expected = linted(*several)
    assert {one.rule for one in expected} == {"orphan_start", "child_outside_parent", "seconds_in_ms", "clock_skew"}
    shuffled = []
    for lead, found in reversed(several) if backwards else several:
        spans, events = [*found.spans, *found.spans[:2]], [*found.events, *found.events[:3]]
        chance.shuffle(spans)
        chance.shuffle(events)
        shuffled.append((lead, Found(spans, events)))
    assert linted(*shuffled) == expected


def test_lines_do_not_grow_with_the_number_of_leads() -> None:
    few, many = (
        linted(*((f"lead_{n}", records(FAULTY, lead=f"lead_{n}", run=f"run_{n}")) for n in range(count)))
        for count in (2, 20)
    )
    assert len(few) == len(many)
    assert [one.count * 10 for one in few] == [one.count for one in many]
    assert all(len(one.samples) <= 3 for one in many)


# --- the command --------------------------------------------------------------------------------------------------------


class stored:
    """Records in a store of their own, opened."""

    def __init__(self, folder: Path, found: Found) -> None:
        self.path = str(folder / "store.db")
        writer = EmbeddedStore.open(self.path, write=True)
        writer.append(found.spans, found.events)
        writer.close()

    def __enter__(self) -> Reader:
        self.reader = leadtrace.open(self.path)
        return self.reader

    def __exit__(self, *_: object) -> None:
        self.reader.close()


@pytest.fixture
def faulty(tmp_path: Path) -> str:
    """A store with one faulty lead and one sound one."""
    return stored(
        tmp_path,
        merged(records(FAULTY), records(sources_example(), lead="lead_B", run="run_2", trace=2)),
    ).path


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["lint", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_the_command_tells_what_is_wrong_and_ends_with_1(faulty: str) -> None:
    code, out, err = run("--from", faulty)
    assert (code, err) == (1, "")
    assert out == (
        """lint, all time: 2 leads looked at, 2 leads

child_outside_parent  work that began before, or ended after, what it lies under in the same process
  late [intake]  1 time in 1 of 2 leads
      late ended 30 ms after outer, which it lies under
      leadtrace lead lead_A

seconds_in_ms  a field for milliseconds that holds seconds
  enhancement.duration_ms of enhancement.success [intake]  1 time in 1 of 2 leads
      enhancement.duration_ms of enhancement.success is 0.2 and it took 200 ms: seconds, not
      milliseconds
      leadtrace lead lead_A

orphan_start  a beginning without an end, although its run is over or it is more than an hour old
  lost [intake]  1 time in 1 of 2 leads
      lost began and has no end, and its run is over (flow.completed)
      leadtrace lead lead_A

clock_skew  clocks of two hosts that differ, by calls that begin before their cause or after its end
  buyer on host-buyer and intake on host-intake [buyer]  1 time in 1 of 2 leads
      the clock of buyer on host-buyer is about 200 ms behind that of intake on host-intake
      leadtrace lead lead_A
"""
    )


def test_a_sound_lead_ends_with_0_and_json_is_a_report(faulty: str) -> None:
    assert run("lead_B", "--from", faulty) == (0, "lint, all time: 1 leads looked at, 1 leads\nnothing found\n", "")
    code, out, _ = run("--from", faulty, "--json", "--rule", "orphan_start")
    found = json.loads(out)
    assert code == 1
    assert (found["schema"], found["report"]) == ("leadtrace.report/1", "lint")
    assert [(row["rule"], row["count"], row["leads"]["denominator"]) for row in found["rows"]] == [
        ("orphan_start", 1, 2)
    ]


def test_an_unknown_lead_or_rule_is_told(faulty: str) -> None:
    assert run("lead_AA", "--from", faulty)[::2] == (
        1,
        f"leadtrace: no lead 'lead_AA' in {faulty}; did you mean lead_A?\n",
    )
    assert run("--rule", "orphans", "--from", faulty)[0] == 2
    with leadtrace.open(faulty) as reader:
        with pytest.raises(NotFoundError):
            reader.report("lint", lead=("nobody",))
        with pytest.raises(SettingsError, match="no rule"):
            reader.report("lint", rule=("orphans",))


def test_a_sample_is_stated(faulty: str) -> None:
    with leadtrace.open(faulty) as reader:
        found = reader.report("lint", sample=1)
    assert found.sample.counts == {"leads_looked_at": 1, "leads": 2}
    assert any("1 of 2 leads were looked at, drawn evenly" in one for one in found.notes)


def test_every_rule_is_listed() -> None:
    code, out, _ = run("--rules")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(RULES)


def test_the_page_tells_every_rule_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "lint.md").read_text(encoding="utf-8")
    told = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert told == list(RULES)
