"""Making the files of the columnar copy: new rows into new files, small files into large ones, changed ones anew.

Whoever copies only reads the store; its writer lets a file count (`register`). So `serve` copies in a child process:

    python -m leadtrace.store.columns.copying PATH     one line of JSON for each file made; the parent registers it
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from leadtrace.store.columns.files import ColumnFile, folder_of, making, nobody_making, write_file, write_ready
from leadtrace.store.columns.names import has_keys, ready_file
from leadtrace.store.columns.ready import READY, ready_files
from leadtrace.store.columns.register import RELATIONS, registered
from leadtrace.store.columns.taking import EVENTS, Taker, with_keys
from leadtrace.store.file import connect_reader, plainly

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import apsw
    import pyarrow

    from leadtrace.store.columns.register import Registered

__all__ = ["PER_FILE", "Made", "add_ready", "copy_new", "made_from_json", "remake"]

PER_FILE: Final = 1_000_000
"""Arrivals in one file, spans and events together."""
_SMALL: Final = 250_000
"""A file of fewer rows is put together with its neighbours once there are enough of them."""
_TOGETHER: Final = 8
_TOO_CHANGED: Final = 0.02
"""The share of changed rows from which a file is made anew without being asked."""


@dataclass(slots=True, frozen=True)
class Made:
    """A file that was made, from a state with the changes up to `seen`, to stand in place of others."""

    file: ColumnFile
    seen: int
    erasures: int
    replaced: tuple[str, ...] = ()

    def as_json(self) -> str:
        return json.dumps(
            {"file": asdict(self.file), "seen": self.seen, "erasures": self.erasures, "replaced": self.replaced}
        )


def made_from_json(line: str | bytes) -> Made:
    """What `as_json` told."""
    told = json.loads(line)
    return Made(ColumnFile(**told["file"]), told["seen"], told["erasures"], tuple(told["replaced"]))


def copy_new(path: Path, per_file: int = PER_FILE) -> Iterator[Made]:
    """Copy what is below `watched` and in no file yet: the oldest first, each file from a state of its own.

    The caller registers each before it asks for the next.
    """
    while True:
        with plainly(path), making(folder_of(path)):
            connection = connect_reader(path)
            try:
                connection.execute("BEGIN")
                state = registered(connection)
                gap = _first_gap(state, per_file)
                if gap is None:
                    return
                relation, first, last = gap
                tables = Taker(connection).between(relation, first, last)
                file = write_file(folder_of(path), relation, first, last, tables, for_reports=True)
                made = Made(file, state.seen, state.erasures)
            finally:
                connection.close()
        yield made


def add_ready(path: Path) -> None:
    """Write what lies beside files of events and is not there: what made them was of an earlier version, or it was lost.

    While nobody makes a file, and with runs always anew what they meet: of two files with parts of one run, the later must
    have met the earlier.
    """
    folder = folder_of(path)
    for one in _lacking(path):
        with plainly(path), nobody_making(folder):
            if one not in _lacking(path):
                continue  # replaced meanwhile
            if not (folder / ready_file(one, "runs")).exists():
                (folder / ready_file(one, "again")).unlink(missing_ok=True)
            for what in READY:
                if not (folder / ready_file(one, what)).exists():
                    write_ready(what, folder / one, one)


def _lacking(path: Path) -> list[str]:
    """The files of events beside which something is missing."""
    connection = connect_reader(path)
    try:
        files = registered(connection).of(EVENTS)
    finally:
        connection.close()
    folder = folder_of(path)
    there = {one.name for one in folder.iterdir()} if files else set[str]()
    return [
        one.file
        for one in files
        if one.rows and one.file in there and has_keys(one.file) and not there.issuperset(ready_files(one.file))
    ]


def _first_gap(state: Registered, per_file: int) -> tuple[int, int, int] | None:
    gaps = [(first, last, relation) for relation in RELATIONS for first, last in state.gaps(relation, state.watched)]
    if not gaps:
        return None
    first, last, relation = min(gaps)
    return relation, first, min(last, first + per_file - 1)


def remake(path: Path, every_changed: bool = False) -> Iterator[Made]:
    """Make files anew: those of an earlier version, small neighbours as one, those with many changed rows; or every one with
    any, and no other.

    The caller registers each before it asks for the next.
    """
    while True:
        with plainly(path), making(folder_of(path)):
            connection = connect_reader(path)
            try:
                connection.execute("BEGIN")
                state = registered(connection)
                if state.stale:
                    return
                group = _to_remake(state, every_changed)
                if not group:
                    return
                tables = _remade(connection, folder_of(path), group, state)
                replaced = tuple(one.file for one in group)
                file = write_file(
                    folder_of(path),
                    group[0].relation,
                    group[0].first,
                    group[-1].last,
                    tables,
                    for_reports=True,
                    replaced=replaced,
                )
                made = Made(file, state.seen, state.erasures, replaced)
            finally:
                connection.close()
        yield made


def _to_remake(state: Registered, every_changed: bool) -> Sequence[ColumnFile]:
    """The next neighbours to make one file of."""
    for relation in RELATIONS:
        files = state.of(relation)
        for one in files:
            if not has_keys(one.file) and not every_changed:
                return [one]
            changed = len(state.changed_in(one))
            if changed and (every_changed or changed > one.rows * _TOO_CHANGED + 1_000):
                return [one]
        together: list[ColumnFile] = []
        for one in files:
            follows = not together or one.first == together[-1].last + 1
            fits = one.rows < _SMALL and one.last - (together or [one])[0].first < PER_FILE
            if follows and fits:
                together.append(one)
            else:
                if len(together) >= _TOGETHER:
                    return together
                together = [one] if one.rows < _SMALL else []
        if len(together) >= _TOGETHER:
            return together
    return ()


def _remade(
    connection: apsw.Connection, folder: Path, group: Sequence[ColumnFile], state: Registered
) -> Iterator[pyarrow.Table]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    taker = Taker(connection)
    for one in group:
        changed = state.changed_in(one)
        gone = pa.array(sorted(changed), pa.int64())
        with pq.ParquetFile(folder / one.file) as file:
            for batch in file.iter_batches(50_000):
                table = with_keys(pa.Table.from_batches([batch]))
                kept = table.filter(pc.invert(pc.is_in(table["arrival"], gone))) if changed else table
                if len(kept):
                    yield kept
        yield from taker.these(one.relation, sorted(changed))


def _main(path: Path) -> None:
    """Tell each file on standard output, and wait for the parent's line that it has been dealt with."""
    os.nice(10)
    add_ready(path)
    for files in (copy_new(path), remake(path)):
        for made in files:
            print(made.as_json(), flush=True)
            if not sys.stdin.readline():
                return  # the parent is gone: it will find what it does not know, and remove it


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
