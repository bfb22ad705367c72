"""`leadtrace lead-events` and `leadtrace quarantine`, over a real journal, as scripts use them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

import leadtrace as lt
from leadtrace.cli import main

SCHEMA = {
    "type": "object",
    "required": ["value", "user"],
    "properties": {
        "value": {"type": "number"},
        "user": {"type": "object", "properties": {"phone": {"pattern": "^\\+[0-9]+$"}}},
    },
}
SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
MALFORMED = {"value": "12,5", "user": {"phone": "+14155550100", "name": "Jane"}, "items": [{"sku": "a"}]}


@pytest.fixture
def leadtrace(told, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """Calls the command over the journal of `told`."""
    key = tmp_path / "key"
    key.write_bytes(b"the key of these tests")
    monkeypatch.setenv("LEADTRACE_JOURNAL", str(told.folder))
    monkeypatch.setenv("LEADTRACE_KEY", str(key))

    def call(*arguments: str, **more) -> Result:
        return CliRunner().invoke(main, list(arguments), **more)

    return call


def holds(printed: str, name: str) -> None:
    """What a command printed is what its published schema says."""
    schema = json.loads((SCHEMAS / f"output-{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(json.loads(printed))


def malformed(id_: str = "ev_1", payload: object = MALFORMED, **more) -> None:
    given = {"destination": "meta", "type": "Purchase", "lead_id": "lead_1", "campaign_group": "solar", **more}
    lt.lead_event(payload, id=id_, schema=SCHEMA, **given)


def without_times(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "TIME", text)


def test_what_waits_is_told_by_platform_with_the_last_error_and_an_exit_code(told, leadtrace):
    assert (leadtrace("lead-events").output, leadtrace("lead-events").exit_code) == ("no lead event waits\n", 0)

    @lt.sender("meta")
    def send(payload):
        raise ConnectionRefusedError("Connection refused")

    for number in range(3):
        lt.lead_event({}, id=f"e{number}", destination=["meta", "google"], lead_id="l")
    answer = leadtrace("lead-events")
    assert (without_times(answer.output), answer.exit_code) == (
        "google: 3 wait, the oldest since TIME\nmeta: 3 wait, the oldest since TIME\n",
        0,
    )
    lt.send_waiting(limit=2)
    malformed()
    answer = leadtrace("lead-events")
    assert (without_times(answer.output), answer.exit_code) == (
        (
            "google: 3 wait, the oldest since TIME\n"
            "meta: 3 wait, the oldest since TIME; 2 have failed, last at TIME: Connection refused; 1 in quarantine\n"
        ),
        1,
    )
    holds(leadtrace("lead-events", "--json").output, "lead-events")
    found = json.loads(leadtrace("lead-events", "--json").output)
    assert found["schema"] == "leadtrace.lead-events/1"
    meta = found["platforms"][1]
    assert {key: meta[key] for key in ("destination", "waiting", "failing", "quarantined", "last_error")} == {
        "destination": "meta",
        "waiting": 3,
        "failing": 2,
        "quarantined": 1,
        "last_error": "Connection refused",
    }
    assert meta["oldest_unix_nano"] <= meta["last_error_unix_nano"]


def test_the_list_says_why_and_shows_nothing_of_anybody(told, leadtrace):
    answer = leadtrace("quarantine", "list")
    assert (answer.output, answer.exit_code) == ("nothing is in quarantine\n", 0)
    malformed()
    malformed("ev_2", destination="google")
    answer = leadtrace("quarantine", "list")
    assert (without_times(answer.output), answer.exit_code) == (
        (
            "TIME  ev_1  meta  Purchase  value is string, not number\n"
            "TIME  ev_2  google  Purchase  value is string, not number\n"
        ),
        1,
    )
    [found] = json.loads(leadtrace("quarantine", "list", "--json", "--destination", "google").output)
    assert (found["id"], found["field"], found["reason"]) == ("ev_2", "value", "is string, not number")
    assert (found["lead_id"], found["campaign_group"], found["malformed"]) == ("lead_1", "solar", True)
    assert "Jane" not in leadtrace("quarantine", "list", "--json").output
    holds(leadtrace("quarantine", "list", "--json").output, "quarantine")


def test_the_payload_is_shown_only_when_asked_for(told, leadtrace):
    malformed()
    answer = leadtrace("quarantine", "show", "ev_1")
    assert answer.exit_code == 0
    assert "Jane" not in answer.output
    assert "reason: is string, not number\nfield: value\n" in answer.output
    assert "bytes, encrypted; --raw shows it" in answer.output
    raw = leadtrace("quarantine", "show", "ev_1", "--raw")
    assert '"name": "Jane"' in raw.output
    [found] = json.loads(leadtrace("quarantine", "show", "ev_1", "--raw", "--json").output)
    assert (found["payload"], found["json_schema"], found["given"]["lead_id"]) == (MALFORMED, SCHEMA, "lead_1")
    [found] = json.loads(leadtrace("quarantine", "show", "ev_1", "--json").output)
    assert "payload" not in found
    malformed("ev_2", payload=b"no JSON")
    for id_ in ("ev_1", "ev_2"):
        holds(leadtrace("quarantine", "show", id_, "--raw", "--json").output, "quarantine")


def test_a_payload_is_repaired_checked_released_and_sent_and_all_of_it_is_told(told, leadtrace):
    got = []
    lt.sender("meta")(lambda payload, event: got.append((payload, event.id, event.type, event.lead_id)))
    malformed()
    answer = leadtrace("quarantine", "release", "ev_1")
    assert (answer.output, answer.exit_code) == ("ev_1 for meta: still malformed: value is string, not number\n", 1)
    answer = leadtrace("quarantine", "repair", "ev_1", "--set", "value=twelve")
    assert (answer.output, answer.exit_code) == ("ev_1 for meta: still malformed: value is string, not number\n", 1)
    answer = leadtrace(
        "quarantine", "repair", "ev_1", "--set", "value=12.5", "--set", "items[0].sku=b", "--set", "a.b=1"
    )
    assert (answer.output, answer.exit_code) == ("ev_1 for meta: repaired; release lets it be sent\n", 0)
    assert leadtrace("quarantine", "list").output.endswith("Purchase  repaired, not released\n")
    lt.send_waiting()
    assert got == [], "not before it is released"
    answer = leadtrace("quarantine", "release", "ev_1")
    assert (answer.output, answer.exit_code) == ("ev_1 for meta: released\n", 0)
    assert lt.send_waiting().sent == 1
    repaired = {**MALFORMED, "value": 12.5, "items": [{"sku": "b"}], "a": {"b": 1}}
    assert got == [(repaired, "ev_1", "Purchase", "lead_1")]
    assert told.names("ev_1") == [
        "lead.event.received",
        "lead.event.quarantined",
        "lead.event.released",
        "lead.event.sent",
    ]
    assert {one.lead_id for one in told.events} == {"lead_1"}
    assert leadtrace("quarantine", "show", "ev_1").stderr == (
        "leadtrace: no lead event ev_1 is in quarantine: it is sent\n"
    )


def test_a_body_that_is_no_json_is_repaired_by_a_whole_payload(told, leadtrace, tmp_path):
    got = []
    lt.sender("meta")(got.append)
    malformed(payload=b'{"value": 12.5, "user"')
    answer = leadtrace("quarantine", "show", "ev_1", "--raw")
    assert 'raw:\n{"value": 12.5, "user"\n' in answer.output
    answer = leadtrace("quarantine", "repair", "ev_1", "--set", "value=1")
    assert answer.exit_code == 2
    assert "is not JSON and has no fields to set: give a whole one by --file" in answer.stderr
    answer = leadtrace("quarantine", "release", "ev_1", "--unchecked")
    assert (answer.exit_code, answer.output) == (
        1,
        "ev_1 for meta: still malformed: is not JSON: Expecting ':' delimiter at line 1, column 23\n",
    )
    answer = leadtrace("quarantine", "repair", "ev_1", "--file", "-", input='{"value": 12.5, "user": {}}')
    assert answer.exit_code == 0, answer.output
    assert leadtrace("quarantine", "release", "ev_1").exit_code == 0
    lt.send_waiting()
    assert got == [{"value": 12.5, "user": {}}]


def test_what_was_released_is_checked_by_the_senders_process_too(told, leadtrace):
    got = []
    lt.sender("meta")(got.append)

    @lt.payload_schema("Purchase")
    def dear(payload):
        return None if payload["value"] > 20 else {"field": "value", "reason": "too cheap"}

    malformed()
    leadtrace("quarantine", "repair", "ev_1", "--set", "value=12.5")
    assert leadtrace("quarantine", "release", "ev_1").exit_code == 0
    assert lt.send_waiting().quarantined == 1
    assert leadtrace("quarantine", "list").output.endswith("Purchase  value too cheap\n")
    assert leadtrace("quarantine", "release", "ev_1", "--unchecked").exit_code == 0
    assert lt.send_waiting().sent == 1
    assert len(got) == 1


def test_what_is_discarded_is_never_sent(told, leadtrace):
    lt.sender("meta")(lambda payload: pytest.fail("it was sent"))
    malformed("ev_1")
    malformed("ev_2", destination=["meta", "google"])
    answer = leadtrace("quarantine", "discard", "ev_1", "ev_2", "--destination", "meta")
    assert (answer.output, answer.exit_code) == ("ev_1 for meta: discarded\nev_2 for meta: discarded\n", 0)
    assert [one["destination"] for one in json.loads(leadtrace("quarantine", "list", "--json").output)] == ["google"]
    assert leadtrace("quarantine", "discard", "--all").output == "ev_2 for google: discarded\n"
    assert leadtrace("quarantine", "discard", "--all").exit_code == 0
    lt.send_waiting()
    assert told.names().count("lead.event.discarded") == 3


def test_a_repair_that_makes_what_is_there_already_is_refused(told, leadtrace):
    good = {**MALFORMED, "value": 12.5}
    lt.lead_event(good, id="ev_1", destination="meta", type="Purchase", lead_id="lead_1", campaign_group="solar")
    malformed()
    answer = leadtrace("quarantine", "repair", "ev_1", "--set", "value=12.5")
    assert answer.exit_code == 1
    assert answer.stderr == (
        "leadtrace: lead event ev_1 for meta is there with this very payload already, waiting; discard this one\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("quarantine show nothing", 1, "leadtrace: no lead event nothing is in quarantine"),
        ("quarantine release", 2, "leadtrace quarantine release: which ones: give IDs, or --all"),
        ("quarantine discard a --all", 2, "leadtrace quarantine discard: which ones: give IDs, or --all"),
        ("quarantine repair ev_1", 2, "leadtrace quarantine repair: what to change: --set FIELD=VALUE, or --file"),
        ("quarantine repair ev_1 --set value", 2, "leadtrace quarantine repair: --set takes FIELD=VALUE, such as"),
        ("quarantine repair ev_1 --set items[7].a=1", 2, "leadtrace quarantine repair: --set items[7].a: the payload"),
        ("quarantine repair ev_1 --set [0]=1", 2, "leadtrace quarantine repair: --set [0]: the payload has no such"),
        ("quarantine list --journal /nowhere", 3, "leadtrace: there is no journal /nowhere"),
        ("lead-events --journal /nowhere", 3, "leadtrace: there is no journal /nowhere"),
        ("quarantine show ev_1 --raw --key /nowhere", 2, "leadtrace: there is no key file"),
    ],
)
def test_what_cannot_be_is_one_line_and_an_exit_code(told, leadtrace, arguments, code, said):
    malformed()
    answer = leadtrace(*arguments.split())
    assert (answer.exit_code, answer.stdout) == (code, "")
    assert answer.stderr.startswith(said)
    assert answer.stderr.count("\n") == 1


def test_with_another_key_it_can_be_listed_and_discarded_but_not_read(told, leadtrace, tmp_path):
    malformed()
    (tmp_path / "key").write_bytes(b"quite another key of this length")
    assert leadtrace("quarantine", "list").exit_code == 1
    answer = leadtrace("quarantine", "show", "ev_1", "--raw")
    assert answer.exit_code == 1
    assert answer.stderr.startswith("leadtrace: sealed with a key that is not in the key file")
    assert leadtrace("quarantine", "discard", "ev_1").exit_code == 0


def test_no_terminal_acts_on_what_came_in(told, leadtrace):
    malformed(payload={"value": "\x1b[31m", "user": {}})
    assert "\x1b" not in leadtrace("quarantine", "show", "ev_1", "--raw").output
