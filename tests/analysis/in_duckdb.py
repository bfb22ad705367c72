"""The same relations as tables of DuckDB, so that one text of SQL is asked of two engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow

from leadtrace.store.relations.facts import FACTS
from leadtrace.store.relations.on_rows import used_parameters

if TYPE_CHECKING:
    from leadtrace.store.relations.interface import Relations

_WHOLE = (
    *("arrival", "time_ns", "start_ns", "end_ns", "length_ns", "boot", "sequence", "origin", "observed_ns", "severity"),
    *("span_kind", "ends", "handed_over"),
)
_SORTS = {"text": pyarrow.string(), "list": pyarrow.string(), "number": pyarrow.float64()}
_KINDS = {
    **dict.fromkeys(_WHOLE, pyarrow.int64()),
    **{one.name: _SORTS.get(one.sort, pyarrow.int64()) for one in FACTS},
}


class InDuckDB:
    """A copy of another engine's relations; `query` and `within` as of any of them."""

    def __init__(self, copied: Relations, connection: Any = None) -> None:
        self.part, self.source, self.incomplete, self.notes = (
            copied.part,
            copied.source,
            copied.incomplete,
            copied.notes,
        )
        self.copied = copied
        if connection is None:
            import duckdb

            connection = duckdb.connect()
            for name in ("all_events", "all_spans", "lead_runs", "lead_shared"):
                _copy(copied, connection, name)
        self.connection = connection
        self._cut()

    def query(self, sql: str, parameters: Any = None) -> list[Any]:
        self._cut()
        return self.connection.execute(sql, used_parameters(sql, parameters)).fetchall()

    def within(self, since_ns: int = 0, until_ns: int = 0) -> InDuckDB:
        return InDuckDB(self.copied.within(since_ns, until_ns), self.connection)

    def _cut(self) -> None:
        for name, time in (("events", "time_ns"), ("spans", "start_ns")):
            until = f"AND {time} < {self.part.until_ns}" if self.part.until_ns else ""
            self.connection.execute(
                f"CREATE OR REPLACE VIEW lead_{name} AS "
                f"SELECT * FROM all_{name} WHERE {time} >= {self.part.since_ns} {until}"
            )


def _copy(copied: Relations, connection: Any, name: str) -> None:
    columns = [row[1] for row in copied.query(f"PRAGMA table_info({name})")]
    rows = copied.query(f"SELECT {', '.join(columns)} FROM {name}")
    whole = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    arrays = [
        pyarrow.array(values, _KINDS.get(column, pyarrow.string()))
        for column, values in zip(columns, whole, strict=True)
    ]
    connection.register("copied", pyarrow.table(arrays, names=columns))
    connection.execute(f"CREATE TABLE {name} AS SELECT * FROM copied")
    connection.unregister("copied")
