"""Removing a lead from the journal's files: while they are written, while they wait, and what comes afterwards."""

from __future__ import annotations

import time

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from leadtrace.journal.aside import put_aside, set_aside
from leadtrace.journal.books import ledgers
from leadtrace.journal.disk import JournalSink
from leadtrace.journal.endpoints import Target, endpoints
from leadtrace.journal.folder import Folder
from leadtrace.journal.kept import drain
from leadtrace.journal.lanes import Lane
from leadtrace.journal.removal import remove_lead
from leadtrace.journal.status import status
from leadtrace.journal.tombstones import readmit
from leadtrace.journal.transport import OtlpTransport
from leadtrace.otlp import encode, identity
from leadtrace.otlp.lead_event import KIND, Arrival, Content, Kept
from leadtrace.otlp.ranges import Ranges
from leadtrace.otlp.sealing import Sealer
from leadtrace.otlp.sink import Signal
from leadtrace.otlp.tombstone import Readmitted

LOGS = encode.signal("logs", "leadtrace", "1", "https://schemas/1")
SPANS = encode.signal("traces", "leadtrace")
FOREIGN = Signal("traces", encode.signal("traces", "httpx").scope, foreign=True)
RESOURCE = encode.resource({"service.name": "test"})
NOWHERE = "http://127.0.0.1:9"
ANN, BOB = "lead_ann_7K9mHpQR", "lead_bob_3x2B5N8j"


def span(name: str, number: int, parent: int = 0, trace: int = 1, **attributes: object) -> bytes:
    made = Span(name=name, trace_id=trace.to_bytes(16, "big"), span_id=number.to_bytes(8, "big"))
    made.parent_span_id = parent.to_bytes(8, "big") if parent else b""
    body = made.SerializeToString() + encode.pairs(
        b"\x4a", {key.replace("__", "."): one for key, one in attributes.items()}
    )
    return encode.framed(b"\x12", body)


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path / "journal")


@pytest.fixture
def sink_to(folder):
    made: list[JournalSink] = []

    def make(address: str, **more) -> JournalSink:
        ways = {"default": OtlpTransport(endpoints(Target(address), {}))}
        made.append(JournalSink(folder, ways, RESOURCE, **{"interval_s": 0.01, "service": "test", **more}))
        return made[-1]

    yield make
    for sink in made:
        sink.close(0.2)


def until(condition, timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def tell(sink: JournalSink, name: str, *leads: str, tenant: str = "", opens: int = 0, **more: object) -> int:
    """Record an event; its number."""
    uid = identity.current().uid()
    whose = {"lead.id": leads[0]} if len(leads) == 1 else {"leadtrace.lead_ids": list(leads)} if leads else {}
    said = {**whose, **({"tenant_key": tenant} if tenant else {}), **more, "log.record.uid": uid}
    record = encode.log_record(name, time.time_ns(), said, trace_id=1, span_id=opens or 8)
    assert sink.append(LOGS, record, uid=uid, opens=opens).saved
    return int(uid[16:], 16)


def names_ann(request):
    """A receiver that is down for whatever names her, also for a request that was on its way while she was removed."""
    return (503, {}) if ANN.encode() in request.body else None


@pytest.fixture
def slow(over_http):
    """A receiver that answers once its `gate` is set: a sender with a batch in hand meanwhile removes nothing itself."""
    over_http.gate.clear()
    return over_http


def has_in_hand(receiver, *kinds: str) -> None:
    """Wait until a request of each of those kinds is on its way."""
    until(lambda: {one.kind for one in receiver.asked} >= {*kinds})


def content(folder: Folder) -> bytes:
    """Every byte of the journal's files."""
    return b"".join(one.read_bytes() for one in sorted(folder.path.rglob("*")) if one.is_file())


def test_a_lead_is_removed_from_a_journal_that_waits_while_its_writer_lives(sink_to, folder, slow):
    """Its events, its spans and what lies beneath them; others' records are there as they were, and go out. What was removed
    is in the books as erased, and a flush does not wait for it."""
    slow.judge = names_ann
    sink = sink_to(slow.address)
    first = tell(sink, "flow.started", ANN)
    other = tell(sink, "flow.started", BOB)
    sink.append(FOREIGN, span("GET /", 3, parent=2, url__path=f"/leads/{ANN}"))
    sink.append(FOREIGN, span("of bob", 5, parent=4))
    sink.append(FOREIGN, span("TLS", 6, parent=3))
    sink.append(SPANS, span("step of ann", 2, lead__id=ANN))
    sink.append(SPANS, span("step of bob", 4, lead__id=BOB))
    last = tell(sink, "flow.completed", ANN)
    has_in_hand(slow, "logs", "traces")
    told = remove_lead(folder, [ANN])
    assert (told.events, told.spans, told.changed, told.left) == (2, 3, 0, [])
    boot = identity.current().boot
    assert told.ranges == {boot: Ranges.of((first, first), (last, last))}
    assert ANN.encode() not in content(folder)
    slow.gate.set()
    assert sink.flush(10)
    assert slow.names("logs") == ["flow.started"]
    assert sorted(slow.names("traces")) == ["of bob", "step of bob"]
    [book] = [one for one in ledgers(folder) if one.boot == boot]
    assert (book.erased, book.acknowledged & Ranges.of((first, last))) == (told.ranges[boot], Ranges.of((other, other)))
    assert not book.contradictions
    assert status(folder).damaged == 0


def test_what_names_several_leads_goes_out_without_this_one(sink_to, folder, slow):
    """In its place in the file, as long as it was."""
    slow.judge = names_ann
    sink = sink_to(slow.address)
    tell(sink, "enhancement.started", ANN, BOB, cost="0.02")
    size = folder.bytes()
    has_in_hand(slow, "logs")
    told = remove_lead(folder, [ANN])
    assert (told.events, told.changed, folder.bytes()) == (0, 1, size)
    slow.gate.set()
    assert sink.flush(10)
    [record] = slow.records("logs")
    said = {one.key: one.value for one in record.attributes}
    assert [one.string_value for one in said["leadtrace.lead_ids"].array_value.values] == [BOB]
    assert said["cost"].string_value == "0.02"
    assert ANN.encode() not in content(folder)


def test_a_lead_that_is_removed_between_reading_and_sending_is_not_sent(sink_to, folder, over_http):
    sink = sink_to(over_http.address)
    [logs] = [one for one in sink._lanes if one.kind == "logs"]
    look, removed = logs._erased.look, []

    def look_and_lose() -> bool:
        found = look()
        if not removed:
            removed.append(ANN)
            remove_lead(folder, removed)
        return found

    logs._erased.look = look_and_lose
    tell(sink, "flow.started", ANN)
    tell(sink, "flow.started", BOB)
    assert sink.flush(10)
    assert ANN.encode() not in b"".join(one.body for one in over_http.accepted)
    assert over_http.names("logs") == ["flow.started"]


def test_only_the_named_tenant_s_lead_goes(sink_to, folder, slow):
    """Another tenant's lead of that id is another lead."""
    sink = sink_to(slow.address)
    tell(sink, "lead.received", ANN, tenant="north")
    tell(sink, "lead.received", ANN)
    has_in_hand(slow, "logs")
    told = remove_lead(folder, [ANN], "north")
    assert (told.events, told.changed) == (1, 0)
    assert content(folder).count(ANN.encode()) == 1
    assert "the id is still in the journal's file" in told.left[0]
    slow.gate.set()


def test_what_is_recorded_of_the_lead_afterwards_is_removed_by_the_sender(sink_to, folder, over_http):
    """It leaves nobody, and is erased in the books; records of others in the same batch go out."""
    sink = sink_to(over_http.address)
    tell(sink, "lead.received", BOB)
    assert sink.flush(10)
    remove_lead(folder, [ANN])
    late = tell(sink, "lead.sold", ANN)
    tell(sink, "bulk", ANN, BOB)
    sink.append(SPANS, span("late", 9, lead__id=ANN))
    assert sink.flush(10)
    assert over_http.names("logs") == ["lead.received", "bulk"]
    assert over_http.names("traces") == []
    assert ANN.encode() not in content(folder)
    [book] = [one for one in ledgers(folder) if one.boot == identity.current().boot]
    assert late in book.erased


def test_a_word_of_the_lead_that_is_open_is_not_told_again_in_the_next_segment(sink_to, folder):
    """Nor does recovery close it: nothing is known of it any more."""
    sink = sink_to(NOWHERE)
    tell(sink, "flow.started", ANN, opens=21)
    tell(sink, "flow.started", BOB, opens=22)
    remove_lead(folder, [ANN])
    sink.rotate()
    assert ANN.encode() not in content(folder)
    assert status(folder).open_words >= 1
    assert remove_lead(folder, [ANN]).events == 0


def test_what_a_dead_process_left_is_removed_and_the_rest_sent(sink_to, folder, over_http):
    """By whoever takes it over."""
    sink = sink_to(NOWHERE)
    tell(sink, "lead.received", ANN)
    tell(sink, "lead.received", BOB)
    sink.close(0.1)
    assert remove_lead(folder, [ANN]).events == 1
    lane = Lane(folder, "default", "logs", OtlpTransport(endpoints(Target(over_http.address), {})))
    while lane.sweep(time.monotonic() + 5):
        pass
    lane.close()
    assert over_http.names("logs") == ["lead.received"]
    assert folder.segments() == []
    [book] = [one for one in ledgers(folder) if one.boot == identity.current().boot]
    assert not book.contradictions


def test_a_kept_lead_event_goes_and_others_are_handed_out(sink_to, folder):
    """Its payload is sealed; whose it is stands before it."""
    sink = sink_to(NOWHERE)
    sealer = Sealer([b"k" * 32])
    for lead in (ANN, BOB):
        arrival = Arrival(f"e_{lead}", ("meta",), Content(payload={"x": 1}), lead, "", 1, {})
        assert sink.keep(KIND, Kept.of(arrival, sealer).packed()).saved
    assert remove_lead(folder, [ANN]).kept == 1
    found: list[bytes] = []
    drain(folder.path, KIND, found.extend)
    assert [Kept.unpacked(one).lead_id for one in found] == [BOB]


def test_what_was_set_aside_goes_too(sink_to, folder):
    """The lead's own records as a whole, of several leads the name."""
    sink = sink_to(NOWHERE)
    tell(sink, "x", BOB)
    [segment] = folder.segments()

    def log(number: int, **said: object) -> bytes:
        return encode.log_record("x", 1, {**said, "log.record.uid": f"{'ab' * 8}{number:012x}"})

    records = [
        (LOGS, log(5, **{"lead.id": ANN})),
        (LOGS, log(6, **{"lead.id": BOB})),
        (LOGS, log(7, **{"leadtrace.lead_ids": [ANN, BOB]})),
    ]
    put_aside(folder, "default.logs", segment, RESOURCE, records, "no", 3)
    told = remove_lead(folder, [ANN])
    assert (told.set_aside, told.ranges["ab" * 8]) == (1, Ranges.of((5, 5)))
    assert [int(one.uid[16:], 16) for one in set_aside(folder)] == [6, 7]
    assert ANN.encode() not in b"".join(one.record for one in set_aside(folder))


def test_the_id_in_words_of_others_is_replaced_and_short_ids_are_left_alone(sink_to, folder):
    """`lead_ann` in a URL of another lead's record; `12` stands in too much that is not this lead."""
    sink = sink_to(NOWHERE)
    tell(sink, "note", BOB, url=f"/compare/{ANN}/with", longer=ANN + "2", version="12")
    told = remove_lead(folder, [ANN, "12"])
    assert (told.events, told.changed) == (0, 1)
    left = content(folder)
    assert b"/compare/erased" in left
    assert left.count(ANN.encode()) == left.count((ANN + "2").encode()) == 1
    assert b"\x0a\x0212" in left


def test_removing_twice_or_nobody_is_no_mistake(sink_to, folder, slow):
    """Nothing is counted twice."""
    sink = sink_to(slow.address)
    tell(sink, "lead.received", ANN)
    has_in_hand(slow, "logs")
    assert remove_lead(folder, ["lead_nobody_knows"]).events == 0
    assert remove_lead(folder, [ANN]).events == 1
    again = remove_lead(folder, [ANN])
    assert (again.events, again.ranges, again.left) == (0, {}, [])
    slow.gate.set()


def test_while_a_process_writes_without_pause_every_other_record_stays_and_arrives(sink_to, folder, over_http):
    """Leads are removed one after the other from under a writer and its sender: no frame is damaged, nothing of others lost."""
    sink = sink_to(over_http.address, segment_bytes=64 << 10)
    kept: list[int] = []
    for turn in range(8):
        for number in range(60):
            if number % 3:
                kept.append(tell(sink, "keep", BOB, note="x" * (number * 20)))
            else:
                tell(sink, "go", f"{ANN}_{turn}", note="y" * (number * 20))
        remove_lead(folder, [f"{ANN}_{turn}"])
    assert sink.flush(20)
    names = over_http.names("logs")
    assert names.count("keep") == len(kept)
    assert status(folder).damaged == 0
    [book] = [one for one in ledgers(folder) if one.boot == identity.current().boot]
    assert not book.missing & Ranges.of((min(kept), max(kept)))


def test_a_lead_that_is_readmitted_is_sent_again_by_a_sender_that_runs(sink_to, folder, over_http):
    """For the tenant for which it was erased; a tenant's own does not lift what was erased for any."""
    sink = sink_to(over_http.address)
    remove_lead(folder, [ANN])
    tell(sink, "erased", ANN)
    tell(sink, "other", BOB)
    assert sink.flush(10)
    assert readmit(folder, [ANN], "north") == Readmitted(0, still=True)
    assert readmit(folder, [ANN], None) == Readmitted(1, still=False)
    tell(sink, "back", ANN)
    assert sink.flush(10)
    assert over_http.names("logs") == ["other", "back"]
    assert readmit(folder, [ANN], None) == Readmitted(0, still=False)
