"""The outbox: lead events that wait for their platforms, beside the journal in one SQLite file that processes share.

    JOURNAL/lead-events/outbox.db        0600; what was sealed when it was kept stays sealed here
                        outbox.lock      held around every transaction, checkpoints included
                        workers/…        who lives: see `workers`

A commit is on the disk (`synchronous=FULL`) before anybody acts on it. What is deleted is overwritten (`secure_delete`).
One process at a time has the file in hand: the SQLite that Python brings may be one whose write-ahead log can be damaged by
two connections at the same instant (fixed in 3.51.3), and the lock is what keeps that from ever happening.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import sqlite3
import threading
import weakref
from contextlib import contextmanager, suppress
from importlib import resources
from typing import TYPE_CHECKING, Final

from leadtrace.errors import SealError, SourceError
from leadtrace.journal.lead_tombstones import was_erased
from leadtrace.journal.workers import Worker
from leadtrace.otlp.lead_event import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

__all__ = ["FOLDER", "Outbox"]

FOLDER: Final = "lead-events"
"""The outbox's folder in that of the journal."""
_APPLICATION_ID: Final = 0x4C_54_4C_45  # "LTLE"
_VERSION: Final = 1
_FORGET_AFTER_NS: Final = 7 * 86_400 * 1_000_000_000
_MOST_FORGOTTEN: Final = 500  # in one transaction


class Outbox:
    """One outbox, of a journal's folder, or of this process's memory where `folder` is None.

    Any thread may use it. A forked child opens the file anew; what was in memory is the parent's.
    """

    def __init__(self, folder: Path | None) -> None:
        self.path = folder / FOLDER / "outbox.db" if folder is not None else None
        self.worker = Worker(self.path.parent / "workers" if self.path is not None else None)
        self.on_fork: Callable[[], None] = _nothing
        """Called in a forked child, for whoever has locks of its own around this."""
        self._renew()
        _all.add(self)

    def _renew(self) -> None:
        self._mutex = threading.RLock()
        self._database: sqlite3.Connection | None = None
        self._lock = -1

    @property
    def location(self) -> str:
        return str(self.path) if self.path is not None else "memory"

    def exists(self) -> bool:
        """Whether there is one, without making it."""
        return self._database is not None or (self.path is not None and self.path.exists())

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and alone. Raises `SourceError` where the file cannot be used."""
        with self._mutex:
            self._take_lock()
            try:
                database = self._open()
                try:
                    database.execute("BEGIN IMMEDIATE")
                    yield database
                    database.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):
                        if database.in_transaction:
                            database.execute("ROLLBACK")
                    raise
            except sqlite3.Error as why:
                raise SourceError(
                    f"the outbox of lead events cannot be used: {why}", path=self.location, do=_advice(why)
                ) from why
            finally:
                self._let_lock_go()

    def _take_lock(self) -> None:
        if self.path is None:
            return
        lock = self.path.with_name("outbox.lock")
        try:
            while True:
                if self._lock < 0:
                    self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                    self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                fcntl.flock(self._lock, fcntl.LOCK_EX)
                if self._is_there(lock):
                    return
                self._begin_anew()
        except OSError as why:
            raise SourceError(
                "the outbox of lead events cannot be used", path=self.location, cause=why.strerror or str(why)
            ) from why

    def _is_there(self, lock: Path) -> bool:
        """Whether the files that are open here are those that others meet: somebody may have moved the folder away."""
        with suppress(FileNotFoundError):
            here, there = os.fstat(self._lock), os.stat(lock)
            if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
                return self._database is None or self.path is None or self.path.exists()
        return False

    def _begin_anew(self) -> None:
        os.close(self._lock)
        self._lock = -1
        if self._database is not None:
            self._database.close()
            self._database = None
        self.worker.close()

    def _let_lock_go(self) -> None:
        if self._lock >= 0:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            if self.path is not None:
                with suppress(FileExistsError):  # SQLite would make it readable to all; -wal and -shm take after it
                    os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
            made = sqlite3.connect(self.path or ":memory:", isolation_level=None, check_same_thread=False, timeout=30.0)
            try:
                for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "temp_store=MEMORY"):
                    made.execute(f"PRAGMA {pragma}")
                self._prepare(made)
            except BaseException:
                made.close()
                raise
            self._database = made
        return self._database

    def _prepare(self, database: sqlite3.Connection) -> None:
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if (application, version) == (_APPLICATION_ID, _VERSION):
            return
        if version > _VERSION or application not in (0, _APPLICATION_ID):
            raise SourceError(
                "the outbox was written by a newer leadtrace, or is not one", path=self.location, version=version
            )
        schema = resources.files("leadtrace.journal").joinpath("outbox.sql").read_text(encoding="utf-8")
        database.executescript(
            f"BEGIN IMMEDIATE; {schema}\n"
            f"INSERT INTO secrets VALUES ('erased', x'{secrets.token_bytes(32).hex()}');"
            f"PRAGMA application_id={_APPLICATION_ID}; PRAGMA user_version={_VERSION}; COMMIT;"
        )

    def put(self, records: Sequence[bytes], now_ns: int) -> int:
        """Take in kept records; how many rows are new. The same record again, or the same content, changes nothing.

        A record that cannot be read is set aside with the reason, and those behind it go on.
        """
        new = 0
        with self.transaction() as database:
            for record in records:
                try:
                    kept = Kept.unpacked(record)
                except SealError as why:
                    database.execute(
                        "INSERT INTO unreadable (record, why, at_ns) VALUES (?, ?, ?)", (record, str(why), now_ns)
                    )
                    continue
                if was_erased(database, kept.lead_id, kept.tenant):
                    continue
                for destination in kept.destinations:
                    wrong = kept.malformed.get(destination)
                    new += database.execute(
                        "INSERT OR IGNORE INTO lead_events (id, destination, digest, state, lead_id, tenant, fields,"
                        " received_ns, sealed, reason, field, malformed, changed_ns)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        (
                            kept.id,
                            destination,
                            kept.digest,
                            "quarantined" if wrong is not None else "waiting",
                            kept.lead_id,
                            kept.tenant,
                            json.dumps(dict(kept.fields)),
                            kept.received_ns,
                            kept.sealed,
                            wrong.reason if wrong is not None else "",
                            wrong.field if wrong is not None else "",
                            wrong is not None,
                            kept.received_ns,
                        ),
                    ).rowcount
            database.execute(
                "DELETE FROM lead_events WHERE number IN (SELECT number FROM lead_events"
                " WHERE state IN ('sent', 'discarded') AND changed_ns < ? LIMIT ?)",
                (now_ns - _FORGET_AFTER_NS, _MOST_FORGOTTEN),
            )
        return new

    def overwrite(self) -> None:
        """See to it that nothing deleted is left in the file or its log: a checkpoint that empties the log."""
        if self.path is None or not self.exists():
            return
        with self._mutex:
            self._take_lock()
            try:
                self._open().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.Error as why:
                raise SourceError(f"the outbox of lead events cannot be used: {why}", path=self.location) from why
            finally:
                self._let_lock_go()

    def close(self) -> None:
        """Let the file go, and the claims that are not settled."""
        with self._mutex:
            if self._database is not None:
                with suppress(SourceError):
                    self._take_lock()
                with suppress(sqlite3.Error):
                    self._database.close()
                self._database = None
                self._let_lock_go()
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1
            self.worker.close()

    def _after_fork(self) -> None:
        """In a child: the parent's connection is left as it is, not even closed, and its lock is the parent's."""
        if self._database is not None:
            _inherited.append(self._database)
        if self._lock >= 0:
            with suppress(OSError):
                os.close(self._lock)
        self.worker.after_fork()
        self._renew()
        self.on_fork()


def _nothing() -> None:
    """Nobody has locks around it."""


def _advice(why: sqlite3.Error) -> str:
    if "malformed" in str(why) or "not a database" in str(why):
        return "move the folder lead-events aside: what the journal still holds is taken in anew, what it has let go is lost"
    return "see that its folder can be written and has room; nothing is lost, it is tried again"


_all: weakref.WeakSet[Outbox] = weakref.WeakSet()
_inherited: list[sqlite3.Connection] = []


def _in_child() -> None:
    for outbox in list(_all):
        outbox._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
