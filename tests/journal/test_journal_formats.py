"""Segments that a later leadtrace wrote: left as they are, named, and no loss."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from leadtrace.cli import main
from leadtrace.journal.books import ledgers, prune_books
from leadtrace.journal.folder import Folder
from leadtrace.journal.removal import remove_lead
from leadtrace.journal.segment import FORMAT, Head, SegmentReader, create
from leadtrace.journal.status import status
from leadtrace.otlp import encode, identity
from leadtrace.otlp.ledger import Held
from leadtrace.otlp.ranges import Ranges
from leadtrace.otlp.reconcile import reconcile

LOGS = encode.signal("logs", "leadtrace", "1", "https://schemas/1")
BOOT = "00112233445566ff"


def tell(sink, name: str):
    uid = identity.current().uid()
    record = encode.log_record(name, time.time_ns(), {"log.record.uid": uid}, trace_id=7, span_id=8)
    return sink.append(LOGS, record, uid=uid)


@pytest.fixture
def later(folder: Folder) -> dict[str, bytes]:
    """Two files of later forms beside what is written here, and how far somebody has come in one; by path, their bytes."""
    folder.make()
    head = Head(BOOT, 1, 4711, "web-1", "intake", time.time_ns(), 1, ("default.logs",), b"", format=FORMAT + 1)
    segment, file = create(folder.segments_path, head)
    os.write(file.descriptor, b"whatever that form is; lead_erased too" * 1000)
    file.close()
    other = folder.segments_path / f"{BOOT}.2.segment"
    other.write_bytes(b"not even this name is known here")
    cursor = folder.path / "cursors" / "default.logs" / segment.stem
    cursor.parent.mkdir(exist_ok=True)
    cursor.write_bytes(b"how far, as that form says it")
    noted = folder.path / "numbers" / BOOT
    noted.write_bytes(b"00000000000c\n")
    found = [segment.path, other, cursor, noted]
    for one in found:
        os.utime(one, (1, 1))
    return {str(one): one.read_bytes() for one in found}


def untouched(later: dict[str, bytes]) -> bool:
    return all(Path(path).read_bytes() == content for path, content in later.items())


def test_its_head_says_the_form_and_one_that_says_none_is_of_the_first(folder: Folder):
    """So what was written before there were forms is read."""
    folder.make()
    segment, file = create(folder.segments_path, Head(BOOT, 1, 1, "h", "s", 1, 1, (), b""))
    file.close()
    with SegmentReader(segment) as reader:
        assert reader.head.format == FORMAT == 1
    said = json.loads(Head(BOOT).as_json())
    del said["format"]
    assert Head.from_json(json.dumps(said).encode()) == Head(BOOT)
    assert Head.from_json(b'{"format": 2, "service": "intake"}') == Head(format=2, service="intake")
    assert Head.from_json(b"[]") == Head()


def test_what_a_later_leadtrace_wrote_is_left_as_it_is(sink_to, over_http, folder, later):
    """By who writes, sends, recovers, prunes and erases; the others are sent and go."""
    sink = sink_to(over_http.address)
    sink.start()
    tell(sink, "one")
    assert sink.flush(10)
    prune_books(folder, time.time())
    told = remove_lead(folder, ["lead_erased"])
    assert sum("was written by a later leadtrace and cannot be looked into" in one for one in told.left) == 2
    sink.close(1.0)
    assert not folder.segments()
    assert len(folder.unread()) == 2
    assert untouched(later)
    assert over_http.names("logs") == ["one"]


def test_status_doctor_and_send_name_it(folder, later, monkeypatch):
    """It needs somebody, and is no loss."""
    found = status(folder)
    assert (found.segments, len(found.unread), found.wrong, found.damaged, found.waiting) == (0, 2, True, 0, 0)
    monkeypatch.setenv("LEADTRACE_JOURNAL", str(folder.path))
    answer = CliRunner().invoke(main, ["journal"])
    assert answer.exit_code == 1
    assert "not read: 2 segments were written by a later leadtrace and wait for it, as they are: 00112233445566ff" in (
        answer.output
    )
    sent = CliRunner().invoke(main, ["journal", "send", "--once"])
    assert (sent.exit_code, sent.output) == (0, "0 records sent, 0 set aside, 0 wait\n")
    told = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).output)
    (finding,) = [one for one in told["findings"] if "later leadtrace" in one["says"]]
    assert (finding["check"], finding["level"]) == ("books", "warn")
    assert not [one for one in told["findings"] if one["check"] == "books" and one["level"] == "bad"]
    assert untouched(later)


def test_numbers_that_may_wait_there_are_no_loss(folder, later):
    """Of a process whose journal is partly of a later form: what the store lacks is named as unread."""
    (folder.path / "ledger" / f"{BOOT}.json").write_text(
        json.dumps(
            {
                "boot": BOOT,
                "merged": [1],
                "logs": 9,
                "traces": 0,
                "acknowledged": [[1, 9]],
                "refused": [],
                "erased": [],
                "last_sequence": 12,
            }
        )
    )
    (book,) = ledgers(folder)
    assert (book.unread, book.missing) == (True, Ranges.of((10, 12)))
    compared = reconcile([book], [Held(BOOT, Ranges.of((1, 9)))])
    assert [(one.first, one.last, one.why) for one in compared.holes] == [(10, 12, "unread")]
    assert compared.lost == 0
