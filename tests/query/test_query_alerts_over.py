"""Alerts over timelines: those of the lead's group and time, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from leadtrace.alerts import own_events
from leadtrace.alerts.model import Alert
from leadtrace.alerts.rules_file import loads
from leadtrace.otlp.decode import decode_logs
from leadtrace.otlp.encode import log_record, request, resource, signal
from leadtrace.query.page import page
from leadtrace.query.timeline import timeline
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.interface import Holds

NOON = 1_764_072_000 * 1_000_000_000
MINUTE = 60 * 1_000_000_000
RULES = loads(
    '[groups.brand]\nkind = "campaign_group"\nvalues = ["Brand Search"]\n[groups.acme]\nkind = "buyer"\n'
    '[rules.silence]\nkind = "absence"\ngroups = "*"\n'
)
SILENCE = Alert(
    "3f2a00000000beef",
    "silence",
    "brand",
    "absence",
    "high",
    NOON - 90 * MINUTE,
    NOON - 30 * MINUTE,
    NOON,
    NOON + MINUTE,
    "recovered",
    why="no leads for 1 h 30 min",
)


class Kept:
    """A store to which leads and alerts are added."""

    def __init__(self, path: Path) -> None:
        self.store = EmbeddedStore.open(path, write=True)
        self.number = 0

    def add(self, name: str, at_ns: int, service: str = "intake", **attributes: Any) -> None:
        self.number += 1
        said = {key.replace("__", "."): one for key, one in attributes.items()}
        self._append(log_record(name, at_ns, said | {"log.record.uid": f"{self.number:028x}"}), service)

    def alert(self, alert: Alert) -> None:
        group = RULES.groups.get(alert.group)
        began = replace(alert, ended_ns=0, resolved_ns=0, ended_by="")
        several = [own_events.fired(began, group)] + ([own_events.resolved(alert, group)] if alert.ended_ns else [])
        for event in several:
            self.number += 1
            said = event.attributes | {"log.record.uid": f"{self.number:028x}", "leadtrace.kind": "alert"}
            at_ns = alert.resolved_ns if event.event_name == "alert.resolved" else alert.fired_ns
            self._append(log_record(event.event_name, at_ns, said), own_events.SERVICE)

    def _append(self, record: bytes, service: str) -> None:
        body = request(resource({"service.name": service}), [(signal("logs", "leadtrace"), [record])])
        self.store.append((), decode_logs(body))

    def alerts(self, lead_id: str) -> list[str]:
        return [one.id for one in timeline(self.store, lead_id).alerts]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    found = Kept(tmp_path / "store.db")
    found.add("lead.received", NOON - MINUTE, lead__id="lead_A", lead__campaign_group="Brand Search")
    found.add("delivery.accepted", NOON, lead__id="lead_A", delivery__buyer="acme")
    yield found
    found.store.close()


def test_an_alert_of_its_group_and_time_is_told_in_text_json_and_html(kept: Kept) -> None:
    kept.alert(SILENCE)
    told = timeline(kept.store, "lead_A")
    sentence = "alert silence of brand [high] was firing from 2025-11-25 10:30 to 2025-11-25 12:00 UTC: no leads for 1 h 30 min"
    assert [(one.code, one.text) for one in told.marks] == [("alert", sentence)]
    assert " ".join(told.text(200).splitlines()[-1].split()) == f"! {sentence}"
    assert told.as_json()["alerts"] == [
        {
            "id": "3f2a00000000beef",
            "rule": "silence",
            "group": "brand",
            "severity": "high",
            "began_unix_nano": NOON - 90 * MINUTE,
            "ended_unix_nano": NOON,
            "why": "no leads for 1 h 30 min",
        }
    ]
    assert "alert silence of brand" in page(told)


def test_a_timeline_without_alerts_says_nothing_of_them(kept: Kept) -> None:
    told = timeline(kept.store, "lead_A")
    assert "alerts" not in told.as_json()
    assert told.marks == []


@pytest.mark.parametrize(
    ("change", "covers"),
    [
        ({}, True),
        ({"group": "acme"}, True),
        ({"group": "search"}, False),
        ({"ended_ns": NOON - 2 * MINUTE}, False),
        ({"began_ns": NOON + 1, "fired_ns": NOON + 2, "ended_ns": NOON + 3, "resolved_ns": NOON + 4}, False),
        ({"ended_ns": 0, "resolved_ns": 0}, True),
        ({"kind": "health_state", "group": "intake"}, True),
        ({"kind": "health_state", "group": "billing"}, False),
        ({"kind": "capacity", "group": "intake:memory"}, True),
        ({"kind": "watch", "rule": "leadtrace.source", "group": "intake"}, False),
    ],
)
def test_it_covers_a_lead_by_group_and_time(kept: Kept, change: dict[str, Any], covers: bool) -> None:
    kept.alert(replace(SILENCE, **change))
    assert kept.alerts("lead_A") == ([SILENCE.id] if covers else [])


def test_an_alert_that_lasts_says_so(kept: Kept) -> None:
    kept.alert(replace(SILENCE, ended_ns=0, resolved_ns=0, ended_by=""))
    (mark,) = timeline(kept.store, "lead_A").marks
    assert mark.text == "alert silence of brand [high] fires since 2025-11-25 10:30 UTC: no leads for 1 h 30 min"


def test_a_source_that_keeps_no_events_is_not_asked(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.alert(SILENCE)
    monkeypatch.setattr(EmbeddedStore, "holds", Holds(logs=False))
    monkeypatch.setattr(EmbeddedStore, "events", None)
    assert timeline(kept.store, "lead_A").alerts == []


def test_an_end_that_arrives_later_is_seen_by_the_next_timeline_of_the_same_source(kept: Kept) -> None:
    kept.alert(replace(SILENCE, ended_ns=0, resolved_ns=0, ended_by=""))
    (before,) = timeline(kept.store, "lead_A").alerts
    kept.alert(SILENCE)
    (after,) = timeline(kept.store, "lead_A").alerts
    assert (before.ended_ns, after.ended_ns) == (0, NOON)
