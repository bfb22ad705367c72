"""The relations over SQLite: temporary views on a connection that only reads, so that the file is not changed.

A view's column costs nothing unless a query names it. `views/*.sql` are the texts; `{facts}` and `{text NAME}` in them become
what takes attributes out of their JSON, made from the one table of `facts`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from leadtrace.store.relations.facts import FACTS, LARGEST_AMOUNT, Fact
from leadtrace.store.relations.laid_out import LaidOut, used_parameters
from leadtrace.store.relations.named import bounded, named, read_view, told_last

if TYPE_CHECKING:
    import apsw

    from leadtrace.store.relations.interface import Parameters, Row, Slice, Tables

__all__ = ["RowEngine", "quoted"]

_TEXT: Final = re.compile(r"\{text ([a-z0-9_.]+)\}")
_VIEWS: Final = ("all_events", "all_spans", "lead_events", "lead_spans", "lead_runs", "lead_shared", "lead_stops")
# Rows are dear to read: only those of runs that began in the window.
_BEGUN: Final = " AND run_key IN (SELECT run_key FROM lead_events WHERE name = 'flow.started')"
_CURRENCY: Final = next(one for one in FACTS if one.name == "currency_said")


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


class RowEngine:
    """One connection whose transaction is the state that all answers are of; `close` ends it."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._part: Slice | None = None
        self._made: set[str] = set()
        self._facts: frozenset[str] = frozenset()
        self._laid = LaidOut()
        connection.create_scalar_function("key_of", _key_of, 2, deterministic=True)
        connection.create_aggregate_function("nearest_rank", _NearestRank, 2)
        connection.create_aggregate_function("in_order", _InOrder, 3)
        connection.execute("BEGIN")
        connection.execute(
            "CREATE TEMP TABLE processes "
            "(resource INTEGER PRIMARY KEY, service TEXT, service_version TEXT, instance TEXT, host TEXT, environment TEXT)"
        )
        connection.execute(f"INSERT INTO temp.processes\n{_filled('processes', 'r', '1')}")
        _describe_kinds(connection)

    def run(self, part: Slice, sql: str, parameters: Parameters | None, tables: Tables) -> list[Row]:
        """The rows of a query over the relations of that part, and over these tables."""
        found = named("\n".join((*tables.values(), sql)))
        facts = found.facts | {"run_id"}  # the views' texts have a place for one at least
        if part != self._part or not facts <= self._facts:
            self._drop_views()
            self._part = part
            self._facts |= facts
        self._make_views(part, found.relations)
        for name, table in self._laid.lay_out(part, parameters, tables, self._make_table):
            self._connection.execute(f"DROP VIEW IF EXISTS temp.{name}")
            self._connection.execute(f"CREATE TEMP VIEW {name} AS SELECT * FROM temp.{table}")  # noqa: S608 - names of ours
        return self._connection.execute(sql, used_parameters(sql, parameters)).fetchall()

    def close(self) -> None:
        self._connection.close()

    def _make_table(self, table: str, text: str, used: Parameters) -> None:
        self._connection.execute(f"CREATE TEMP TABLE {table} AS\n{text}", used)

    def _make_views(self, part: Slice, relations: frozenset[str]) -> None:
        """Those that the text names, and what they stand on, with the columns that it names: reading in a hundred others
        takes longer than a small answer."""
        for name in _VIEWS:
            if name in relations and name not in self._made:
                self._connection.execute(f"CREATE TEMP VIEW {name} AS\n{_view(name, part, self._facts)}")
                self._made.add(name)

    def _drop_views(self) -> None:
        for name in self._made:
            self._connection.execute(f"DROP VIEW temp.{name}")
        self._made.clear()


def _key_of(*given: Any) -> str | None:
    """The function `key_of(tenant, id)`. How long the tenant is stands first, so that no two pairs are one text."""
    tenant, of = given
    return f"{len(tenant)}:{tenant}{of}" if of else None


class _NearestRank:
    """The aggregate `nearest_rank(value, percent)`."""

    def __init__(self) -> None:
        self._values: list[Any] = []
        self._percent = 0

    def step(self, *given: Any) -> None:
        value, percent = given
        if value is not None:
            self._values.append(value)
            self._percent = percent

    def final(self) -> Any:
        if not self._values:
            return None
        rank = -(len(self._values) * self._percent // -100)  # rounded up, in integers
        return sorted(self._values)[max(rank, 1) - 1]


class _InOrder:
    """The aggregate `in_order(number, time_ns, sequence)`."""

    def __init__(self) -> None:
        self._places: list[tuple[int, int, int]] = []

    def step(self, *given: Any) -> None:
        number, time_ns, sequence = given
        self._places.append((time_ns, sequence, number))

    def final(self) -> str:
        return " ".join(str(number) for _, _, number in sorted(self._places))


def _describe_kinds(connection: apsw.Connection) -> None:
    """What the catalogue says of events that do not say their kind themselves."""
    from leadtrace import catalogue

    connection.execute("CREATE TEMP TABLE known_kinds (text_id INTEGER PRIMARY KEY, kind TEXT)")
    known = [
        (number, str(spec.kind))
        for number, name in connection.execute("SELECT text_id, text FROM main.texts").fetchall()
        if (spec := catalogue.get(str(name))) is not None
    ]
    connection.executemany("INSERT INTO temp.known_kinds VALUES (?, ?)", known)


def _view(name: str, part: Slice, facts: frozenset[str]) -> str:
    alias = "s" if name.endswith("spans") else "e"
    time = "start_ns" if alias == "s" else "time_ns"
    among = []
    if name in ("lead_events", "lead_spans"):
        among += [f"{alias}.{time} >= {part.since_ns}"] * bool(part.since_ns)
        among += [f"{alias}.{time} < {part.until_ns}"] * bool(part.until_ns)
    # Within a window its index finds the records; that of a name would find those of all time.
    by_time = "+" * bool(among)
    if name == "lead_shared":
        among = [] if part.tenant is None else [f"l.tenant = {quoted(part.tenant)}"]
    elif part.tenant == "":
        among.append(f"{alias}.tenant IS NULL")
    elif part.tenant is not None:
        among.append(f"{alias}.tenant = (SELECT text_id FROM main.texts WHERE text = {quoted(part.tenant)})")  # noqa: S608
    file = {"lead_events": "all_events", "lead_spans": "all_spans"}.get(name, name)
    return bounded(_filled(file, alias, " AND ".join(among) or "1", by_time, facts), part)


def _filled(file: str, alias: str, among: str, by_time: str = "", facts: frozenset[str] = frozenset()) -> str:
    attributes = f"{alias}.attributes"
    text = read_view(file).replace("{told_last}", told_last(_BEGUN))
    if "{facts}" in text:
        text = text.replace("{facts}", _facts(attributes, facts))
        text = text.replace("{currency}", _expression(_CURRENCY, attributes))
    text = _TEXT.sub(lambda found: _expression(Fact("", "text", (found[1],), ""), attributes), text)
    return text.replace("{by_time}", by_time).replace("{among}", among)


@lru_cache(maxsize=256)
def _facts(attributes: str, names: frozenset[str]) -> str:
    return ",\n  ".join(f"{_expression(one, attributes)} AS {one.name}" for one in FACTS if one.name in names)


def _expression(fact: Fact, attributes: str) -> str:
    """A fact as SQLite takes it out of the attributes' JSON."""
    parts = [_taken(fact.sort, attributes, quoted(f"$.{orjson.dumps(one).decode()}")) for one in fact.attributes]
    if fact.sort in ("text", "list"):
        parts.append("''")
    return parts[0] if len(parts) == 1 else f"coalesce({', '.join(parts)})"


def _taken(sort: str, attributes: str, path: str) -> str:
    kind, value, raw = f"json_type({attributes}, {path})", f"{attributes} ->> {path}", f"{attributes} -> {path}"
    match sort:
        case "text":
            return f"CASE {kind} WHEN 'text' THEN nullif({value}, '') WHEN 'integer' THEN {raw} END"
        case "list":
            return f"CASE {kind} WHEN 'array' THEN {raw} END"
        case "whole":
            return f"CASE {kind} WHEN 'integer' THEN CAST({value} AS INTEGER) END"
        case "number":
            return f"CASE {kind} WHEN 'real' THEN {value} WHEN 'integer' THEN CAST({value} AS REAL) END"
        case "flag":
            return f"CASE {kind} WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"
    told = f"CAST({value} AS REAL)"
    number = f"CASE WHEN abs({told}) < {LARGEST_AMOUNT!r} THEN CAST(round({told} * 1000000.0) AS INTEGER) END"
    as_text = (
        f"CASE WHEN json_valid({value}) THEN CASE WHEN json_type({value}) IN ('real', 'integer') THEN {number} END END"
    )
    return f"CASE {kind} WHEN 'real' THEN {number} WHEN 'integer' THEN {number} WHEN 'text' THEN {as_text} END"
