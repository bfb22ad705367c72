"""The relations over the columnar copy: DuckDB reads the files for what they hold, and gets the rest from the rows.

    files, less rows that changed since  plus  rows that changed, and those in no file

Everything is of the state of one SQLite transaction: which files count, what changed, what is there. A column of the
attributes is taken out of the rest only when a query names it.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Final

from leadtrace.errors import SourceError
from leadtrace.store.columns.files import folder_of
from leadtrace.store.columns.functions import FUNCTIONS
from leadtrace.store.columns.names import has_keys, ready_file
from leadtrace.store.columns.ready import RUN_COLUMNS, all_parts, joined, parts_of
from leadtrace.store.columns.taking import EVENTS, KEYS, SPANS, Taker, columns_of
from leadtrace.store.relations.facts import FACTS
from leadtrace.store.relations.interface import ColumnsReplacedError
from leadtrace.store.relations.laid_out import LaidOut, used_parameters
from leadtrace.store.relations.named import bounded, named, read_view
from leadtrace.store.relations.on_rows import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import apsw
    import pyarrow

    from leadtrace.store.columns.files import ColumnFile
    from leadtrace.store.columns.register import Registered
    from leadtrace.store.relations.interface import Parameters, Row, Slice, Tables

__all__ = ["ColumnEngine"]

_FACTS: Final = frozenset(one.name for one in FACTS)
_NAMES: Final = {EVENTS: "events", SPANS: "spans"}
_MOST_MEMORY: Final = 8 << 30


class ColumnEngine:
    """Answers of one state of the store; `connection` is in a transaction and is closed with the engine."""

    def __init__(self, path: Path, connection: apsw.Connection, state: Registered) -> None:
        import duckdb

        self._path = path
        self._rows = connection
        self._state = state
        self._taker = Taker(connection)
        self._spill = tempfile.TemporaryDirectory(prefix="leadtrace-")
        self._duck = duckdb.connect(
            ":memory:",
            config={
                "temp_directory": self._spill.name,
                "autoinstall_known_extensions": False,
                "preserve_insertion_order": False,
            },
        )
        # A file has some hundred columns in some dozen groups: what it says of them is read once, not again by each query.
        self._duck.execute("LOAD parquet")
        self._duck.execute("SET parquet_metadata_cache = true")
        self._memory = self._limit_memory()
        for one in FUNCTIONS:
            self._duck.execute(one)
        self._part: Slice | None = None
        self._facts: dict[int, frozenset[str]] = {}
        """Which columns of the attributes the rest has, by relation."""
        self._laid = LaidOut()
        self._parts = ""
        """SQL of all parts of runs, once they were needed."""
        self._runs = ""
        """SQL of all runs, put together of them."""
        self._told = ""
        """SQL of all parts of what was told last, once it was needed."""
        self._joined: frozenset[str] = frozenset()
        """Which of their columns these have: those that were asked for so far."""
        for relation, name in _NAMES.items():
            arrivals = sorted(state.changed.get(relation, ()))
            self._duck.execute(f"CREATE TABLE changed_{name} (arrival BIGINT)")
            if arrivals:
                import pyarrow as pa

                self._insert(f"changed_{name}", pa.table({"arrival": pa.array(arrivals, pa.int64())}))

    def run(self, part: Slice, sql: str, parameters: Parameters | None, tables: Tables) -> list[Row]:
        """The rows of a query over the relations of that part, and over these tables."""
        import duckdb

        used = used_parameters(sql, parameters)
        try:
            self._prepare(part, "\n".join((*tables.values(), sql)))
            for name, table in self._laid.lay_out(part, parameters, tables, self._make_table):
                self._view(name, f"SELECT * FROM {table}")  # noqa: S608 - names of ours
            found: list[Row] = self._duck.execute(sql, used).fetchall()
        except duckdb.IOException as cause:
            raise ColumnsReplacedError(
                f"the columns of {self._path} were replaced while they were read", do="ask again"
            ) from cause
        except duckdb.OutOfMemoryException as cause:
            raise SourceError(
                "the report needs more memory than it may take", limit=self._memory, do="ask for a shorter window"
            ) from cause
        return found

    def close(self) -> None:
        self._duck.close()
        self._rows.close()
        self._spill.cleanup()

    def _limit_memory(self) -> str:
        """Half of what DuckDB would take of this machine, or of the container: what does not fit is spilled to the disk."""
        ((most,),) = self._duck.execute("SELECT current_setting('memory_limit')").fetchall()
        number, unit = most.split()
        limit = f"{min(int(float(number) * _UNITS[unit] / 2), _MOST_MEMORY) >> 20} MiB"
        self._duck.execute(f"SET memory_limit = {quoted(limit)}")
        return limit

    # --- what a query needs -------------------------------------------------------------------------------------------

    def _prepare(self, part: Slice, sql: str) -> None:
        found = named(sql)
        shared = "lead_shared" in found.relations
        needed = found.facts | {"lead_ids"} if shared else found.facts
        relations = {EVENTS} if found.events or shared else set()
        relations |= {SPANS} if found.spans or shared else set()
        fresh = False
        for relation in relations:
            have = self._facts.get(relation)
            if have is None or not needed <= have:
                self._lay_out_rest(relation, needed | (have or frozenset()))
                fresh = True
        if "lead_stops" in found.relations and not self._told:
            self._find_told()
            fresh = True
        if "lead_runs" in found.relations:
            columns = found.among(RUN_COLUMNS) | _OF_EVERY_RUN
            if not columns <= self._joined:
                self._join_runs(columns | self._joined)
                fresh = True
        if fresh or part != self._part:
            self._make_views(part)
            self._part = part

    def _lay_out_rest(self, relation: int, facts: frozenset[str]) -> None:
        """What no file has as it is now: a table of DuckDB, which may spill."""
        name = f"rest_{_NAMES[relation]}"
        columns = self._columns(relation, facts)
        self._duck.execute(
            f"CREATE OR REPLACE TABLE {name} ({', '.join(f'{one} {_DUCK[kind]}' for one, kind in columns)})"
        )
        for table in self._rest(relation, facts):
            self._insert(name, table)
        self._facts[relation] = facts

    def _rest(self, relation: int, facts: frozenset[str]) -> Iterator[pyarrow.Table]:
        gaps = self._state.gaps(relation, self._state.arrival)
        for first, last in gaps:
            yield from self._taker.between(relation, first, last, facts)
        changed = sorted(self._state.changed.get(relation, ()))
        covered = [one for one in changed if not any(first <= one <= last for first, last in gaps)]
        yield from self._taker.these(relation, covered, facts)

    def _join_runs(self, columns: frozenset[str]) -> None:
        """Put those together that have parts in several files; most are read as they lie there."""
        if not self._parts:
            self._parts, ready = self._find_parts("runs", "again")
            keys = all_parts("again", (beside["again"] for beside in ready), "other_runs")
            self._duck.execute(f"CREATE TEMP TABLE met_again AS SELECT DISTINCT run_key FROM ({keys})")  # noqa: S608 - as above
        again = f"SELECT * FROM ({self._parts}) WHERE run_key IN (SELECT run_key FROM met_again)"  # noqa: S608 - as above
        listed = [one for one in RUN_COLUMNS if one in columns]
        self._duck.execute(f"CREATE OR REPLACE TEMP TABLE joined_runs AS {joined(again, listed)}")
        once = f"SELECT {', '.join(listed)} FROM ({self._parts}) WHERE run_key NOT IN (SELECT run_key FROM met_again)"  # noqa: S608 - as above
        self._runs = f"{once} UNION ALL SELECT {', '.join(listed)} FROM joined_runs"  # noqa: S608 - as above
        self._joined = columns

    def _find_told(self) -> None:
        self._told, _ = self._find_parts("told")

    def _find_parts(self, *what: str) -> tuple[str, list[dict[str, Path]]]:
        """SQL of all parts of the first: those that lie ready, and the others in a table that is made here; and the files in
        which they and the rest of it lie ready."""
        ready, others = [], []
        for one in self._state.of(EVENTS):
            beside = {name: folder_of(self._path) / ready_file(one.file, name) for name in what}
            whole = has_keys(one.file) and all(path.exists() for path in beside.values())
            if one.rows and whole and not self._state.changed_in(one):
                ready.append(beside)
            else:
                others.append(one)
        first = what[0]
        self._duck.execute(f"CREATE TEMP TABLE other_{first} AS {parts_of(first, self._union(EVENTS, others))}")
        return all_parts(first, (beside[first] for beside in ready), f"other_{first}"), ready

    def _insert(self, name: str, table: pyarrow.Table) -> None:
        self._duck.register("incoming", table)
        self._duck.execute(f"INSERT INTO {name} SELECT * FROM incoming")  # noqa: S608 - names of ours
        self._duck.unregister("incoming")

    # --- views --------------------------------------------------------------------------------------------------------

    def _make_views(self, part: Slice) -> None:
        among = "" if part.tenant is None else f" WHERE tenant = {quoted(part.tenant)}"
        for relation in self._facts:
            name, time = _NAMES[relation], "time_ns" if relation == EVENTS else "start_ns"
            files = self._state.of(relation)
            self._view(f"all_{name}", f"SELECT * FROM ({self._union(relation, files)}){among}")  # noqa: S608 - as above
            bounds = [f"{time} >= {part.since_ns}"] * bool(part.since_ns) + [f"{time} < {part.until_ns}"] * bool(
                part.until_ns
            )
            within = [
                one
                for one in files
                if (not part.since_ns or one.most_ns >= part.since_ns)
                and (not part.until_ns or one.least_ns < part.until_ns)
            ]
            conditions = bounds if part.tenant is None else [*bounds, f"tenant = {quoted(part.tenant)}"]
            where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
            self._view(f"lead_{name}", f"SELECT * FROM ({self._union(relation, within)}){where}")  # noqa: S608 - as above
        if self._runs:
            self._view("lead_runs", f"SELECT * FROM ({self._runs}){among}")  # noqa: S608 - as above
        if self._told:
            told = _TOLD.format(parts=self._told, since=f"{part.since_ns:019}")
            self._view("lead_stops", bounded(read_view("lead_stops").replace("{told_last}", told), part))
        if len(self._facts) == len(_NAMES):
            self._view("lead_shared", _SHARED)

    def _make_table(self, table: str, text: str, used: Parameters) -> None:
        self._duck.execute(f"CREATE TEMP TABLE {table} AS\n{text}", used)

    def _view(self, name: str, sql: str) -> None:
        self._duck.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {sql}")

    def _union(self, relation: int, files: Sequence[ColumnFile]) -> str:
        columns = [one for one, _ in self._columns(relation, self._facts[relation])]
        changed = self._state.changed.get(relation)
        but = f" WHERE arrival NOT IN (SELECT arrival FROM changed_{_NAMES[relation]})" if changed else ""  # noqa: S608 - as above
        parts = []
        for keyed in (True, False):
            # A file of an earlier version has no keys: they are made as it is read.
            listed = (
                columns
                if keyed
                else [f"key_of(tenant, {KEYS[one]}) AS {one}" if one in KEYS else one for one in columns]
            )
            paths = [str(folder_of(self._path) / one.file) for one in files if one.rows and has_keys(one.file) is keyed]
            if paths:
                read = f"read_parquet([{', '.join(map(quoted, paths))}])"
                parts.append(f"SELECT {', '.join(listed)} FROM {read}{but}")  # noqa: S608 - as above
        parts.append(f"SELECT {', '.join(columns)} FROM rest_{_NAMES[relation]}")  # noqa: S608 - as above
        return " UNION ALL ".join(parts)

    def _columns(self, relation: int, facts: frozenset[str]) -> list[tuple[str, str]]:
        return [(name, kind) for name, kind in columns_of(relation) if name not in _FACTS or name in facts]


_OF_EVERY_RUN: Final = frozenset({"run_key", "tenant"})
"""What runs are put together by, and left out by, whatever is asked of them."""
_DUCK: Final = {"string": "VARCHAR", "int64": "BIGINT", "double": "DOUBLE", "uuid": "UUID"}
_UNITS: Final = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_TOLD: Final = """SELECT run_key, max(told) AS told FROM ({parts})
WHERE told >= '{since}' AND run_key IN (SELECT run_key FROM lead_runs WHERE start_ns >= {{since}} AND start_ns < {{until}})
GROUP BY run_key"""
_SHARED: Final = """
SELECT DISTINCT arrival, lead_id, tenant FROM (
  SELECT arrival, tenant, unnest(from_json(lead_ids, '["VARCHAR"]')) AS lead_id FROM all_events WHERE lead_ids <> ''
  UNION ALL
  SELECT arrival, tenant, unnest(from_json(lead_ids, '["VARCHAR"]')) AS lead_id FROM all_spans WHERE lead_ids <> ''
)"""
