"""Which files of the columnar copy count: the tables `column_files` and `column_changes`, read by anybody, written by the writer.

A file is made from one state of the store. What changed in its rows up to that state (`seen`) is in it; what changes later
is noted, and read from the rows until the file is made anew.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Final

from leadtrace.store.columns.files import ColumnFile
from leadtrace.store.columns.taking import EVENTS, SPANS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

__all__ = ["Registered", "drop_all", "forget", "register", "registered", "watch"]

RELATIONS: Final = (SPANS, EVENTS)


@dataclass(slots=True)
class Registered:
    """The copy as one state of the store has it."""

    files: list[ColumnFile] = field(default_factory=list)
    changed: dict[int, set[int]] = field(default_factory=dict)
    """By relation, the arrivals below `watched` whose rows are not as they were copied, or gone."""
    stale: bool = False
    """Whether what many rows refer to has changed: then no file can be read."""
    watched: int = 0
    arrival: int = 0
    """The highest arrival ever given."""
    seen: int = 0
    """The last change noted."""
    erasures: int = 0
    """How many leads were erased so far: a file made before the last of them counts for nothing."""

    def of(self, relation: int) -> list[ColumnFile]:
        return [one for one in self.files if one.relation == relation]

    def gaps(self, relation: int, up_to: int) -> list[tuple[int, int]]:
        """Arrivals up to there, both ends included, for which no file of the relation stands."""
        found, at = [], 1
        for one in self.of(relation):
            if one.first > at:
                found.append((at, one.first - 1))
            at = max(at, one.last + 1)
        if at <= up_to:
            found.append((at, up_to))
        return found

    def changed_in(self, one: ColumnFile) -> set[int]:
        changed = self.changed.get(one.relation, set())
        return {arrival for arrival in changed if one.first <= arrival <= one.last}


def registered(connection: apsw.Connection) -> Registered:
    """The copy as this connection's transaction sees it; an empty one in a store of the time before there were copies."""
    found = Registered()
    for name, value in connection.execute("SELECT name, value FROM counters WHERE name IN ('arrival', 'watched')"):
        if name == "arrival":
            found.arrival = int(value)
        else:
            found.watched = int(value)
    if not found.watched:
        return found
    sql = "SELECT file, relation, first, last, rows, bytes, least_ns, most_ns FROM column_files ORDER BY first"
    found.files = [ColumnFile(*row) for row in connection.execute(sql)]
    found.erasures = _erasures(connection)
    for change, relation, arrival in connection.execute("SELECT change, relation, arrival FROM column_changes"):
        found.seen = max(found.seen, int(change))
        if relation:
            found.changed.setdefault(int(relation), set()).add(int(arrival))
        else:
            found.stale = True
    return found


def _erasures(connection: apsw.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM erasures").get)


def watch(connection: apsw.Connection) -> int:
    """From here on note what changes of all that is there now; gives the highest arrival. Before copying, by the writer."""
    with connection:
        connection.execute(
            "UPDATE counters SET value = (SELECT value FROM counters WHERE name = 'arrival') WHERE name = 'watched'"
        )
        found: int = connection.execute("SELECT value FROM counters WHERE name = 'watched'").get
    return found


def register(
    connection: apsw.Connection, added: ColumnFile, seen: int, erasures: int, replaced: Sequence[str] = ()
) -> bool:
    """Let a file count that was made from a state with the changes up to `seen`, in place of others; by the writer.

    False where one of those is not registered any more, others stand for its arrivals, or a lead was erased since: somebody
    else was faster, the new file counts for nothing.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        there = {name for (name,) in connection.execute("SELECT file FROM column_files")}
        connection.executemany("DELETE FROM column_files WHERE file = ?", [(one,) for one in replaced])
        overlapping = connection.execute(
            "SELECT 1 FROM column_files WHERE relation = ? AND first <= ? AND last >= ?",
            (added.relation, added.last, added.first),
        ).fetchone()
        if overlapping or not there.issuperset(replaced) or erasures != _erasures(connection):
            connection.execute("ROLLBACK")
            return False
        connection.execute("INSERT INTO column_files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", astuple(added))
        connection.execute(
            "DELETE FROM column_changes WHERE change <= ? AND relation = ? AND arrival BETWEEN ? AND ?",
            (seen, added.relation, added.first, added.last),
        )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return True


def forget(connection: apsw.Connection, files: Sequence[str]) -> None:
    """Let these files count no more: what they held is read from the rows, and copied again like what is new."""
    with connection:
        connection.executemany("DELETE FROM column_files WHERE file = ?", [(one,) for one in files])


def drop_all(connection: apsw.Connection) -> list[str]:
    """Forget every file: what they held is read from the rows until it is copied anew. Gives their names."""
    with connection:
        names = [name for (name,) in connection.execute("SELECT file FROM column_files")]
        connection.execute("DELETE FROM column_files")
        connection.execute("DELETE FROM column_changes")
        connection.execute("UPDATE counters SET value = 0 WHERE name = 'watched'")
    return names
