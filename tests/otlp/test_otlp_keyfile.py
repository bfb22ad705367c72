"""The key file: made once, for its owner only; what is wrong with one is said."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from leadtrace.errors import SettingsError
from leadtrace.otlp.keyfile import load_key


def test_a_key_is_made_at_first_use_readable_by_its_owner_only(tmp_path):
    """And found again, the same."""
    path = tmp_path / "config" / "leadtrace" / "key"
    key = load_key(path)
    assert len(key) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert load_key(path) == key
    assert os.listdir(path.parent) == ["key"]


def test_all_who_start_at_once_get_the_same_key(tmp_path):
    """The first to come wins; nobody reads half of one."""
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: load_key(tmp_path / "key"), range(64)))
    assert len(keys) == 1


def test_blanks_around_a_key_do_not_count(tmp_path):
    """A line end from an editor."""
    (tmp_path / "key").write_text("0123456789abcdef\n")
    assert load_key(tmp_path / "key") == b"0123456789abcdef"


def test_a_file_that_is_no_key_is_refused(tmp_path):
    """Too short to keep anything secret."""
    (tmp_path / "key").write_text("short\n")
    with pytest.raises(SettingsError, match=r"a key has 16 bytes or more \(path: .*key, got: 5 bytes\)"):
        load_key(tmp_path / "key")


def test_a_reader_makes_no_key(tmp_path):
    """It could only be the wrong one."""
    with pytest.raises(SettingsError, match="there is no key file; LEADTRACE_KEY names it"):
        load_key(tmp_path / "key", create=False)
    assert os.listdir(tmp_path) == []


def test_a_key_that_cannot_be_read_or_made_is_said_with_what_to_do(tmp_path):
    """A folder in its place; a file where its folder should be."""
    with pytest.raises(SettingsError, match="the key file cannot be read; LEADTRACE_KEY names another"):
        load_key(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"the key file cannot be (made|read)"):
        load_key(tmp_path / "file" / "key")
