"""Which engine answers over an embedded store: the columnar copy where there is one, else its rows."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from leadtrace.store.columns.files import folder_of, missing
from leadtrace.store.columns.register import registered
from leadtrace.store.file import connect_reader
from leadtrace.store.relations.interface import Slice
from leadtrace.store.relations.on_rows import RowEngine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from leadtrace.store.columns.register import Registered
    from leadtrace.store.interface import Source
    from leadtrace.store.relations.interface import Parameters, Row, Tables

__all__ = ["Engine", "SqlRelations", "open_engine"]

_MANY: Final = 1_000_000
"""Records from which reports over rows take long enough to say so."""
_MANY_ROWS: Final = 50_000
"""An answer of more is not kept."""


class Engine(Protocol):
    """Runs SQL over the relations of one state of a store."""

    def run(self, part: Slice, sql: str, parameters: Parameters | None, tables: Tables) -> list[Row]:
        """The rows of a query over the relations of that part, and over these tables."""
        ...

    def close(self) -> None: ...


class SqlRelations:
    """`Relations` over one engine."""

    def __init__(
        self,
        engine: Engine,
        source: Source,
        part: Slice,
        incomplete: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> None:
        self._engine = engine
        self._source = source
        self._part = part
        self._incomplete = incomplete
        self._notes = notes
        self._answered: dict[object, list[Row]] = {}
        """What was asked already: the state is one, and a review's reports ask some things twice."""

    @property
    def part(self) -> Slice:
        return self._part

    @property
    def source(self) -> Source:
        return self._source

    @property
    def incomplete(self) -> Sequence[str]:
        return self._incomplete

    @property
    def notes(self) -> Sequence[str]:
        return self._notes

    def query(self, sql: str, parameters: Parameters | None = None, tables: Tables = MappingProxyType({})) -> list[Row]:
        asked = (self._part, sql, tuple(sorted((parameters or {}).items())), tuple(tables.items()))
        if asked not in self._answered:
            found = self._engine.run(self._part, sql, parameters, tables)
            if len(found) > _MANY_ROWS:
                return found
            self._answered[asked] = found
        return list(self._answered[asked])

    def within(self, since_ns: int = 0, until_ns: int = 0) -> SqlRelations:
        part = Slice(since_ns, until_ns, self._part.tenant)
        other = SqlRelations(self._engine, self._source, part, self._incomplete, self._notes)
        other._answered = self._answered
        return other


def open_engine(path: Path, few: bool = False) -> tuple[Engine, tuple[str, ...]]:
    """An engine over the state that the store is in now, and what is to be said of its answers; rows where `few` are looked for."""
    connection = connect_reader(path)
    try:
        if few:
            return RowEngine(connection), ()
        connection.execute("BEGIN")
        state = registered(connection)
        why = _no_columns(path, state)
        if not why:
            from leadtrace.store.columns.on_columns import ColumnEngine

            return ColumnEngine(path, connection, state), _behind(state)
        connection.execute("ROLLBACK")
        return RowEngine(connection), (why,) if state.arrival >= _MANY else ()
    except BaseException:
        connection.close()
        raise


def _no_columns(path: Path, state: Registered) -> str:
    """Why the columns cannot be read, and what to do about it; '' where they can."""
    if lacking := missing():
        return f"read row by row, which takes long; over columns it would not ({lacking}, then `leadtrace reindex`)"
    if not state.files or state.stale:
        return "read row by row, which takes long; `leadtrace reindex` makes columns, `leadtrace serve` keeps them up to date"
    if any(not (folder_of(path) / one.file).exists() for one in state.files):
        return (
            "read row by row, because files of the columns are not there; `leadtrace reindex` makes them again, as "
            "`leadtrace serve` does by itself"
        )
    return ""


def _behind(state: Registered) -> tuple[str, ...]:
    behind = max(sum(last - first + 1 for first, last in state.gaps(one, state.arrival)) for one in (1, 2))
    if behind < _MANY:
        return ()
    return (
        f"the last {behind:,} records are not in the columns yet and were read row by row; `leadtrace reindex` adds them",
    )
