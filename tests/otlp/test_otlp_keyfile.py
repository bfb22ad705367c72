"""The key file: made once, for its owner only; what is wrong with one is said."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from leadtrace.errors import SettingsError
from leadtrace.otlp.keyfile import key_ring, load_key, load_keys, rotate_key
from leadtrace.otlp.redact import Redactor, recorded_ids


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


def test_a_rotation_puts_a_new_key_first_and_keeps_the_others(tmp_path):
    """Writers take the first, readers look under all; a key of any bytes comes through unchanged."""
    path = tmp_path / "key"
    old = b"0123456789\n\xff\x00abcdef"
    path.write_bytes(old)
    first, second = rotate_key(path), rotate_key(path)
    assert load_keys(path) == [second[0].secret, first[0].secret, old]
    assert load_key(path) == second[0].secret
    assert len({one.id for one in key_ring(path)}) == 3
    assert [bool(one.since) for one in key_ring(path)] == [True, True, False]
    assert os.listdir(tmp_path) == ["key"]


def test_a_rotation_keeps_who_may_read_the_file(tmp_path):
    """A key shared by a group stays shared, one for its owner alone stays so, and a link stays a link."""
    path, link = tmp_path / "key", tmp_path / "link"
    load_key(path)
    link.symlink_to(path)
    rotate_key(link)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    rotate_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert link.is_symlink()
    assert len(load_keys(link)) == 3


def test_of_many_processes_that_rotate_at_once_none_loses_another_s_key(tmp_path):
    """Each adds one; whoever reads meanwhile reads a whole ring."""
    path = tmp_path / "key"
    load_key(path)
    code = "import sys, pathlib; from leadtrace.otlp.keyfile import rotate_key; rotate_key(pathlib.Path(sys.argv[1]))"
    running = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(6)]
    while any(one.poll() is None for one in running):
        assert len(load_keys(path)) >= 1
    assert {one.returncode for one in running} == {0}
    assert len(set(load_keys(path))) == 7


def test_a_rotation_without_a_file_makes_the_first_key(tmp_path):
    """There is nothing that it would have to keep."""
    assert [one.secret for one in rotate_key(tmp_path / "new" / "key")] == load_keys(tmp_path / "new" / "key")


def test_a_key_is_shown_by_its_id_only(tmp_path):
    """In no form that prints one is there the key itself."""
    [key] = rotate_key(tmp_path / "key")
    assert key.secret.decode() not in repr(key) + key.id


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("leadtrace key ring\n", "the key ring holds no key"),
        ("leadtrace key ring\n2026-11-25 xyz\n", "a line of a key ring is a day and a key in hex"),
        ("leadtrace key ring\n2026-11-25 aabb\n", "a key has 16 bytes or more"),
    ],
)
def test_a_damaged_ring_is_refused_with_the_place(tmp_path, content, said):
    """A half of a ring would hash as nobody else does."""
    (tmp_path / "key").write_text(content)
    with pytest.raises(SettingsError, match=said):
        load_keys(tmp_path / "key")
    with pytest.raises(SettingsError, match=said):
        rotate_key(tmp_path / "key")
    assert (tmp_path / "key").read_text() == content


def test_a_contact_has_an_id_under_each_key_and_any_other_id_is_itself():
    """In the ring's order, the current key's first."""
    keys = [b"k" * 32, b"j" * 32]
    found = recorded_ids("jane@example.com", keys, "north")
    assert found == [Redactor(one, tenant="north").lead_id("jane@example.com") for one in keys]
    assert recorded_ids("lead_1", keys) == ["lead_1"]
    assert recorded_ids("jane@example.com", []) == ["jane@example.com"]
