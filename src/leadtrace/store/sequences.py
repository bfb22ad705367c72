"""Which numbers of each process's events the store holds, as runs: one book of `leadtrace doctor --reconcile`."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from leadtrace.otlp.ledger import Held, boot_of, sequence_of
from leadtrace.otlp.plain import loads_attributes
from leadtrace.otlp.ranges import Ranges
from leadtrace.store.tombstones import erased_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import apsw

__all__ = ["held_of", "next_boot"]

_STRETCH: Final = 200_000  # numbers counted in one read: what bounds it
_MOST_TIMES: Final = (
    10_000  # of a process with more holes than a person will read, the later ones are told without times
)

_COUNTED: Final = """
SELECT count(*), min(sequence), max(sequence) FROM (
  SELECT sequence FROM events INDEXED BY events_by_uid WHERE boot = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3)"""
_NUMBERS: Final = """
SELECT sequence FROM events INDEXED BY events_by_uid WHERE boot = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3"""
_WHO: Final = """
SELECT time_ns, resource, attributes ->> 'log.record.uid' FROM events WHERE boot = ? AND sequence = ?"""


def next_boot(connection: apsw.Connection, after: int | None) -> int | None:
    """The next process that the store knows of, by its held or erased events; None after the last."""
    found: list[int] = []
    for table in ("events", "erased"):
        sql = f"SELECT min(boot) FROM {table} WHERE boot IS NOT NULL" + (" AND boot > ?" if after is not None else "")  # noqa: S608 - names above
        lowest = connection.execute(sql, (after,) if after is not None else ()).get
        if lowest is not None:
            found.append(int(lowest))
    return min(found, default=None)


def held_of(reading: Callable[[], AbstractContextManager[apsw.Connection]], boot: int) -> Held | None:
    """What the store holds of one process, read in short pieces; None where its uids are of another make."""
    runs: list[tuple[int, int]] = []
    after = -1
    while True:
        with reading() as connection:
            values = (boot, after, _STRETCH)
            ((count, first, last),) = _rows(connection.execute(_COUNTED, values))
            if not count:
                break
            if count == last - first + 1:  # nearly always: no hole, so nothing has to be looked at one by one
                runs.append((first, last))
            else:
                runs += Ranges.of_numbers(n for (n,) in connection.execute(_NUMBERS, values)).runs
            after = last
    held = Ranges.of(*runs)
    with reading() as connection:
        erased = erased_of(connection, boot)
        times: dict[int, int] = {}
        who: dict[str, Any] = {}
        ends = dict.fromkeys(end for run in held.runs for end in run)
        for number in islice(ends, _MOST_TIMES):
            for time_ns, resource, uid in connection.execute(_WHO, (boot, number)):
                if sequence_of(str(uid)) is None:
                    return None
                times[number] = int(time_ns)
                if not who:
                    who = _resource(connection, int(resource))
    pid = who.get("process.pid", 0)
    return Held(
        boot_of(boot),
        held,
        erased,
        str(who.get("service.name", "")),
        pid if isinstance(pid, int) else 0,
        str(who.get("host.name", "")),
        times,
    )


def _rows(cursor: apsw.Cursor) -> list[Any]:
    return cursor.fetchall()


def _resource(connection: apsw.Connection, number: int) -> dict[str, Any]:
    for (attributes,) in connection.execute("SELECT attributes FROM resources WHERE resource = ?", (number,)):
        return dict(loads_attributes(attributes))
    return {}
