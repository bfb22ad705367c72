"""The example pipeline through the real Collector into the real Jaeger and `leadtrace serve`: one story in both."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest
from example_run import SERVICE, contact_data, start_example
from jaeger_api import JaegerEvent, JaegerSpan, as_jaeger_shows, spans_of
from real_servers import Collector, Jaeger, Prometheus, Serve, fetch, leadtrace, samples, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from example_run import ExampleRun

    from conftest import Running

LEADS = 150


@dataclass
class Told:
    """One finished run, and where to ask about it."""

    collector: Collector
    jaeger: Jaeger
    serve: Serve
    example: ExampleRun
    summary: dict[str, Any]

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """All events of the served store, as `leadtrace events --json` prints them."""
        return [json.loads(line) for line in leadtrace("events", "--json", "--from", self.serve.url).splitlines()]

    @cached_property
    def ours(self) -> list[dict[str, Any]]:
        """Those that leadtrace made; the others are the `exception` events of OpenTelemetry, on spans alone."""
        foreign = [event["name"] for event in self.events if not event["uid"]]
        assert set(foreign) <= {"exception"}
        return [event for event in self.events if event["uid"]]

    @cached_property
    def leads(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in leadtrace("leads", "--json", "--from", self.serve.url).splitlines()]

    @cached_property
    def spans(self) -> list[JaegerSpan]:
        """All spans that Jaeger has of the example."""
        return spans_of(self.jaeger.api, SERVICE)

    @cached_property
    def jaeger_events(self) -> dict[str, JaegerEvent]:
        """By uid."""
        return {event.uid: event for span in self.spans for event in span.events if event.uid}


@pytest.fixture(scope="module")
def told(folder: Path, running: Running) -> Told:
    jaeger, serve = Jaeger(folder), Serve(folder)
    running.start(jaeger)
    running.start(serve)
    collector = Collector(folder, jaeger_otlp=jaeger.otlp, leadtrace_url=serve.url, token=Serve.TOKEN)
    running.start(collector)
    example = start_example(folder, collector.otlp_http, leads=LEADS, protocol="http/protobuf", speed=4)
    summary = example.finish()
    wait_until("all that was accepted is handed on", lambda: handed_on(collector))
    return Told(collector, jaeger, serve, example, summary)


def total(text: str, name: str, **labels: str) -> int:
    found = samples(text, name)
    return int(sum(number for had, number in found if labels.items() <= had.items()))


def handed_on(collector: Collector) -> bool:
    """Whether each exporter has sent as many records as the receiver took."""
    text = fetch(collector.own_metrics).decode()
    spans = total(text, "otelcol_receiver_accepted_spans")
    logs = total(text, "otelcol_receiver_accepted_log_records")
    sent = "otelcol_exporter_sent_spans"
    return (
        total(text, sent, exporter="otlp_grpc/jaeger") == spans > 0
        and total(text, sent, exporter="otlp_http/leadtrace") == spans
        and total(text, "otelcol_exporter_sent_log_records", exporter="otlp_http/leadtrace") == logs > 0
    )


def test_every_event_of_the_process_is_in_the_store_exactly_once(told: Told) -> None:
    """A process counts its events: a hole would be a loss, a second of one number a duplicate."""
    numbers: dict[str, list[int]] = {}
    for event in told.ours:
        numbers.setdefault(event["uid"][:16], []).append(int(event["uid"][16:], 16))
    assert len(numbers) == 1
    (found,) = numbers.values()
    assert sorted(found) == list(range(min(found), min(found) + len(found)))
    accepted = fetch(told.collector.own_metrics).decode()
    assert len(found) == total(accepted, "otelcol_receiver_accepted_log_records")


def test_the_prometheus_endpoint_counts_the_same_events(told: Told) -> None:
    expected = Counter((event["name"], event["kind"]) for event in told.ours)
    counted: Counter[tuple[str, str]] = Counter()
    for labels, number in samples(fetch(told.collector.metrics).decode(), "lead_events_total"):
        assert labels["service_name"] == SERVICE
        counted[labels["event_name"], labels["leadtrace_kind"]] += int(number)
    assert counted == expected


def test_prometheus_scrapes_the_same_counts_by_the_mounted_configuration(told: Told, running: Running) -> None:
    prometheus = Prometheus(told.serve.folder, told.collector)
    running.start(prometheus)
    expected = Counter((SERVICE, event["name"]) for event in told.ours)

    def scraped() -> dict[tuple[str, str], int]:
        found = prometheus.ask("sum by (job, event_name) (lead_events_total)")
        return {(one["metric"]["job"], one["metric"]["event_name"]): int(one["value"][1]) for one in found}

    wait_until("the first scrape", lambda: scraped() == expected)
    calls = prometheus.ask('sum(traces_span_metrics_calls_total{leadtrace_word="delivery"})')
    ends = [event for event in told.ours if event["name"].startswith("delivery.") and event["kind"] == "start"]
    assert int(calls[0]["value"][1]) == len(ends)
    wait_until("both targets up", lambda: [one["value"][1] for one in prometheus.ask("up")] == ["1", "1"])


def test_jaeger_has_every_event_of_a_lead_on_a_span_with_the_same_attributes(told: Told) -> None:
    """Name, time, place and every attribute; Jaeger keeps microseconds, and lists as JSON text."""
    of_leads = {event["uid"]: event for event in told.ours if event["lead_id"]}
    assert len(of_leads) > LEADS * 10
    missing = [event["name"] for uid, event in of_leads.items() if uid not in told.jaeger_events]
    assert missing == []
    for uid, event in of_leads.items():
        other = told.jaeger_events[uid]
        assert other.name == event["name"]
        assert other.time_us == event["time_unix_nano"] // 1000
        assert (other.trace_id, other.span_id) == (event["trace_id"], event["span_id"])
        assert other.attributes == {key: as_jaeger_shows(value) for key, value in event["attributes"].items()}


def test_in_jaeger_every_span_of_a_lead_names_it_and_has_its_parent(told: Told) -> None:
    ids = {(span.trace_id, span.span_id) for span in told.spans}
    assert len(ids) == len(told.spans)
    ours = [span for span in told.spans if "leadtrace.word" in span.tags]
    assert len(ours) > LEADS * 3
    for span in told.spans:
        assert not span.parent_span_id or (span.trace_id, span.parent_span_id) in ids
    assert [span.name for span in ours if not span.tags.get("lead.id") and span.tags["leadtrace.word"] != "flow"] == []


def test_jaeger_mended_no_span(told: Told) -> None:
    """Its page puts a warning sign on every trace with a span that it mended: of no length, of an id that is there twice.

    A child that outlives its parent, as a cancelled one may, is only remarked on.
    """
    mended = [(span.name, text) for span in told.spans for text in span.warnings if "clock skew" not in text]
    assert mended == []


def test_jaeger_finds_each_lead_by_its_id(told: Told) -> None:
    for lead in told.leads[:20]:
        found = spans_of(told.jaeger.api, SERVICE, {"lead.id": lead["lead_id"]})
        events = {event.uid for span in found for event in span.events if event.uid}
        assert events >= {event["uid"] for event in told.ours if event["lead_id"] == lead["lead_id"]}


def timeline(lead_id: str, source: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(leadtrace("lead", lead_id, "--json", "--from", source))
    return found


def in_jaeger(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry's attributes as Jaeger keeps them."""
    return {key: as_jaeger_shows(value) for key, value in entry["attributes"].items()}


SAME = ("type", "name", "kind", "service", "trace_id", "span_id", "parent_span_id", "uid", "depth", "status")


def test_the_timeline_from_jaeger_and_from_serve_is_one_story_entry_by_entry(told: Told) -> None:
    """For a lead of each kind that the example points out, and some more: same entries in the same order."""
    chosen = dict.fromkeys([*told.summary["worth_a_look"].values(), *(row["lead_id"] for row in told.leads[:5])])
    assert len(chosen) >= 8
    for lead_id in chosen:
        served = timeline(lead_id, told.serve.url)
        jaeger = timeline(lead_id, told.jaeger.source)
        assert [[entry.get(key) for key in SAME] for entry in jaeger["entries"]] == [
            [entry.get(key) for key in SAME] for entry in served["entries"]
        ]
        for ours, theirs in zip(served["entries"], jaeger["entries"], strict=True):
            assert theirs["time_unix_nano"] // 1000 == ours["time_unix_nano"] // 1000
            assert in_jaeger(theirs) == in_jaeger(ours)
        assert (jaeger["state"], jaeger["money"]) == (served["state"], served["money"])
        uids = {entry["uid"] for entry in served["entries"] if entry["type"] == "event"}
        assert uids >= {event["uid"] for event in told.ours if event["lead_id"] == lead_id}


OF_OTHER_LEADS = ("of this flow's runs before", "others like it nearby")
"""Sentences that need more than one lead, which are not asked of Jaeger."""


def test_the_text_of_a_timeline_is_the_same_from_both(told: Told) -> None:
    """But for what Jaeger has to say of itself, lists, which it keeps as JSON text, and what other leads tell of this one."""
    for lead_id in told.summary["worth_a_look"].values():
        lines = leadtrace("lead", lead_id, "--from", told.serve.url).splitlines()
        served = [line for line in lines if not any(sentence in line for sentence in OF_OTHER_LEADS)]
        jaeger = leadtrace("lead", lead_id, "--from", told.jaeger.source).splitlines()
        story, note = jaeger[: len(served)], jaeger[len(served) :]
        assert lead_id in served[0]
        assert [line for line in story if '["' not in line] == [
            line for line, other in zip(served, story, strict=True) if '["' not in other
        ]
        assert note[:2] == ["", note[1]]
        assert note[1].startswith("! Jaeger keeps finished spans")


def test_what_the_events_say_is_what_the_companies_and_the_pipeline_wrote_into_their_books(told: Told) -> None:
    """Deliveries by buyer and outcome, leads, returns and money, against books kept without telemetry."""
    events, summary = told.events, told.summary
    assert sum(event["name"] == "flow.started" for event in events) == summary["leads"]
    ends = Counter(event["name"] for event in events if re.match(r"flow\.(?!started)", event["name"]))
    assert ends == {"flow.completed": summary["leads"]}
    deliveries: dict[str, Counter[str]] = {buyer: Counter() for buyer in summary["deliveries"]}
    for event in events:
        if event["name"].startswith("delivery.") and event["kind"] != "start":
            deliveries[event["attributes"]["delivery.buyer"]][event["name"].removeprefix("delivery.")] += 1
    decided = Counter(summary["decided"])
    together = sum(deliveries.values(), Counter())
    books = sum((Counter(ends) for ends in summary["deliveries"].values()), Counter()) + decided
    assert together == books
    assert sum(event["name"] == "lead.returned" for event in events) == summary["returned"]
    assert sum(event["name"] == "record.quarantined" for event in events) == len(summary["quarantined"])


def test_no_contact_data_of_any_lead_is_found_anywhere(told: Told) -> None:
    """Not in Jaeger, nor in the store's file, nor in what the Collector wrote or serves."""
    personal = contact_data(told.example.leads)
    assert len(personal) > LEADS * 4
    places = {
        "Jaeger": json.dumps(
            [[span.name, span.tags, [event.attributes for event in span.events]] for span in told.spans]
        ),
        "the store": b"".join(
            file.read_bytes() for file in told.serve.folder.rglob("store.db*/**/*") if file.is_file()
        ).decode("latin-1")
        + b"".join(file.read_bytes() for file in told.serve.folder.glob("store.db*") if file.is_file()).decode(
            "latin-1"
        ),
        "events": json.dumps(told.events, ensure_ascii=False),
        "metrics": fetch(told.collector.metrics).decode(),
    }
    for server in (told.collector, told.jaeger, told.serve):
        places[f"{server.name}'s log"] = server.log.read_text(errors="replace")
    for place, text in places.items():
        assert {value for value in personal if value in text} == set(), f"in {place}"


def test_the_second_net_had_nothing_to_catch(told: Told) -> None:
    """leadtrace had redacted it all, and nothing of its own was taken for contact data."""
    masked = [event for event in told.events if "****" in json.dumps(event)]
    assert masked == []
    assert [span.name for span in told.spans if "****" in json.dumps([span.name, span.tags])] == []


def test_nobody_complains(told: Told) -> None:
    """The Collector's log is clean; Jaeger's says only that this build has no page in it."""
    assert told.collector.complaints() == []
    assert [line for line in told.jaeger.complaints() if "ui assets not embedded" not in line] == []


def test_serve_ends_on_sigterm_with_exit_code_zero_and_its_store_can_still_be_read(told: Told) -> None:
    count = len(told.events)
    assert told.serve.stop() == 0
    assert len(leadtrace("events", "--json", "--from", str(told.serve.store)).splitlines()) == count
