"""While the example runs, over gRPC, the Collector is killed with -9 and comes back, and `leadtrace serve` is away.

Nothing is lost that the Collector accepted, and nothing at all that the process recorded, because its sender keeps what
was not acknowledged; what is sent twice is stored once.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from example_run import SERVICE, start_example
from jaeger_api import spans_of
from real_servers import Collector, Jaeger, Serve, fetch, leadtrace, samples, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Running

LEADS = 120


def stored(serve: Serve) -> list[dict[str, Any]]:
    """leadtrace's own events in its store, read from the file: also while it is down."""
    answer = leadtrace("events", "--json", "--from", str(serve.store), expect=(0, 1))
    found = [json.loads(line) for line in answer.splitlines()]
    return [event for event in found if event["uid"]]


def queued(collector: Collector) -> float:
    """What waits in the Collector for leadtrace, in bytes."""
    text = fetch(collector.own_metrics).decode()
    found = samples(text, "otelcol_exporter_queue_size")
    return sum(number for labels, number in found if labels["exporter"] == "otlp_http/leadtrace")


@pytest.fixture(scope="module")
def survived(folder: Path, running: Running) -> tuple[Serve, Jaeger, dict[str, Any]]:
    """A run with both faults in it, and its books."""
    jaeger, serve = Jaeger(folder), Serve(folder)
    running.start(jaeger)
    running.start(serve)
    collector = Collector(folder, jaeger_otlp=jaeger.otlp, leadtrace_url=serve.url, token=Serve.TOKEN)
    running.start(collector)
    example = start_example(folder, collector.otlp_grpc, leads=LEADS, protocol="grpc", speed=4)
    wait_until("the first events stored", lambda: serve.store.exists() and len(stored(serve)) > 50)

    serve.stop()
    wait_until("the Collector holding what leadtrace cannot take", lambda: queued(collector) > 0)
    collector.kill()
    collector.start()
    wait_until("the Collector holding more", lambda: queued(collector) > 0)
    serve.start()
    collector.kill()
    assert example.process.poll() is None, "the run ended before the last fault: give it more leads"
    collector.start()
    summary = example.finish()
    wait_until("nothing waiting in the Collector", lambda: queued(collector) == 0)
    return serve, jaeger, summary


def test_every_event_of_the_process_is_in_the_store_exactly_once(
    survived: tuple[Serve, Jaeger, dict[str, Any]],
) -> None:
    serve, _, summary = survived

    def complete() -> bool:
        return sum(event["name"] == "flow.completed" for event in stored(serve)) == summary["leads"]

    wait_until("the end of every flow", complete)
    numbers = Counter(int(event["uid"][16:], 16) for event in stored(serve))
    assert [number for number, times in numbers.items() if times > 1] == []
    assert [number for number in range(min(numbers), max(numbers)) if number not in numbers] == []


def test_every_span_is_in_jaeger_exactly_once(survived: tuple[Serve, Jaeger, dict[str, Any]]) -> None:
    """Badger replaces a span that is sent again by itself."""
    serve, jaeger, _ = survived
    expected = {event["uid"] for event in stored(serve) if event["lead_id"]}

    def missing() -> set[str]:
        return expected - {event.uid for span in spans_of(jaeger.api, SERVICE) for event in span.events}

    wait_until("every event in Jaeger", lambda: not missing())
    spans = spans_of(jaeger.api, SERVICE)
    assert len({(span.trace_id, span.span_id) for span in spans}) == len(spans)
