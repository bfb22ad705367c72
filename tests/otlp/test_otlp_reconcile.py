"""Two books of one process: each hole is named, and nothing that is in order is called one."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from leadtrace.otlp.ledger import Held, Ledger, recovered_boot
from leadtrace.otlp.ranges import Ranges
from leadtrace.otlp.reconcile import Hole, reconcile

BOOT = "5f0c9a3be1d47702"

# What can become of one number: what the journal says of it, what the store says of it, and whether that is in order.
_FATES = [
    ("acknowledged", "held", "held"),
    ("acknowledged", "", "acknowledged"),
    ("acknowledged", "erased", "erased"),
    ("waiting", "", "waiting"),
    ("waiting", "held", "held"),
    ("set_aside", "", "set_aside"),
    ("set_aside", "held", "held"),
    ("refused", "", "refused"),
    ("erased", "", "erased"),
    ("erased", "erased", "erased"),
    ("", "held", "held"),
    ("", "", "unaccounted"),
]


def _books(fates: list[tuple[str, str, str]], boot: str = BOOT, alive: bool = False) -> tuple[Ledger, Held]:
    def said(book: int, state: str) -> Ranges:
        return Ranges.of_numbers(n for n, fate in enumerate(fates, 1) if fate[book] == state)

    states = ("acknowledged", "waiting", "set_aside", "refused", "erased")
    ledger = Ledger(
        boot,
        "intake",
        42,
        "web-1",
        1_000,
        alive=alive,
        last_sequence=len(fates),
        **{one: said(0, one) for one in states},
    )
    held = said(1, "held")
    times = {end: 1_000 + end for run in held.runs for end in run}
    return ledger, Held(boot, held, said(1, "erased"), "intake", 42, "web-1", times)


@settings(max_examples=50)
@given(st.lists(st.sampled_from(_FATES), max_size=60))
def test_every_number_is_told_once_as_what_became_of_it(fates):
    """Holes are exactly the numbers that are acknowledged and not there, or of which nobody knows; the rest is counted."""
    ledger, held = _books(fates)
    found = reconcile([ledger], [held])
    for why in ("acknowledged", "unaccounted"):
        numbers = [n for hole in found.holes if hole.why == why for n in range(hole.first, hole.last + 1)]
        assert numbers == [n for n, fate in enumerate(fates, 1) if fate[2] == why]
    for name in ("held", "waiting", "set_aside", "refused", "erased"):
        assert getattr(found, name) == sum(fate[2] == name for fate in fates)
    assert found.lost == sum(fate[2] in ("acknowledged", "unaccounted") for fate in fates)
    accounted = found.held + found.waiting + found.set_aside + found.refused + found.erased + found.lost
    assert accounted == found.numbered == len(fates)


@settings(max_examples=50)
@given(st.lists(st.lists(st.sampled_from(_FATES), max_size=12), max_size=6), st.randoms(use_true_random=False))
def test_processes_are_told_each_by_itself_in_any_order(several, chance):
    """One process's numbers fill no other's holes."""
    books = [_books(fates, f"{number:016x}") for number, fates in enumerate(several, 1)]
    ledgers, helds = [one for one, _ in books], [one for _, one in books]
    chance.shuffle(ledgers)
    chance.shuffle(helds)
    together = reconcile(ledgers, helds)
    assert together.holes == [hole for pair in books for hole in reconcile(*([one] for one in pair)).holes]
    assert together.processes == len(books)


def test_a_hole_is_named_with_its_process_and_the_times_around_it():
    """Which numbers, whose, and between which events they were made."""
    ok, lost = ("acknowledged", "held", ""), ("acknowledged", "", "")
    ledger, held = _books([ok, ok, lost, lost, ok, lost])
    assert reconcile([ledger], [held]).holes == [
        Hole(BOOT, 3, 4, "acknowledged", "intake", 42, "web-1", 1_002, 1_005),
        Hole(BOOT, 6, 6, "acknowledged", "intake", 42, "web-1", 1_005, 0),
    ]
    [first] = reconcile([_books([lost])[0]], []).holes
    assert (first.after_ns, first.before_ns) == (1_000, 0), "the process's beginning, where nothing of it is there"


def test_of_a_process_that_runs_what_it_has_numbered_may_still_be_written():
    """Two threads may write in another order than they numbered: no loss for certain."""
    ledger, held = _books([("acknowledged", "held", ""), ("", "", ""), ("acknowledged", "held", "")], alive=True)
    found = reconcile([ledger], [held])
    assert [(one.first, one.why, one.lost) for one in found.holes] == [(2, "unwritten", False)]


def test_a_process_without_a_journal_here_has_holes_of_which_nobody_can_say_more():
    """It ran on another machine, or its journal was removed: a hole, not a loss for certain."""
    found = reconcile([], [Held(BOOT, Ranges.of((2, 3), (6, 6)), Ranges.of((4, 4)), "intake", 42)])
    assert [(one.first, one.last, one.why, one.lost) for one in found.holes] == [
        (1, 1, "unknown", False),
        (5, 5, "unknown", False),
    ]
    assert found.lost == 0


def test_what_the_store_holds_beyond_the_journal_s_last_number_is_no_mistake():
    """It came out of the process's memory; what lies between is a hole."""
    ledger = Ledger(BOOT, last_sequence=1, acknowledged=Ranges.of((1, 1)))
    found = reconcile([ledger], [Held(BOOT, Ranges.of((1, 1), (3, 3)))])
    assert [(one.first, one.last, one.why) for one in found.holes] == [(2, 2, "unaccounted")]
    assert found.numbered == 3


def test_what_recovery_wrote_has_no_holes():
    """Its numbers are those of what it closes: of a process that died amid its fifth event, the fifth alone."""
    ledger, held = _books([("acknowledged", "held", "")] * 5)
    recovered = Held(recovered_boot(BOOT), Ranges.of((5, 5)))
    found = reconcile([ledger], [held, recovered])
    assert (found.holes, found.processes) == ([], 1)
