"""`leadtrace.open`: the same answers in Python as at the command line."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

import leadtrace
from leadtrace.errors import NotFoundError, SettingsError, SourceError
from leadtrace.otlp.records import EventRecord, Resource, SpanRecord
from leadtrace.otlp.redact import Redactor
from leadtrace.store.embedded import EmbeddedStore

if TYPE_CHECKING:
    from pathlib import Path

BEGAN = 1_795_300_000_000_000_000
TRACE = "0a11" + "0" * 27 + "1"
KEY = b"0123456789abcdef0123456789abcdef"


def _event(number: int, name: str, lead: str, **attributes: object) -> EventRecord:
    told = {"lead.id": lead, "leadtrace.kind": "milestone", "log.record.uid": f"{'b0' * 8}{number:012x}", **attributes}
    return EventRecord(name, BEGAN + number * 1_000_000, TRACE, "a" * 16, told, Resource({"service.name": "x"}))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "key").write_bytes(KEY)
    monkeypatch.setenv("LEADTRACE_KEY", str(tmp_path / "key"))
    hashed = Redactor(KEY).lead_id("jane@example.com")
    of_north = Redactor(KEY, tenant="north").lead_id("jane@example.com")
    writer = EmbeddedStore.open(tmp_path / "store.db", write=True)
    writer.append(
        [],
        [
            _event(3, "error.occurred", "lead_1"),
            _event(1, "lead.received", "lead_1"),
            _event(2, "error.occurred", "lead_1"),
            _event(4, "lead.received", hashed),
            _event(5, "lead.accepted", of_north, tenant_key="north"),
        ],
    )
    writer.close()
    return tmp_path / "store.db"


def test_a_trace_is_asked_for_its_events_by_name_and_count(path: Path) -> None:
    with leadtrace.open(str(path)) as reader:
        events = reader.get_trace_events(TRACE.upper())
        assert [(one.name, f"{one.timestamp:%H:%M:%S.%f}") for one in events[:3]] == [
            ("lead.received", "22:26:40.001000"),
            ("error.occurred", "22:26:40.002000"),
            ("error.occurred", "22:26:40.003000"),
        ]
        assert len(reader.find_events(TRACE, event_name="error.occurred")) == 2
        assert len(reader.find_events(lead_id="lead_1", event_name="lead.*", limit=5)) == 1
        assert reader.count_events_by_type(TRACE) == {"error.occurred": 2, "lead.received": 2, "lead.accepted": 1}
        with pytest.raises(NotFoundError) as unknown:
            reader.get_trace_events(TRACE[:-1] + "2")
        assert unknown.value.data == {"nearest": TRACE}


def test_a_timeline_is_printed_and_an_unknown_lead_raises_with_the_nearest(path: Path) -> None:
    with leadtrace.open(str(path)) as reader:
        assert str(reader.timeline("lead_1")).startswith("Lead lead_1")
        with pytest.raises(NotFoundError, match="no lead 'lead_2'") as unknown:
            reader.timeline("lead_2")
        assert unknown.value.data["nearest"] == "lead_1"


def test_a_lead_whose_id_is_an_address_is_found_by_the_address(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was recorded as a hash of its tenant's; the reader asks for the same, where it has the writer's key."""
    with leadtrace.open(str(path)) as reader:
        assert [one.name for one in reader.timeline("jane@example.com").events] == ["lead.received"]
        assert [one.name for one in reader.timeline("jane@example.com", tenant="north").events] == ["lead.accepted"]
        assert [one.name for one in reader.events(lead_id="jane@example.com")] == ["lead.received"]
    monkeypatch.setenv("LEADTRACE_KEY", "/nowhere/key")
    with leadtrace.open(str(path)) as reader, pytest.raises(NotFoundError):
        reader.timeline("jane@example.com")


def test_what_arrives_is_followed_until_it_is_told_to_stop(path: Path) -> None:
    stop = threading.Event()
    writer = EmbeddedStore.open(path, write=True)
    seen = []
    with leadtrace.open(str(path)) as reader:
        for event in reader.follow(reader.filter("lead.*"), every_s=0.01, stop=stop):
            seen.append(event.name)
            if len(seen) == 3:
                writer.append([], [_event(6, "lead.returned", "lead_1")])
            if event.name == "lead.returned":
                stop.set()
    writer.close()
    assert seen == ["lead.received", "lead.received", "lead.accepted", "lead.returned"]


@pytest.mark.parametrize(
    ("url", "error"),
    [("clickhouse://host", SettingsError), ("ftp://host", SettingsError), ("/nowhere/store.db", SourceError)],
)
def test_a_source_that_nothing_can_read_is_refused(url: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        leadtrace.open(url)


def test_without_a_url_the_environment_says_where(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADTRACE_FROM", str(path))
    with leadtrace.open(tenant="north") as reader:
        assert [one.lead_id for one in reader.leads()] == [Redactor(KEY, tenant="north").lead_id("jane@example.com")]


def test_a_lead_is_found_across_a_rotation_of_the_key_as_one(path: Path) -> None:
    """What was recorded before and after under two hashes is one timeline, one list and one stream of events."""
    from leadtrace.otlp.keyfile import load_key, rotate_key

    rotate_key(path.parent / "key")
    hashed = Redactor(load_key(path.parent / "key")).lead_id("jane@example.com")
    writer = EmbeddedStore.open(path, write=True)
    span = SpanRecord("0b22" + "0" * 28, "b" * 16, "check", BEGAN, BEGAN + 9, attributes={"lead.id": hashed})
    writer.append([span], [_event(6, "lead.accepted", hashed), _event(7, "lead.archived", "lead_1")])
    writer.close()
    with leadtrace.open(str(path)) as reader:
        story = reader.timeline("jane@example.com")
        assert [one.name for one in story.entries] == ["check", "lead.received", "lead.accepted"]
        assert {one.attributes["lead.id"] for one in story.entries} == {hashed}
        assert [one.name for one in reader.events(lead_id="Jane@Example.com")] == ["lead.received", "lead.accepted"]
        assert [one.name for one in reader.events(lead_id="jane@example.com", limit=1)] == ["lead.received"]
        assert len(reader.find_events(lead_id="jane@example.com", event_name="lead.accepted")) == 1
        followed = reader.follow(reader.filter(lead_id="jane@example.com"))
        assert [next(followed).name, next(followed).name] == ["lead.received", "lead.accepted"]
