"""The same relations as tables of DuckDB, so that one text of SQL is asked of two engines."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow

from leadtrace.store.columns.functions import FUNCTIONS
from leadtrace.store.columns.taking import KEYS
from leadtrace.store.relations.facts import FACTS
from leadtrace.store.relations.laid_out import used_parameters
from leadtrace.store.relations.named import bounded, read_view, told_last

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leadtrace.store.relations.interface import Relations

_RELATIONS = ("all_events", "all_spans", "lead_runs", "lead_shared")
_WHOLE = (
    *("arrival", "time_ns", "start_ns", "end_ns", "length_ns", "boot", "sequence", "origin", "observed_ns", "severity"),
    *("span_kind", "ends", "handed_over"),
)
_SORTS = {"text": pyarrow.string(), "list": pyarrow.string(), "number": pyarrow.float64()}
_KINDS = {
    **dict.fromkeys(_WHOLE, pyarrow.int64()),
    **{one.name: _SORTS.get(one.sort, pyarrow.int64()) for one in FACTS},
}
_FACTS = {one.name for one in FACTS}
_DUCKDB = duckdb.connect(config={"threads": 1})
for one in FUNCTIONS:
    _DUCKDB.execute(one)
"""One for all: another takes longer to open than most stories to ask. What a copy holds is its cursor's own, and temporary."""


class InDuckDB:
    """A copy of another engine's relations; `query` and `within` as of any of them.

    Of the columns that are taken out of attributes it has those that were asked for so far: copying all takes too long.
    """

    def __init__(self, copied: Relations, like: InDuckDB | None = None) -> None:
        self.part, self.source, self.incomplete, self.notes = (
            copied.part,
            copied.source,
            copied.incomplete,
            copied.notes,
        )
        self.copied = copied
        self._shared: dict[str, Any] = {"connection": _DUCKDB.cursor(), "facts": None} if like is None else like._shared

    def query(self, sql: str, parameters: Any = None, tables: Mapping[str, str] = MappingProxyType({})) -> list[Any]:
        text = "\n".join((*tables.values(), sql))
        stops = read_view("lead_stops").replace("{told_last}", told_last()) if "lead_stops" in text else ""
        named = _FACTS & set(re.findall(r"[a-z_0-9]+", text + stops))
        if self._shared["facts"] is None or not named <= self._shared["facts"]:
            self._shared["facts"] = named | (self._shared["facts"] or set())
            for name in _RELATIONS:
                self._copy(name, self._shared["facts"])
        connection = self._shared["connection"]
        for name, time in (("events", "time_ns"), ("spans", "start_ns")):
            until = f"AND {time} < {self.part.until_ns}" if self.part.until_ns else ""
            connection.execute(
                f"CREATE OR REPLACE TEMP VIEW lead_{name} AS "
                f"SELECT * FROM all_{name} WHERE {time} >= {self.part.since_ns} {until}"
            )
        if stops:
            connection.execute(f"CREATE OR REPLACE TEMP VIEW lead_stops AS {bounded(stops, self.part)}")
        for name, text in tables.items():
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {text}", used_parameters(text, parameters))
        return connection.execute(sql, used_parameters(sql, parameters)).fetchall()

    def within(self, since_ns: int = 0, until_ns: int = 0) -> InDuckDB:
        return InDuckDB(self.copied.within(since_ns, until_ns), self)

    def _copy(self, name: str, facts: set[str]) -> None:
        there = [row[1] for row in self.copied.query(f"PRAGMA table_info({name})")]
        columns = [one for one in there if name == "lead_runs" or one not in _FACTS or one in facts]
        rows = self.copied.query(f"SELECT {', '.join(columns)} FROM {name}")
        whole = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
        table = pyarrow.table(
            [
                pyarrow.array(values, _KINDS.get(one, pyarrow.string()))
                for one, values in zip(columns, whole, strict=True)
            ],
            names=columns,
        )
        connection = self._shared["connection"]
        connection.register("copied", table)
        # A key of rows is the text that DuckDB's is the digest of.
        keys = ", ".join(f"md5({one})::UUID AS {one}" for one in columns if one in KEYS)
        replaced = f" REPLACE ({keys})" if keys else ""
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT *{replaced} FROM copied")
        connection.unregister("copied")
