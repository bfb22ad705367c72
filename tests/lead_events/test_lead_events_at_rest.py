"""What lies on the disk: no phone number, no e-mail address and no name in any byte, in whatever state a lead event is."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import stat
from pathlib import Path

import pytest
from lead_files import EXAMPLE_LEADS, FILE_LEADS, personal_in, words_of

import leadtrace as lt
from leadtrace.errors import SourceError
from leadtrace.journal.erasing import erase_lead, lead_of_kept, readmit_lead
from leadtrace.journal.outbox import Outbox
from leadtrace.journal.quarantine import discard, in_quarantine
from leadtrace.otlp.tombstone import Readmitted

SCHEMA = {"type": "object", "required": ["zip"], "properties": {"zip": {"minLength": 5}}}


def everything_that_can_happen(leads) -> None:
    """Of the example's leads: sent, failed, refused, malformed, waiting, in somebody's hands; reasons quote the payload."""
    turns = itertools.cycle(range(4))

    @lt.sender("meta")
    def meta(payload):
        quoted = f"{payload['first_name']} {payload['last_name']} <{payload['email']}> {payload['phone']}"
        match next(turns):
            case 0:
                raise ConnectionResetError(f"reset while sending {quoted}")
            case 1:
                raise lt.Refused(f"unknown person {quoted}", field="user")
            case 2:
                return lt.failed(f"cannot match {payload['email']}")
        return None

    def check(payload):
        if not payload["zip"]:
            raise ValueError(f"{payload['first_name']} {payload['last_name']} at {payload['email']} has no ZIP code")

    for number, one in enumerate(leads):
        given = {"type": "Lead", "lead_id": one["id"], "campaign_group": one["campaign_group"]}
        schema = (SCHEMA, check)[number % 2]
        assert lt.lead_event(one, destination=["meta", "nobody"], schema=schema, **given).saved
    lt.lead_event(f"email={leads[0]['email']}&phone={leads[0]['phone']}", destination="meta", lead_id="l")
    # An id that is contact data is the one thing that is caught where ids are spared.
    lt.lead_event(leads[0], destination="meta", lead_id=leads[0]["email"])
    lt.send_waiting(limit=len(leads) * 2 // 3)


def test_no_byte_on_the_disk_tells_who_it_is_about(process):
    told = process(receiver="http://127.0.0.1:9")  # nobody listens there: the events wait in the journal as well
    leads = EXAMPLE_LEADS
    everything_that_can_happen(leads)
    assert told.lead_events.turn("nobody", None, ()).claimed is not None
    with told.lead_events.outbox.transaction() as database:
        states = {state for (state,) in database.execute("SELECT DISTINCT state FROM lead_events")}
    assert states == {"waiting", "claimed", "sent", "quarantined"}
    files = {one: one.read_bytes() for one in told.folder.rglob("*") if one.is_file()}
    assert {one.suffix for one in files} >= {".ltj", ".db", ".db-wal"}
    assert b"lead.event.quarantined" in b"".join(files.values())
    assert personal_in(files, words_of(leads)) == []
    # The search finds what is there: ids are not sealed.
    assert personal_in(files, {leads[0]["id"]: "id"}) != []


def test_neither_is_it_in_what_is_told(told):
    everything_that_can_happen(EXAMPLE_LEADS)
    said = json.dumps([[one.name, {key: str(value) for key, value in one.attributes.items()}] for one in told.events])
    assert personal_in({Path("events"): said.encode()}, words_of(EXAMPLE_LEADS)) == []


def test_only_the_owner_can_read_it(told):
    everything_that_can_happen(EXAMPLE_LEADS[:20])
    told.lead_events.turn("meta", None, ())
    for one in [told.folder, *told.folder.rglob("*")]:
        mode = stat.S_IMODE(one.stat().st_mode)
        assert mode & 0o077 == 0, f"{one} is {mode:o}"


def test_what_was_sent_or_discarded_has_no_payload_any_more(told):
    lt.sender("meta")(lambda payload: None)
    lt.lead_event({"a": 1}, id="e1", destination="meta", lead_id="l")
    lt.lead_event({"a": 1}, id="e2", destination="meta", lead_id="l", schema=False)
    lt.send_waiting()
    outbox = told.lead_events.outbox
    [one] = in_quarantine(outbox)
    sealed = one.sealed
    discard(outbox, one, 1)
    outbox.overwrite()
    with outbox.transaction() as database:
        rows = database.execute("SELECT id, state, sealed FROM lead_events ORDER BY id").fetchall()
    assert rows == [("e1", "sent", None), ("e2", "discarded", None)]
    left = b"".join(one.read_bytes() for one in outbox.path.parent.glob("outbox.db*"))
    assert sealed not in left


def test_what_ended_is_known_for_some_days_and_then_forgotten(told):
    lt.sender("meta")(lambda payload: None)
    lt.lead_event({"a": 1}, id="e1", destination="meta", lead_id="l")
    lt.send_waiting()
    outbox = told.lead_events.outbox

    def rows() -> int:
        with outbox.transaction() as database:
            return database.execute("SELECT count(*) FROM lead_events").fetchone()[0]

    with outbox.transaction() as database:
        (ended,) = database.execute("SELECT changed_ns FROM lead_events").fetchone()
    outbox.put([], ended + 6 * 86_400 * 10**9)
    assert rows() == 1
    outbox.put([], ended + 8 * 86_400 * 10**9)
    assert rows() == 0


def test_a_lead_is_erased_in_every_state_and_what_arrives_later_is_not_taken_in(told):
    lt.sender("meta")(lambda payload, event: (_ for _ in ()).throw(lt.Refused("no")) if event.id == "refused" else None)
    for one in ("sent", "refused"):
        lt.lead_event({"for": one}, id=one, destination="meta", lead_id="gone")
    lt.send_waiting()
    lt.lead_event({}, id="waiting", destination=["meta", "google"], lead_id="gone")
    lt.lead_event({}, id="malformed", destination="meta", lead_id="gone", schema=False)
    lt.lead_event({}, id="stays", destination="meta", lead_id="other")
    told.lead_events.bring_in()
    late = told.kept()[0].packed()
    claimed = told.lead_events.turn("google", None, ()).claimed
    assert claimed is not None

    counts = erase_lead(told.folder, ["gone"])
    assert {key: value for key, value in counts.items() if value} == {
        "sent": 1,
        "quarantined": 2,
        "waiting": 1,
        "claimed": 1,
    }
    left = b"".join(one.read_bytes() for one in told.lead_events.outbox.path.parent.glob("outbox.db*"))
    assert b"gone" not in left
    assert b"other" in left
    # What a worker had in hand is nobody's any more, and neither is it told.
    from leadtrace.words.sender import Said, senders
    from leadtrace.words.sending import _settled

    turn = told.lead_events.settle(_settled(claimed, Said("sent"), senders["meta"], ""), ())
    assert list(turn.tellings) == []
    told.sink.keep("lead_event", late)
    told.hand_over_again()
    lt.send_waiting()
    with told.lead_events.outbox.transaction() as database:
        assert database.execute("SELECT id FROM lead_events").fetchall() == [("stays",)]


def test_erasing_in_one_tenant_leaves_the_same_id_in_another(told):
    for tenant in ("a", "b"):
        lt.lead_event({}, id=tenant, destination="meta", lead_id="l", tenant=tenant)
    told.lead_events.bring_in()
    assert erase_lead(told.folder, ["l"], tenant="a")["waiting"] == 1
    told.hand_over_again()
    told.lead_events.bring_in()
    with told.lead_events.outbox.transaction() as database:
        assert database.execute("SELECT tenant FROM lead_events").fetchall() == [("b",)]


def test_a_lead_that_is_readmitted_is_taken_in_again(told):
    """From then on, for the tenant for which it was erased."""
    lt.lead_event({}, id="before", destination="meta", lead_id="l")
    told.lead_events.bring_in()
    erase_lead(told.folder, ["l"], tenant="")
    assert readmit_lead(told.folder, ["l"]) == Readmitted(0, still=False)
    lt.lead_event({}, id="erased", destination="meta", lead_id="l")
    told.lead_events.bring_in()
    assert readmit_lead(told.folder, ["l"], tenant="") == Readmitted(1, still=False)
    lt.lead_event({}, id="back", destination="meta", lead_id="l")
    told.lead_events.bring_in()
    with told.lead_events.outbox.transaction() as database:
        assert database.execute("SELECT id FROM lead_events").fetchall() == [("back",)]


def test_whose_a_kept_record_is_can_be_told_without_a_key(told):
    lt.lead_event({}, destination="meta", lead_id="lead_1", tenant="acme")
    assert lead_of_kept(told.kept()[0].packed()) == ("acme", "lead_1")


@pytest.mark.parametrize("content", [b"SQLite format 3\0" + b"x" * 5000, b"no database at all" * 100])
def test_an_outbox_that_is_damaged_is_said_to_be_and_keeping_goes_on(told, content):
    path = told.folder / "lead-events" / "outbox.db"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    lt.sender("meta")(lambda payload: None)
    assert lt.lead_event({}, id="e1", destination="meta", lead_id="l").saved
    with pytest.raises(SourceError, match="the outbox of lead events cannot be used"):
        lt.send_waiting()
    path.unlink()
    assert lt.send_waiting().sent == 1, "the journal has it still"


def test_a_folder_that_is_taken_away_under_a_living_process_is_begun_anew_and_shared_with_others(told, process):
    sent = []
    lt.sender("meta")(lambda payload, event: sent.append(event.id))
    lt.lead_event({}, id="before", destination="meta", lead_id="l")
    lt.send_waiting()
    shutil.rmtree(told.folder / "lead-events")
    lt.lead_event({}, id="after", destination="meta", lead_id="l")
    told.lead_events.bring_in()
    other = Outbox(told.folder)
    with other.transaction() as database:
        assert database.execute("SELECT id FROM lead_events").fetchall() == [("after",)]
    lt.send_waiting()
    assert sent == ["before", "after"]
    other.close()


def test_an_outbox_of_a_newer_version_is_left_alone(tmp_path):
    outbox = Outbox(tmp_path)
    with outbox.transaction() as database:
        database.execute("PRAGMA user_version=9")
    outbox.close()
    with pytest.raises(SourceError, match="written by a newer leadtrace"), Outbox(tmp_path).transaction():
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SourceError, match="cannot be used"), Outbox(tmp_path).transaction():
        pass


def test_the_example_data_has_what_is_searched_for():
    assert len(FILE_LEADS) > 250
    assert len(words_of(EXAMPLE_LEADS)) > 60
