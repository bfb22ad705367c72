"""The journal's form on the disk: what is intact is read, what is damaged costs itself, nothing is invented."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from leadtrace.journal.frames import HEADER, MARK, Type, pack, record_of, scan

SALT = 0x1234ABCD

bodies = st.lists(st.binary(max_size=200), min_size=1, max_size=12)
types = st.sampled_from([Type.LOG, Type.SPAN, Type.KEPT, Type.SEAL])


def written(several: list[bytes], salt: int = SALT) -> tuple[bytes, list[int]]:
    """Frames behind one another, and where each begins."""
    content, starts = b"", []
    for one in several:
        starts.append(len(content))
        content += pack(Type.LOG, one, salt)
    return content, starts


@given(bodies, st.integers(0, 50))
def test_what_was_written_is_read_whatever_piece_comes_first(several, cut):
    """A reader that stops within a frame goes on where that frame began."""
    content, _ = written(several)
    first = scan(content[: max(0, len(content) - cut)], 0, SALT, whole=False)
    rest = scan(content[first.end :], first.end, SALT, whole=False)
    assert [one.body for one in (*first.frames, *rest.frames)] == several
    assert (rest.end, first.damaged, rest.damaged) == (len(content), [], [])


@given(bodies, st.data())
def test_a_flipped_bit_costs_the_frame_that_it_is_in_and_no_other(several, data):
    """And nothing appears that was not written."""
    content, starts = written(several)
    at = data.draw(st.integers(0, len(content) - 1))
    damaged = bytearray(content)
    damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    hit = max(index for index, start in enumerate(starts) if start <= at)
    found = scan(bytes(damaged), 0, SALT, whole=True)
    assert [one.body for one in found.frames] == [one for index, one in enumerate(several) if index != hit]
    assert sum(end - start for start, end in found.damaged) == HEADER + len(several[hit])


@given(bodies, st.data())
def test_a_file_that_was_cut_loses_the_frame_that_was_cut_and_no_other(several, data):
    """Wherever the cut is."""
    content, starts = written(several)
    at = data.draw(st.integers(0, len(content) - 1))
    hit = max(index for index, start in enumerate(starts) if start <= at)
    found = scan(content[:at], 0, SALT, whole=True)
    assert [one.body for one in found.frames] == several[:hit]


@settings(max_examples=50)
@given(st.binary(max_size=2_000), st.integers(0, 2**32 - 1))
def test_a_fuzzed_reader_never_fails_and_invents_nothing(content, salt):
    """Random bytes hold no frame: a mark and a checksum of 32 bits would have to fit by chance."""
    for whole in (True, False):
        found = scan(content, 0, salt, whole=whole)
        assert found.frames == []
        assert 0 <= found.end <= len(content)


@settings(max_examples=50)
@given(bodies, st.integers(0, 2**32), st.binary(min_size=1, max_size=60))
def test_nonsense_between_frames_is_passed_over(several, seed, nonsense):
    """Torn writes leave such."""
    chance = random.Random(seed)
    content = b""
    for one in several:
        if chance.random() < 0.5:
            content += nonsense
        content += pack(Type.LOG, one, SALT)
    found = scan(content, 0, SALT, whole=True)
    assert [one.body for one in found.frames] == several


def test_a_frame_within_a_record_is_none():
    """Whoever can put text into an event cannot put a record into the journal, damaged or not: the salt is not known."""
    forged = pack(Type.LOG, b"forged", 0x5A17)
    outer = bytearray(pack(Type.LOG, b"a" + forged + b"b", SALT))
    outer[HEADER] ^= 1
    found = scan(bytes(outer) + pack(Type.LOG, b"next", SALT), 0, SALT, whole=True)
    assert [one.body for one in found.frames] == [b"next"]


def test_a_length_beyond_the_file_is_waited_for_only_while_nothing_intact_follows():
    """While a segment grows, a frame without its end may be on its way; one with an intact frame behind it is damage."""
    whole = pack(Type.LOG, b"x" * 100, SALT)
    growing = scan(whole[:50], 0, SALT, whole=False)
    assert (growing.frames, growing.end, growing.damaged) == ([], 0, [])
    broken = bytearray(whole)
    broken[9] = 0xFF  # the length
    found = scan(bytes(broken) + pack(Type.LOG, b"next", SALT), 0, SALT, whole=False)
    assert [one.body for one in found.frames] == [b"next"]
    assert found.damaged == [(0, len(whole))]


def test_a_record_carries_its_signal_and_its_key():
    """Whatever numbers they are."""
    plain = scan(pack(Type.LOG, record_of(7, b"record"), SALT), 0, SALT, whole=True).frames[0]
    keyed = scan(pack(Type.LOG_OPENS, record_of(65535, b"record", 2**64 - 1), SALT), 0, SALT, whole=True).frames[0]
    assert (plain.signal, plain.record) == (7, b"record")
    assert (keyed.signal, keyed.key, keyed.record) == (65535, 2**64 - 1, b"record")
    assert MARK not in b"record"
