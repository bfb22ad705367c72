"""The keys of the hashes that stand for personal data: a file, made at first use, readable by its owner only.

It holds one key, as any text of 16 bytes or more, or, once rotated, a ring of them:

    leadtrace key ring
    2026-11-25 61f0…        the current key, in hex: writers hash with it
    2026-06-01 3b9c…        an earlier one: readers still find what it hashed
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Key", "key_ring", "load_key", "load_keys", "rotate_key"]

_FEWEST = 16
_HEAD = b"leadtrace key ring"


@dataclass(slots=True, frozen=True)
class Key:
    """One key of a ring."""

    secret: bytes = field(repr=False)
    since: str = ""
    """The day on which it was made, '' where the file does not say."""

    @property
    def id(self) -> str:
        """8 hex digits by which keys are told apart; says nothing of the key."""
        return hmac.new(self.secret, b"leadtrace key id", hashlib.sha256).hexdigest()[:8]


def load_key(path: Path, *, create: bool = True) -> bytes:
    """The current key in that file: what writers hash with.

    Where there is no file one is made, unless `create` is false (readers make none); two processes that start at once
    get the same key. Raises `SettingsError` with what to do where it cannot be read or made, or holds too
    little to be one.
    """
    return load_keys(path, create=create)[0]


def load_keys(path: Path, *, create: bool = True) -> list[bytes]:
    """All keys in that file, the current one first: what readers look under. Otherwise as `load_key`."""
    return [one.secret for one in key_ring(path, create=create)]


def key_ring(path: Path, *, create: bool = False) -> list[Key]:
    """All keys in that file with what is known of them, the current one first. Otherwise as `load_key`."""
    try:
        return _ring(path.read_bytes(), path)
    except FileNotFoundError:
        if not create:
            raise SettingsError("there is no key file; LEADTRACE_KEY names it", path=str(path)) from None
    except OSError as why:
        raise SettingsError(
            "the key file cannot be read; LEADTRACE_KEY names another", path=str(path), cause=why.strerror or str(why)
        ) from why
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make(path)
        return _ring(path.read_bytes(), path)
    except OSError as why:
        raise SettingsError(
            "the key file cannot be made; LEADTRACE_KEY names a file that this user can read or make",
            path=str(path),
            cause=why.strerror or str(why),
        ) from why


def rotate_key(path: Path) -> list[Key]:
    """Put a new key before those that the file holds; gives the ring as it is then.

    The file is replaced as a whole, with the owner and the permissions that it had; of several processes that rotate at
    once each adds a key. Without a file the first key is made, and nothing is rotated. Raises `SettingsError` where it
    cannot be read or replaced; it is as it was then.
    """
    path = path.resolve()  # a link is kept, what it leads to is replaced
    if not path.exists():
        return key_ring(path, create=True)
    try:
        with _alone(path):
            ring = [Key(secrets.token_bytes(32), _today()), *key_ring(path)]
            _replace(path, ring)
    except OSError as why:
        raise SettingsError(
            "the key file cannot be replaced; its folder must be writable, and its owner the same",
            path=str(path),
            cause=why.strerror or str(why),
        ) from why
    return ring


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time, by a lock on the folder: a lock on the file would stay with the one that is replaced."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _replace(path: Path, ring: list[Key]) -> None:
    there = path.stat()
    lines = [_HEAD, *(f"{one.since or '-'} {one.secret.hex()}".encode() for one in ring)]
    draft = _draft(path, b"\n".join(lines) + b"\n")
    try:
        if (there.st_uid, there.st_gid) != (draft.stat().st_uid, draft.stat().st_gid):
            os.chown(draft, there.st_uid, there.st_gid)  # those that could read the file can read it still
        os.chmod(draft, stat.S_IMODE(there.st_mode))
        os.replace(draft, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        draft.unlink(missing_ok=True)


def _make(path: Path) -> None:
    """Write a whole key beside it, then link it into place: nobody reads half of one, and the first to come wins."""
    draft = _draft(path, secrets.token_hex(32).encode() + b"\n")
    try:
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            if not path.exists():
                os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _draft(path: Path, content: bytes) -> Path:
    """A file beside that one, on the disk, readable by its owner only."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, content)
        os.fsync(handle)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    return draft


def _ring(content: bytes, path: Path) -> list[Key]:
    content = content.strip()
    head, *lines = content.splitlines() if content.startswith(_HEAD) else [b""]
    if head.strip() != _HEAD:
        return [Key(_checked(content, path))]
    ring: list[Key] = []
    for number, line in enumerate(lines, start=2):
        since, _, digits = line.decode("ascii", "replace").strip().partition(" ")
        if not since:
            continue
        try:
            secret = bytes.fromhex(digits)
        except ValueError:
            raise SettingsError("a line of a key ring is a day and a key in hex", path=str(path), line=number) from None
        ring.append(Key(_checked(secret, path), "" if since == "-" else since))
    if not ring:
        raise SettingsError("the key ring holds no key", path=str(path))
    return ring


def _checked(key: bytes, path: Path) -> bytes:
    if len(key) < _FEWEST:
        raise SettingsError(f"a key has {_FEWEST} bytes or more", path=str(path), got=f"{len(key)} bytes")
    return key


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()
