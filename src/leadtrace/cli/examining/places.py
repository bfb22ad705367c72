"""Folders and files: whether they can be written, by whom they can be read, and whether there is room."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from typing import TYPE_CHECKING, Final

from leadtrace.cli.examining.finding import bad, ok, warn
from leadtrace.errors import LeadtraceError, SettingsError, StoreDamagedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from leadtrace.cli.examining.finding import Finding
    from leadtrace.settings import Settings

__all__ = ["examine_places"]

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_LITTLE: Final = 512 << 20  # bytes of free space


def examine_places(settings: Settings) -> Iterator[Finding]:
    """The key, the journal's folder and the store."""
    yield from _key(settings.key)
    if settings.journal is None:
        yield warn("journal", "LEADTRACE_JOURNAL is off: what waits is in memory, and lost when the process dies")
    else:
        yield from _journal(settings.journal)
    yield from _store(settings.store)


def _key(path: Path) -> Iterator[Finding]:
    from leadtrace.otlp.keyfile import key_ring

    if not path.exists():
        problem = _cannot_make(path)
        if problem:
            yield bad("key", problem, "LEADTRACE_KEY names a file that this user can read or make")
        else:
            yield ok("key", f"{path} is not there yet; the first process that records makes it")
        return
    try:
        ring = key_ring(path)
    except SettingsError as cause:
        yield bad("key", str(cause), "put the right key there, or name another with LEADTRACE_KEY")
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & stat.S_IRWXO:
        yield bad("key", f"{path} can be read by everybody ({mode:03o})", f"chmod o-rwx {path}; leadtrace key rotate")
    elif mode & stat.S_IRWXG:
        yield warn("key", f"{path} can be read by its group ({mode:03o}), who can try numbers against hashes")
    else:
        earlier = f" and {len(ring) - 1} earlier" if len(ring) > 1 else ""
        yield ok("key", f"{path}, readable by its owner only; current key {ring[0].id}{earlier}")


def _journal(folder: Path) -> Iterator[Finding]:
    if not folder.exists():
        problem = _cannot_make(folder)
        if problem:
            yield bad("journal", problem, "LEADTRACE_JOURNAL names a folder that this user can write")
        else:
            yield ok("journal", f"{folder} is not there yet; the first process that records makes it")
        return
    if not folder.is_dir():
        yield bad("journal", f"{folder} is no folder", "LEADTRACE_JOURNAL names a folder, or is off")
        return
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield bad("journal", f"{folder} cannot be written by this user", "change its owner, or LEADTRACE_JOURNAL")
        return
    problem = _takes_nothing(folder)
    if problem:
        yield bad(
            "journal",
            f"the disk of {folder} takes nothing ({problem}): what is recorded now is in memory, or refused",
            "look at that disk; LEADTRACE_JOURNAL names another folder",
        )
    yield from _permissions("journal", folder, folder.rglob("*"))
    yield from _room("journal", folder, "when it is full, events are refused and counted")


def _takes_nothing(folder: Path) -> str:
    """Why a file there cannot be written, '' where it can: a disk that failed says so only when it is asked to write.

    The file has no name, so that nothing is made; where a system cannot do that nothing is tried.
    """
    nameless = getattr(os, "O_TMPFILE", 0)
    if not nameless:
        return ""
    try:
        descriptor = os.open(folder, nameless | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, b"\0")
        finally:
            os.close(descriptor)
    except OSError as why:
        return "" if why.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT) else why.strerror or str(why)
    return ""


def _store(path: Path) -> Iterator[Finding]:
    if not path.exists():
        problem = _cannot_make(path)
        if problem:
            yield warn("store", problem, "LEADTRACE_STORE names a file that this user can make; `leadtrace serve` does")
        else:
            yield ok("store", f"{path} is not there yet; `leadtrace serve` makes it")
        return
    try:
        from leadtrace.store.embedded import EmbeddedStore

        EmbeddedStore.open(path).close()
    except StoreDamagedError as cause:
        yield bad("store", str(cause), "see docs/serve.md, The file")
        return
    except (LeadtraceError, ImportError) as cause:
        yield bad("store", str(cause), "see docs/serve.md, The file")
        return
    beside = [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", ".lock")]
    yield from _permissions("store", path, [one for one in beside if one.exists()])
    yield from _room("store", path.parent, "when it is full, senders are told to come back")


def _permissions(check: str, place: Path, more: Iterable[Path]) -> Iterator[Finding]:
    """Whether anybody but the owner can get at it; what lies in a folder that is closed to them is closed too."""
    mode = stat.S_IMODE(place.stat().st_mode)
    if mode & _OTHERS and place.is_dir():
        yield bad(check, f"{place} is open to others than its owner ({mode:03o})", f"chmod 700 {place}")
        return
    files = [place, *more]
    open_files = [] if place.is_dir() else [one for one in files if _open_to_others(one)]
    foreign = [one for one in files if _owner(one) not in (os.geteuid(), None)]
    if open_files:
        yield bad(
            check,
            f"{open_files[0]} can be read by others than its owner",
            f"chmod 600 {' '.join(map(str, open_files))}",
        )
    if foreign and os.geteuid() != 0:
        yield warn(check, f"{foreign[0]} belongs to another user", "run leadtrace as one user, or give each a folder")
    if not open_files:
        yield ok(check, f"{place}, for its owner only")


def _open_to_others(path: Path) -> bool:
    try:
        return bool(stat.S_IMODE(path.stat().st_mode) & _OTHERS)
    except OSError:  # a file that went away while we looked
        return False


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except OSError:
        return None


def _room(check: str, folder: Path, then: str) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free
    if free < _LITTLE:
        yield warn(check, f"{free >> 20:,} MB are free beside {folder}; {then}", "make space")


def _cannot_make(path: Path) -> str:
    """Why nothing can be made at that path, '' where it can."""
    above = path.parent
    while not above.exists():
        above = above.parent
    if not above.is_dir():
        return f"{path} cannot be made: {above} is no folder"
    return (
        "" if os.access(above, os.W_OK | os.X_OK) else f"{path} cannot be made: {above} cannot be written by this user"
    )
