"""The watch's own database, beside the store: SQLite in WAL mode, readable by its owner alone.

What it promises:
- **Once.** A transition is one row that cannot be there twice; what comes of it (a message, an event) is made in the same
  transaction. So a kill at any moment leaves all of it or none.
- **Claims.** Work that only one may do is claimed, by an owner that names its process, until a moment. A claim whose
  process is gone from this machine is free at once, any other when its time is over.
- **Several watchers.** Any number of processes may open it; each change is one short transaction.

An instance belongs to one thread; threads open one each.
"""

from __future__ import annotations

import contextlib
import os
import socket
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import apsw

from leadtrace.errors import SettingsError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadtrace.settings import Settings

__all__ = ["Database", "alive", "path_beside", "this_process"]

_APPLICATION_ID: Final = 0x6C746177  # ltaw
_VERSION: Final = 1


class Database:
    """One connection to it. Every method raises `SourceError` where the file cannot be used."""

    def __init__(self, path: Path, connection: apsw.Connection) -> None:
        """Use `open`."""
        self.path: Final = path
        self._connection = connection

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, create: bool = True) -> Database:
        """Open the database at `path`; with `create`, make it where there is none."""
        path = Path(path).expanduser().absolute()
        if not path.exists():
            if not create:
                raise SourceError(
                    f"no watch has run here: there is no {path}",
                    do="start `leadtrace watch`, or name another with --state",
                )
            try:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with contextlib.suppress(FileExistsError):
                    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            except OSError as cause:
                raise SourceError(f"the alerts {path} cannot be made", cause=cause.strerror or str(cause)) from cause
        with _plainly(path):
            connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                connection.set_busy_timeout(10_000)
                connection.pragma("journal_mode", "wal")
                connection.pragma("synchronous", "full")
                found = cls(path, connection)
                found._prepare()
            except BaseException:
                connection.close()
                raise
        return found

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction: what is changed within is there whole or not at all. Waits for another's, at most 10 s."""
        with _plainly(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                with contextlib.suppress(apsw.Error):
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """One state of the database for several questions."""
        with _plainly(self.path):
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("ROLLBACK")

    def run(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of one statement."""
        with _plainly(self.path):
            return list(self._connection.execute(sql, values))

    def one(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        """The first row of one statement, None where there is none."""
        with _plainly(self.path):
            row: tuple[Any, ...] | None = self._connection.execute(sql, values).fetchone()
            return row

    def last_number(self) -> int:
        """The number of the row that was put in last."""
        return int(self._connection.last_insert_rowid())

    def boot(self) -> str:
        """The id under which this database numbers leadtrace's own events: 16 hex digits, made with it."""
        row = self.one("SELECT value FROM meta WHERE name = 'boot'")
        assert row is not None
        return str(row[0])

    def hold(self, lease: str, owner: str, now_ns: int, until_ns: int) -> bool:
        """Take that lease, or keep it; false while another that lives has it. Within `writing`."""
        row = self.one("SELECT owner, until_ns FROM leases WHERE name = ?", lease)
        if row is not None and row[0] != owner and row[1] > now_ns and alive(str(row[0])):
            return False
        self.run("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", lease, owner, until_ns)
        return True

    def let_go(self, owner: str) -> None:
        """Give back every lease and claim of that owner, as it ends."""
        with self.writing():
            self.run("DELETE FROM leases WHERE owner = ?", owner)
            self.run("UPDATE outbox SET owner = '', until_ns = 0 WHERE owner = ? AND state = 'waiting'", owner)

    def _prepare(self) -> None:
        with self.writing():
            version = self._connection.pragma("user_version")
            tables = self._connection.execute("SELECT count(*) FROM sqlite_schema").get
            if version == 0 and not tables:
                schema = (resources.files("leadtrace.alerts") / "database.sql").read_text()
                self._connection.execute(schema)
                self.run("INSERT INTO meta VALUES ('boot', ?)", os.urandom(8).hex())
                self._connection.pragma("application_id", _APPLICATION_ID)
                self._connection.pragma("user_version", _VERSION)
            elif self._connection.pragma("application_id") != _APPLICATION_ID:
                raise SourceError(f"{self.path} holds no alerts", do="name another file; this one has not been touched")
            elif version > _VERSION:
                raise SourceError(
                    f"the alerts {self.path} were made by a newer leadtrace", form=version, known=_VERSION
                )


@contextlib.contextmanager
def _plainly(path: Path) -> Iterator[None]:
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError) as cause:
        raise SourceError(
            f"the alerts {path} are damaged", cause=cause, do="move the file away; the watch begins a new one"
        ) from cause
    except apsw.BusyError as cause:
        raise SourceError(f"the alerts {path} are locked by another program", cause=cause) from cause
    except (
        apsw.FullError,
        apsw.CantOpenError,
        apsw.IOError,
        apsw.PermissionsError,
        apsw.ReadOnlyError,
        apsw.AuthError,
    ) as cause:
        raise SourceError(f"the alerts {path} cannot be read or written", cause=cause) from cause


def path_beside(source_url: str, settings: Settings) -> Path:
    """Where the watch of that source keeps what it knows: `store.alerts.db` beside `store.db`; of a server, a file named
    after it beside the default store."""
    scheme, separator, _ = source_url.partition("://")
    if separator and scheme.lower() in ("http", "https"):
        parts = urlsplit(source_url)
        host = "".join(one if one.isalnum() or one in ".-" else "_" for one in parts.hostname or "server")
        port = parts.port or (443 if scheme.lower() == "https" else 80)
        return settings.store.with_name(f"{host}-{port}.alerts.db")
    path = Path(source_url or settings.store).expanduser().absolute()
    return path.with_name(f"{path.name.removesuffix('.db')}.alerts.db")


@lru_cache(maxsize=8)
def _named(pid: int) -> str:
    return f"{socket.gethostname()}/{pid}/{_began(pid)}"


def this_process() -> str:
    """This process as the owner of claims: the machine, the number, and when it began, for numbers come again."""
    return _named(os.getpid())


def alive(owner: str) -> bool:
    """Whether that owner may still be at work: false only where it is known to be gone, from this machine."""
    host, _, rest = owner.partition("/")
    pid, _, began = rest.partition("/")
    if host != socket.gethostname() or not pid.isdigit():
        return True
    return _began(int(pid)) == began


def _began(pid: int) -> str:
    """When that process began, as the system counts; '' where there is none."""
    try:
        import psutil
    except ImportError as cause:
        raise SettingsError("the watch needs: pip install 'leadtrace[alerts]'") from cause
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.Error:
        return ""
