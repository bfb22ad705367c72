"""What Jaeger sees: spans by the real SDK, their attributes, events, status, and the log records that go with them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanKind, StatusCode
from words_provider import Spans, recording

import leadtrace as lt
from leadtrace.otlp.decode import decode_logs
from leadtrace.otlp.records import EventRecord
from leadtrace.otlp.redact import Redactor
from leadtrace.testing import Captured
from leadtrace.testing.captured import _Kept
from leadtrace.version import __version__
from leadtrace.words import runtime
from leadtrace.words.tries import Tries


def flat(attributes: Any) -> dict[str, object]:
    """Attributes to compare: a span holds lists as tuples."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in dict(attributes or {}).items()}


@contextlib.contextmanager
def running(**options: Any) -> Iterator[_Kept]:
    """A runtime with a sink that keeps the bytes."""
    sink = _Kept()
    made = runtime.Runtime(sink=sink, redactor=Redactor(b"k" * 32), **options)
    before = runtime.install(made)
    try:
        yield sink
    finally:
        runtime.uninstall(before)


def decoded(sink: _Kept) -> list[EventRecord]:
    """The log records as a receiver reads them."""
    found: list[EventRecord] = []
    for signal, record in sink.records:
        inner = signal.scope + record  # a ScopeLogs; below it is framed as ResourceLogs and LogsData
        for number in (2, 1):
            inner = _framed(number, inner)
        found.extend(decode_logs(inner))
    return found


def _framed(number: int, body: bytes) -> bytes:
    size, out = len(body), bytearray([number << 3 | 2])
    while size > 127:
        out.append(size & 127 | 128)
        size >>= 7
    out.append(size)
    return bytes(out) + body


def _all_words() -> None:
    with lt.flow("F", id="f1", version=2, lead_id="L1", tenant="acme") as flow:
        lt.move_to("received")
        with flow.step("routing", chosen="Acme"):
            lt.emit("low.confidence.detected", confidence_score=0.5)
        with flow.enhancement("Phone", service="S", cost=0.02) as enhancement:
            enhancement.note(data_appended={"phone_type": "mobile", "nested": {"a": 1}})
        with flow.validation("v", passed=False, reason="too old"):
            pass
        with flow.rule("r"):
            pass
        with contextlib.suppress(OSError), flow.delivery("Acme") as delivery, delivery.attempt("POST", max_attempts=2):
            raise ConnectionRefusedError("closed")
        with flow.fallback("other", instead_of="Acme") as fallback, fallback.delivery("Other") as other:
            other.accepted(revenue=3)


NOT_ON_SPANS = {"log.record.uid", "leadtrace.marks"}


def test_a_span_carries_every_field_of_its_end_event(spans: Spans, told: Captured) -> None:
    _all_words()
    by_id = {f"{one.context.span_id:016x}": one for one in spans.all()}  # type: ignore[union-attr]
    ends: dict[str, EventRecord] = {}
    for one in told.events():
        if "leadtrace.word" in one.attributes and one.attributes["leadtrace.kind"] != "start":
            ends[one.span_id] = one
    assert set(ends) == set(by_id)
    for span_id, end in ends.items():
        span = by_id[span_id]
        shown = flat(span.attributes)
        for key, value in end.attributes.items():
            if key not in NOT_ON_SPANS:
                wanted = value if not isinstance(value, dict) else shown[key]
                assert shown[key] == wanted, (end.name, key)
        assert shown["lead.id"] == "L1"
        assert shown["tenant_key"] == "acme"
        assert span.name == end.attributes["leadtrace.name"]
        assert (span.start_time, span.end_time) == (
            next(one.time_ns for one in told.events() if one.span_id == span_id),
            end.time_ns,
        )
        assert span.instrumentation_scope is not None
        assert (span.instrumentation_scope.name, span.instrumentation_scope.version) == ("leadtrace", __version__)
        assert span.instrumentation_scope.schema_url == f"https://leadtrace.dev/schemas/{__version__}"


def test_span_event_and_log_record_are_equal(spans: Spans) -> None:
    with running() as sink:
        _all_words()
    records = {one.uid: one for one in decoded(sink)}
    shown = [(span, one) for span in spans.all() for one in span.events if one.name != "exception"]
    assert len(shown) == len(records)
    for span, event in shown:
        record = records[str((event.attributes or {})["log.record.uid"])]
        assert (event.name, event.timestamp) == (record.name, record.time_ns)
        on_span, on_record = flat(event.attributes), dict(record.attributes)
        for key, value in on_record.items():
            if isinstance(value, dict):
                on_record[key] = on_span[key]  # a span's attribute cannot hold a map: it is JSON there
        assert on_span == on_record
        assert span.context is not None
        assert (record.trace_id, record.span_id) == (f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}")
        assert record.scope.name == "leadtrace"
        assert record.scope.schema_url.endswith(__version__)
        assert record.severity_number in (9, 13, 17)
        assert record.severity_text == ""


def test_status_is_error_for_the_failure_kinds_only(spans: Spans, told: Captured) -> None:
    _all_words()
    status = {one.name: (one.status.status_code, one.status.description) for one in spans.all()}
    failed = (StatusCode.ERROR, "closed")
    assert status == {
        "F": (StatusCode.UNSET, None),
        "routing": (StatusCode.UNSET, None),
        "Phone": (StatusCode.UNSET, None),
        "v": (StatusCode.UNSET, None),
        "r": (StatusCode.UNSET, None),
        "POST": failed,
        "deliver to Acme": failed,
        "other": (StatusCode.UNSET, None),
        "deliver to Other": (StatusCode.UNSET, None),
    }
    assert spans.one("POST").attributes["error.type"] == "ConnectionRefusedError"  # type: ignore[index]


def test_expected_and_cancelled_leave_the_status_unset(spans: Spans, told: Captured) -> None:
    with pytest.raises(LookupError), lt.enhancement("E", expected=LookupError):
        raise LookupError("x")
    with pytest.raises(KeyboardInterrupt), lt.step("S"):
        raise KeyboardInterrupt
    assert [one.status.status_code for one in spans.all()] == [StatusCode.UNSET] * 2


def test_attempts_are_clients_and_the_rest_internal(spans: Spans, told: Captured) -> None:
    _all_words()
    assert {one.name for one in spans.all() if one.kind is SpanKind.CLIENT} == {"POST"}
    assert {one.kind for one in spans.all()} == {SpanKind.CLIENT, SpanKind.INTERNAL}


@lt.step
def _placed() -> None: ...


def test_code_attributes_say_where_it_is_written(spans: Spans, told: Captured) -> None:
    _placed()
    with lt.step("here"):
        pass
    decorated, within = flat(spans.one("_placed").attributes), flat(spans.one("here").attributes)
    assert decorated["code.function.name"] == f"{__name__}._placed"
    assert decorated["code.file.path"] == within["code.file.path"] == __file__
    assert isinstance(decorated["code.line.number"], int)
    assert within["code.function.name"] == f"{__name__}.test_code_attributes_say_where_it_is_written"
    assert all("code.file.path" not in one.attributes for one in told.events())


def test_one_exception_event_at_the_innermost_word(spans: Spans, told: Captured) -> None:
    with pytest.raises(ValueError, match="broken"), lt.flow("F", lead_id="L1"), lt.step("outer"), lt.step("inner"):
        raise ValueError("broken")
    found = {one.name: [event for event in one.events if event.name == "exception"] for one in spans.all()}
    assert {name: len(events) for name, events in found.items()} == {"F": 0, "outer": 0, "inner": 1}
    attributes = found["inner"][0].attributes or {}
    assert attributes["exception.type"] == "ValueError"
    assert attributes["exception.message"] == "broken"
    assert "raise ValueError" in str(attributes["exception.stacktrace"])


@pytest.mark.parametrize("events", ["both", "logs", "span"])
@pytest.mark.parametrize(
    ("opted", "on_span", "as_log"),
    [("", 1, 0), ("logs", 0, 1), ("logs/dup", 1, 1), ("database, logs", 0, 1)],
)
def test_the_exception_goes_where_the_standard_variable_says(
    opted: str, on_span: int, as_log: int, events: Any, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", opted)
    with running(events=events) as sink, pytest.raises(ValueError, match="x"), lt.step("S", lead_id="L1"):
        raise ValueError("x")
    span = spans.one("S")
    assert len([one for one in span.events if one.name == "exception"]) == on_span
    logged = [one for one in decoded(sink) if one.name == "exception"]
    assert len(logged) == as_log
    if logged:
        assert logged[0].attributes["exception.type"] == "ValueError"
        assert logged[0].lead_id == "L1"
        assert span.context is not None
        assert logged[0].span_id == f"{span.context.span_id:016x}"


@pytest.mark.parametrize(
    ("events", "on_spans", "as_logs"), [("both", True, True), ("logs", False, True), ("span", True, False)]
)
def test_the_setting_says_where_events_go(events: Any, on_spans: bool, as_logs: bool, spans: Spans) -> None:
    with running(events=events) as sink:
        with lt.flow("F", lead_id="L1"):
            receipt = lt.emit("lead.received")
        lt.emit("lead.received", lead_id="L1")
    names = ["flow.started", "lead.received", "flow.completed", "lead.received"]
    assert [one.name for one in decoded(sink)] == (names if as_logs else [])
    assert [e.name for one in spans.all() for e in one.events] == (names if on_spans else [])
    assert spans.names() == (["F", "lead.received"] if on_spans else ["F"])
    assert len(receipt.uid) == 28
    assert receipt.saved is False
    assert receipt.why == ("captured" if as_logs else "span only")
    assert flat(spans.one("F").attributes)["flow.summary.final_outcome"] == "undelivered", "the story is on the span"


def test_a_sampled_out_trace_has_all_its_log_records_with_their_parents() -> None:
    with recording(sampler=ParentBased(ALWAYS_OFF)) as spans, lt.capture() as told:
        _all_words()
        assert spans.all() == []
        starts = {one.span_id: one for one in told.events() if one.attributes["leadtrace.kind"] == "start"}
        root = told.one("flow.started")
        for one in starts.values():
            if one is not root:
                assert one.attributes["leadtrace.parent_span_id"] in starts
        assert "leadtrace.parent_span_id" not in root.attributes
        assert len({one.trace_id for one in told.events()}) == 1
    with recording(), lt.capture() as whole:
        _all_words()
    assert told.tree() == whole.tree()


def test_the_current_span_inside_a_word_is_its_span(spans: Spans, told: Captured) -> None:
    tracer = spans.provider.get_tracer("contrib")
    with lt.step("S") as step:
        assert f"{trace.get_current_span().get_span_context().span_id:016x}" == step.span_id
        with tracer.start_as_current_span("GET /phone"), lt.step("inner"):
            lt.emit("low.confidence.detected", threshold=1)
    assert not trace.get_current_span().get_span_context().is_valid
    outer, contrib, inner = spans.one("S"), spans.one("GET /phone"), spans.one("inner")
    assert contrib.parent is not None
    assert inner.parent is not None
    assert contrib.parent.span_id == outer.context.span_id  # type: ignore[union-attr]
    assert inner.parent.span_id == contrib.context.span_id  # type: ignore[union-attr]
    started = told.events("operation.started")[1]
    assert started.attributes["leadtrace.parent_span_id"] == f"{outer.context.span_id:016x}"  # type: ignore[union-attr]
    assert [one.name for one in inner.events] == ["operation.started", "low.confidence.detected", "operation.completed"]


def test_a_flow_is_a_child_of_the_current_span_unless_it_starts_its_own_trace(spans: Spans, told: Captured) -> None:
    with spans.provider.get_tracer("web").start_as_current_span("POST /leads") as request:
        with lt.flow("child"):
            pass
        with lt.flow("own", new_trace=True):
            pass
    there = request.get_span_context()
    child, own = spans.one("child"), spans.one("own")
    assert child.parent is not None
    assert child.parent.span_id == there.span_id
    assert own.parent is None
    assert own.context is not None
    assert own.context.trace_id != there.trace_id
    assert [one.context.span_id for one in own.links] == [there.span_id]


class Counting(IdGenerator):
    """A host's own ids."""

    def __init__(self) -> None:
        self.last = 0

    def generate_span_id(self) -> int:
        self.last += 1
        return self.last

    def generate_trace_id(self) -> int:
        return 0xABC


def test_the_providers_id_generator_and_limits_are_honoured() -> None:
    limits = SpanLimits(max_span_attributes=8, max_events=3, max_attribute_length=5)
    with (
        recording(id_generator=Counting(), span_limits=limits) as spans,
        lt.capture() as told,
        lt.step("S", lead_id="L1"),
    ):
        for _ in range(10):
            lt.emit("low.confidence.detected", action_taken="a long text")
    span = spans.one("S")
    assert told.one("operation.started").trace_id == f"{0xABC:032x}"
    assert told.one("operation.started").span_id == f"{1:016x}"
    assert len(span.attributes or {}) == 8
    assert len(span.events) == 3
    assert all(len(value) <= 5 for value in (span.attributes or {}).values() if isinstance(value, str))
    assert len(told.events()) == 12
    assert told.events("low.*")[0].attributes["action.taken"] == "a long text"


def test_without_an_sdk_the_words_make_their_own_ids(told: Captured) -> None:
    with lt.flow("F", lead_id="L1"), lt.step("s"):
        context = trace.get_current_span().get_span_context()
        assert context.is_valid
        lt.emit("lead.received")
    flow, step = told.one("flow.started"), told.one("operation.started")
    assert len({one.trace_id for one in told.events()}) == 1
    assert step.attributes["leadtrace.parent_span_id"] == flow.span_id
    assert f"{context.span_id:016x}" == step.span_id == told.one("lead.received").span_id


def test_a_noop_provider_gets_own_ids_too(told: Captured) -> None:
    from words_provider import provider_in_place

    with provider_in_place(trace.NoOpTracerProvider()), lt.flow("F", lead_id="L1"), lt.step("s"):
        pass
    assert told.one("operation.started").attributes["leadtrace.parent_span_id"] == told.one("flow.started").span_id


def test_an_event_outside_any_word_of_its_lead_gets_a_root_span_linked_to_the_current_one(
    spans: Spans, told: Captured
) -> None:
    receipt = lt.emit("lead.returned", lead_id="L1", tenant="acme", return_amount=5)
    with spans.provider.get_tracer("web").start_as_current_span("POST /returns") as request:
        lt.move_to("returned", lead_id="L2")
    with lt.flow("other", lead_id="L3"):
        lt.emit("lead.returned", lead_id="L4")
    first = spans.all()[0]
    assert first.name == "lead.returned"
    assert first.parent is None
    assert first.links == ()
    assert (first.end_time or 0) - (first.start_time or 0) == 1, "of no length, but for what Jaeger would mend"
    shown = flat(first.attributes)
    assert (shown["lead.id"], shown["tenant_key"], shown["lead.return.amount"]) == ("L1", "acme", 5.0)
    assert shown["lead.return.currency"] == "USD"
    assert [one.name for one in first.events] == ["lead.returned"]
    assert (first.events[0].attributes or {})["log.record.uid"] == receipt.uid
    moved = spans.one("lead.state.changed")
    assert moved.parent is None
    assert [one.context.span_id for one in moved.links] == [request.get_span_context().span_id]
    within = spans.all()[3] if spans.all()[3].name == "lead.returned" else spans.all()[2]
    assert within.parent is None
    record = told.events("lead.returned")[0]
    assert record.span_id == f"{first.context.span_id:016x}"  # type: ignore[union-attr]


def test_an_event_of_no_lead_goes_on_the_innermost_word_and_opens_no_span(spans: Spans, told: Captured) -> None:
    lt.emit("record.quarantined", source="batch.csv", line=3)
    with lt.flow("F", lead_id="L1"):
        lt.emit("record.quarantined", source="batch.csv", line=4)
    first, second = told.events("record.quarantined")
    assert "lead.id" not in first.attributes
    assert "lead.id" not in second.attributes
    assert first.trace_id == ""
    assert [one.name for one in spans.one("F").events] == ["flow.started", "record.quarantined", "flow.completed"]
    assert spans.names() == ["F"]


def test_a_bulk_span_holds_a_summary_only(spans: Spans, told: Captured) -> None:
    with lt.enhancement("E", lead_ids=["A", "B"], cost=0.03) as handle, lt.step("inner"):
        handle.note(failure_note="call 415-555-0100")
    span = spans.one("E")
    shown = flat(span.attributes)
    assert shown["leadtrace.lead_ids"] == ["A", "B"]
    assert "lead.id" not in shown
    assert shown["enhancement.cost"] == 0.03
    assert "555" not in str(shown)
    assert [one.name for one in span.events] == ["enhancement.started"]
    assert flat(spans.one("inner").attributes)["leadtrace.lead_ids"] == ["A", "B"]


def test_identify_names_the_lead_on_the_open_spans(spans: Spans, told: Captured) -> None:
    with lt.flow("F"), lt.step("S"):
        lt.identify("L9", tenant="acme")
    for one in spans.all():
        assert (one.attributes or {})["lead.id"] == "L9"
        assert (one.attributes or {})["tenant_key"] == "acme"


def test_words_record_on_a_provider_alone_without_configure(spans: Spans) -> None:
    """A host that only set a provider sees spans with their events; personal data are hashed all the same."""
    with lt.flow("F", lead_id="ann@example.org") as flow:
        flow.note(x="call 415-555-0100")
    span = spans.one("F")
    assert str((span.attributes or {})["lead.id"]).startswith("email#")
    assert "555" not in str(span.attributes)
    assert [one.name for one in span.events] == ["flow.started", "flow.completed"]


class Failing(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("a host's processor")


class FailingSink:
    def append(self, *_: object) -> Any:
        raise OSError("disk")

    def keep(self, *_: object) -> Any:
        raise OSError("disk")

    def flush(self, timeout_s: float) -> bool:
        return False

    def close(self, timeout_s: float) -> None: ...


class FailingRedactor(Redactor):
    def attributes(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("redactor")


def test_a_try_ends_within_its_delivery_however_long_its_start_took_to_tell(
    spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Tries.begin

    def slowly(*asked: Any) -> Any:
        until = time.monotonic_ns() + 5_000_000  # as where another thread has the processor
        while time.monotonic_ns() < until:
            pass
        return begin(*asked)

    monkeypatch.setattr(Tries, "begin", slowly)
    with running(), lt.delivery(buyer="Premier"), lt.attempt("POST lead"):
        pass
    attempt, delivery = (spans.one(name) for name in ("POST lead", "deliver to Premier"))
    assert delivery.start_time <= attempt.start_time
    assert attempt.end_time <= delivery.end_time


@pytest.mark.parametrize("broken", ["sink", "redactor", "processor", "clock"])
@pytest.mark.parametrize("raises", [False, True])
def test_telemetry_that_fails_inside_never_reaches_the_host(broken: str, raises: bool, spans: Spans) -> None:
    class FailingClock(runtime.Clock):
        def both(self) -> tuple[int, int]:
            raise RuntimeError("clock")

    if broken == "processor":
        spans.provider.add_span_processor(Failing())
    made = runtime.Runtime(
        sink=FailingSink() if broken == "sink" else _Kept(),
        redactor=(FailingRedactor if broken == "redactor" else Redactor)(b"k" * 32),
    )
    if broken == "clock":
        made.clock = FailingClock()
    problem = ValueError("the host's own")
    before = runtime.install(made)
    try:

        @lt.flow("F", lead_id=lt.arg.lead)
        def run(lead: str) -> str:
            lt.emit("lead.received")
            lt.move_to("received")
            lt.error(KeyError("handled"), recovery_action="none needed")
            with lt.step("S") as step:
                step.note(x=1)
                assert lt.carry() == {} or lt.carry()["leadtrace"]
            lt.identify("L2")
            if raises:
                raise problem
            return "done"

        if raises:
            with pytest.raises(ValueError, match="own") as caught:
                run("L1")
            assert caught.value is problem
        else:
            assert run("L1") == "done"
        assert not lt.current()
    finally:
        runtime.uninstall(before)
    if broken == "redactor":
        assert all(one.end_time for one in spans.all()), "what was opened is closed"


def test_the_environment_is_as_it_was() -> None:
    assert "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN" not in os.environ
