"""The key of the hashes that stand for personal data: a file, made at first use, readable by its owner only."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["load_key"]

_FEWEST = 16


def load_key(path: Path, *, create: bool = True) -> bytes:
    """The key in that file: its text without the blanks around it.

    Where there is no file one is made, unless `create` is false (readers make none); two processes that start at once
    get the same key. Raises `SettingsError` with what to do where it cannot be read or made, or holds too
    little to be one.
    """
    try:
        return _checked(path.read_bytes(), path)
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
        return _checked(path.read_bytes(), path)
    except OSError as why:
        raise SettingsError(
            "the key file cannot be made; LEADTRACE_KEY names a file that this user can read or make",
            path=str(path),
            cause=why.strerror or str(why),
        ) from why


def _make(path: Path) -> None:
    """Write a whole key beside it, then link it into place: nobody reads half of one, and the first to come wins."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, secrets.token_hex(32).encode() + b"\n")
        os.fsync(handle)
        os.close(handle)
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            if not path.exists():
                os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _checked(content: bytes, path: Path) -> bytes:
    key = content.strip()
    if len(key) < _FEWEST:
        raise SettingsError(f"a key has {_FEWEST} bytes or more", path=str(path), got=f"{len(key)} bytes")
    return key
