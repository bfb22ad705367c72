"""Leads that were erased from a journal: what is still recorded of them is not sent.

    JOURNAL/tombstones.json     a key that never leaves the file, and keyed hashes of tenant and lead id

Without the file nothing is asked of any record. Every sender of the folder sees what another process adds.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from typing import TYPE_CHECKING

from leadtrace.journal.folder import write_whole
from leadtrace.journal.frames import Type
from leadtrace.otlp.edit import names_somebody, without_leads
from leadtrace.otlp.tombstone import Readmitted, tombstone

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from leadtrace.journal.endpoints import Kind
    from leadtrace.journal.folder import Folder

__all__ = ["JournalTombstones", "erased_among", "readmit", "turn_away"]


_REMEMBERED = 10_000


class JournalTombstones:
    """The tombstones of one folder, read anew when they have changed. Any thread may ask."""

    def __init__(self, folder: Folder) -> None:
        self._path = folder.path / "tombstones.json"
        self._state: tuple[int, int] = (0, 0)
        self._key = b""
        self._leads: frozenset[bytes] = frozenset()
        self._verdicts: dict[tuple[str, str], bool] = {}

    @property
    def state(self) -> tuple[int, int]:
        """Changes when somebody is added: what was read before that is to be looked at again."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return (0, 0)
        except OSError:  # a disk that fails: nobody is let in for that
            return self._state
        return there.st_mtime_ns, there.st_ino

    def look(self) -> bool:
        """Read them anew if they have changed; whether there are any."""
        state = self.state
        if state != self._state:
            with contextlib.suppress(OSError):  # as above: what is known stays, and is asked for again
                self._key, self._leads = _read(self._path.read_bytes() if state != (0, 0) else b"")
                self._verdicts = {}
                self._state = state
        return bool(self._leads)

    def gone(self, tenant: str, lead_id: str) -> bool:
        """Whether that lead was erased, as far as the last look knows."""
        if not self._leads:
            return False
        found = self._verdicts.get((tenant, lead_id))
        if found is None:
            marks = (tombstone(self._key, lead_id, tenant), tombstone(self._key, lead_id, None))
            if len(self._verdicts) >= _REMEMBERED:
                self._verdicts.clear()
            found = self._verdicts[tenant, lead_id] = not self._leads.isdisjoint(marks)
        return found


def turn_away(folder: Folder, lead_ids: Iterable[str], tenant: str | None) -> None:
    """From now on nothing of those ids is sent from that folder; `tenant` None is any."""
    path = folder.path / "tombstones.json"
    with folder.alone("tombstones"):
        key, known = _read(path.read_bytes() if path.exists() else b"")
        key = key or secrets.token_bytes(32)
        known |= {tombstone(key, one, tenant) for one in lead_ids}
        _write(path, key, known)


def readmit(folder: Folder, lead_ids: Iterable[str], tenant: str | None) -> Readmitted:
    """What is recorded of those ids is sent again: what `turn_away` did with the same tenant is undone."""
    path = folder.path / "tombstones.json"
    with folder.alone("tombstones"):
        key, known = _read(path.read_bytes() if path.exists() else b"")
        ids = list(lead_ids)
        found = known & {tombstone(key, one, tenant) for one in ids}
        if found:
            _write(path, key, known - found)
        return Readmitted(len(found), tenant is not None and any(tombstone(key, one, None) in known for one in ids))


def _write(path: Path, key: bytes, leads: frozenset[bytes]) -> None:
    write_whole(path, json.dumps({"key": key.hex(), "leads": sorted(one.hex() for one in leads)}).encode())


def erased_among(folder: Folder, opened: Mapping[int, tuple[object, bytes]]) -> list[int]:
    """Of what opened words, with its type and key before it, the keys of what names erased leads alone."""
    erased = JournalTombstones(folder)
    if not erased.look():
        return []
    return [key for key, (_, body) in opened.items() if _is_gone(body, erased)]


def _is_gone(opened: bytes, erased: JournalTombstones) -> bool:
    kind: Kind = "logs" if opened[:1] == bytes((Type.LOG_OPENS,)) else "traces"
    return names_somebody(opened) and without_leads(opened[11:], kind, erased.gone) is None


def _read(content: bytes) -> tuple[bytes, frozenset[bytes]]:
    if not content:
        return b"", frozenset()
    said = json.loads(content)
    return bytes.fromhex(said["key"]), frozenset(bytes.fromhex(one) for one in said["leads"])
