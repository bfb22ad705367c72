"""What `Sink` promises, asked of every sink: on the disk, in memory, and the one of `capture()`."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from leadtrace.journal.disk import JournalSink
from leadtrace.journal.endpoints import Target, endpoints
from leadtrace.journal.kept import drain
from leadtrace.journal.memory import MemorySink
from leadtrace.journal.transport import OtlpTransport
from leadtrace.otlp import encode, identity
from leadtrace.otlp.peek import peek_log
from leadtrace.otlp.sink import Signal
from leadtrace.testing import capture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOGS = encode.signal("logs", "leadtrace", "1", "https://schemas/1")
OTHERS = encode.signal("logs", "another")
SPANS = encode.signal("traces", "leadtrace")
RESOURCE = encode.resource({"service.name": "test"})


def event(name: str) -> bytes:
    return encode.log_record(name, time.time_ns(), {"at": name}, trace_id=7, span_id=8)


@dataclass
class Subject:
    """A sink, and how to see what it took and what its receiver got."""

    name: str
    sink: Any
    received: Callable[[], list[str]]
    """Names of the log records that have arrived, in order."""
    take: Callable[[str], list[bytes]]
    """What was kept of a kind, once."""
    saves: bool
    why: str
    """Of a record that was taken."""


@pytest.fixture(params=["journal", "memory", "capture"])
def subject(request, folder, over_http) -> Iterator[Subject]:
    def arrived() -> list[str]:
        return over_http.names("logs")

    way = OtlpTransport(endpoints(Target(over_http.address), {}))
    if request.param == "journal":
        disk = JournalSink(folder, {"default": way}, RESOURCE, service="test", interval_s=0.01)

        def drained(kind: str) -> list[bytes]:
            found: list[bytes] = []
            drain(folder.path, kind, found.extend)
            return found

        yield Subject("journal", disk, arrived, drained, True, "")
        disk.close(0.2)
    elif request.param == "memory":
        memory = MemorySink(way, RESOURCE, interval_s=0.01)
        yield Subject("memory", memory, arrived, memory.take_kept, False, "in memory")
        memory.close(0.2)
    else:
        with capture(strict=False) as captured:
            sink = captured.sink
            yield Subject(
                "capture",
                sink,
                lambda: [peek_log(record).name for signal, record in sink.records if signal.kind == "logs"],
                sink.take_kept,
                False,
                "captured",
            )


def test_a_record_is_taken_and_the_receipt_says_how_safe_it_is(subject):
    """`saved` only where it is in a file; where it is not, why; its uid, or none for the caller to fill in."""
    uid = identity.current().uid()
    receipt = subject.sink.append(LOGS, event("one"), uid=uid, opens=1)
    assert (receipt.saved, receipt.why) == (subject.saves, subject.why)
    assert receipt.uid in (uid, "")
    assert subject.sink.flush(10)
    assert subject.received() == ["one"]


async def test_a_receipt_can_be_awaited_and_comes_back(subject):
    """On any sink, and at once where there is nothing to wait for."""
    receipt = subject.sink.append(LOGS, event("one"))
    assert await receipt == receipt


def test_what_one_thread_appends_keeps_its_order(subject):
    """Whatever other threads append between."""

    def write(letter: str) -> None:
        for number in range(100):
            subject.sink.append(LOGS if number % 2 else OTHERS, event(f"{letter}{number}"))

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abc"]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert subject.sink.flush(20)
    # A request groups records by their scope, so the order that holds on the wire is that within a scope.
    got = subject.received()
    for letter in "abc":
        for odd in (0, 1):
            mine = [int(one[1:]) for one in got if one[0] == letter and int(one[1:]) % 2 == odd]
            assert mine == list(range(odd, 100, 2))


def test_nothing_that_is_handed_in_raises(subject):
    """Not empty bytes, not a record without sense, not a key that opens twice or closes what was never open."""
    for record in (b"", b"\x00", event("sense")):
        for more in ({}, {"opens": 5}, {"opens": 5}, {"closes": 5}, {"closes": 6}, {"uid": "no uid of ours"}):
            assert subject.sink.append(LOGS, record, **more).why == subject.why
    assert subject.sink.append(SPANS, b"").why == subject.why


def test_what_is_kept_is_given_once_in_order_and_never_sent(subject):
    """Each kind by itself; the answer is as that of `append`."""
    for number in range(5):
        receipt = subject.sink.keep("lead_event", b"payload %d" % number)
        assert (receipt.saved, receipt.why) == (subject.saves, subject.why)
    subject.sink.keep("other", b"not yours")
    assert subject.take("lead_event") == [b"payload %d" % number for number in range(5)]
    assert subject.take("lead_event") == []
    assert subject.take("other") == [b"not yours"]
    assert subject.take("never heard of") == []
    assert subject.sink.flush(10)
    assert subject.received() == []


def test_flush_waits_for_what_came_before_it(subject):
    """And is done at once where nothing waits."""
    assert subject.sink.flush(0)
    for number in range(20):
        subject.sink.append(LOGS, event(f"e{number}"))
    assert subject.sink.flush(10)
    assert subject.received() == [f"e{number}" for number in range(20)]


def test_any_thread_may_append_while_another_closes(subject):
    """Each gets an answer: taken, or refused as closed. What was taken and sent is there once."""
    answers: list[Any] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set() and len(answers) < 5_000:
            answers.append(subject.sink.append(LOGS, event("e")))

    threads = [threading.Thread(target=write) for _ in range(3)]
    for one in threads:
        one.start()
    subject.sink.close(2)
    stop.set()
    for one in threads:
        one.join()
    assert {one.why for one in answers} <= {subject.why, "closed"}
    assert len(subject.received()) <= sum(one.why == subject.why for one in answers)


def test_close_may_be_called_again(subject):
    """By the host, by a context manager and at the exit."""
    subject.sink.append(LOGS, event("one"))
    for _ in range(3):
        subject.sink.close(2)
    assert subject.received() == ["one"]


# --- ends and bounds ---------------------------------------------------


def test_after_close_everything_is_refused_as_closed_and_counted(subject):
    """Also what was to be kept. A test's list has no end: it shows what came late too."""
    subject.sink.append(LOGS, event("one"))
    subject.sink.close(5)
    if subject.name == "capture":
        assert subject.sink.append(LOGS, event("late")).why == "captured"
        assert subject.received() == ["one", "late"]
        return
    dropped = subject.sink.stats.dropped
    answers = [
        subject.sink.append(LOGS, event("late")),
        subject.sink.append(SPANS, b""),
        subject.sink.keep("lead_event", b"late"),
    ]
    assert [(one.saved, one.why) for one in answers] == [(False, "closed")] * 3
    assert subject.sink.stats.dropped == dropped + 3
    assert subject.received() == ["one"]


@pytest.mark.parametrize("make", ["journal", "memory"])
def test_as_it_fills_it_refuses_by_one_order_and_says_full(make, folder):
    """Spans of others first, then spans of ours, events last; and what is to be kept as long as events."""
    way = OtlpTransport(endpoints(Target("http://127.0.0.1:9"), {}))
    sink: Any = (
        JournalSink(folder, {"default": way}, RESOURCE, capacity_bytes=60_000)
        if make == "journal"
        else MemorySink(way, RESOURCE, capacity_bytes=60_000)
    )
    foreign = Signal("traces", encode.signal("traces", "httpx").scope, foreign=True)
    body = b"\x12\x80\x02" + bytes(256)
    order = []
    try:
        for signal, name in ((foreign, "foreign"), (SPANS, "ours"), (LOGS, "event")):
            while (answer := sink.append(signal, body)).why != "full":
                assert answer.why == ("" if make == "journal" else "in memory")
            assert not answer.saved
            order.append(name)
            assert sink.append(foreign, body).why == "full"
        assert sink.stats.dropped == 2 * len(order)
    finally:
        sink.close(0.1)


@pytest.mark.parametrize("make", ["journal", "memory"])
def test_a_kind_that_nobody_takes_is_off_and_no_loss(make, folder, over_http):
    """As where OTEL_TRACES_EXPORTER is none."""
    wanted = {kind: one for kind, one in endpoints(Target(over_http.address), {}).items() if kind == "logs"}
    way = OtlpTransport(wanted)
    sink: Any = JournalSink(folder, {"default": way}, RESOURCE) if make == "journal" else MemorySink(way, RESOURCE)
    try:
        assert sink.append(SPANS, b"").why == "off"
        assert sink.stats.dropped == 0
    finally:
        sink.close(1)
