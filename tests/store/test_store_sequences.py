"""Which numbers of a process's events a store holds: holes, many processes, uids of another make."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from leadtrace.errors import SourceError
from leadtrace.otlp.ranges import Ranges
from leadtrace.store import sequences
from leadtrace.store.jaeger import JaegerStore

_spec = importlib.util.spec_from_file_location("store_conftest", Path(__file__).with_name("conftest.py"))
given = sys.modules.setdefault("store_conftest", importlib.util.module_from_spec(_spec))
if not hasattr(given, "uid"):
    _spec.loader.exec_module(given)
an_event, lead, uid = given.an_event, given.lead, given.uid


def _events(numbers: range | list[int], boot: int = 0xA1B2C3D4E5F60718, lead_id: str = "L1"):
    return [an_event("e", n, 1, 1, attributes=lead(lead_id, **{"log.record.uid": uid(n, boot)})) for n in numbers]


def test_holes_are_between_the_runs_however_the_stretches_lie(store, monkeypatch):
    """Read in stretches of any length, the runs are the same."""
    numbers = [*range(1, 50), 52, *range(60, 101)]
    store.append([], _events(numbers))
    for stretch in (1, 2, 7, 49, 50, 1_000):
        monkeypatch.setattr(sequences, "_STRETCH", stretch)
        [held] = store.sequences()
        assert held.held == Ranges.of((1, 49), (52, 52), (60, 100))
        assert sorted(held.times) == [1, 49, 52, 60, 100]


def test_every_process_is_told_by_itself_in_whatever_half_of_the_numbers_its_boot_lies(store):
    """Boot ids are unsigned, SQLite's integers signed."""
    boots = [1, 2**63 - 1, 2**63, 2**64 - 1]
    for one in boots:
        store.append([], _events([1, 2], one))
    assert sorted(held.boot for held in store.sequences()) == [f"{one:016x}" for one in boots]
    assert {held.held.runs for held in store.sequences()} == {((1, 2),)}


def test_a_process_of_which_all_was_erased_is_still_told(store):
    """Its events were there, and are no loss."""
    store.append([], _events([1, 2, 3]))
    store.erase(["L1"])
    [held] = store.sequences()
    assert (held.held, held.erased) == (Ranges(), Ranges.of((1, 3)))


def test_uids_of_another_make_are_no_sequence(store):
    """They are there once, and say nothing of what came before them."""
    foreign = "01890a5d-ac96-774b-bcce-b302099a8057"
    store.append([], [an_event("e", 1, 1, 1, attributes={"log.record.uid": foreign}), *_events([7])])
    assert [held.held.runs for held in store.sequences()] == [((7, 7),)]


def test_jaeger_says_that_it_cannot_tell():
    """It holds what spans carried, to a depth."""
    source = JaegerStore("jaeger://127.0.0.1:16686")
    with pytest.raises(SourceError, match="Jaeger cannot say which events it holds"):
        source.sequences()
    source.close()
