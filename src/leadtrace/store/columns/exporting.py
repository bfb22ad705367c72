"""A store's records as Parquet files elsewhere: for pandas, DuckDB, and whoever reads Parquet.

    FOLDER/leadtrace-export.json     what was exported from where, and up to which arrival
    FOLDER/events-….parquet          the columns of `lead_events`, without those that are keys
    FOLDER/spans-….parquet           the columns of `lead_spans`, so too

Each file is there whole or not at all, and the list is written after it: broken off, it goes on where it was; asked again
later, it adds what has arrived since.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from leadtrace.errors import SettingsError, SourceError
from leadtrace.store.columns.copying import PER_FILE
from leadtrace.store.columns.files import missing, remove_strangers, write_file
from leadtrace.store.columns.taking import EVENTS, SPANS, Taker
from leadtrace.store.file import connect_reader, plainly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow

    from leadtrace.store.relations.interface import Slice

__all__ = ["Exported", "export_store"]

EXPORT_SCHEMA: Final = "leadtrace.export/1"
_LIST: Final = "leadtrace-export.json"


@dataclass(slots=True)
class Exported:
    """What is in the folder."""

    store: str
    up_to: int = 0
    """The arrival up to which it holds everything."""
    rows: int = 0
    bytes: int = 0
    files: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "store": self.store,
            "up_to_arrival": self.up_to,
            "records": self.rows,
            "bytes": self.bytes,
            "files": list(self.files),
        }


def export_store(
    path: Path,
    folder: Path,
    part: Slice,
    told: Callable[[int, int], None] | None = None,
    per_file: int = PER_FILE,
) -> Exported:
    """Export the records of a slice that have arrived until now; `told` hears how far it is, and of how much.

    Raises SettingsError where the folder holds something else or cannot be written, SourceError where Parquet
    cannot be made here.
    """
    if lacking := missing():
        raise SourceError(f"Parquet cannot be written: {lacking}")
    asked = {"since_unix_nano": part.since_ns, "until_unix_nano": part.until_ns, "tenant": part.tenant}
    found = _begun(folder, str(path), asked)
    with plainly(path):
        connection = connect_reader(path)
        try:
            arrival: int = connection.execute("SELECT value FROM counters WHERE name = 'arrival'").get
            while found.up_to < arrival:
                last = min(found.up_to + per_file, arrival)
                made = []
                connection.execute("BEGIN")  # a state for each piece, so that the store's log can be folded in between
                for relation in (EVENTS, SPANS):
                    tables = _among(Taker(connection).between(relation, found.up_to + 1, last), relation, part)
                    made.append(write_file(folder, relation, found.up_to + 1, last, tables))
                connection.execute("ROLLBACK")
                for one in made:
                    if one.rows:
                        found.files.append(one.file)
                        found.rows += one.rows
                        found.bytes += one.bytes
                    else:
                        (folder / one.file).unlink()
                found.up_to = last
                _write_list(folder, found, asked)
                if told:
                    told(last, arrival)
        finally:
            connection.close()
    if not found.files:
        _write_list(folder, found, asked)
    return found


def _among(tables: Iterator[pyarrow.Table], relation: int, part: Slice) -> Iterator[pyarrow.Table]:
    import pyarrow.compute as pc

    time = "time_ns" if relation == EVENTS else "start_ns"
    for table in tables:
        kept = table
        if part.since_ns:
            kept = kept.filter(pc.greater_equal(kept[time], part.since_ns))
        if part.until_ns:
            kept = kept.filter(pc.less(kept[time], part.until_ns))
        if part.tenant is not None:
            kept = kept.filter(pc.equal(kept["tenant"], part.tenant))
        if len(kept):
            yield kept


def _begun(folder: Path, store: str, asked: dict[str, Any]) -> Exported:
    """What an earlier export into this folder has done already."""
    file = folder / _LIST
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not file.exists():
            if any(folder.iterdir()):
                raise SettingsError(f"the folder {folder} is not empty and holds no export", do="name a new folder")
            return Exported(store)
        told = json.loads(file.read_text(encoding="utf-8"))
        found = Exported(told["store"], told["up_to_arrival"], told["records"], told["bytes"], list(told["files"]))
        same = told["schema"] == EXPORT_SCHEMA and told["store"] == store and told["asked"] == asked
    except OSError as cause:
        raise SettingsError(f"the folder {folder} cannot be used", cause=cause.strerror or str(cause)) from cause
    except (ValueError, KeyError, TypeError) as cause:
        raise SettingsError(f"{file} is not the list of an export", cause=repr(cause)) from cause
    if not same:
        raise SettingsError(f"the folder {folder} holds an export of something else", do="name a new folder")
    remove_strangers(folder, found.files)
    return found


def _write_list(folder: Path, found: Exported, asked: dict[str, Any]) -> None:
    told = {"schema": EXPORT_SCHEMA, "asked": asked, **found.as_json()}
    half = folder / f"{_LIST}.half"
    with half.open("w", encoding="utf-8") as file:
        json.dump(told, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    half.rename(folder / _LIST)
