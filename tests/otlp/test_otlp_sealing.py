"""Sealed content: opened by whoever has the key, by nobody else, and never changed unnoticed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from leadtrace.errors import SealError, SettingsError
from leadtrace.otlp.sealing import Sealer, _hkdf

OLD, NEW = b"the key of last year", b"the key of this year"


@given(st.binary(max_size=300), st.binary(max_size=30))
@settings(max_examples=50)
def test_what_is_sealed_is_opened_again_and_nothing_of_it_shows(content: bytes, about: bytes) -> None:
    sealed = Sealer([OLD]).seal(content, about)
    assert Sealer([OLD]).open(sealed, about) == content
    assert len(content) < 4 or content not in sealed


def test_the_same_content_is_never_sealed_to_the_same_bytes() -> None:
    sealer = Sealer([OLD])
    assert len({sealer.seal(b"x", b"") for _ in range(100)}) == 100


def test_after_a_rotation_what_was_sealed_before_is_opened_and_new_content_has_the_new_key() -> None:
    before = Sealer([OLD]).seal(b"x", b"a")
    rotated = Sealer([NEW, OLD])
    assert rotated.open(before, b"a") == b"x"
    after = rotated.seal(b"y", b"a")
    assert Sealer([NEW]).open(after, b"a") == b"y"
    with pytest.raises(SealError, match="a key that is not in the key file"):
        Sealer([OLD]).open(after, b"a")


def test_a_process_that_began_before_a_rotation_opens_what_one_that_began_after_it_sealed() -> None:
    file = [OLD]
    began_before = Sealer(file, lambda: file)
    file.insert(0, NEW)
    assert began_before.open(Sealer(file).seal(b"x", b"a"), b"a") == b"x"


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=50)
def test_a_changed_byte_anywhere_is_noticed(at: int, change: int) -> None:
    sealed = bytearray(Sealer([OLD]).seal(b"a payload of some length", b"id"))
    sealed[at % len(sealed)] ^= change
    with pytest.raises(SealError):
        Sealer([OLD]).open(bytes(sealed), b"id")


@pytest.mark.parametrize("bytes_", [b"", b"\x01", b"x" * 200])
def test_what_was_never_sealed_is_said_to_be_so(bytes_: bytes) -> None:
    with pytest.raises(SealError):
        Sealer([OLD]).open(bytes_, b"")


def test_content_put_under_another_id_is_noticed() -> None:
    sealer = Sealer([OLD])
    with pytest.raises(SealError, match="was changed, or belongs to something else"):
        sealer.open(sealer.seal(b"x", b"event 1"), b"event 2")


def test_keys_are_derived_as_the_rfc_says() -> None:
    for salt in (b"", b"s" * 16):
        theirs = HKDF(hashes.SHA256(), 32, salt or None, b"label").derive(OLD)
        assert _hkdf(OLD, salt, b"label", 32) == theirs


def test_digests_are_equal_for_equal_content_under_one_key_only() -> None:
    assert Sealer([OLD]).digest(b"x") == Sealer([OLD]).digest(b"x") != Sealer([OLD]).digest(b"y")
    assert Sealer([OLD]).digest(b"x") != Sealer([NEW]).digest(b"x")


def test_a_forked_child_seals_what_its_parent_opens() -> None:
    sealer = Sealer([OLD])
    sealer.seal(b"warm", b"")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, sealer.seal(b"from the child", b"x"))
        os._exit(0)
    os.close(writing)
    sealed = os.read(reading, 1000)
    os.close(reading)
    os.waitpid(pid, 0)
    assert sealer.open(sealed, b"x") == b"from the child"


def test_without_the_extra_the_sentence_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['cryptography.hazmat.primitives.ciphers.aead'] = None\n"
        "from leadtrace.otlp.sealing import Sealer\n"
        "try: Sealer([b'k' * 16])\n"
        "except Exception as why: print(type(why).__name__, why)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True).stdout
    assert said.startswith("SettingsError payloads of lead events are kept encrypted, which needs cryptography: pip")
    assert "pip install 'leadtrace[lead-events]'" in said


def test_a_ring_without_keys_is_refused() -> None:
    with pytest.raises(SettingsError):
        Sealer([])
