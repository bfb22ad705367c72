"""A process's books: every number of its events is accounted for, or is named as missing."""

from __future__ import annotations

import json

from leadtrace.otlp.ledger import Held, Ledger, boot_of, sequence_of
from leadtrace.otlp.ranges import Ranges


def _ledger(**sets: Ranges) -> Ledger:
    return Ledger("5f0c9a3be1d47702", "intake", 42, "web-1", 10, 20, last_sequence=10, **sets)


def test_a_number_that_nobody_accounts_for_is_missing():
    """Acknowledged, waiting, set aside, refused and erased together are all; the rest is named."""
    ledger = _ledger(
        acknowledged=Ranges.of((1, 3)),
        waiting=Ranges.of((9, 9)),
        set_aside=Ranges.of((4, 4)),
        refused=Ranges.of((5, 5)),
        erased=Ranges.of((6, 6)),
    )
    assert ledger.missing == Ranges.of((7, 8), (10, 10))
    assert not ledger.contradictions


def test_a_number_in_two_states_is_a_contradiction():
    """Waiting and acknowledged exclude each other; set aside by one destination and taken by another do not."""
    assert _ledger(acknowledged=Ranges.of((1, 5)), waiting=Ranges.of((5, 6))).contradictions == Ranges.of((5, 5))
    assert not _ledger(acknowledged=Ranges.of((1, 5)), set_aside=Ranges.of((5, 6))).contradictions


def test_both_books_go_through_json_unchanged():
    """For `--json` and the wire."""
    ledger = _ledger(acknowledged=Ranges.of((1, 3)))
    assert Ledger.from_json(json.loads(json.dumps(ledger.as_json()))) == ledger
    held = Held("5f0c9a3be1d47702", Ranges.of((1, 3)), Ranges.of((4, 4)), "intake", 42, "web-1", {1: 5, 3: 6})
    assert Held.from_json(json.loads(json.dumps(held.as_json()))) == held


def test_a_uid_is_a_boot_and_a_number():
    """And a uid of another make is neither."""
    assert sequence_of("5f0c9a3be1d4770200000000002a") == ("5f0c9a3be1d47702", 42)
    assert sequence_of("01890a5d-ac96-774b-bcce-b302099a8057") is None
    assert sequence_of("zf0c9a3be1d4770200000000002a") is None
    assert boot_of(int("9f0c9a3be1d47702", 16) - (1 << 64)) == "9f0c9a3be1d47702"
