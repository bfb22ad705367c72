"""Erasing a person from the embedded store: what goes, what stays, and that no byte of it is left."""

from __future__ import annotations

import importlib.util
import json
import random
import sqlite3
import sys
from pathlib import Path

import pytest
from hypothesis import given as given_data
from hypothesis import settings
from hypothesis import strategies as st

from leadtrace.errors import SourceError
from leadtrace.otlp.ranges import Ranges
from leadtrace.otlp.tombstone import Readmitted
from leadtrace.store.embedded import EmbeddedStore
from leadtrace.store.file import connect_reader
from leadtrace.store.interface import EventFilter, LeadFilter

_spec = importlib.util.spec_from_file_location("store_conftest", Path(__file__).with_name("conftest.py"))
given = sys.modules.setdefault("store_conftest", importlib.util.module_from_spec(_spec))
if not hasattr(given, "uid"):
    _spec.loader.exec_module(given)
a_span, an_event, lead, on_span, uid = given.a_span, given.an_event, given.lead, given.on_span, given.uid

ANN, BOB = "lead_ann_7K9mHpQR", "lead_bob_3x2B5N8j"
BOOT = "a1b2c3d4e5f60718"


def _told(name: str, number: int, trace: int = 1, span: int = 0x10, **attributes: object):
    return an_event(name, number, trace, span, attributes={**attributes, "log.record.uid": uid(number)})


def _bytes_of(store: EmbeddedStore) -> bytes:
    """Every byte of the store's files, the log and its index included."""
    return b"".join(one.read_bytes() for one in sorted(store.path.parent.glob("store.db*")))


def _left(store: EmbeddedStore) -> list[str]:
    """Names of all that is there, spans before events."""
    found = [store.trace(f"{number:032x}") for number in range(1, 9)]
    return [one.name for each in found for one in each.spans] + [one.name for one in store.events(EventFilter())]


def test_everything_of_a_lead_goes_and_nothing_of_another(store):
    """Its spans, its events, what lies beneath them and names nobody, its row among the leads, its runs."""
    store.append(
        [
            a_span("import", 0, 9, 1, 0x1),
            a_span("flow of ann", 0, 5, 1, 0x10, 0x1, attributes=lead(ANN, "r1")),
            a_span("GET /", 1, 2, 1, 0x11, 0x10, attributes={"url.path": f"/leads/{ANN}"}),
            a_span("DNS", 1, 2, 1, 0x12, 0x11, events=[an_event("looked up", 1, 1, 0x12, origin="span", index=0)]),
            a_span("flow of bob", 0, 5, 1, 0x20, 0x1, attributes=lead(BOB, "r2")),
            a_span("GET / for bob", 1, 2, 1, 0x21, 0x20),
            a_span("before the lead was known", 0, 1, 2, 0x30, attributes={"leadtrace.run_id": "r1"}),
            a_span("beneath that", 0, 1, 2, 0x31, 0x30),
        ],
        [
            _told("flow.started", 1, **lead(ANN, "r1")),
            _told("flow.completed", 2, **lead(ANN, "r1")),
            _told("flow.started", 3, span=0x20, **lead(BOB, "r2")),
            an_event("lead.returned", 20, 0, 0, attributes=lead(ANN)),
            an_event("a log line", 1, 1, 0x11, body=f"asked for {ANN}"),
        ],
    )
    told = store.erase([ANN])
    assert told.counts() == {"leads": 1, "spans": 5, "events": 5, "set_aside": 0, "changed": 0}
    assert told.ranges == {BOOT: Ranges.of((1, 2))}
    assert told.traces == [f"{1:032x}", f"{2:032x}"]
    assert told.left == []
    assert _left(store) == ["import", "flow of bob", "GET / for bob", "flow.started"]
    assert [one.lead_id for one in store.leads(LeadFilter())] == [BOB]
    assert store.lead(ANN).spans == []
    assert b"ann_7K9m" not in _bytes_of(store)
    assert b"r1" not in b"".join(
        str(row).encode() for row in connect_reader(store.path).execute("SELECT * FROM run_traces")
    )


def test_a_trace_in_which_nobody_else_is_named_goes_whole(store):
    """What lies above the lead's work in such a trace is about nobody else: the request that brought it."""
    store.append(
        [a_span("POST /leads", 0, 9, 1, 0x1), a_span("flow", 1, 5, 1, 0x10, 0x1, attributes=lead(ANN, "r1"))], []
    )
    told = store.erase([ANN])
    assert told.spans == 2
    assert _left(store) == []


def test_what_a_run_told_without_a_name_stays_where_others_are_in_the_run(store):
    """A batch's own records are nobody's."""
    store.append(
        [
            a_span("batch", 0, 9, 1, 0x1, attributes={"leadtrace.run_id": "r1"}),
            a_span("line of ann", 1, 2, 2, 0x10, attributes=lead(ANN, "r1")),
            a_span("line of bob", 1, 2, 3, 0x20, attributes=lead(BOB, "r1")),
        ],
        [],
    )
    store.erase([ANN])
    assert _left(store) == ["batch", "line of bob"]
    assert [one.name for one in store.lead(BOB).spans] == ["line of bob", "batch"]


def test_a_record_of_several_leads_stays_for_the_others(store):
    """Without the name; and where it named nobody else, it goes."""
    several = {"leadtrace.lead_ids": [ANN, BOB], "cost": "0.02"}
    store.append(
        [
            a_span("bulk", 0, 1, 1, 0x1, attributes=several),
            a_span("bulk of one", 0, 1, 2, 0x2, attributes={"leadtrace.lead_ids": [ANN]}),
        ],
        [_told("enhancement.started", 1, 1, 0x1, **several), _told("enhancement.success", 2, 1, 0x1, **lead(ANN))],
    )
    told = store.erase([ANN])
    assert (told.changed, told.spans, told.events) == (2, 1, 1)
    [bulk] = store.lead(BOB).spans
    assert bulk.attributes == {"leadtrace.lead_ids": [BOB], "cost": "0.02"}
    assert [one.attributes["leadtrace.lead_ids"] for one in store.lead(BOB).events] == [[BOB]]
    assert ANN.encode() not in _bytes_of(store)


def test_only_the_named_tenant_s_lead_is_erased(store):
    """The same id with another tenant is another lead."""
    store.append(
        [],
        [
            _told("lead.received", 1, 1, 1, **lead(ANN, tenant_key="north")),
            _told("lead.received", 2, 2, 2, **lead(ANN)),
        ],
    )
    told = store.erase([ANN], "north")
    assert told.ranges == {BOOT: Ranges.of((1, 1))}
    assert [one.tenant for one in store.leads(LeadFilter())] == [""]
    store.append(
        [], [_told("lead.sold", 3, 1, 1, **lead(ANN, tenant_key="north")), _told("lead.sold", 4, 2, 2, **lead(ANN))]
    )
    assert [one.uid for one in store.events(EventFilter())] == [uid(2), uid(4)]
    store.erase([ANN])
    assert _left(store) == []


def test_a_lead_recorded_under_several_keys_goes_with_all_its_ids(store):
    """After a rotation it has a hash for each key."""
    store.append(
        [],
        [
            _told("lead.received", 1, 1, 1, **lead("phone#aaaaaaaaaaaaaaaa", "r")),
            _told("lead.sold", 2, 2, 2, **lead("phone#bbbbbbbbbbbbbbbb", "r")),
        ],
    )
    told = store.erase(["phone#bbbbbbbbbbbbbbbb", "phone#aaaaaaaaaaaaaaaa"])
    assert (told.leads, told.events) == (2, 2)
    assert _left(store) == []


def test_what_arrives_later_is_turned_away_and_counted(store):
    """By its keyed hash: whole where it is that lead's, the lead's name where it is others' too; and it is no loss."""
    store.append([], [_told("lead.received", 1, **lead(ANN))])
    store.erase([ANN])
    flow = a_span(
        "flow", 0, 5, 1, 0x10, attributes=lead(ANN), events=[on_span(_told("flow.started", 2, **lead(ANN)), 0)]
    )
    late = [
        flow,
        a_span("GET /", 1, 2, 1, 0x11, 0x10),
        a_span("TLS", 1, 2, 1, 0x12, 0x11),
        a_span(
            "bulk",
            0,
            1,
            2,
            0x20,
            attributes={"leadtrace.lead_ids": [ANN, BOB]},
            events=[on_span(_told("for ann", 3, 2, 0x20, **lead(ANN)), 0)],
        ),
        a_span("of nobody", 0, 1, 3, 0x30),
    ]
    told = store.append(late, [_told("flow.completed", 4, **lead(ANN)), _told("flow.started", 5, 2, 0x20, **lead(BOB))])
    assert (told.stored, told.erased) == (3, 6)
    assert _left(store) == ["bulk", "of nobody", "flow.started"]
    assert store.trace(f"{2:032x}").spans[0].attributes == {"leadtrace.lead_ids": [BOB]}
    assert ANN.encode() not in _bytes_of(store)
    [held] = store.sequences()
    assert (held.held, held.erased) == (Ranges.of((5, 5)), Ranges.of((1, 4)))
    assert len(flow.events) == 1, "the caller's records are left as they are"


def test_tombstones_outlive_the_process_and_hold_no_id(tmp_path):
    """A keyed hash with a key of the store's own: nobody without the store can try ids against it."""
    store = EmbeddedStore.open(tmp_path / "store.db", write=True)
    store.append([], [_told("lead.received", 1, **lead(ANN))])
    store.erase([ANN])
    store.close()
    store = EmbeddedStore.open(tmp_path / "store.db", write=True)
    assert store.append([], [_told("lead.sold", 2, **lead(ANN))]).erased == 1
    rows = connect_reader(tmp_path / "store.db").execute("SELECT tombstone FROM tombstones").fetchall()
    assert [len(one) for (one,) in rows] == [16]
    store.close()
    assert b"ann_7K9m" not in (tmp_path / "store.db").read_bytes()


def test_a_lead_that_is_readmitted_is_stored_again_from_then_on(tmp_path):
    """By the tenant for which it was erased; also after the store was opened anew."""
    store = EmbeddedStore.open(tmp_path / "store.db", write=True)
    store.append([], [_told("erased", 1, **lead(ANN, "r1"))])
    store.erase([ANN])
    store.erase([BOB], "north")
    assert store.readmit([ANN], "north") == Readmitted(0, still=True)
    assert store.readmit([BOB]) == Readmitted(0, still=False)
    assert store.readmit([ANN]) == Readmitted(1, still=False)
    store.append([], [_told("back", 2, **lead(ANN, "r2")), _told("north", 3, **lead(BOB, "r3"), tenant_key="north")])
    store.close()
    store = EmbeddedStore.open(tmp_path / "store.db", write=True)
    store.append([], [_told("back again", 4, **lead(ANN, "r4"))])
    assert _left(store) == ["back", "back again"]
    assert store.readmit([BOB], "north") == Readmitted(1, still=False)
    assert store.readmit(["nobody"]) == Readmitted(0, still=False)
    store.close()


def test_erasing_twice_or_nobody_is_no_mistake(store):
    """The answer counts nothing; what would come is turned away all the same."""
    assert store.erase(["lead_unknown_x"]).counts() == dict.fromkeys(
        ("leads", "spans", "events", "set_aside", "changed"), 0
    )
    assert store.append([], [_told("lead.received", 1, **lead("lead_unknown_x"))]).erased == 1
    assert store.erase(["lead_unknown_x"]).events == 0


def test_a_record_that_was_set_aside_goes_too(store):
    """It holds the whole record."""
    one = a_span("flow", 0, 5, 1, 0x10, attributes=lead(ANN))
    store.append([one], [])
    store.append([a_span("another", 0, 5, 1, 0x10, attributes=lead(ANN))], [])
    store.append([a_span("several", 0, 5, 1, 0x10, attributes={"leadtrace.lead_ids": [ANN, BOB]})], [])
    told = store.erase([ANN])
    assert (told.set_aside, told.changed) == (1, 1)
    [(record,)] = connect_reader(store.path).execute("SELECT record FROM set_aside").fetchall()
    assert json.loads(record)["attributes"] == {"leadtrace.lead_ids": [BOB]}
    assert ANN.encode() not in _bytes_of(store)


def test_the_id_in_the_words_of_other_records_is_replaced(store):
    """In attributes, bodies, links and names; an id of another lead that begins alike is left alone."""
    longer = ANN + "2"
    store.append(
        [
            a_span(
                f"GET /leads/{ANN}", 0, 1, 3, 0x30, attributes={**lead(BOB), "lead.duplicate_of": ANN, "other": longer}
            )
        ],
        [
            _told("lead.received", 1, **lead(ANN)),
            an_event("note", 2, 4, 0x40, attributes=lead(longer), body={"text": f"like {ANN}, or {longer}"}),
        ],
    )
    told = store.erase([ANN])
    assert told.left == []
    assert told.changed == 3
    [span] = store.trace(f"{3:032x}").spans
    assert (span.name, span.attributes["lead.duplicate_of"], span.attributes["other"]) == (
        "GET /leads/erased",
        "erased",
        longer,
    )
    [note] = store.lead(longer).events
    assert note.body == {"text": f"like erased, or {longer}"}
    assert not [
        at
        for at in _all_places(_bytes_of(store), ANN.encode())
        if _bytes_of(store)[at + len(ANN) : at + len(ANN) + 1] != b"2"
    ]


def _all_places(content: bytes, needle: bytes) -> list[int]:
    found, at = [], content.find(needle)
    while at >= 0:
        found.append(at)
        at = content.find(needle, at + 1)
    return found


def test_a_short_id_is_looked_for_as_a_whole_word_only(store):
    """`L1` stands by chance in much that is not this lead."""
    store.append(
        [], [_told("lead.received", 1, 1, 1, **lead("L1")), _told("note", 2, 2, 2, **lead("L12"), text="xL1x")]
    )
    told = store.erase(["L1"])
    assert (told.events, told.changed, told.left) == (1, 0, [])


def test_while_somebody_reads_the_answer_says_that_the_log_is_not_empty(store):
    """And asked again afterwards, all is gone."""
    store.append([], [_told("lead.received", 1, **lead(ANN))])
    store._writer.set_busy_timeout(50)
    reader = connect_reader(store.path)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM events").get == 1
    assert store.erase([ANN]).left == [
        "the write-ahead log could not be emptied, because somebody reads the store: ask again"
    ]
    reader.close()
    assert store.erase([ANN]).left == []
    assert ANN.encode() not in _bytes_of(store)


def test_a_store_for_readers_erases_nothing(store, tmp_path):
    """Its one writer does."""
    reader = EmbeddedStore.open(store.path)
    with pytest.raises(SourceError, match="is not open for writing"):
        reader.erase([ANN])
    reader.close()


def test_a_store_written_before_overwriting_began_is_rewritten_once(tmp_path):
    """Its pages may hold copies of rows that were moved when pages were split."""
    from leadtrace.store import file

    path = tmp_path / "store.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA page_size = 8192")
    connection.execute("PRAGMA journal_mode = wal")
    connection.executescript(file._migrations()[0])
    connection.execute(f"PRAGMA application_id = {file.APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 1")
    ids = [f"lead_{random.Random(one).getrandbits(64):016x}" for one in range(4_000)]
    for number, one in enumerate(ids):
        if number % 200 == 0:
            connection.execute("COMMIT" if number else "SELECT 1")
            connection.execute("BEGIN")
        connection.execute("INSERT INTO leads (lead_id, tenant, first_ns, last_ns) VALUES (?, '', 1, 1)", (one,))
    connection.execute("COMMIT")
    connection.execute("INSERT INTO texts VALUES (1, 'x')")
    connection.execute("INSERT INTO traces VALUES (1, x'01', '')")
    connection.execute(
        "INSERT INTO events VALUES (1,1,NULL,NULL,1,1,NULL,NULL,NULL,1,NULL,NULL,NULL,NULL,NULL,NULL,1,1,'{}',NULL)"
    )
    connection.close()
    store = EmbeddedStore.open(path, write=True)
    gone = ids[::40]
    first = store.erase(gone)
    assert first.rewritten
    assert (first.leads, first.left) == (100, [])
    assert not store.erase(ids[1:2]).rewritten
    content = _bytes_of(store)
    assert [one for one in (*gone, ids[1]) if one.encode() in content] == []
    store.close()


@settings(max_examples=8)
@given_data(st.randoms(use_true_random=False))
def test_no_byte_of_an_erased_lead_is_left_whatever_was_stored_around_it(tmp_path_factory, chance: random.Random):
    """Records of every size, in many batches and pages, some replaced: every id and word of the lead is gone from file, log
    and index, and every record of the others is there as it was."""
    store = EmbeddedStore.open(tmp_path_factory.mktemp("erase") / "store.db", write=True)
    ids = [f"lead_{chance.getrandbits(64):016x}" for _ in range(12)]
    secrets = {one: f"secret-{chance.getrandbits(64):016x}" for one in ids}
    sequence = 0
    for _ in range(6):
        spans, events = [], []
        for one in ids:
            trace = int(one[5:], 16)
            for _ in range(chance.randrange(4)):
                sequence += 1
                said = {**lead(one, f"run_{one}"), "note": secrets[one] * chance.choice((1, 3, 40, 900))}
                span = chance.getrandbits(60) | 1
                spans.append(
                    a_span("step", sequence, sequence + 1 if chance.random() < 0.8 else 0, trace, span, attributes=said)
                )
                if chance.random() < 0.3:
                    spans.append(a_span("step", sequence, sequence + 2, trace, span, attributes=said))
                events.append(_told("step.done", sequence, trace, span, **said))
        store.append(spans, events)
    gone = chance.sample(ids, 4)
    kept_before = {one: _plain(store.lead(one)) for one in ids if one not in gone}
    for one in gone:
        assert store.erase([one]).left == []
    content = _bytes_of(store)
    assert [one for one in gone if one.encode() in content or secrets[one].encode() in content] == []
    assert {one: _plain(store.lead(one)) for one in kept_before} == kept_before
    store.close()


def _plain(found) -> list[str]:
    return sorted(repr(one) for one in (*found.spans, *found.events))


_whose = st.lists(st.sampled_from([ANN, BOB, "lead_eve_00000000"]), max_size=3, unique=True)


@settings(max_examples=20)
@given_data(st.lists(_whose, min_size=1, max_size=14), st.integers(0, 14), st.booleans())
def test_before_or_after_the_erasure_a_record_ends_the_same(tmp_path_factory, records, erased_at, tenant):
    """Whatever arrived before it, after it, or again: what is there in the end is what would be there without the lead."""
    name = "north" if tenant else ""
    events = []
    for number, whose in enumerate(records, 1):
        named = {"lead.id": whose[0]} if len(whose) == 1 else {"leadtrace.lead_ids": whose} if whose else {}
        attributes = {**named, **({"tenant_key": name} if name else {}), "log.record.uid": uid(number)}
        events.append(an_event("e", number, 100 + number, 0x10, attributes=attributes))  # each in a trace of its own
    store = EmbeddedStore.open(tmp_path_factory.mktemp("order") / "store.db", write=True)
    for event in events[:erased_at]:
        store.append([], [event])
    store.erase([ANN], name if tenant else None)
    for event in events[erased_at:] + events:
        store.append([], [event])
    found = {one.uid: one for one in store.events(EventFilter())}
    for number, whose in enumerate(records, 1):
        left = [one for one in whose if one != ANN]
        if whose and not left:
            assert uid(number) not in found
        else:
            told = found.pop(uid(number)).attributes
            assert [told.get("lead.id")] == left if len(whose) == 1 else told.get("leadtrace.lead_ids", []) == left
    assert found == {}
    numbers = Ranges.of_numbers(n for n, whose in enumerate(records, 1) if whose == [ANN])
    held = list(store.sequences())
    assert (held[0].erased if held else Ranges()) == numbers
    store.close()
