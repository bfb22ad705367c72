"""Relations over records that were fetched from elsewhere: the embedded store's own tables, in memory, for one answer."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from leadtrace.store.append import Appender
from leadtrace.store.file import in_memory
from leadtrace.store.relations.engine import SqlRelations
from leadtrace.store.relations.on_rows import RowEngine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from leadtrace.store.interface import Found, Source
    from leadtrace.store.relations.interface import Slice

__all__ = ["fetched_relations"]


@contextlib.contextmanager
def fetched_relations(
    source: Source, found: Found, part: Slice, incomplete: Sequence[str] = ()
) -> Iterator[SqlRelations]:
    """What was found as relations; whatever of it lies outside the slice is there for `lead_runs` and the like only."""
    connection = in_memory()
    Appender(connection).append(found.spans, found.events)
    engine = RowEngine(connection)
    try:
        yield SqlRelations(engine, source, part, tuple(dict.fromkeys((*found.incomplete, *incomplete))))
    finally:
        engine.close()
