"""The sink on the disk against real receivers: what its receipts promise, and what becomes of it."""

from __future__ import annotations

import asyncio
import os
import resource
import threading
import time
from pathlib import Path

import pytest

from leadtrace.errors import JournalError
from leadtrace.journal import lanes
from leadtrace.journal.aside import set_aside
from leadtrace.journal.books import ledgers
from leadtrace.journal.disk import JournalSink
from leadtrace.journal.endpoints import Target, endpoints
from leadtrace.journal.folder import Folder
from leadtrace.journal.frames import Type
from leadtrace.journal.kept import drain
from leadtrace.journal.lanes import Lane
from leadtrace.journal.recovery import recover
from leadtrace.journal.segment import SegmentReader
from leadtrace.journal.status import status
from leadtrace.journal.transport import OtlpTransport
from leadtrace.otlp import encode, identity
from leadtrace.otlp.sink import Signal

LOGS = encode.signal("logs", "leadtrace", "1", "https://schemas/1")
SPANS = encode.signal("traces", "leadtrace")
FOREIGN = Signal("traces", encode.signal("traces", "httpx").scope, foreign=True)
RESOURCE = encode.resource({"service.name": "test"})
NOWHERE = "http://127.0.0.1:9"


def event(name: str, uid: str = "", **attributes) -> bytes:
    return encode.log_record(
        name, time.time_ns(), {**attributes, **({"log.record.uid": uid} if uid else {})}, trace_id=7, span_id=8
    )


def span(name: str) -> bytes:
    body = b"\x0a\x10" + b"\x01" * 16 + b"\x12\x08" + b"\x02" * 8 + b"\x2a" + bytes((len(name),)) + name.encode()
    return b"\x12" + bytes((len(body),)) + body


def until(condition, timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def tell(sink: JournalSink, *names: str) -> list:
    found = []
    for name in names:
        uid = identity.current().uid()
        found.append(sink.append(LOGS, event(name, uid), uid=uid))
    return found


def test_what_is_saved_arrives_and_then_its_segment_goes(sink_to, over_http, folder):
    """With its scope and resource; the books keep what was there."""
    sink = sink_to(over_http.address)
    receipts = tell(sink, "lead.received", "lead.accepted")
    sink.append(SPANS, span("check"))
    assert [(one.saved, one.why) for one in receipts] == [(True, ""), (True, "")]
    assert sink.flush(10)
    sink.close(5)
    assert over_http.names("logs") == ["lead.received", "lead.accepted"]
    assert over_http.names("traces") == ["check"]
    message = next(one for one in over_http.accepted if one.kind == "logs").message
    assert message.resource_logs[0].resource.attributes[0].value.string_value == "test"
    assert message.resource_logs[0].scope_logs[0].scope.name == "leadtrace"
    assert folder.segments() == []
    (book,) = ledgers(folder)
    assert (book.acknowledged.count, book.waiting.count, book.missing.count, book.alive) == (2, 0, 0, False)


def test_with_the_receiver_down_the_end_is_quick_and_the_next_process_sends(sink_to, over_http, folder):
    """Under a second; nothing is lost, nothing comes twice."""
    sink = sink_to(NOWHERE)
    tell(sink, "one", "two")
    until(lambda: sink.stats.retries > 0)
    began = time.monotonic()
    sink.close(5)
    assert time.monotonic() - began < 3.0  # a busy machine is given more
    found = status(folder)
    assert (found.waiting, found.dead) == (2, 0)
    sink_to(over_http.address).start()
    until(lambda: over_http.names("logs") == ["one", "two"])
    until(lambda: len(folder.segments()) == 0)


def test_a_receiver_that_says_nothing_holds_the_end_less_than_a_second(sink_to, over_http):
    """It has the connection and never answers."""
    over_http.gate.clear()
    sink = sink_to(over_http.address)
    tell(sink, "one")
    until(lambda: over_http.asked)
    began = time.monotonic()
    sink.close(5)
    taken = time.monotonic() - began
    over_http.gate.set()
    assert taken < 3.0  # 0.7 for the receiver, the rest for a busy machine


def test_what_a_receiver_refuses_for_good_is_set_aside_and_the_rest_moves_on(sink_to, over_http, folder):
    """Down to the single record, with what was said."""
    over_http.judge = lambda one: (400, {}) if any(r.event_name == "bad" for r in one.records) else None
    sink = sink_to(over_http.address)
    tell(sink, "good 1", "bad", "good 2", "good 3")
    assert sink.flush(10)
    assert sorted(over_http.names("logs")) == ["good 1", "good 2", "good 3"]
    (one,) = set_aside(folder)
    assert (one.lane, "answered 400" in one.why, one.of) == ("default.logs", True, 0)
    assert (sink.stats.sent, sink.stats.set_aside, sink.stats.queued) == (3, 1, 0)
    sink.close(5)
    (book,) = ledgers(folder)
    assert (book.acknowledged.count, book.set_aside.count, book.missing.count) == (3, 1, 0)
    assert oct((folder.path / "aside" / "default.logs.jsonl").stat().st_mode)[-3:] == "600"


def test_a_partial_success_is_set_aside_as_so_many_of_so_many(sink_to, over_http, folder, monkeypatch):
    """Nobody knows which, so all of the batch is kept, and it is not sent again."""
    monkeypatch.setattr(lanes, "_LOOK_EVERY_S", 60.0)  # nothing but the records wakes the sender: they go together
    sink = sink_to(over_http.address, interval_s=0.3)
    tell(sink, "zero")
    assert sink.flush(10)
    until(lambda: all(one.idle for one in sink._lanes))
    over_http.body = b"\x0a\x08\x08\x01\x12\x04full"  # rejected_log_records: 1, error_message: full
    tell(sink, "one", "two", "three")
    until(lambda: sink.stats.queued == 0)
    several = list(set_aside(folder))
    assert [(one.rejected, one.of) for one in several] == [(1, 3)] * 3
    assert "rejected 1 of 3 records, unknown which: full" in several[0].why


def test_later_answers_are_waited_for_and_nothing_comes_twice(sink_to, over_http):
    """429 with Retry-After, 503: tried again, in order."""
    over_http.scripted.extend([(429, {"retry-after": "0"}), (503, {}), (503, {})])
    sink = sink_to(over_http.address)
    tell(sink, "one", "two")
    assert sink.flush(20)
    assert over_http.names("logs") == ["one", "two"]


def test_each_destination_has_a_cursor_and_the_segment_waits_for_all(sink_to, over_http, folder):
    """One that is down holds the segment, not the others."""
    sink = sink_to(over_http.address, NOWHERE)
    tell(sink, "one")
    until(lambda: over_http.names("logs") == ["one"])
    sink.close(1)
    (segment,) = folder.segments()
    assert (folder.progress("default.logs", segment).done, folder.progress("also1.logs", segment).done) == (True, False)


def test_an_optional_destination_holds_nothing_back(sink_to, over_http, folder):
    """Its lag is its own."""
    sink = sink_to(over_http.address, NOWHERE, optional=frozenset({"also1"}))
    tell(sink, "one")
    until(lambda: over_http.names("logs") == ["one"])
    (old,) = folder.segments()
    sink.rotate()
    until(lambda: old not in folder.segments())


def test_two_senders_at_once_send_each_record_once(sink_to, over_http, folder):
    """A segment is sent by whoever holds its cursor."""
    dead = sink_to(NOWHERE)
    for _ in range(10):
        tell(dead, *(f"e{number}" for number in range(50)))
        dead.rotate()
    dead.close(0.1)
    way = endpoints(Target(over_http.address), {})
    lanes = [Lane(folder, "default", "logs", OtlpTransport(way)) for _ in range(2)]
    threads = [threading.Thread(target=lambda one=one: _sweep(one)) for one in lanes]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for lane in lanes:
        lane.close()
    uids = [dict_of(one)["log.record.uid"] for one in over_http.records("logs")]
    assert (len(uids), len(set(uids))) == (500, 500)


def _sweep(lane: Lane) -> None:
    while lane.sweep(time.monotonic() + 30):
        pass


def dict_of(record) -> dict:
    return {one.key: one.value.string_value or one.value.int_value for one in record.attributes}


# --- new segments, and what is open -----------------------------------------------------------------------------------


def test_the_start_of_what_is_open_goes_along_into_new_segments(sink_to, over_http, folder):
    """So that segments that are acknowledged go, and recovery knows of it all the same."""
    sink = sink_to(over_http.address)
    here = identity.current()
    for key, word in ((11, "flow"), (12, "flow"), (13, "delivery")):
        uid = here.uid()
        start = event("flow.started" if word == "flow" else "delivery.started", uid, **{"leadtrace.word": word})
        sink.append(LOGS, start, uid=uid, opens=key)
    sink.append(LOGS, event("flow.completed"), closes=12)
    sink.rotate()
    tell(sink, "later")
    sink.append(LOGS, event("delivery.accepted"), closes=13)
    sink.rotate()
    sink.flush(10)
    until(lambda: len(folder.segments()) == 1)
    with SegmentReader(folder.segments()[0]) as reader:
        kept = [one.type for one in reader.read(0).frames if one.type is Type.STILL_OPEN]
    assert kept == [Type.STILL_OPEN]
    sink.close(5)  # with a flow open: no seal
    (segment,) = folder.segments()
    assert recover(folder, segment)
    with SegmentReader(segment) as reader:
        closed = [one for one in reader.read(0).frames if one.type is Type.LOG_CLOSES]
        assert reader.seal["reason"] == "recovered"
    assert [b"flow.interrupted" in one.record for one in closed] == [True]
    assert not recover(folder, segment), "a second time there is nothing to do"


def test_a_living_writer_is_never_recovered(sink_to, folder):
    """Its lock says that it lives."""
    sink = sink_to(NOWHERE)
    sink.append(LOGS, event("flow.started"), opens=1)
    (segment,) = folder.segments()
    assert not recover(folder, segment)
    assert status(folder).alive == 1


def test_a_process_that_is_asked_goes_on_in_a_new_segment(sink_to, folder):
    """`erase` asks so."""
    sink = sink_to(NOWHERE)
    tell(sink, "one")
    (segment,) = folder.segments()
    folder.ask_to_rotate(segment.boot)
    until(lambda: len(folder.segments()) == 2)
    with SegmentReader(segment) as reader:
        until(lambda: reader.seal is not None)
        assert reader.seal["last_sequence"] > 0


def test_records_of_many_threads_and_rotations_are_all_there_once(sink_to, over_http, folder):
    """Whoever writes while a new segment begins."""
    sink = sink_to(over_http.address, segment_bytes=4096)
    stop = threading.Event()

    def write(number: int) -> None:
        for _ in range(300):
            assert tell(sink, f"t{number}")[0].saved

    def turn() -> None:
        while not stop.is_set():
            sink.rotate()
            stop.wait(0.005)

    turning = threading.Thread(target=turn)
    turning.start()
    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    stop.set()
    turning.join()
    assert sink.flush(20)
    uids = [dict_of(one)["log.record.uid"] for one in over_http.records("logs")]
    assert (len(uids), len(set(uids))) == (1200, 1200)
    sink.close(5)
    (book,) = ledgers(folder)
    assert book.missing.count == 0


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_as_it_fills_foreign_spans_are_refused_first_then_spans_events_last(sink_to, folder):
    """The order of the design; each with the reason."""
    sink = sink_to(NOWHERE, capacity_bytes=100_000)

    def fill(signal: Signal, record: bytes) -> int:
        count = 0
        while (answer := sink.append(signal, record)).saved:
            count += 1
        assert answer.why == "full"
        return count

    fill(FOREIGN, span("foreign"))
    size = folder.bytes()
    assert 75_000 < size <= 80_000, size
    assert fill(SPANS, span("own")) > 0
    assert 85_000 < folder.bytes() <= 90_000
    assert not sink.append(FOREIGN, span("foreign")).saved
    assert fill(LOGS, event("e")) > 0
    assert 95_000 < folder.bytes() <= 100_000


def test_what_was_refused_is_named_once_there_is_room(sink_to, over_http, folder):
    """As ranges in the books, so that it is no hole; and counted."""
    told = []
    over_http.gate.clear()
    sink = sink_to(over_http.address, capacity_bytes=20_000, on_loss=told.append)
    while (answer := tell(sink, "e")[0]).saved:
        pass
    assert (answer.why, len(tell(sink, "f", "g"))) == ("full", 2)
    over_http.gate.set()
    assert sink.flush(20)
    sink.rotate()
    until(lambda: told)
    assert (told[0].why, told[0].count) == ("full", 3)
    assert tell(sink, "again")[0].saved
    assert sink.flush(10)
    sink.close(5)
    (book,) = ledgers(folder)
    assert (book.refused.count >= 3, book.missing.count) == (True, 0)


def test_a_full_disk_refuses_what_is_new_and_leaves_what_is_there(sink_to, over_http, folder):
    """A quota that is met amid a record: the torn record is passed over, the others arrive."""
    sink = sink_to(over_http.address)
    tell(sink, "before")
    assert sink.flush(10)
    (segment,) = folder.segments()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (segment.path.stat().st_size + 40, hard))
    try:
        answers = tell(sink, "torn", "none")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [(one.saved, one.why) for one in answers] == [(False, "disk full")] * 2
    assert tell(sink, "after")[0].saved
    assert sink.flush(10)
    assert over_http.names("logs") == ["before", "after"]
    assert sink.stats.dropped == 2


def test_a_folder_that_cannot_be_written_is_told_where_the_sink_is_made():
    """By name and reason; whoever composes takes memory instead."""
    with pytest.raises(JournalError, match="the journal's folder /proc/no/journal cannot be written"):
        JournalSink(Folder(Path("/proc/no/journal")), {}, RESOURCE)


def test_a_folder_that_goes_while_one_writes_is_made_anew(sink_to, over_http, folder, caplog):
    """What it held on the disk is gone, which is said; what comes is safe again."""
    sink = sink_to(over_http.address)
    tell(sink, "one")
    assert sink.flush(10)
    folder.segments()[0].path.unlink()
    until(lambda: "removed by somebody" in caplog.text)
    assert tell(sink, "two")[0].saved
    assert sink.flush(10)
    assert over_http.names("logs") == ["one", "two"]


# --- durability -------------------------------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch):
    """Which system calls the sink makes on which thread."""
    made: list[tuple[str, int]] = []
    for name in ("write", "fdatasync", "fsync", "rename", "open"):
        real = getattr(os, name)

        def counted(*args, _real=real, _name=name, **kwargs):
            made.append((_name, threading.get_ident()))
            return _real(*args, **kwargs)

        monkeypatch.setattr(os, name, counted)
    return made


def test_always_has_synced_when_append_returns(sink_to, calls):
    """From a plain thread."""
    sink = sink_to(NOWHERE, fsync="always")
    tell(sink, "first")
    calls.clear()
    tell(sink, "second")
    mine = [name for name, thread in calls if thread == threading.get_ident()]
    assert mine == ["write", "fdatasync"]
    assert sink._durability.synced == sink._durability.written


@pytest.mark.parametrize("fsync", ["always", "interval", "off"])
async def test_on_an_event_loop_append_is_one_write_and_the_receipt_can_be_awaited(sink_to, calls, fsync):
    """Syncing happens elsewhere; awaiting waits for it, as far as the setting promises any."""
    sink = sink_to(NOWHERE, fsync=fsync)
    tell(sink, "first")
    calls.clear()
    (receipt,) = tell(sink, "second")
    assert [name for name, thread in calls if thread == threading.get_ident()] == ["write"]
    assert await asyncio.wait_for(_awaited(receipt), 5) is receipt
    if fsync != "off":
        assert sink._durability.synced >= receipt._position
    assert [name for name, thread in calls if thread == threading.get_ident()] == ["write"]


async def _awaited(receipt):
    return await receipt


# --- kept records -----------------------------------------------------------------------------------------------------


def test_kept_records_never_leave_and_are_handed_out_until_taken(sink_to, over_http, folder):
    """At least once: what a reader that fails was given comes again."""
    sink = sink_to(over_http.address)
    assert sink.keep("lead_event", b"payload 1").saved
    tell(sink, "lead.event.saved")
    sink.keep("other", b"not yours")
    sink.keep("lead_event", b"payload 2")
    assert sink.flush(10)
    taken: list[bytes] = []

    def fail(batch: list[bytes]) -> None:
        raise RuntimeError("the reader died")

    with pytest.raises(RuntimeError):
        drain(folder.path, "lead_event", fail)
    assert drain(folder.path, "lead_event", taken.extend) == 2
    assert taken == [b"payload 1", b"payload 2"]
    assert drain(folder.path, "lead_event", taken.extend) == 0
    sink.close(5)
    assert len(folder.segments()) == 1, "the other kind waits"
    drain(folder.path, "other", taken.extend)
    drain(folder.path, "lead_event", taken.extend)
    assert (taken[2:], folder.segments()) == ([b"not yours"], [])
    assert all(b"payload" not in one.body for one in over_http.accepted)


# --- damage -----------------------------------------------------------------------------------------------------------


def test_a_damaged_record_is_told_and_the_others_arrive(sink_to, over_http, folder, caplog):
    """Bit rot in a segment that waited."""
    sink = sink_to(NOWHERE)
    tell(sink, "one", "damaged", "three")
    sink.close(0.2)
    (segment,) = folder.segments()
    content = bytearray(segment.path.read_bytes())
    content[content.index(b"damaged")] ^= 4
    segment.path.write_bytes(content)
    sink_to(over_http.address).start()
    until(lambda: over_http.names("logs") == ["one", "three"])
    until(lambda: not folder.segments())
    assert "are damaged and passed over" in caplog.text
    book = next(one for one in ledgers(folder) if one.boot == segment.boot)
    assert book.missing.count == 1
    assert status(folder).damaged > 0


def test_records_whose_head_and_scope_are_damaged_are_sent_all_the_same(sink_to, over_http, folder):
    """Both are written twice; with both copies gone a record is still a record."""
    sink = sink_to(NOWHERE)
    tell(sink, "one")
    sink.close(0.2)
    (segment,) = folder.segments()
    with SegmentReader(segment) as reader:
        frames = reader.read(0).frames
    content = bytearray(segment.path.read_bytes())
    for one in frames:
        if one.type in (Type.HEAD, Type.SIGNAL):
            content[one.start + 20] ^= 1
    segment.path.write_bytes(content)
    lane = Lane(folder, "default", "logs", OtlpTransport(endpoints(Target(over_http.address), {})))
    _sweep(lane)
    lane.close()
    assert over_http.names("logs") == ["one"]
