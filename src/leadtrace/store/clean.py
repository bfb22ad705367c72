"""That nothing of an erased person is left in the bytes of a store's files: its pages, its free space, its log.

    deleted rows      overwritten with zeros where they lay (`secure_delete`, from the store's first day)
    the log           folded into the file and cut to nothing
    then              every byte of file, log and index is searched for the ids
    found?            in other records' words: `erased` takes their place · elsewhere: the file is written anew

What a disk or a file system keeps of overwritten blocks is beyond a program's reach.
"""

from __future__ import annotations

import mmap
import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from leadtrace.store.file import beside

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import apsw

__all__ = ["Needles", "fold", "longer_ids", "replace_mentions", "rewrite", "search"]

_SHORT: Final = 8  # an id of fewer letters stands in other words by chance: it is not looked for
_STAND_IN: Final = "erased"

_PLACES: Final = (
    ("spans", "arrival", "attributes"),
    ("spans", "arrival", "rest"),
    ("events", "arrival", "attributes"),
    ("events", "arrival", "rest"),
    ("texts", "text_id", "text"),
    ("resources", "resource", "attributes"),
    ("scopes", "scope", "attributes"),
    ("set_aside", "set_aside", "record"),
)
"""Where text of senders stands: table, its key, column."""


class Needles:
    """What to look for: the ids as they stand in files; and ids of others that hold one of them as a part."""

    def __init__(self, lead_ids: Sequence[str], longer: Sequence[str] = ()) -> None:
        self.texts: list[str] = []
        for one in lead_ids:
            if len(one) >= _SHORT:
                self.texts += dict.fromkeys((one, orjson.dumps(one)[1:-1].decode()))
        self._bytes = [one.encode("utf-8", "surrogatepass") for one in self.texts]
        self._longer = [one.encode("utf-8", "surrogatepass") for one in longer]

    def find(self, content: mmap.mmap) -> Iterator[int]:
        """Where in a file an id stands and is not a part of another lead's."""
        for needle in self._bytes:
            at = content.find(needle)
            while at >= 0:
                if not any(self._is_part(content, at, needle, one) for one in self._longer):
                    yield at
                at = content.find(needle, at + 1)

    @staticmethod
    def _is_part(content: mmap.mmap, at: int, needle: bytes, longer: bytes) -> bool:
        inside = longer.find(needle)
        while inside >= 0:
            if content[max(at - inside, 0) : at - inside + len(longer)] == longer:
                return True
            inside = longer.find(needle, inside + 1)
        return False


def longer_ids(connection: apsw.Connection, lead_ids: Sequence[str]) -> list[str]:
    """Ids of other leads that hold one of these as a part."""
    return [
        found
        for one in lead_ids
        for (found,) in connection.execute("SELECT DISTINCT lead_id FROM leads WHERE instr(lead_id, ?)", (one,))
        if found not in lead_ids
    ]


def fold(connection: apsw.Connection) -> bool:
    """All of the log into the file, and the log cut to nothing; false where a reader kept it for longer than one waits."""
    ((busy, _, _),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return not busy


def search(path: Path, needles: Needles) -> tuple[bool, int]:
    """Whether an id stands anywhere in the store's files, and how many bytes were looked at."""
    found, size = False, 0
    for file in (path, beside(path, "-wal"), beside(path, "-shm")):
        if not file.exists():
            continue
        with file.open("rb") as opened:
            length = opened.seek(0, 2)
            size += length
            if length and not found:
                with mmap.mmap(opened.fileno(), length, access=mmap.ACCESS_READ) as content:
                    found = next(needles.find(content), None) is not None
    return found, size


def replace_mentions(connection: apsw.Connection, needles: Needles) -> int:
    """Put `erased` where other records' words hold an id, in one transaction; how many were changed. Reads all of them."""
    pattern = re.compile("|".join(rf"(?<![\w-]){re.escape(one)}(?![\w-])" for one in needles.texts))
    changed = 0
    connection.execute("BEGIN IMMEDIATE")
    try:
        for table, key, column in _PLACES:
            hits = " OR ".join(f"instr({column}, ?)" for _ in needles.texts)
            sql = f"SELECT {key}, {column} FROM {table} WHERE {hits}"  # noqa: S608 - names above
            rows: list[Any] = connection.execute(sql, needles.texts).fetchall()
            for number, text in rows:
                new = pattern.sub(_STAND_IN, text)
                if new == text:
                    continue
                if table == "texts" and connection.execute("SELECT 1 FROM texts WHERE text = ?", (new,)).fetchone():
                    new = f"{new} {number}"  # a text is there once
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (new, number))  # noqa: S608
                changed += 1
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return changed


def rewrite(connection: apsw.Connection) -> None:
    """Write the whole file anew: takes as much space again while it lasts."""
    connection.pragma("temp_store", "file")  # of the size of the store: not into memory
    try:
        connection.execute("VACUUM")
        connection.execute("UPDATE counters SET value = 1 WHERE name = 'overwrites'")
    finally:
        connection.pragma("temp_store", "memory")
