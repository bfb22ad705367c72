"""Crashes, forks, full disks and failing ones at the moments when they hurt most."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import resource
import sys
import threading
import time
import warnings
from contextlib import contextmanager

import pytest

from leadtrace.journal import books, turning
from leadtrace.journal.books import ledgers
from leadtrace.journal.disk import JournalSink
from leadtrace.journal.endpoints import Target, endpoints
from leadtrace.journal.frames import Type
from leadtrace.journal.lanes import Lane
from leadtrace.journal.recovery import recover
from leadtrace.journal.segment import CHUNK, NO_SIGNAL, Head, SegmentReader, lock_of_the_dead
from leadtrace.journal.transport import OtlpTransport
from leadtrace.journal.writing import Writing
from leadtrace.otlp import encode, identity

LOGS = encode.signal("logs", "leadtrace", "1", "https://schemas/1")
FOREIGN = encode.signal("traces", "httpx")
NOWHERE = "http://127.0.0.1:9"


def event(name: str, uid: str = "", **attributes) -> bytes:
    given = {**attributes, **({"log.record.uid": uid} if uid else {})}
    return encode.log_record(name, time.time_ns(), given, trace_id=7, span_id=8)


def tell(sink: JournalSink, name: str, *, opens: int = 0, closes: int = 0, **attributes):
    uid = identity.current().uid()
    return sink.append(LOGS, event(name, uid, **attributes), uid=uid, opens=opens, closes=closes)


def until(condition, timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def frames(segment) -> list:
    with SegmentReader(segment) as reader:
        return reader.read(0).frames


@contextmanager
def files_of_at_most(size: int):
    """A disk that is full for every file that would become larger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def die(sink: JournalSink) -> None:
    """As kill -9 would: its files are closed, nothing is said."""
    sink._closing = sink._turning.closed = True
    sink._tending.wake()
    for lane in sink._lanes:
        lane.stop(0.0, patient=False)
        lane.join(5)
        lane.close()
    for one in sink._turning.segments():
        one.close()


# --- forks ------------------------------------------------------------------------------------------------------------


@contextmanager
def a_child_that_lives():
    """Forked now, with threads amid whatever they do; it ends with the block."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    try:
        yield
    finally:
        os.close(write)
        os.waitpid(child, 0)


def test_a_child_that_is_forked_while_a_lane_sends_holds_none_of_its_locks(sink_to, over_http, folder):
    """Neither the cursor of a dead process's segment nor anything else: the parent removes what it has sent."""
    dead = sink_to(NOWHERE)
    tell(dead, "one")
    dead.close(0.1)
    over_http.gate.clear()
    sink_to(over_http.address).start()
    until(lambda: over_http.asked)
    with a_child_that_lives():
        over_http.gate.set()
        until(lambda: not folder.segments())
        with folder.alone("ledger", 1.0):
            pass


def test_a_child_does_not_keep_its_parents_segment_alive_whenever_it_was_forked(sink_to, folder):
    """Also one that the parent was just making, or had sealed and not closed yet."""
    sink = sink_to(NOWHERE)
    tell(sink, "one")
    old = sink._turning.writing
    fresh = sink._turning.new_segment()  # as a thread that goes on in a new segment has it in hand
    with a_child_that_lives():
        fresh.close()
        die(sink)
        for one in (old.segment, fresh.segment):
            with lock_of_the_dead(one) as free:
                assert free is not None


# --- one thread each --------------------------------------------------------------------------------------------------


def test_threads_that_append_first_at_once_start_each_lane_once(sink_to):
    """Two threads of one lane would send twice and close each other's files."""
    sink = sink_to(NOWHERE)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=lambda: tell(sink, "e")) for _ in range(30)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    finally:
        sys.setswitchinterval(before)
    running = [one.name for one in threading.enumerate() if one.name == "leadtrace-default.logs" and one.is_alive()]
    assert running.count("leadtrace-default.logs") == 1


def test_nothing_begins_anew_once_a_sink_is_closed(sink_to, folder):
    """A tending thread that comes late leaves no segment behind that is locked for the life of the process."""
    sink = sink_to(NOWHERE)
    tell(sink, "one")
    sink.close(0.2)
    there = folder.segments()
    sink.rotate()
    assert folder.segments() == there
    assert sink._turning.writing is None


def test_a_writer_that_has_let_go_writes_into_no_other_file(folder):
    """Its descriptor's number may be another file's by then."""
    folder.make()
    writing = Writing.begin(folder, Head("0" * 16, 1), durable=False)
    number = writing._file.descriptor
    writing.close()
    other = os.open(folder.path / "other", os.O_RDWR | os.O_CREAT)
    assert other == number, "the test wants the number again"
    try:
        with pytest.raises(OSError, match="Bad file descriptor"):
            writing.write(b"frame")
        writing.close()
        assert os.fstat(other).st_size == 0
    finally:
        os.close(other)


def test_a_sink_that_left_a_hanging_receiver_lets_go_of_its_segments_later(sink_to, over_http, folder):
    """The next sink of the same process sends them."""
    over_http.gate.clear()
    first = sink_to(over_http.address)
    tell(first, "one")
    until(lambda: over_http.asked)
    first.close(0.5)
    second = sink_to(over_http.address)
    second.start()
    over_http.gate.set()
    until(lambda: not folder.segments())
    assert set(over_http.names("logs")) == {"one"}


# --- full disks -------------------------------------------------------------------------------------------------------


def test_a_disk_that_fills_while_a_new_segment_begins_keeps_what_is_open(sink_to, folder):
    """The old segment is sealed once there is room, and not before what is open has been told again."""
    sink = sink_to(NOWHERE)
    tell(sink, "flow.started", opens=11, text="x" * 20_000)
    old = sink._turning.writing.segment
    with files_of_at_most(8_000), pytest.raises(OSError, match=r"too large|space"):
        sink.rotate()
    with SegmentReader(old) as reader:
        assert reader.seal is None
        until(lambda: reader.seal is not None)
    (new,) = [one for one in folder.segments() if one != old]
    assert Type.STILL_OPEN in [one.type for one in frames(new)]
    until(lambda: not sink._turning.retiring)


def test_recovery_that_finds_no_room_leaves_both_segments_for_the_next_try(sink_to, folder):
    """A process that died while it went on in a new segment: the start is in the one, the end may be in the other."""
    sink = sink_to(NOWHERE)
    tell(sink, "flow.started", opens=11, **{"leadtrace.word": "flow"})
    tell(sink, "other")
    fresh = sink._turning.new_segment()
    fresh.number_of(LOGS)
    fresh.write(b"".join(fresh.frame(Type.LOG, b"\0\0" + event("e", text="y" * 9_000)) for _ in range(2)))
    fresh.close()
    die(sink)
    first, second = folder.segments()
    (folder.path / "reserve").unlink()
    with files_of_at_most(second.path.stat().st_size - 1):
        assert not recover(folder, first)
    for one in (first, second):
        with SegmentReader(one) as reader:
            assert reader.seal is None
    assert recover(folder, first)
    assert [one.type for one in frames(second)].count(Type.LOG_CLOSES) == 1


def test_an_end_that_found_no_room_is_no_interruption(sink_to, folder):
    """The flow ended; that its end could not be written is told as such, and recovery says nothing else."""
    sink = sink_to(NOWHERE, capacity_bytes=40_000)
    tell(sink, "flow.started", opens=11, **{"leadtrace.word": "flow"})
    while tell(sink, "e").saved:
        pass
    assert not tell(sink, "flow.completed", closes=11).saved
    sink._turning.bound = 1 << 20
    until(lambda: Type.REFUSED in [one.type for one in frames(folder.segments()[0])])
    die(sink)
    (segment,) = folder.segments()
    assert recover(folder, segment)
    assert Type.LOG_CLOSES not in [one.type for one in frames(segment)]


def test_a_segment_that_only_names_what_was_refused_stays_until_it_is_in_the_books(sink_to, over_http, folder):
    """Else the refusal would look like a loss."""
    sink = sink_to(over_http.address, capacity_bytes=20_000)
    over_http.gate.clear()
    while tell(sink, "e").saved:
        pass
    over_http.gate.set()
    sink._turning.bound = 1 << 20
    assert sink.flush(10)
    sink.rotate()
    sink.close(5)
    (book,) = [one for one in ledgers(folder) if one.boot == identity.current().boot]
    assert book.refused.count >= 1
    assert book.missing.count == 0


# --- machines that die ------------------------------------------------------------------------------------------------


def test_a_cursor_behind_the_end_of_what_a_machine_kept_is_held_back(sink_to, over_http, folder):
    """What recovery writes there is sent, and the segment goes."""
    sink = sink_to(over_http.address)
    tell(sink, "flow.started", opens=11, **{"leadtrace.word": "flow"})
    (segment,) = folder.segments()
    size = segment.path.stat().st_size
    for _ in range(20):
        tell(sink, "lost with the machine")
    assert sink.flush(10)
    die(sink)
    assert folder.progress("default.logs", segment).offset > size
    os.truncate(segment.path, size)
    sink_to(over_http.address).start()
    until(lambda: "flow.interrupted" in over_http.names("logs"))
    until(lambda: not folder.segments())


def test_a_segment_that_was_done_and_lost_its_seal_with_the_machine_goes(sink_to, over_http, folder):
    """Nobody would send anything of it, so nobody would look."""
    sink = sink_to(over_http.address, NOWHERE)
    tell(sink, "one")
    assert not sink.flush(0.5)
    sink.close(0.5)
    (segment,) = folder.segments()
    for lane in ("also1.logs", "also1.traces", "default.traces", "default.logs"):
        cursor = folder.cursor(lane, segment)
        cursor.progress.done, cursor.progress.offset = True, segment.path.stat().st_size
        cursor.save()
        cursor.close()
    with SegmentReader(segment) as reader:
        seal = reader.read(0).frames[-1]
    os.truncate(segment.path, seal.start)
    sink_to(over_http.address, over_http.address).start()
    until(lambda: not folder.segments())


def test_a_segment_without_a_readable_head_waits_for_those_who_read_here_only(sink_to, folder):
    """Not for a kind of records that nobody takes."""
    folder.make()
    (folder.path / "cursors" / "default.logs").mkdir()
    assert folder.required(Head(), {}) == ["default.logs"]
    (folder.path / "cursors" / "default.logs").rmdir()
    assert folder.required(Head(), {"kept": ["lead_event"]}) == ["unknown.logs", "kept.lead_event"]


def test_the_end_that_a_machine_lost_is_named_by_number(sink_to, folder):
    """The tending thread notes how far the process came, beside the segment; recovery and the books go by it."""
    sink = sink_to(NOWHERE)
    tell(sink, "one")
    (segment,) = folder.segments()
    size = segment.path.stat().st_size
    lost = [tell(sink, f"lost {number}") for number in range(3)]
    last = int(lost[-1].uid[16:], 16)
    until(lambda: folder.last_noted(segment.boot) == last)
    assert oct((folder.path / "numbers" / segment.boot).stat().st_mode)[-3:] == "600"
    die(sink)
    os.truncate(segment.path, size)
    for _ in range(2):
        (book,) = [one for one in ledgers(folder) if one.boot == segment.boot]
        assert (book.missing.count, book.last_sequence) == (3, last)
        recover(folder, segment)
    (folder.path / "numbers" / segment.boot).write_text("no number")
    assert folder.last_noted(segment.boot) == 0


def test_one_segment_that_cannot_be_read_holds_up_none_behind_it(sink_to, over_http, folder, monkeypatch, caplog):
    """Whatever is wrong with it; that it is there is told."""
    from leadtrace.journal import lanes

    for number in range(3):
        dead = sink_to(NOWHERE)
        tell(dead, f"e{number}")
        dead.close(0.1)
    bad = folder.segments()[0]
    real = lanes.SegmentReader.head

    def head(self):
        if self.segment == bad:
            raise ValueError("nobody thought of this")
        return real.fget(self)

    monkeypatch.setattr(lanes.SegmentReader, "head", property(head))
    sink_to(over_http.address).start()
    until(lambda: len(over_http.names("logs")) == 2)
    assert "nobody thought of this" in caplog.text


# --- disks that fail --------------------------------------------------------------------------------------------------


@pytest.fixture
def failing_sync(monkeypatch):
    """A disk that does not keep what is written while the list has something in it."""
    fails = [True]
    real = os.fdatasync

    def fdatasync(descriptor: int) -> None:
        if fails:
            fails.pop()
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    return fails


def test_always_says_where_the_disk_did_not_keep_a_record(sink_to, failing_sync):
    """From a plain thread the receipt itself; what comes after goes into another segment."""
    sink = sink_to(NOWHERE, fsync="always")
    told = tell(sink, "one")
    assert (told.saved, told.why) == (False, "disk: Input/output error")
    old = sink._turning.writing
    sink._tending.wake()
    until(lambda: sink._turning.writing is not old)
    assert tell(sink, "two").saved


async def test_awaiting_ends_with_the_truth_where_the_disk_fails(sink_to, failing_sync):
    """A later sync that succeeds says nothing of what an earlier one gave up."""
    sink = sink_to(NOWHERE, fsync="always")
    receipt = tell(sink, "one")

    async def awaited(one):
        return await one

    found = await asyncio.wait_for(awaited(receipt), 5)
    assert (found.uid, found.saved, found.why) == (receipt.uid, False, "disk: Input/output error")
    again = await asyncio.wait_for(awaited(receipt), 5)
    assert not again.saved
    assert (await asyncio.wait_for(awaited(tell(sink, "two")), 5)).saved


async def test_a_segment_that_ends_on_a_failing_disk_is_not_made_good_by_the_next(sink_to, failing_sync):
    """The sync of its seal is the last that could have said so."""
    failing_sync.clear()
    sink = sink_to(NOWHERE, fsync="interval")
    tell(sink, "one")
    await _awaited(tell(sink, "kept"))
    failing_sync[:] = [True] * 5
    receipt = tell(sink, "lost")
    sink.rotate()
    failing_sync.clear()
    assert not (await asyncio.wait_for(_awaited(receipt), 5)).saved
    assert (await asyncio.wait_for(_awaited(tell(sink, "after")), 5)).saved


async def _awaited(receipt):
    return await receipt


async def test_the_first_record_on_an_event_loop_syncs_nothing_there(sink_to, monkeypatch):
    """Not even the folder in which its segment was made."""
    sink = sink_to(NOWHERE, fsync="always")
    synced = []
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda _, name=name: synced.append((name, threading.get_ident())))
    receipt = tell(sink, "one")
    assert [one for one in synced if one[1] == threading.get_ident()] == []
    await receipt
    assert {name for name, _ in synced} == {"fsync", "fdatasync"}, "the folder too, elsewhere"


# --- receivers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["1e300", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_receiver_that_asks_for_ages_is_asked_again_in_an_hour(sink_to, over_http, caplog, asked):
    """And nothing stumbles over the number."""
    over_http.scripted.append((429, {"retry-after": asked}))
    sink = sink_to(over_http.address)
    tell(sink, "one")
    until(lambda: sink.stats.retries == 1)
    assert not sink.flush(0.3)
    assert (sink.stats.retries, "stumbled" in caplog.text) == (1, False)


def test_what_this_process_itself_waits_for_is_told_by_age(sink_to, caplog):
    """Also where it writes so little that it never goes on in a new segment."""
    sink = sink_to(NOWHERE, warn_age_s=0.3)
    tell(sink, "one")
    until(lambda: "records wait in the journal for more than" in caplog.text)


def test_what_is_recorded_now_goes_between_what_dead_processes_left(sink_to, over_http, folder):
    """A process that takes over a long backlog does not keep its own records waiting for all of it."""
    dead = sink_to(NOWHERE)
    for number in range(5):
        tell(dead, f"old {number}")
        dead.rotate()
    dead.close(0.1)
    sink = sink_to(over_http.address)
    tell(sink, "own")  # so that it has a segment
    until(lambda: "own" in over_http.names("logs"))
    dead = sink_to(NOWHERE)
    for number in range(5):
        tell(dead, f"older {number}")
        dead.rotate()
    dead.close(0.1)
    told = []

    def judge(_):
        if not told and any("older" in one for one in over_http.names("logs")):
            told.append(tell(sink, "new"))

    over_http.judge = judge
    until(lambda: len(over_http.names("logs")) == 12)
    assert over_http.names("logs").index("new") < 11


def test_a_receiver_that_is_down_for_long_fills_the_journal_with_warnings_and_room_comes_back_with_it(
    sink_to, over_http, http_receiver_on, folder, caplog
):
    """What it has not acknowledged waits, though the other one has it; arrivals are refused at the end and told."""
    lost = []
    away = http_receiver_on()
    away.judge = lambda _: (503, {})
    sink = sink_to(over_http.address, away.address, capacity_bytes=60_000, segment_bytes=8_000, on_loss=lost.append)
    sent = 0
    while (answer := tell(sink, "e", text="x" * 1_000)).saved:
        sent += 1
    assert answer.why == "full"
    until(lambda: len(over_http.names("logs")) == sent)
    until(lambda: "full (" in caplog.text)
    assert folder.bytes() > 50_000, "held for the one that is away"
    away.judge = None
    until(lambda: len(away.names("logs")) == sent, 40)
    until(lambda: bool(lost), 20)
    assert (lost[0].why, lost[0].count) == ("full", 1)
    assert tell(sink, "again").saved


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_equal_scopes_have_one_number_and_more_scopes_than_numbers_cost_a_record_its_scope(folder):
    """Nothing raises, however many there are, and recovery still has a number of its own."""
    folder.make()
    writing = Writing.begin(folder, Head("0" * 16, 1), durable=False)
    try:
        assert writing.number_of(encode.signal("logs", "a")) == writing.number_of(encode.signal("logs", "a")) == 0
        writing.signals += [LOGS] * (NO_SIGNAL - 1)
        assert writing.number_of(encode.signal("logs", "one too many")) == NO_SIGNAL
    finally:
        writing.close()


def test_spans_that_never_end_do_not_fill_the_journal(sink_to, monkeypatch, caplog):
    """The oldest are given up, and what is only told again is no reason for another segment."""
    monkeypatch.setattr(turning, "_MOST_OPEN", 50)
    sink = sink_to(NOWHERE, segment_bytes=4_000)
    tell(sink, "flow.started", opens=1)
    for key in range(100, 300):
        assert sink.begin(FOREIGN, b"\x12\x0a\x12\x08" + key.to_bytes(8, "little"), key).saved
    assert len(sink._turning.open) == 50
    assert 1 in sink._turning.open, "a word of ours is never given up"
    assert "spans are open" in caplog.text
    sink.rotate()
    writing = sink._turning.writing
    assert writing.carried > 1_000
    assert writing.bytes - writing.carried < 4_000


def test_what_was_set_aside_counts_as_what_waits(sink_to, over_http, folder, caplog):
    """A receiver that refuses all for days must not fill the disk beyond the journal's size."""
    over_http.judge = lambda _: (400, {})
    sink = sink_to(over_http.address, capacity_bytes=60_000)
    tell(sink, "refused", text="x" * 40_000)
    assert sink.flush(10)
    assert folder.aside_bytes() > 40_000
    until(lambda: not tell(sink, "e", text="y" * 10_000).saved)
    until(lambda: "are records that receivers refused" in caplog.text)


def test_a_thread_that_is_stopped_amid_an_append_holds_up_nobody(sink_to, monkeypatch):
    """A signal handler that raises, as the time limits of task queues do."""
    sink = sink_to(NOWHERE)
    tell(sink, "one")
    monkeypatch.setattr(Writing, "write", lambda self, content: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        tell(sink, "two")
    assert sink._turning.writing.users == 0


def test_two_senders_of_one_destination_and_a_writer_share_a_folder(sink_to, over_http, folder):
    """A lane that only sends never takes what a living process sends itself."""
    sink = sink_to(over_http.address)
    other = Lane(folder, "default", "logs", OtlpTransport(endpoints(Target(over_http.address), {})))
    for number in range(20):
        tell(sink, f"e{number}")
        other.sweep(time.monotonic() + 5)
    assert sink.flush(10)
    assert over_http.names("logs") == [f"e{number}" for number in range(20)]
    other.close()


def test_whatever_the_umask_all_files_are_the_owners_alone(sink_to, over_http, folder):
    """Segments, cursors, books, what was set aside, what receivers said, numbers, requests, locks."""
    before = os.umask(0)
    try:
        over_http.judge = lambda one: (400, {}) if any(r.event_name == "bad" for r in one.records) else None
        sink = sink_to(over_http.address)
        for name in ("good", "bad"):
            tell(sink, name)
        assert sink.flush(10)
        tell(sink, "flow.started", opens=5)
        folder.ask_to_rotate(identity.current().boot)
        until(lambda: any((folder.path / "ledger").glob("*.json")))
        until(lambda: (folder.path / "numbers").exists() and any((folder.path / "numbers").iterdir()))
        folder.ask_to_rotate("0" * 16)
        found = {path.relative_to(folder.path).parts[0]: path for path in folder.path.rglob("*") if path.is_file()}
        assert set(found) >= {"segments", "cursors", "aside", "lanes", "numbers", "rotate", "reserve"}
        for path in (folder.path, *folder.path.rglob("*")):
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    finally:
        os.umask(before)


def test_a_segment_that_goes_while_the_books_are_read_leaves_no_hole(sink_to, over_http, folder, monkeypatch):
    """Its numbers are in the book that was read before, or in the file that is gone by now: nowhere, if each is read once."""
    dead = sink_to(NOWHERE)
    tell(dead, "one")
    dead.close(0.1)
    read, sent = books.book_of, []

    def sent_behind_it(*asked):
        found = read(*asked)
        if not sent:
            sent.append("one")
            lane = Lane(folder, "default", "logs", OtlpTransport(endpoints(Target(over_http.address), {})))
            while lane.sweep(time.monotonic() + 5):
                pass
            lane.close()
        return found

    monkeypatch.setattr(books, "book_of", sent_behind_it)
    (book,) = ledgers(folder)
    assert (folder.segments(), book.missing.count, book.waiting.count) == ([], 0, 0)


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_damage_at_the_borders_of_what_is_read_at_once_costs_what_it_is_in(folder, seed):
    """Frames beside, across and longer than such a piece; damage of a byte, at a border, and longer than several."""
    draw = random.Random(seed)
    folder.make()
    writing = Writing.begin(folder, Head(f"{seed + 1:016x}", 1), durable=False)
    sizes = [draw.choice([1, 40, 5_000, 300_000, CHUNK - 40, CHUNK, 2 * CHUNK + 7]) for _ in range(14)]
    for number, size in enumerate(sizes):
        writing.write(writing.frame(Type.LOG, number.to_bytes(2, "little") + draw.randbytes(size)))
    writing.close()
    path = writing.segment.path
    there = []
    with SegmentReader(writing.segment) as reader:
        offset = 0
        while (part := reader.read(offset)).end != offset:
            there += part.frames
            offset = part.end
    assert [one.signal for one in there if one.type is Type.LOG] == list(range(14))
    content = bytearray(path.read_bytes())
    hurt = [(border - 3, border + 3) for border in range(CHUNK, len(content), CHUNK) if draw.random() < 0.4]
    at = draw.randrange(len(content))
    hurt += [(at, at + 1), (at // 2, at // 2 + draw.choice([1, 1_000, CHUNK + 100, 3 * CHUNK]))]
    for low, high in hurt:
        high = min(high, len(content))
        content[low:high] = bytes(255 - one for one in content[low:high])
    path.write_bytes(content)
    whole = [one for one in there if not any(low < one.end and one.start < high for low, high in hurt)]
    for finished in (False, True):
        found, damaged, offset = [], 0, 0
        with SegmentReader(writing.segment) as reader:
            while (part := reader.read(offset, whole=finished)).end != offset:
                found += part.frames
                damaged += sum(high - low for low, high in part.damaged)
                offset = part.end
        assert [(one.start, one.end) for one in found] == [(one.start, one.end) for one in whole]
        if finished:
            assert damaged + sum(one.end - one.start for one in found) == len(content)
