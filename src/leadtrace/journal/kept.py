"""Records that never leave over OTLP: handed to whoever imports their kind, at least once, and then let go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadtrace.journal.books import kept_kind
from leadtrace.journal.folder import Folder
from leadtrace.journal.frames import Type
from leadtrace.journal.segment import SegmentReader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["drain", "pack_kept"]

_TOGETHER = 500


def pack_kept(kind: str, content: bytes) -> bytes:
    """The body of a kept record's frame: the kind behind its length, the content."""
    name = kind.encode()
    if not 0 < len(name) < 256:
        raise ValueError(f"the kind of a kept record is a short name, not {kind!r}")
    return bytes((len(name),)) + name + content


def drain(folder: Path, kind: str, take: Callable[[list[bytes]], None]) -> int:
    """Hand all kept records of that kind that were not taken yet to `take`, in batches; how many there were.

    Of living and dead processes alike. What `take` was given counts as taken when it returns: it must have it safe, and it
    must bear to get the same again, because a process may die between the two. Segments that another drain has in hand
    are passed over.
    """
    where = Folder(folder)
    lane = f"kept.{kind}"
    taken = 0
    for segment in where.segments():
        if where.progress(lane, segment).done:
            continue
        try:
            reader = SegmentReader(segment)
        except OSError:
            continue
        with reader:
            cursor = where.cursor(lane, segment)
            if cursor is None:
                continue
            try:
                progress = cursor.progress
                while not progress.done:
                    part = reader.read(progress.offset)
                    found = [
                        one.body[1 + one.body[0] :]
                        for one in part.frames
                        if one.type is Type.KEPT and kept_kind(one.body) == kind
                    ]
                    for first in range(0, len(found), _TOGETHER):
                        take(found[first : first + _TOGETHER])
                    sealed = bool(part.frames) and part.frames[-1].type is Type.SEAL
                    if part.end == progress.offset and not sealed:
                        break
                    progress.offset = part.end
                    progress.acknowledged += len(found)
                    progress.done = sealed and part.end == reader.size
                    taken += len(found)
                    cursor.save()
                done = progress.done
            finally:
                cursor.close()
        if done:
            where.remove_if_done(segment)
    return taken
