"""The files of the columnar copy: their folder and names, written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from leadtrace.errors import SourceError
from leadtrace.store.columns.names import SUFFIX, new_name, ready_file
from leadtrace.store.columns.ready import READY, ready_files, worked_out
from leadtrace.store.columns.taking import EVENTS, KEYS, arrow_type, columns_of
from leadtrace.store.file import beside
from leadtrace.store.relations.on_rows import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    import pyarrow

__all__ = [
    "ColumnFile",
    "folder_of",
    "making",
    "missing",
    "nobody_making",
    "remove",
    "remove_strangers",
    "write_file",
    "write_ready",
]

_log = logging.getLogger("leadtrace")
_UNIQUE: Final = (*KEYS, "trace_id", "span_id", "parent_span_id", "attributes", "rest")
"""Columns in which no value comes twice: a dictionary of them would only take room."""

_GROUP: Final = 125_000
"""Rows in one group as they come."""
_SORTED_GROUP: Final = 61_440
"""Rows in one group by name, which a reader skips as a whole where it holds none of the names asked for. Smaller ones would
skip more and take longer: what a file says of its groups is read before anything."""
_READY_GROUP: Final = 30_720
_MEMORY: Final = "768MB"
"""What sorting may take; the rest goes to a temporary folder."""


@dataclass(slots=True, frozen=True)
class ColumnFile:
    """One file, as it is registered: the arrivals that it stands for, and what a reader must know to leave it out."""

    file: str
    relation: int
    first: int
    last: int
    rows: int
    bytes: int
    least_ns: int
    most_ns: int


def folder_of(path: Path) -> Path:
    """Where the files of the store at `path` lie."""
    return beside(path, ".columns")


def missing() -> str:
    """What must be installed for columns, as a sentence; '' where it is there."""
    from importlib.util import find_spec

    lacking = [name for name in ("duckdb", "pyarrow") if find_spec(name) is None]
    return f"{' and '.join(lacking)} missing: pip install 'leadtrace[columns]'" if lacking else ""


def write_file(
    folder: Path,
    relation: int,
    first: int,
    last: int,
    tables: Iterable[pyarrow.Table],
    for_reports: bool = False,
    replaced: Collection[str] = (),
) -> ColumnFile:
    """Write the rows of those arrivals; on the disk, under its name, when this returns. Raises SourceError where it cannot.

    For reports it has keys, its rows lie by name, and what is worked out of a file of events is there beside it before it is.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    listed = [(name, arrow_type(kind)) for name, kind in columns_of(relation) if for_reports or name not in KEYS]
    schema = pa.schema(listed)
    name = new_name(relation, first, last, for_reports)
    half = folder / (name + ".half")
    time = "time_ns" if relation == EVENTS else "start_ns"
    rows, least, most = 0, 2**63 - 1, -(2**63)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        dictionary = [one for one in schema.names if one not in _UNIQUE]
        with (
            open(half, "xb", opener=_private) as file,
            pq.ParquetWriter(
                file, schema, compression="zstd", compression_level=1, use_dictionary=dictionary, write_statistics=True
            ) as writer,
        ):
            waiting: list[pyarrow.Table] = []
            for table in tables:
                rows += len(table)
                bounds = pc.min_max(table[time])
                least, most = min(least, bounds["min"].as_py()), max(most, bounds["max"].as_py())
                waiting.append(
                    table.select(schema.names).cast(schema)
                )  # from a file, its columns may be said to have no NULL
                if sum(map(len, waiting)) >= _GROUP:
                    writer.write_table(pa.concat_tables(waiting), row_group_size=_GROUP * 2)
                    waiting = []
            if waiting:
                writer.write_table(pa.concat_tables(waiting), row_group_size=_GROUP * 2)
        if for_reports and rows:
            _sort_by_name(half, time)
        with half.open("rb") as written:
            os.fsync(written.fileno())
        if for_reports and rows and relation == EVENTS:
            for what in READY:
                write_ready(what, half, name, replaced)
        half.rename(folder / name)
        _sync_folder(folder)
    except OSError as cause:
        with contextlib.suppress(OSError):
            half.unlink()
        raise _cannot(folder, cause) from cause
    except BaseException:
        half.unlink(missing_ok=True)
        raise
    return ColumnFile(
        name, relation, first, last, rows, (folder / name).stat().st_size, least if rows else 0, most if rows else 0
    )


def _sort_by_name(half: Path, time: str) -> None:
    """Put the rows of a file into another order, without having all of them in memory.

    Where its rows are too large even for that it stays as it came, which is as true and slower to read.
    """
    import duckdb

    by_name = half.with_name(half.name + ".half")
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,
        "memory_limit": _MEMORY,
        "autoinstall_known_extensions": False,
    }
    try:
        open(by_name, "xb", opener=_private).close()
        with (
            tempfile.TemporaryDirectory(prefix="leadtrace-") as spill,
            duckdb.connect(":memory:", config={**config, "temp_directory": spill}) as duck,
        ):
            duck.execute(
                f"""COPY (SELECT * FROM read_parquet({quoted(str(half))}) ORDER BY name, {time}, arrival)
                TO {quoted(str(by_name))} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1,
                  ROW_GROUP_SIZE {_SORTED_GROUP}, USE_TMP_FILE false)"""  # noqa: S608 - names of ours
            )
        by_name.rename(half)
    except duckdb.OutOfMemoryException as why:
        _log.info(
            "leadtrace: the columns in %s stay in the order of arrival: %s", half.parent, str(why).splitlines()[0]
        )
    except duckdb.IOException as cause:
        raise OSError(errno.EIO, str(cause).splitlines()[0]) from cause
    finally:
        by_name.unlink(missing_ok=True)


def write_ready(what: str, events: Path, name: str, replaced: Collection[str] = ()) -> None:
    """Write what lies beside a file of events of that name; on the disk, under its own name, when this returns.

    Raises SourceError where it cannot.
    """
    import pyarrow.parquet as pq

    found = worked_out(what, events, name, replaced)
    target = events.with_name(ready_file(name, what))
    half = target.with_name(target.name + ".half")
    try:
        with open(half, "xb", opener=_private) as file:
            pq.write_table(found, file, compression="zstd", compression_level=1, row_group_size=_READY_GROUP)
            file.flush()
            os.fsync(file.fileno())
        half.rename(target)
    except OSError as cause:
        with contextlib.suppress(OSError):
            half.unlink()
        raise _cannot(target.parent, cause) from cause
    except BaseException:
        half.unlink(missing_ok=True)
        raise


def remove(folder: Path, name: str) -> None:
    """Remove a file and what was made of it, if they are there."""
    (folder / name).unlink(missing_ok=True)
    for one in ready_files(name):
        (folder / one).unlink(missing_ok=True)


@contextlib.contextmanager
def making(folder: Path) -> Iterator[None]:
    """Held from the look at the store on which a file is made until the file has its name; by several at once."""
    with contextlib.ExitStack() as held:
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            held.enter_context(_locked(folder, fcntl.LOCK_SH))
        except OSError as cause:
            raise _cannot(folder, cause) from cause
        yield


@contextlib.contextmanager
def nobody_making(folder: Path) -> Iterator[None]:
    """Waits until every file that is being made has its name, and lets nobody begin another meanwhile."""
    if not folder.is_dir():
        yield
        return
    with _locked(folder, fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


def remove_strangers(folder: Path, registered: Collection[str]) -> int:
    """Remove what is no registered file: what a crash left, and what was replaced. Only while nobody else writes there."""
    removed = 0
    known = {*registered, *(it for one in registered for it in ready_files(one))}
    if folder.is_dir():
        for one in folder.iterdir():
            if one.name not in known and (one.suffix == SUFFIX or one.name.endswith(".half")):
                one.unlink(missing_ok=True)
                removed += 1
    return removed


def _cannot(folder: Path, cause: OSError) -> SourceError:
    return SourceError(f"the columns in {folder} cannot be written", cause=cause.strerror or str(cause))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)  # it holds what the store holds


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
