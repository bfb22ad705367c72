"""Jaeger as a source, against recorded answers of an older and a newer server, replayed over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

import leadtrace
from leadtrace.errors import NotFoundError, SettingsError, SourceError
from leadtrace.query.timeline import timeline
from leadtrace.store.interface import EventFilter, LeadFilter
from leadtrace.store.jaeger import JaegerStore
from leadtrace.store.relations.interface import Slice

ANSWERS = Path(__file__).parents[1] / "data" / "jaeger"
MATTERS = ("service", "tags", "query.attributes", "query.serviceName")
NOW = 1_795_400_000_000_000_000


class Recorded:
    """A server that gives the recorded answer of the request that asks for the same; times and depths aside."""

    def __init__(self, folder: str) -> None:
        self.requests: list[str] = []
        self.answers: dict[tuple, tuple[int, object]] = {}
        for file in sorted((ANSWERS / folder).glob("*.json")):
            one = json.loads(file.read_text())
            if "depth" not in file.name and "no_times" not in file.name:
                self.answers[self.key(one["request"])] = (one["status"], one["body"])
        recorded = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                recorded.requests.append(self.path)
                status, body = recorded.answer(self.path)
                content = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        self.url = f"jaeger://127.0.0.1:{self.server.server_port}"

    @staticmethod
    def key(request: str) -> tuple:
        parts = urlsplit(request)
        query = parse_qs(parts.query)
        asked = {name: query[name][0] for name in MATTERS if name in query}
        for name in ("tags", "query.attributes"):
            if name in asked:
                asked[name] = json.dumps(json.loads(asked[name]), sort_keys=True)
        return parts.path, *sorted(asked.items())

    @property
    def everything(self) -> dict:
        """What a search without conditions answers."""
        spans: dict[str, dict] = {}
        for status, body in self.answers.values():
            if status == 200 and isinstance(body, dict) and "result" in body:
                spans |= {one["scopeSpans"][0]["spans"][0]["spanId"]: one for one in body["result"]["resourceSpans"]}
        return {"result": {"resourceSpans": list(spans.values())}}

    def answer(self, request: str) -> tuple[int, object]:
        found = self.answers.get(self.key(request))
        if found is None and request.startswith("/api/traces?") and self.answers["/api/services",][0] == 200:
            return 200, {"data": [], "total": 0, "limit": 0, "offset": 0, "errors": None}
        return found or (404, "404 page not found\n")

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(params=["v2.13", "after-v2.20"])
def recorded(request: pytest.FixtureRequest) -> Iterator[Recorded]:
    server = Recorded(request.param)
    yield server
    server.close()


@pytest.fixture
def older() -> Iterator[Recorded]:
    server = Recorded("v2.13")
    yield server
    server.close()


@pytest.fixture
def newer() -> Iterator[Recorded]:
    server = Recorded("after-v2.20")
    yield server
    server.close()


@pytest.fixture
def badger() -> Iterator[Recorded]:
    server = Recorded("after-v2.20-badger")
    yield server
    server.close()


def store(server: Recorded, **more: object) -> JaegerStore:
    return JaegerStore(server.url, now_ns=lambda: NOW, **more)


STORY = """\
Lead lead_A
2026-11-21 22:26:40.000 UTC, over 1 min, in lead-intake, lead-returns
cost 0.02 USD, revenue 45.00 USD, returned 45.00 USD, net revenue 0.00 USD, margin -0.02 USD

       0 ms  Premium Insurance Flow [lead-intake]   2.40 s
       0 ms  ├─ • flow.started
      10 ms  ├─ Phone Intelligence                  245 ms
     255 ms  │  └─ • enhancement.success  cost 0.02 USD
             │          cache_hit=no data_appended.phone_type=mobile tags=a, b
     300 ms  ├─ deliver to Buyer One                2.00 s
     300 ms  │  ├─ attempt 1                        900 ms  ✗ error, timeout
     1.20 s  │  │  └─ • api.call.failed  error.type=Timeout wait=500 ms will_retry=yes
     1.70 s  │  ├─ attempt 2                        590 ms
     2.29 s  │  │  └─ • api.call.succeeded
     2.29 s  │  └─ ✓ delivery accepted  revenue 45.00 USD
     2.40 s  ├─ ✓ flow completed
      1 min  └─ lead returned [lead-returns]         12 ms
      1 min     └─ • lead.returned  returned 45.00 USD
"""


def test_both_servers_tell_the_same_story(recorded: Recorded) -> None:
    """The trace of the intake and, by its link, the one of the return a minute later, from either search."""
    found = timeline(store(recorded), "lead_A")
    assert _without_notes(found.text()) == STORY
    assert [one.code for one in found.marks] == []
    assert not found.complete
    assert found.incomplete[0].startswith("Jaeger keeps finished spans")


def _without_notes(text: str) -> str:
    return text.partition("\n\n! ")[0] + "\n"


def test_a_lead_that_is_not_there_is_an_empty_answer(recorded: Recorded) -> None:
    found = store(recorded).lead("nobody")
    assert (found.spans, found.events) == ([], [])


def test_other_leads_are_filtered_out_where_the_server_ignored_attributes(newer: Recorded) -> None:
    """A server between the two kinds answers every trace, whatever attributes were asked for."""
    everything = newer.everything
    newer.answer = lambda request: (
        (200, everything) if "/api/v3/traces?" in request else Recorded.answer(newer, request)
    )
    asked = {lead: {span.trace_id[-2:] for span in store(newer).lead(lead).spans} for lead in ("lead_A", "lead_B", "x")}
    assert asked == {"lead_A": {"01", "07"}, "lead_B": {"09"}, "x": set()}


def test_a_window_that_hits_the_limit_is_split_until_all_of_it_was_seen(newer: Recorded) -> None:
    """A server that gives one trace at a time still gives all of a lead's traces."""
    key = newer.key('/api/v3/traces?query.attributes={"lead.id": "lead_A"}')
    whole = newer.answers[key][1]["result"]["resourceSpans"]

    def limited(request: str) -> tuple[int, object]:
        query = parse_qs(urlsplit(request).query)
        if newer.key(request) != key:
            return Recorded.answer(newer, request)
        low, high = query["query.startTimeMin"][0], query["query.startTimeMax"][0]
        traces: dict[str, list] = {}
        for one in whole:
            span = one["scopeSpans"][0]["spans"][0]
            if low <= _rfc3339(int(span["startTimeUnixNano"])) <= high:
                traces.setdefault(span["traceId"], []).append(one)
        if not traces:
            return 404, {"error": {"httpCode": 404, "message": "No traces found"}}
        first = sorted(traces)[: int(query["query.searchDepth"][0])]
        ids = set(first)
        return 200, {
            "result": {"resourceSpans": [one for one in whole if one["scopeSpans"][0]["spans"][0]["traceId"] in ids]}
        }

    newer.answer = limited
    found = store(newer, depth=2).lead("lead_A")
    assert sorted({span.trace_id[-2:] for span in found.spans}) == ["01", "07"]
    assert found.incomplete == []
    assert len([one for one in newer.requests if "lead_A" in one]) > 1
    once = store(newer, depth=1).lead("lead_A")
    assert sorted({span.trace_id[-2:] for span in once.spans}) == ["01", "07"]
    assert once.incomplete  # where one trace is at one moment, nobody can say whether it was the only one


def test_a_listing_that_hits_the_depth_says_so(newer: Recorded) -> None:
    """Two traces begin in the same nanosecond: no window holds one of them alone, so a depth of one cannot show both."""

    def twins(request: str) -> tuple[int, object]:
        if "/api/v3/traces?" not in request:
            return Recorded.answer(newer, request)
        query = parse_qs(urlsplit(request).query)
        low, high = query["query.startTimeMin"][0], query["query.startTimeMax"][0]
        began = NOW - 3_600_000_000_000
        if not low <= _rfc3339(began) <= high:
            return 404, {}
        found = [_resource_spans(began)]
        return 200, {"result": {"resourceSpans": found[: int(query["query.searchDepth"][0])]}}

    newer.answer = twins
    said: list[str] = []
    assert len(list(store(newer, depth=1).leads(LeadFilter(note=said.append)))) == 1
    assert said
    assert all("Jaeger answers 1 traces at most" in one for one in said)
    said.clear()
    assert list(store(newer, depth=1).events(EventFilter(note=said.append))) == []
    assert said
    said.clear()
    list(store(newer, depth=20).leads(LeadFilter(note=said.append)))
    assert said == []


@pytest.mark.parametrize(("lines", "complete"), [(300, True), (3_000, False)])
def test_one_line_of_a_batch_is_not_given_the_others_and_the_search_for_them_ends(
    newer: Recorded, lines: int, complete: bool
) -> None:
    """Each line in a trace of its own under one run: a large run is looked through up to a bound, and that is said."""
    began = NOW - 3_600_000_000_000
    times = [began + number * 5_000_000 for number in range(lines)]

    def batch(request: str) -> tuple[int, object]:
        if "/api/v3/traces?" not in request:
            return Recorded.answer(newer, request)
        query = parse_qs(urlsplit(request).query)
        low, high = query["query.startTimeMin"][0], query["query.startTimeMax"][0]
        asked = json.loads(query["query.attributes"][0])
        inside = [time_ns for time_ns in times if low <= _rfc3339(time_ns) <= high]
        if "lead.id" in asked:
            inside = [time_ns for time_ns in inside if asked["lead.id"] == f"lead_{time_ns}"]
        found = inside[-int(query["query.searchDepth"][0]) :]
        return 200, {"result": {"resourceSpans": [_resource_spans(time_ns, run="r1") for time_ns in found]}}

    newer.answer = batch
    found = store(newer).lead(f"lead_{times[7]}")
    assert len(found.spans) <= 2
    assert times[7] in {span.start_ns for span in found.spans}
    assert (found.incomplete == []) is complete
    assert len(newer.requests) < 40


def _rfc3339(time_ns: int) -> str:
    from leadtrace.store.jaeger_http import _rfc3339 as made

    return made(time_ns)


def test_a_busy_minute_in_months_of_search_takes_few_questions(newer: Recorded) -> None:
    """The window is split amid what was found: halving three months down to a second would read everything again each time."""
    began = NOW - 3_600_000_000_000

    def busy(request: str) -> tuple[int, object]:
        if "/api/v3/traces?" not in request:
            return Recorded.answer(newer, request)
        query = parse_qs(urlsplit(request).query)
        low, high = query["query.startTimeMin"][0], query["query.startTimeMax"][0]
        times = [began + number * 5_000_000 for number in range(400)]
        inside = [time_ns for time_ns in times if low <= _rfc3339(time_ns) <= high]
        found = inside[-int(query["query.searchDepth"][0]) :]  # the newest, as Jaeger
        return 200, {"result": {"resourceSpans": [_resource_spans(time_ns) for time_ns in found]}}

    newer.answer = busy
    rows = list(store(newer, depth=20).leads(LeadFilter()))
    assert len({row.lead_id for row in rows}) == 400
    assert len(newer.requests) < 5 * 400 / 20


def _resource_spans(time_ns: int, **run: str) -> dict:
    named = {"lead.id": f"lead_{time_ns}"} | {f"leadtrace.{key}_id": value for key, value in run.items()}
    span = {
        "traceId": f"{time_ns:032x}",
        "spanId": f"{time_ns:016x}",
        "name": "a flow",
        "startTimeUnixNano": str(time_ns),
        "endTimeUnixNano": str(time_ns + 1_000_000),
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in named.items()],
    }
    return {"scopeSpans": [{"spans": [span]}]}


def test_a_server_that_refuses_to_look_so_deep_is_asked_for_fewer(newer: Recorded) -> None:
    """The memory store refuses to look for more traces than it may keep."""
    refusal = json.loads((ANSWERS / "after-v2.20-memory-50" / "v3_find_too_deep.json").read_text())

    def shallow(request: str) -> tuple[int, object]:
        asked = parse_qs(urlsplit(request).query).get("query.searchDepth", ["0"])
        return (refusal["status"], refusal["body"]) if int(asked[0]) > 50 else Recorded.answer(newer, request)

    newer.answer = shallow
    asked = store(newer)
    assert len({span.trace_id for span in asked.lead("lead_A").spans}) == 2
    newer.requests.clear()
    asked.lead("lead_A")
    assert "searchDepth=50&" in newer.requests[-1]


def test_a_server_without_any_service_has_no_lead(badger: Recorded) -> None:
    """Nothing was sent yet; badger would refuse a search without a service."""
    badger.answers["/api/v3/services",] = (200, {"services": []})
    assert store(badger).lead("lead_A").spans == []
    assert list(store(badger).leads(LeadFilter())) == []


def test_a_storage_that_needs_a_service_is_asked_for_each_and_its_lists_are_lists_again(badger: Recorded) -> None:
    """Badger keeps a list as JSON text. What the catalogue declares as a list is read as one; any other text stays."""
    found = timeline(store(badger), "lead_A")
    assert {entry.service for entry in found.entries} == {"lead-intake", "lead-returns"}
    (flow,) = (one for one in store(badger).lead("lead_A").spans if one.name == "Premium Insurance Flow")
    assert flow.attributes["flow.journey.delivered_to"] == ["Buyer One"]
    assert flow.attributes["leadtrace.lead_ids"] == ["lead_A", "lead_Ä2"]
    assert flow.attributes["step.chosen"] == '["as it was"]'
    assert [row.lead_id for row in _leads_of(badger)] == ["lead_A", "lead_Ä2"]


def _leads_of(badger: Recorded) -> list:
    key = badger.key('/api/v3/traces?query.attributes={"lead.id": "lead_A"}&query.serviceName=lead-intake')
    badger.answers["/api/v3/traces", ("query.serviceName", "lead-intake")] = badger.answers[key]
    badger.answers["/api/v3/traces", ("query.serviceName", "lead-returns")] = (404, {"error": {"httpCode": 404}})
    badger.answers["/api/v3/traces",] = badger.answers[
        badger.key('/api/v3/traces?query.attributes={"lead.id": "lead_A"}')
    ]
    return sorted(store(badger).leads(LeadFilter()), key=lambda row: row.lead_id)


def test_a_trace_is_read_by_its_id_and_an_unknown_one_is_empty(older: Recorded, newer: Recorded) -> None:
    of_older = store(older).trace("0a110000000000000000000000000001")
    assert sorted(one.name for one in of_older.spans) == [
        "Phone Intelligence",
        "Premium Insurance Flow",
        "attempt 1",
        "attempt 2",
        "deliver to Buyer One",
    ]
    assert [one.name for one in store(newer).trace("0a110000000000000000000000000007").events] == ["lead.returned"]
    for server in (older, newer):
        assert store(server).trace("0a1100000000000000000000000fffff").spans == []


def test_the_older_form_holds_the_same_as_otlp(older: Recorded) -> None:
    """Without v3 the same trace is read from the older form, to the microsecond; lists come as their JSON text."""
    exact = store(older).trace("0a110000000000000000000000000001")
    older.answer = lambda request: (
        (404, "404 page not found\n") if "/v3/" in request else Recorded.answer(older, request)
    )
    legacy = store(older).trace("0a110000000000000000000000000001")
    assert _comparable(legacy.spans) == _comparable(exact.spans)
    assert _comparable(legacy.events) == _comparable(exact.events)


def _comparable(records: list) -> list:
    return sorted(
        (
            one.name,
            one.trace_id,
            one.span_id,
            getattr(one, "parent_span_id", ""),
            getattr(one, "kind", 0),
            getattr(one, "status", ""),
            getattr(one, "status_message", ""),
            sorted(
                (key, json.dumps(value, separators=(",", ":")) if isinstance(value, list) else value)
                for key, value in one.attributes.items()
            ),
            sorted(one.resource.attributes.items()),
            one.scope.name,
            getattr(one, "start_ns", 0) // 1000,
            getattr(one, "end_ns", 0) // 1000,
            getattr(one, "time_ns", 0) // 1000,
        )
        for one in records
    )


def test_leads_and_events_are_found_by_what_spans_say(newer: Recorded) -> None:
    """Where no service needs to be named, one search over the window has them all."""
    newer.answers["/api/v3/traces",] = (200, newer.everything)
    asked = store(newer)
    rows = [(row.lead_id, row.outcome) for row in asked.leads(LeadFilter())]
    assert sorted(rows) == [("lead_A", ""), ("lead_B", "")]
    assert [one.name for one in asked.events(EventFilter(names=["delivery.*"], lead_id="lead_A"))] == [
        "delivery.accepted"
    ]
    assert [one.name for one in asked.events(EventFilter(names=["lead.returned"], limit=1))] == ["lead.returned"]


def test_what_was_fetched_can_be_asked_as_relations(newer: Recorded) -> None:
    newer.answers["/api/v3/traces",] = (200, newer.everything)
    asked = store(newer)
    events = list(asked.events(EventFilter()))
    with asked.relations(Slice()) as relations:
        told = relations.query("SELECT name, lead_id, time_ns FROM lead_events ORDER BY time_ns, name")
        spans = relations.query("SELECT count(*) FROM lead_spans")
        assert any("events that were sent as log records only" in one for one in relations.incomplete)
    assert told == sorted(((one.name, one.lead_id, one.time_ns) for one in events), key=lambda row: (row[2], row[0]))
    assert len(told) > 3
    assert spans == [(len(newer.everything["result"]["resourceSpans"]),)]
    latest = max(one.time_ns for one in events)
    with asked.relations(Slice(latest)) as relations:
        assert relations.query("SELECT time_ns FROM lead_events") == [(latest,)] * len(
            [one for one in events if one.time_ns == latest]
        )
        assert any("before the window" in one for one in relations.incomplete)


def test_a_report_of_fetched_traces_says_what_it_lacks(newer: Recorded) -> None:
    newer.answers["/api/v3/traces",] = (200, newer.everything)
    with leadtrace.open(newer.url + "?lookback=3650") as reader:
        found = reader.report("frequency")
    assert found.sample["events"] == sum(row.events for row in found.rows) > 0
    assert found.incomplete
    assert "3650 days" in found.incomplete[-1]


def test_a_misspelt_name_is_told_as_far_as_traces_were_fetched(newer: Recorded) -> None:
    newer.answers["/api/v3/traces",] = (200, newer.everything)
    with leadtrace.open(newer.url + "?lookback=3650") as reader:
        assert reader.report("frequency", flow="x").notes[0] == "no flow is named 'x' in the traces that were fetched"
        with pytest.raises(NotFoundError, match=r"in the traces that were fetched; did you mean lead\.returned\?$"):
            reader.report("compare", a="event=lead.retruned", b="lead_A")


def test_a_server_that_is_not_there_is_said_in_one_sentence() -> None:
    with pytest.raises(SourceError, match=r"Jaeger at http://127\.0\.0\.1:1 cannot be reached"):
        JaegerStore("jaeger://127.0.0.1:1").lead("lead_A")


def test_a_server_that_refuses_is_quoted(newer: Recorded) -> None:
    newer.answer = lambda request: (503, {"error": {"httpCode": 503, "message": "storage is down"}})
    with pytest.raises(SourceError, match="storage is down"):
        store(newer).lead("lead_A")


@pytest.mark.parametrize("url", ["jaeger://", "jaeger://host:0", "jaeger://host:port", "jaeger://host?lookback=soon"])
def test_a_url_that_names_no_server_is_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        JaegerStore(url)
