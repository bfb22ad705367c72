"""The embedded store's file: opened for one writer or for many readers, and told apart from what is no store of ours.

SQLite in WAL mode. One process writes and holds `PATH.lock`, which dies with it; any number read, without checkpoints
of their own. What the writer has committed is on the disk (`synchronous=FULL`), because an acknowledgement lets a
sender forget. SQLite older than 3.51.3 is refused: its write-ahead log can be reset under a reader, which damages the
file.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.resources
import os
import struct
import sys
from typing import TYPE_CHECKING, Final

import apsw

from leadtrace.errors import SourceError, StoreDamagedError, StoreLockedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["WriteLock", "beside", "connect_reader", "connect_writer", "in_memory", "plainly"]

APPLICATION_ID: Final = 0x4C54_5243  # "LTRC", in the header of the file
BUSY_MS = 5_000
"""How long a connection waits for a lock that another one has."""
_LEAST_SQLITE: Final = (3, 51, 3)
_LEAST_FORM: Final = 2
"""The oldest form that is read as it is: what later migrations add is for writers."""
_HEADER: Final = b"SQLite format 3\x00"

_DAMAGED: Final = (
    "stop whatever writes it; the file and its -wal are untouched, keep a copy of both; "
    "`sqlite3 FILE .recover` saves what can be read; with the file moved away `leadtrace serve` begins a new one"
)


def beside(path: Path, suffix: str) -> Path:
    """The file that SQLite, or we, keep beside a store: its log (`-wal`), the log's index (`-shm`), the lock (`.lock`)."""
    return path.with_name(path.name + suffix)


@contextlib.contextmanager
def plainly(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into ours: what happened, what is safe, what to do."""
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError) as cause:
        raise StoreDamagedError(f"the store {path} is damaged", cause=cause, do=_DAMAGED) from cause
    except apsw.FullError as cause:
        raise SourceError(
            f"no space left for the store {path}", cause=cause, do="what is stored is safe; make space"
        ) from cause
    except apsw.BusyError as cause:
        raise StoreLockedError(
            f"the store {path} is locked by another program", cause=cause, do="close it there"
        ) from cause
    except (apsw.CantOpenError, apsw.IOError, apsw.PermissionsError, apsw.ReadOnlyError, apsw.AuthError) as cause:
        raise SourceError(
            f"the store {path} cannot be read", cause=cause, do="look at its permissions and its disk"
        ) from cause
    except apsw.SQLError as cause:
        if "no such" not in str(cause):
            raise
        raise StoreDamagedError(f"the store {path} lacks a table of ours", cause=cause, do=_DAMAGED) from cause


class WriteLock:
    """The right to write a store: an advisory lock on `PATH.lock` that the kernel drops with the process."""

    def __init__(self, path: Path) -> None:
        self._path = beside(path, ".lock")
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as cause:
            raise SourceError(
                f"the store {path} cannot be written", cause=cause, do="look at its folder's permissions"
            ) from cause
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            who = os.pread(self._file, 400, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise StoreLockedError(
                f"the store {path} is being written by another process",
                who=who,
                do="read it with --from, send to that process, or give this one another --store",
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"process {os.getpid()}: {' '.join(sys.argv[:2])[:200]}\n".encode(), 0)

    def release(self) -> None:
        """Let go; the file stays, because removing it would let two processes hold two locks of one name."""
        if self._file >= 0:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = -1


def connect_writer(path: Path) -> apsw.Connection:
    """The one connection that writes: makes the file, brings its schema up to date. The caller holds the lock."""
    _check_sqlite()
    with contextlib.suppress(FileExistsError):  # SQLite would make it readable to all; -wal and -shm take after it
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    _check_file(path, must_be_ours=False)
    with plainly(path):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(BUSY_MS)
        if not path.stat().st_size:
            connection.pragma("page_size", 8192)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full")
        connection.pragma("cache_size", -64_000)
        connection.pragma("journal_size_limit", 64 << 20)
        connection.pragma("wal_autocheckpoint", 2_000)
        connection.pragma("temp_store", "memory")
        connection.pragma("secure_delete", "on")  # what is deleted is overwritten where it lay: see clean
        _migrate(connection, path)
    return connection


def in_memory() -> apsw.Connection:
    """An empty store that is gone when its connection is closed."""
    _check_sqlite()
    connection = apsw.Connection(":memory:")
    for migration in _migrations():
        connection.execute(migration)
    return connection


def connect_reader(path: Path) -> apsw.Connection:
    """A connection that only reads: it neither changes nor checkpoints the file."""
    _check_sqlite()
    _check_file(path, must_be_ours=True)
    with plainly(path):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(BUSY_MS)
        connection.pragma("cache_size", -16_000)
        connection.pragma("temp_store", "memory")
        _check_version(connection, path, _LEAST_FORM)
    return connection


def _check_sqlite() -> None:
    version = apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")) < _LEAST_SQLITE:
        raise SourceError(
            f"SQLite {version} can damage a store that is read while it is written; 3.51.3 or newer is needed",
            do="upgrade apsw, which brings its own",
        )


def _check_file(path: Path, must_be_ours: bool) -> None:
    """Look at the header before SQLite does: a foreign file is told apart, and a cut one is not waited upon."""
    try:
        with path.open("rb") as file:
            header = file.read(100)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise SourceError(
            f"there is no store {path}", do="start `leadtrace serve`, or name another with --from"
        ) from None
    except OSError as cause:
        raise SourceError(f"the store {path} cannot be read", cause=cause.strerror or str(cause)) from cause
    wal = beside(path, "-wal")
    if not header and (not must_be_ours or wal.exists()):
        return  # made a moment ago: its first pages are still in the log
    if len(header) < 100 or not header.startswith(_HEADER):
        raise StoreDamagedError(f"{path} is not a store", do="name another file; this one has not been touched")
    pages, application_id = struct.unpack_from(">I", header, 28)[0], struct.unpack_from(">I", header, 68)[0]
    if application_id not in (APPLICATION_ID, 0) or (application_id == 0 and pages > 1 and not wal.exists()):
        raise StoreDamagedError(
            f"{path} is another program's SQLite database", do="name another file; this one has not been touched"
        )
    page_size = struct.unpack_from(">H", header, 16)[0] or 1
    page_size = 65_536 if page_size == 1 else page_size
    if pages * page_size > size and not wal.exists():
        cut = f"it has {size:,} of {pages * page_size:,} bytes"
        raise StoreDamagedError(f"the store {path} is damaged", cause=cut, do=_DAMAGED)


def _migrations() -> list[str]:
    folder = importlib.resources.files("leadtrace.store") / "migrations"
    return [one.read_text() for one in sorted(folder.iterdir(), key=lambda one: one.name) if one.name.endswith(".sql")]


def _check_version(connection: apsw.Connection, path: Path, least: int) -> None:
    version, newest = connection.pragma("user_version"), len(_migrations())
    if connection.pragma("application_id") != APPLICATION_ID:
        raise StoreDamagedError(
            f"{path} is not a store of leadtrace", do="name another file; this one has not been touched"
        )
    if version > newest:
        raise SourceError(
            f"the store {path} was made by a newer leadtrace", form=version, known=newest, do="upgrade leadtrace"
        )
    if version < least:
        raise SourceError(
            f"the store {path} was made by an older leadtrace", form=version, do="start `leadtrace serve` on it once"
        )


def _migrate(connection: apsw.Connection, path: Path) -> None:
    version, migrations = connection.pragma("user_version"), _migrations()
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
    if tables and connection.pragma("application_id") != APPLICATION_ID:
        raise StoreDamagedError(
            f"{path} is another program's SQLite database", do="name another file; this one has not been touched"
        )
    for number, migration in enumerate(migrations[version:], start=version + 1):
        with connection:  # a migration is there whole or not at all
            connection.execute(migration)
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", number)
    _check_version(connection, path, len(migrations))
