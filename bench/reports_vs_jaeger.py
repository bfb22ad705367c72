"""The questions of `leadtrace report` put to the real Jaeger's own API, as far as it can answer, over the same leads.

    python bench/reports_vs_jaeger.py [--events 1000000] [--jaeger PATH] [--fetch]

The lead traffic of the tests over seven days goes as the same OTLP bodies, spans with their events, to Jaeger (badger, on disk)
and to `leadtrace serve`. Then each question of one day is asked of both, and what both can count is compared: where the two do
not agree the table says so. Jaeger returns whole traces and nothing that is counted, so that most questions are asked by
fetching every trace of the day, an hour at a time, and counting here; that counting is not in its time. Seconds are wall time,
of leadtrace the best of three; each is one process on the same machine, the other one ended. With `--fetch` leadtrace's own
reports are asked over `jaeger://` as well, once: each fetches all that it needs anew, which takes minutes of a million events.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from serve_vs_jaeger import Server, disk_mb, get, memory_mb, send, start_jaeger, start_serve

import leadtrace
from leadtrace.store.columns.upkeep import Upkeep
from leadtrace.store.embedded import EmbeddedStore

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "analysis"))
from traffic import DAY, HOUR, MONDAY, Traffic, generate

DAY_ASKED = MONDAY + 3 * DAY
COPIES = 40
_PER_LEAD = 26.5
"""Events of a lead that stand on a span."""
_PER_BODY = 40
"""Leads in a request."""
_ENOUGH = 1_000_000
"""The limit that each request to Jaeger names: more than there is."""


# --- the leads, as bodies ----------------------------------------------------------------------------------------------


def bodies(events: int) -> tuple[list[bytes], int, str]:
    """Request bodies that hold about so many events, how many leads, and the id of one with much to tell: a few leads encoded,
    then copied under other ids."""
    traffic = generate(seed=11, leads=max(1, int(events / COPIES / _PER_LEAD)), days=7)
    leads = list(_encoded(traffic))
    copies = [_renamed(*lead, copy) for lead in leads for copy in range(COPIES)]
    (longest,) = Counter(str(one.attributes["lead.id"]) for one in traffic.spans).most_common(1)
    sent = [b"".join(copies[at : at + _PER_BODY]) for at in range(0, len(copies), _PER_BODY)]
    return sent, len(copies), _other_id(longest[0].encode(), COPIES // 2).decode()


def _encoded(traffic: Traffic) -> Iterator[tuple[bytes, list[bytes]]]:
    """Each lead as a request of its own, and the ids in it that a copy needs others for."""
    told: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for event in traffic.events:
        told[event.trace_id, event.span_id].append(event)
    spans: dict[str, list[Any]] = defaultdict(list)
    for one in traffic.spans:
        spans[one.trace_id].append(one)
    for trace_id, several in spans.items():
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add()
        first = several[0]
        _set(group.resource, first.resource.attributes)
        scoped = group.scope_spans.add()
        scoped.scope.name = "leadtrace"
        boots = set()
        for one in several:
            span = scoped.spans.add()
            span.trace_id, span.span_id = bytes.fromhex(trace_id), bytes.fromhex(one.span_id)
            span.parent_span_id = bytes.fromhex(one.parent_span_id)
            span.name, span.kind = one.name, one.kind
            span.start_time_unix_nano, span.end_time_unix_nano = one.start_ns, one.end_ns
            span.status.code = {"ok": 1, "error": 2}.get(one.status, 0)
            _set(span, one.attributes)
            for event in told[trace_id, one.span_id]:
                log = span.events.add()
                log.name, log.time_unix_nano = event.name, event.time_ns
                _set(log, event.attributes)
                boots.add(str(event.attributes["log.record.uid"])[:16].encode())
        lead, run = str(first.attributes["lead.id"]), str(first.attributes["leadtrace.run_id"])
        ids = [bytes.fromhex(trace_id), lead.encode(), run.encode(), *boots, f"d_{lead[5:]}".encode()]
        yield request.SerializeToString(), ids


def _renamed(body: bytes, ids: list[bytes], copy: int) -> bytes:
    """The same lead under other ids of the same length."""
    for one in ids:
        body = body.replace(one, _other_id(one, copy))
    return body


def _other_id(one: bytes, copy: int) -> bytes:
    if one.startswith((b"lead_", b"d_")):
        name, _, number = one.partition(b"_")
        return name + b"_%02d%s" % (copy, number[2:])
    other = hashlib.blake2b(one + bytes([copy]), digest_size=16)
    return other.digest() if len(one) == 16 and not one.isalnum() else other.hexdigest().encode()[: len(one)]


def _set(of: Any, attributes: Any) -> None:
    for key, value in attributes.items():
        pair = of.attributes.add()
        pair.key = key
        _fill(pair.value, value)


def _fill(into: AnyValue, value: object) -> None:
    match value:
        case bool():
            into.bool_value = value
        case str():
            into.string_value = value
        case int():
            into.int_value = value
        case float():
            into.double_value = value
        case list() | tuple():
            for one in value:
                _fill(into.array_value.values.add(), one)


# --- Jaeger ------------------------------------------------------------------------------------------------------------


@dataclass
class Fetched:
    """Traces as Jaeger returned them, and what that took."""

    seconds: float = 0.0
    bytes: int = 0
    requests: int = 0
    spans: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    """Each with its tags."""
    traces: int = 0


class Jaeger:
    def __init__(self, server: Server) -> None:
        self.server = server

    def get(self, path: str) -> bytes:
        return get(self.server.query, path)

    def fetch(self, since_ns: int, until_ns: int, piece_ns: int = HOUR, **more: str) -> Fetched:
        """All traces that have a span in that time, and these tags or this operation: piece by piece."""
        found, seen = Fetched(), set()
        for at in range(since_ns, until_ns, piece_ns):
            part = {"start": at // 1000, "end": min(at + piece_ns, until_ns) // 1000 - 1, "limit": _ENOUGH}
            began = time.perf_counter()
            body = self.get("/api/traces?" + urlencode({"service": "pipeline", **part, **more}))
            data = json.loads(body)["data"]
            found.seconds += time.perf_counter() - began
            found.bytes += len(body)
            found.requests += 1
            for trace in data:
                if trace["traceID"] not in seen:
                    seen.add(trace["traceID"])
                    found.spans += [(span, values(span["tags"])) for span in trace["spans"]]
        found.traces = len(seen)
        return found


def values(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    return {one["key"]: one["value"] for one in pairs}


def logs(found: Fetched, since_ns: int, until_ns: int) -> Iterator[dict[str, Any]]:
    """The events of that time on what was fetched."""
    for span, _ in found.spans:
        for log in span["logs"]:
            if since_ns // 1000 <= log["timestamp"] < until_ns // 1000:
                yield values(log["fields"])


def rank(sorted_values: list[float], share: float) -> float:
    return sorted_values[max(1, math.ceil(round(share * len(sorted_values), 9))) - 1]


# --- what is asked -----------------------------------------------------------------------------------------------------


@dataclass
class Line:
    report: str
    question: str
    how: str
    """How Jaeger answers it."""
    jaeger_s: float
    fetched: str
    leadtrace_s: float = 0.0


def ask_jaeger(jaeger: Jaeger, lead_id: str) -> tuple[list[Line], dict[str, Any]]:
    """The questions that it can answer, and the answers."""
    since, until = DAY_ASKED, DAY_ASKED + DAY
    lines: list[Line] = []
    answers: dict[str, Any] = {}

    def timed(ask: Callable[[], Any]) -> tuple[float, Any]:
        began = time.perf_counter()
        found = ask()
        return time.perf_counter() - began, found

    took, services = timed(lambda: json.loads(jaeger.get("/api/services"))["data"])
    lines.append(Line("", "which services", "answers", took, f"{len(services)} names"))
    took, names = timed(lambda: json.loads(jaeger.get("/api/services/pipeline/operations"))["data"])
    lines.append(Line("", "which operations", "answers", took, f"{len(names)} names"))

    tags = json.dumps({"lead.id": lead_id})
    one = jaeger.fetch(MONDAY, MONDAY + 8 * DAY, 8 * DAY, tags=tags)
    lines.append(Line("(`lead`)", "one lead's timeline", "answers, by tag", one.seconds, told(one)))
    answers["lead"] = Counter(log["event"] for log in logs(one, 0, MONDAY * 2))

    bad = jaeger.fetch(since, until, tags=json.dumps({"error": "true"}))
    lines.append(
        Line("errors", "errors of the day by group", "by fetching every trace with an error", bad.seconds, told(bad))
    )
    errors = [log for log in logs(bad, since, until) if log["event"] == "error.occurred"]
    answers["errors"] = Counter(log["error.fingerprint"] for log in errors)

    day = jaeger.fetch(since, until)
    every = "by fetching every trace of the day"
    for report, question in (
        ("frequency", "events of the day by name"),
        ("performance", "p50 and p95 of each enhancement by flow version"),
        ("roi", "calls and cost of each enhancement of the day"),
        ("business", "revenue of the day by buyer"),
        ("reliability", "answered and failed calls of each service"),
    ):
        lines.append(Line(report, question, every, day.seconds, told(day)))
    told_of = list(logs(day, since, until))
    answers["frequency"] = Counter(log["event"] for log in told_of)
    ends = [log for log in told_of if log["event"] in ("enhancement.success", "enhancement.failed")]
    flows = {
        tags["leadtrace.run_id"]: (tags["flow.name"], str(tags["flow.version"]))
        for _, tags in day.spans
        if tags["leadtrace.word"] == "flow"
    }
    took_ms: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for log in ends:
        flow = flows.get(log["leadtrace.run_id"], ("", ""))
        took_ms[*flow, log["enhancement.name"]].append(log["enhancement.duration_ms"])
    answers["performance"] = {
        name: (len(some), rank(sorted(some), 0.5), rank(sorted(some), 0.95)) for name, some in took_ms.items()
    }
    calls: Counter[str] = Counter()
    cost: Counter[str] = Counter()
    for log in ends:
        calls[log["enhancement.name"]] += 1
        cost[log["enhancement.name"]] += round(log["enhancement.cost"] * 1_000_000)
    answers["roi"] = {name: (count, cost[name]) for name, count in calls.items()}
    revenue: Counter[tuple[str, str]] = Counter()
    for log in told_of:
        if log["event"] == "delivery.accepted":
            revenue[log["delivery.buyer"], log["delivery.currency"]] += round(log["delivery.revenue"] * 1_000_000)
    answers["business"] = dict(revenue)
    answers["reliability"] = {
        service: (
            sum(log["enhancement.service"] == service for log in ends),
            sum(log["enhancement.service"] == service and log["event"] == "enhancement.failed" for log in ends),
        )
        for service in {log["enhancement.service"] for log in ends}
    }
    return lines, answers


def told(found: Fetched) -> str:
    return (
        f"{found.traces:,} traces, {len(found.spans):,} spans, {found.bytes / 2**20:,.1f} MB, {found.requests} requests"
    )


def metrics(jaeger: Jaeger) -> str:
    """What `/api/metrics` says without a backend of metrics."""
    query = f"service=pipeline&quantile=0.95&endTs={(DAY_ASKED + DAY) // 10**6}&lookback={DAY // 10**6}"
    try:
        return jaeger.get(f"/api/metrics/latencies?{query}")[:200].decode()
    except RuntimeError as refused:
        return str(refused).partition(": ")[2]


def ask_leadtrace(url: str, lead_id: str, times: int = 3) -> tuple[dict[str, float], dict[str, Any]]:
    """Seconds for each question, the best of so many times, and the same answers."""
    window = {"since_ns": DAY_ASKED, "until_ns": DAY_ASKED + DAY, "now_ns": DAY_ASKED + DAY}
    took: dict[str, float] = {}
    answers: dict[str, Any] = {}
    with leadtrace.open(url) as reader:

        def best(name: str, ask: Callable[[], Any]) -> Any:
            tried = []
            for _ in range(times):
                began = time.perf_counter()
                found = ask()
                tried.append(time.perf_counter() - began)
            took[name] = min(tried)
            return found

        found = best("(`lead`)", lambda: reader.timeline(lead_id))
        answers["lead"] = Counter(one.name for one in found.events)
        for name in ("errors", "frequency", "performance", "roi", "business", "reliability"):
            more = {"by": "buyer"} if name == "business" else {}
            answers[name] = _figures(name, best(name, lambda n=name, m=more: reader.report(n, **window, **m)))
    return took, answers


def _figures(name: str, found: Any) -> Any:
    from leadtrace.analysis.business import Takings
    from leadtrace.analysis.performance import StepTime
    from leadtrace.analysis.reliability import Partner
    from leadtrace.analysis.roi import Calls, Return

    if name == "errors":
        return Counter({one.group: one.errors for one in found.rows})
    if name == "frequency":
        counts: Counter[str] = Counter()
        for one in found.rows:
            counts[one.name] += one.events
        return counts
    if name == "roi":
        cost = {one.enhancement: int(one.cost * 1_000_000) for one in found.of(Return) if one.currency == "USD"}
        return {one.enhancement: (one.attempts, cost[one.enhancement]) for one in found.of(Calls)}
    if name == "business":
        return {(one.of, one.currency): int(one.revenue * 1_000_000) for one in found.of(Takings) if one.revenue}
    if name == "reliability":
        return {one.name: (one.calls, one.unanswered) for one in found.of(Partner) if one.sort == "service"}
    return {
        (one.flow, one.version, one.name): (one.calls, one.p50_ms, one.p95_ms)
        for one in found.of(StepTime)
        if one.word == "enhancement"
    }


# --- the bench ---------------------------------------------------------------------------------------------------------


def filled(start: Callable[[Path], Server], sent: list[bytes], folder: Path) -> tuple[Server, float]:
    folder.mkdir()
    server = start(folder)
    return server, send(server.otlp, sent)


def end(server: Server) -> None:
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(120)


def same(answers: dict[str, Any], others: dict[str, Any]) -> list[str]:
    """The questions to which both say the same. The first difference of any other is printed."""
    agreed = []
    for name, answer in answers.items():
        if answer == others[name]:
            agreed.append(name)
        else:
            print(f"{name} differs: Jaeger {answer}\n  leadtrace {others[name]}", file=sys.stderr)
    return agreed


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=1_000_000)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    options.add_argument("--jaeger", type=Path, default=cache / "leadtrace/servers/jaeger")
    options.add_argument("--fetch", action="store_true", help="also ask leadtrace's own reports over jaeger://")
    asked = options.parse_args()
    sent, leads, lead_id = bodies(asked.events)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server, seconds = filled(start_jaeger(asked.jaeger, sync=False), sent, folder / "jaeger")
        try:
            jaeger = Jaeger(server)
            print(f"{leads:,} leads; Jaeger took them in {seconds:.0f} s", flush=True)
            lines, answers = ask_jaeger(jaeger, lead_id)
            fetched_s: dict[str, float] = {}
            if asked.fetch:
                fetched_s, fetched = ask_leadtrace(f"jaeger://127.0.0.1:{server.query}", lead_id, 1)
                agreed_fetched = same(answers, fetched)
            print(f"/api/metrics/latencies without a backend of metrics: {metrics(jaeger)}")
            print(
                f"Jaeger: {memory_mb(server.process):,.0f} MB of memory at most, {disk_mb(folder / 'jaeger'):,.0f} MB on disk"
            )
        finally:
            end(server)
        server, seconds = filled(start_serve, sent, folder / "serve")
        end(server)
        path = folder / "serve" / "store.db"
        store = EmbeddedStore.open(path, write=True)
        began = time.perf_counter()
        Upkeep(store).copy()
        store.close()
        made = time.perf_counter() - began
        print(f"leadtrace serve took them in {seconds:.0f} s; columns made in another {made:.0f} s", flush=True)
        took, others = ask_leadtrace(str(path), lead_id)
        agreed = same(answers, others)
    events = sum(answers["frequency"].values())
    print(f"{events:,} events in the day that is asked about\n")
    print("| report | question | Jaeger | Jaeger, s | fetched | leadtrace, s | leadtrace over Jaeger, s |")
    print("|---|---|---|---|---|---|---|")
    for one in lines:
        key = "lead" if one.report == "(`lead`)" else one.report
        if key and key not in agreed:
            one.how += " (the answers differ)"
        ours = f"{took[one.report]:.2f}" if one.report else ""
        over = ""
        if one.report in fetched_s:
            over = f"{fetched_s[one.report]:.2f}" + " (differs)" * (key not in agreed_fetched)
        print(f"| {one.report} | {one.question} | {one.how} | {one.jaeger_s:.2f} | {one.fetched} | {ours} | {over} |")


if __name__ == "__main__":
    main()
