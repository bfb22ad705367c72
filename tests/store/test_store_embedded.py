"""The embedded store: each record once, whatever comes again and in which order; nothing that decodes is refused."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadtrace.errors import SourceError, StoreDamagedError, StoreLockedError
from leadtrace.store import file as store_file
from leadtrace.store.append import Appended
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.interface import EventFilter, LeadFilter

if TYPE_CHECKING:
    from leadtrace.otlp.records import EventRecord, SpanRecord

_spec = importlib.util.spec_from_file_location("store_conftest", Path(__file__).with_name("conftest.py"))
made = sys.modules.setdefault("store_conftest", importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(made)
a_span, an_event, lead, on_span, uid = made.a_span, made.an_event, made.lead, made.on_span, made.uid

LOG = an_event("delivery.accepted", 3, 1, 0x10, attributes=lead("L1", **{"log.record.uid": uid(1)}), body="yes")
ON_SPAN = on_span(LOG, 0)
WITH_EVENT = a_span("deliver", 1, 4, 1, 0x10, attributes=lead("L1"), events=[ON_SPAN])


def _all(store: EmbeddedStore) -> list[str]:
    """All records in the store, without what tells when they came."""
    records: list[EventRecord | SpanRecord] = list(store.events(EventFilter()))
    with store._reading() as connection:
        traces = [trace.hex() for (trace,) in connection.execute("SELECT trace_id FROM traces WHERE trace_id <> x''")]
    records += [span for trace in traces for span in store.trace(trace).spans]
    return sorted(repr(dataclasses.replace(one, arrival=0)) for one in records)


def _aside(store: EmbeddedStore) -> list[tuple[str, str]]:
    with store._reading() as connection:
        rows = connection.execute("SELECT reason, record FROM set_aside ORDER BY set_aside")
        return [(reason, orjson.loads(record)["name"]) for reason, record in rows]


def test_the_same_batch_twice_changes_nothing(store):
    plain = an_event("plain", 2, 1, 0x10, origin="span", index=1)
    batch = [dataclasses.replace(WITH_EVENT, events=[ON_SPAN, plain])], [LOG, an_event("", 1, 0, 0, body="a line")]
    assert store.append(*batch) == Appended(stored=4, united=1)
    before, leads = _all(store), list(store.leads(LeadFilter()))
    assert store.append(*batch) == Appended(repeated=5)
    assert (_all(store), list(store.leads(LeadFilter()))) == (before, leads)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_a_log_record_and_its_span_event_unite_in_any_order(store, order):
    """Also where the span came unfinished first and without its event; the log record's words stand."""
    unfinished = dataclasses.replace(WITH_EVENT, end_ns=0, events=[])
    batches = [([], [LOG]), ([WITH_EVENT], []), ([unfinished], [])]
    for which in order:
        store.append(*batches[which])
    (event,) = store.events(EventFilter())
    assert dataclasses.replace(event, arrival=0) == dataclasses.replace(LOG, origin="both", index=0)
    (span,) = store.trace(LOG.trace_id).spans
    assert span.end_ns == WITH_EVENT.end_ns


def test_a_log_record_and_its_span_event_unite_within_one_batch(store):
    assert store.append([WITH_EVENT], [LOG]) == Appended(stored=2, united=1)
    assert [one.origin for one in store.events(EventFilter())] == ["both"]


def test_a_log_record_without_ids_takes_its_place_from_its_span_event(store):
    bare = dataclasses.replace(LOG, trace_id="", span_id="")
    store.append([], [bare])
    store.append([WITH_EVENT], [])
    (event,) = store.trace(LOG.trace_id).events
    assert (event.origin, event.span_id, event.body) == ("both", LOG.span_id, "yes")


def test_two_names_under_one_uid_are_two_records_and_the_second_is_set_aside(store):
    other = dataclasses.replace(LOG, name="delivery.rejected")
    store.append([], [LOG])
    assert store.append([], [other]) == Appended(set_aside=1)
    assert store.append([], [other]) == Appended(repeated=1)
    assert store.append([dataclasses.replace(WITH_EVENT, events=[on_span(other, 0)])], []).set_aside == 1
    assert [one.name for one in store.events(EventFilter())] == ["delivery.accepted"]
    assert _aside(store) == [("another event has this uid", "delivery.rejected")] * 2


def test_a_uid_of_another_make_identifies_too(store):
    foreign = an_event("e", 1, 0, 0, attributes={"log.record.uid": "01ARZ3NDEKTSV4RRFFQ69G5FAV"})
    store.append([], [foreign, foreign])
    assert [one.attributes["log.record.uid"] for one in store.events(EventFilter())] == ["01ARZ3NDEKTSV4RRFFQ69G5FAV"]


def test_log_records_without_uid_are_told_apart_by_all_they_say(store):
    one = an_event("", 1, 0, 0, body="line", attributes={"a": 1})
    others = [
        dataclasses.replace(one, body="line "),
        dataclasses.replace(one, attributes={"a": 1.0}),
        dataclasses.replace(one, resource=made.OTHER),
        dataclasses.replace(one, time_ns=one.time_ns + 1),
        dataclasses.replace(one, severity_number=9),
        dataclasses.replace(one, trace_id="ab" * 16),
    ]
    assert store.append([], [one, *others, one, *others]) == Appended(stored=7, repeated=7)


def test_a_finished_span_replaces_its_unfinished_form_and_not_the_other_way(store):
    finished = dataclasses.replace(WITH_EVENT, events=[])
    unfinished = dataclasses.replace(finished, end_ns=0)
    assert store.append([unfinished], []) == Appended(stored=1)
    first = store.trace(LOG.trace_id).spans[0].arrival
    assert store.append([finished], []) == Appended(replaced=1)
    (span,) = store.trace(LOG.trace_id).spans
    assert (span.end_ns, span.arrival > first) == (finished.end_ns, True)
    assert store.append([unfinished], []) == Appended(set_aside=1)
    assert store.trace(LOG.trace_id).spans == [span]


def test_another_span_with_the_same_ids_is_set_aside_whole(store):
    first = dataclasses.replace(WITH_EVENT, events=[])
    second = dataclasses.replace(first, name="another", events=[an_event("lost?", 2, 1, 0x10, origin="span", index=0)])
    store.append([first], [])
    assert store.append([second], []) == Appended(set_aside=1)
    assert store.append([second], []) == Appended(repeated=1)
    assert _aside(store) == [("another span has these ids", "another")]
    with store._reading() as connection:
        kept = orjson.loads(connection.execute("SELECT record FROM set_aside").get)
    assert kept["events"][0]["name"] == "lost?"
    assert [one.name for one in store.trace(LOG.trace_id).spans] == ["deliver"]


def test_an_event_in_a_place_that_another_has_is_set_aside(store):
    early = dataclasses.replace(WITH_EVENT, end_ns=0, events=[an_event("one", 2, 1, 0x10, origin="span", index=0)])
    late = dataclasses.replace(WITH_EVENT, events=[an_event("two", 2, 1, 0x10, origin="span", index=i) for i in (0, 1)])
    store.append([early], [])
    store.append([late], [])
    assert [one.name for one in store.events(EventFilter())] == ["one", "two"]
    assert _aside(store) == [("another event has this place in its span", "two")]


def test_spans_without_an_id_keep_each_its_own_events_however_often_they_come(store):
    def no_id(name: str) -> SpanRecord:
        event = an_event(name, 2, 1, 0, origin="span", index=0, attributes={"of": name})
        return dataclasses.replace(WITH_EVENT, name=name, span_id="", marks=("bad_id",), events=[event])

    both = [no_id("one"), no_id("two")]
    assert store.append(both, []) == Appended(stored=4)
    assert store.append(both, []) == Appended(repeated=4)
    assert sorted(one.name for one in store.events(EventFilter())) == ["one", "two"]


def test_a_record_whose_time_lay_ahead_when_it_first_came_is_the_same_when_it_comes_again_later(store):
    """Senders try again for hours; meanwhile their clock's time is no longer in the future."""
    ahead = ("time_in_future",)
    plain_event = an_event("plain", 2, 1, 0x10, origin="span", index=1)
    span = dataclasses.replace(WITH_EVENT, events=[plain_event])
    early = dataclasses.replace(span, marks=ahead, events=[dataclasses.replace(plain_event, marks=ahead)])
    store.append([early], [dataclasses.replace(LOG, marks=ahead)])
    assert store.append([span], [LOG]) == Appended(repeated=3)
    assert store.trace(LOG.trace_id).spans[0].marks == ahead


def test_what_is_odd_is_kept_as_it_came_with_its_marks(store):
    no_ids = dataclasses.replace(WITH_EVENT, trace_id="", span_id="", events=[], marks=("bad_id",))
    odd = [
        no_ids,
        dataclasses.replace(no_ids, name="a second one"),
        dataclasses.replace(
            WITH_EVENT, trace_id="ab" * 24, span_id="cd" * 16, parent_span_id="ef", events=[], marks=("bad_id",)
        ),
        dataclasses.replace(
            WITH_EVENT,
            trace_id="12" * 16,
            start_ns=2**64 - 1,
            end_ns=2**63,
            events=[],
            marks=("end_before_start", "time_in_future"),
        ),
    ]
    assert store.append(odd, []) == Appended(stored=4)
    assert store.append(odd, []) == Appended(repeated=4)
    assert sorted(repr(dataclasses.replace(one, arrival=0)) for one in store.lead("L1").spans) == sorted(map(repr, odd))
    assert next(store.leads(LeadFilter())).last_ns < 2**62  # not the wrong clock's time


def test_ids_of_any_type_are_taken_as_text(store):
    """An SDK without types, or a mistake: what names a lead is no text, or even no single value."""
    odd = [7, True, 1.5, ["a"], {"b": 1}, b"c", "7"]
    spans = [
        a_span("s", 0, 1, 1, n + 1, attributes={"lead.id": one, "leadtrace.run_id": one, "tenant_key": one})
        for n, one in enumerate(odd)
    ]
    store.append(spans, [an_event("e", 0, 1, 1, attributes={"leadtrace.lead_ids": one}) for one in odd])
    assert sorted((one.lead_id, one.tenant) for one in store.leads(LeadFilter())) == sorted(
        [*((str(one), str(one)) for one in odd[:-1]), ("a", "")]
    )
    assert len(store.lead("7", "7").spans) == len(odd)


def test_a_lead_is_told_by_its_latest_state_and_outcome_in_any_order(tmp_path):
    told = [
        an_event("flow.started", 0, 1, 1, attributes=lead("L1")),
        an_event("lead.state.changed", 1, 1, 1, attributes=lead("L1", **{"lead.state.to": "received"})),
        an_event("lead.state.changed", 4, 1, 1, attributes=lead("L1", **{"lead.state.to": "sold"})),
        an_event("flow.failed", 2, 1, 1, attributes=lead("L1", **{"leadtrace.parent_run_id": "outer"})),
        an_event("flow.completed", 5, 1, 1, attributes=lead("L1", **{"flow.summary.final_outcome": "delivered"})),
    ]
    for number, order in enumerate(itertools.permutations(told)):
        if number % 7:
            continue
        store = EmbeddedStore.open(tmp_path / f"{number}.db", write=True)
        store.append([], order[:2])
        store.append([], order[2:])
        (row,) = store.leads(LeadFilter())
        assert (row.state, row.outcome, row.first_ns, row.last_ns) == (
            "sold",
            "delivered",
            made.START,
            told[-1].time_ns,
        )
        store.close()


def test_a_lead_that_began_again_has_no_outcome_yet(store):
    store.append([], [an_event("flow.failed", 5, 1, 1, attributes=lead("L1"))])
    assert [one.outcome for one in store.leads(LeadFilter())] == ["failed"]
    store.append([], [an_event("flow.started", 9, 2, 2, attributes=lead("L1"))])
    assert [one.outcome for one in store.leads(LeadFilter())] == [""]


def test_a_batch_that_fails_leaves_nothing(store):
    broken = dataclasses.replace(LOG, body=object())
    with pytest.raises(AttributeError):
        store.append([WITH_EVENT], [broken])
    assert (store.counts(), _all(store)) == ({"spans": 0, "events": 0, "leads": 0, "set_aside": 0}, [])
    assert store.append([WITH_EVENT], [LOG]) == Appended(stored=2, united=1)


def test_a_full_disk_is_said_what_is_stored_stays_and_it_goes_on_when_there_is_space(store):
    store.append([WITH_EVENT], [LOG])
    before = _all(store)
    store._writer.pragma("max_page_count", store._writer.pragma("page_count"))
    more = [an_event("more", 1, 0, 0, attributes={"n": n, "pad": "x" * 1_000}) for n in range(500)]
    with pytest.raises(SourceError, match="no space left"):
        store.append([], more)
    assert _all(store) == before
    store._writer.pragma("max_page_count", 1 << 30)
    assert store.append([], more) == Appended(stored=500)


def test_arrivals_never_come_again(tmp_path):
    store = EmbeddedStore.open(tmp_path / "s.db", write=True)
    store.append([], [an_event("a", 1, 0, 0)])
    store._writer.execute("DELETE FROM events")
    store.close()
    store = EmbeddedStore.open(tmp_path / "s.db", write=True)
    store.append([], [an_event("b", 1, 0, 0)])
    assert [one.arrival for one in store.events(EventFilter())] == [2]
    store.close()


_records = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 3), st.sampled_from(["log", "span", "both"])), max_size=12
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(batches=st.lists(_records, min_size=1, max_size=5))
def test_any_batches_in_any_order_make_each_record_once(tmp_path_factory, batches):
    """Events over few uids and spans, whole spans again and again: as many events as uids, and no span twice."""
    store = EmbeddedStore.open(tmp_path_factory.mktemp("any") / "s.db", write=True)
    uids, spans_sent = set(), set()
    for batch in batches:
        spans, logs = [], []
        for number, span, how in batch:
            event = an_event(
                f"e.{number}", number, 1, 0x10 + span, attributes={"log.record.uid": uid(number * 10 + span)}
            )
            uids.add(number * 10 + span)
            if how in ("log", "both"):
                logs.append(event)
            if how in ("span", "both"):
                spans.append(a_span("s", 0, 9, 1, 0x10 + span, events=[on_span(event, number)]))
                spans_sent.add(span)
        store.append(spans, logs)
    found = store.trace(f"{1:032x}")
    assert len(found.events) == len(uids) == len({one.uid for one in found.events})
    assert len(found.spans) == len(spans_sent)
    assert _aside(store) == []
    store.close()


def test_of_a_large_trace_a_lead_gets_its_own_what_is_beneath_and_what_is_above(store):
    """A file of many leads under one span is one trace; the answer is as if the trace held this lead alone."""
    spans = [a_span("import", 0, 99, 1, 1)]
    events = [an_event("operation.started", 0, 1, 1)]
    for n in range(1_500):
        spans += [
            a_span("flow", 1, 9, 1, 0x1000 + n, 1, attributes=lead(f"L{n}", f"r{n}")),
            a_span("GET", 2, 3, 1, 0x2000 + n, 0x1000 + n),
            a_span("TLS", 2, 3, 1, 0x3000 + n, 0x2000 + n),
        ]
        events += [
            an_event(
                "flow.started", 1, 1, 0x1000 + n, attributes={"leadtrace.run_id": f"r{n}", "log.record.uid": uid(n)}
            ),
            an_event("flow.completed", 9, 1, 0x1000 + n, attributes=lead(f"L{n}", f"r{n}")),
            an_event("dns", 2, 1, 0x3000 + n),
            an_event("lost its span", 2, 1, 0x9999, attributes={"leadtrace.run_id": f"r{n}"}),
        ]
    spans.append(a_span("bulk", 10, 12, 1, 2, 1, attributes={"leadtrace.lead_ids": ["L3", "L4"]}))
    store.append(spans, events)
    found = store.lead("L3")
    assert found.incomplete == []
    assert sorted(one.span_id for one in found.spans) == [f"{n:016x}" for n in (1, 2, 0x1003, 0x2003, 0x3003)]
    assert sorted(one.name for one in found.events) == ["dns", "flow.completed", "flow.started", "lost its span"]
    assert len(store.trace(f"{1:032x}").spans) == len(spans)


# --- the file ---------------------------------------------------------------------------------------------------------


def test_the_file_is_for_its_owner_only(store):
    store.append([WITH_EVENT], [LOG])
    files = sorted(store.path.parent.iterdir())
    assert [one.name for one in files] == ["store.db", "store.db-shm", "store.db-wal", "store.db.lock"]
    assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}


def test_a_second_writer_is_told_who_writes_and_what_to_do(store):
    with pytest.raises(StoreLockedError) as told:
        EmbeddedStore.open(store.path, write=True)
    assert f"process {os.getpid()}" in str(told.value)
    assert "another --store" in str(told.value)
    assert list(EmbeddedStore.open(store.path).leads(LeadFilter())) == []


def test_a_store_that_is_not_there_is_said_to_be(tmp_path):
    with pytest.raises(SourceError, match="there is no store"):
        EmbeddedStore.open(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [True, False])
def test_what_is_no_store_is_left_alone(tmp_path, write):
    text, foreign = tmp_path / "text.db", tmp_path / "foreign.db"
    text.write_text("to be or not to be " * 100)
    database = sqlite3.connect(foreign)
    database.execute("CREATE TABLE users (name)")
    database.close()
    for path in (text, foreign):
        before = path.read_bytes()
        with pytest.raises(StoreDamagedError, match="has not been touched"):
            EmbeddedStore.open(path, write=write)
        assert path.read_bytes() == before


@pytest.mark.parametrize("write", [True, False])
def test_a_store_that_was_cut_short_says_so_and_what_to_do(tmp_path, write):
    path = tmp_path / "s.db"
    with_records = EmbeddedStore.open(path, write=True)
    with_records.append([a_span("s", 0, 1, n, n) for n in range(1, 300)], [])
    with_records.close()
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(StoreDamagedError, match=r"damaged .*recover"):
        EmbeddedStore.open(path, write=write)


def test_a_store_with_a_damaged_page_says_so_when_it_is_read(tmp_path):
    path = tmp_path / "s.db"
    with_records = EmbeddedStore.open(path, write=True)
    with_records.append([a_span("s", 0, 1, n, n, attributes=lead("L1")) for n in range(1, 300)], [])
    with_records.close()
    damaged = bytearray(path.read_bytes())
    damaged[8192:] = b"\xa5" * (len(damaged) - 8192)
    path.write_bytes(damaged)
    with pytest.raises(StoreDamagedError, match="damaged"):
        EmbeddedStore.open(path).lead("L1")


def test_a_store_of_a_newer_leadtrace_is_not_touched(store):
    store._writer.pragma("user_version", 99)
    path = store.path
    store.close()
    for write in (True, False):
        with pytest.raises(SourceError, match="newer leadtrace"):
            EmbeddedStore.open(path, write=write)


def test_an_old_sqlite_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    monkeypatch.setattr(store_file, "apsw", apsw)
    with pytest.raises(SourceError, match=r"3\.51\.3 or newer"):
        EmbeddedStore.open(tmp_path / "s.db", write=True)


def test_every_record_is_kept_whole_in_a_form_that_others_can_read(store):
    """The file is plain SQLite: attributes are JSON that its own functions take apart."""
    store.append([WITH_EVENT], [LOG])
    with store._reading() as connection:
        assert connection.execute("SELECT attributes ->> 'lead.id' FROM events").get == "L1"


# --- other processes --------------------------------------------------------------------------------------------------

_WRITER = """
import sys
sys.path[:0] = {paths!r}
from store_made import a_span, an_event, lead, uid
from leadtrace.store.embedded import EmbeddedStore
store = EmbeddedStore.open({path!r}, write=True)
for batch in range({batches}):
    spans = [a_span("s", batch, batch + 1, batch + 1, n + 1, attributes=lead(f"L{{batch}}")) for n in range(20)]
    uids = [{{"log.record.uid": uid(batch * 20 + n)}} for n in range(20)]
    events = [an_event("e", batch, batch + 1, 1, attributes=lead(f"L{{batch}}", **one)) for one in uids]
    store.append(spans, events)
    print(batch, flush=True)
"""


def _writer(tmp_path: Path, path: Path, batches: int) -> subprocess.Popen[str]:
    (tmp_path / "store_made.py").write_text(Path(__file__).with_name("conftest.py").read_text())
    code = textwrap.dedent(_WRITER).format(paths=[str(tmp_path), *sys.path], path=str(path), batches=batches)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_a_kill_in_the_middle_loses_no_batch_that_was_returned_and_leaves_none_half(tmp_path):
    path = tmp_path / "s.db"
    returned = -1
    for _ in range(3):  # each writer goes on where the one before was killed: the same batches again, then new ones
        writer = _writer(tmp_path, path, 10_000)
        for line in writer.stdout:
            returned = max(returned, int(line))
            if int(line) >= returned and returned % 40 == 39:
                break
        writer.kill()
        writer.wait()
        writer.stdout.close()
        store = EmbeddedStore.open(path)
        sizes = {
            one.lead_id: (len(store.lead(one.lead_id).spans), len(store.lead(one.lead_id).events))
            for one in store.leads(LeadFilter())
        }
        store.close()
        assert {f"L{n}" for n in range(returned + 1)} <= set(sizes)
        assert set(sizes.values()) == {(20, 20)}
        returned += 1


def test_two_readers_beside_a_writer_see_whole_batches_only(tmp_path):
    path = tmp_path / "s.db"
    EmbeddedStore.open(path, write=True).close()
    writer = _writer(tmp_path, path, 60)
    readers = [EmbeddedStore.open(path) for _ in range(2)]
    seen = [0, 0]
    for line in writer.stdout:
        for number, reader in enumerate(readers):
            found = reader.lead(f"L{int(line)}")
            assert (len(found.spans), len(found.events)) == (20, 20)
            events = list(reader.events(EventFilter()))
            assert len(events) >= seen[number]
            seen[number] = len(events)
    assert writer.wait() == 0
    writer.stdout.close()
    assert [len(list(reader.events(EventFilter()))) for reader in readers] == [1200, 1200]
    for reader in readers:
        reader.close()


def test_a_reader_that_stays_does_not_keep_the_log_from_being_folded_back(store):
    """A long answer is read in short pieces: between them the writer starts its log anew, so that it stays small."""
    store.append([], [an_event("e", 1, 0, 0, attributes={"n": n}) for n in range(5_000)])
    reading = EmbeddedStore.open(store.path)
    answer = reading.events(EventFilter())
    next(answer)
    wal = store.path.with_name("store.db-wal")
    for batch in range(12):
        store.append(
            [],
            [an_event("more", 2, 0, 0, attributes={"n": n, "batch": batch, "pad": "x" * 1_000}) for n in range(1_500)],
        )
    assert wal.stat().st_size < 48 << 20
    assert sum(1 for _ in answer) >= 4_999
    reading.close()


def test_a_writer_that_could_not_open_leaves_the_lock_free(tmp_path):
    path = tmp_path / "s.db"
    path.write_text("no store " * 100)
    for _ in range(2):
        with pytest.raises(StoreDamagedError):
            EmbeddedStore.open(path, write=True)
