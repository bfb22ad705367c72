"""Erasing through a running server: it is the store's one writer, and goes on receiving meanwhile."""

from __future__ import annotations

import json

import pytest

from leadtrace.otlp.ranges import Ranges
from leadtrace.store.interface import EventFilter

LEAD = "lead_ann_7K9mHpQR"
BOOT = "b0" * 8


def _send(served, *events: tuple[int, str]) -> int:
    records = [
        {
            "timeUnixNano": str(1_795_300_000_000_000_000 + number),
            "eventName": "lead.received",
            "attributes": [
                {"key": "lead.id", "value": {"stringValue": lead}},
                {"key": "log.record.uid", "value": {"stringValue": f"{BOOT}{number:012x}"}},
            ],
        }
        for number, lead in events
    ]
    body = {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}
    return served.request("POST", "/v1/logs", json.dumps(body).encode(), Content_Type="application/json").status


def test_a_lead_is_erased_by_the_running_server_and_late_records_are_turned_away(serve):
    """Sent again, they are taken from the sender, counted as erased, and not stored."""
    with serve() as served:
        source = served.source()
        assert _send(served, (1, LEAD), (2, "lead_bob"), (3, LEAD)) == 200
        told = source.erase([LEAD])
        assert told.counts() == {"leads": 1, "spans": 0, "events": 2, "set_aside": 0, "changed": 0}
        assert (told.ranges, told.left) == ({BOOT: Ranges.of((1, 1), (3, 3))}, [])
        assert _send(served, (3, LEAD), (4, LEAD), (5, "lead_bob")) == 200
        assert served.metrics()["leadtrace_records_erased_total"] == 2
        assert [one.lead_id for one in source.events(EventFilter())] == ["lead_bob"] * 2
        [held] = source.sequences()
        assert (held.held, held.erased) == (Ranges.of((2, 2), (5, 5)), Ranges.of((1, 1), (3, 4)))
        source.close()
        content = b"".join(one.read_bytes() for one in served.store.parent.glob("store.db*"))
        assert LEAD.encode() not in content


@pytest.mark.parametrize(
    ("body", "type_", "status", "said"),
    [
        (b'{"lead_ids": ["x"]}', "text/plain", 415, "Content-Type must be application/json"),
        (b"lead_ids", "application/json", 400, "the body is not JSON"),
        (b'["x"]', "application/json", 400, "the body is {"),
        (b'{"lead_ids": ["x"], "all": true}', "application/json", 400, "the body is {"),
        (b'{"lead_ids": []}', "application/json", 400, "lead_ids is a list of 1 to 100 ids"),
        (b'{"lead_ids": [""]}', "application/json", 400, "a lead id is text of 1 to 1,000 letters"),
        (b'{"lead_ids": [7]}', "application/json", 400, "a lead id is text of 1 to 1,000 letters"),
        (b'{"lead_ids": ["x"], "tenant": 7}', "application/json", 400, "tenant is text or null"),
        (b" " * 70_000, "application/json", 413, "the body is larger than 65,536 bytes"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_was_expected(served, body, type_, status, said):
    """A form of some web page is no JSON: no page can have a lead erased."""
    answer = served.request("POST", "/api/v1/erase", body, Content_Type=type_)
    assert answer.status == status
    assert said in json.loads(answer.data)["error"]


def test_without_the_token_nothing_is_erased(serve):
    """Who may not read may not erase."""
    with serve(token="geheim") as served:
        assert _send(served, (1, LEAD)) == 200
        asked = json.dumps({"lead_ids": [LEAD]}).encode()
        refused = served.request(
            "POST", "/api/v1/erase", asked, Authorization="Bearer no", Content_Type="application/json"
        )
        assert refused.status == 401
        assert served.request("GET", "/api/v1/erase").status == 405
        source = served.source()
        assert len(list(source.events(EventFilter()))) == 1
        assert source.erase([LEAD]).events == 1
        source.close()
