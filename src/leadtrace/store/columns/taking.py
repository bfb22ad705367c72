"""Rows of the store as columns: what the SQL views take out of the attributes' JSON, taken in Python, the same to the digit.

`facts` defines the columns and what each sort takes; a property test compares the two ways.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import orjson

from leadtrace.store.relations.facts import FACTS, LARGEST_AMOUNT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    import apsw
    import pyarrow

    from leadtrace.store.relations.facts import Sort

__all__ = ["EVENTS", "KEYS", "SPANS", "Taker", "arrow_type", "columns_of", "keys_of", "with_keys"]

SPANS: Final = 1
EVENTS: Final = 2

KEYS: Final = {"lead_key": "lead_id", "run_key": "run_id"}
"""The columns that are keys, and the id beside the tenant of which each is made."""
_PROCESS: Final = ("service", "service_version", "instance", "host", "environment")
_BASE: Final[dict[int, tuple[tuple[str, str], ...]]] = {
    EVENTS: (
        ("arrival", "int64"),
        ("time_ns", "int64"),
        ("name", "string"),
        ("kind", "string"),
        ("tenant", "string"),
        ("lead_id", "string"),
        ("lead_key", "uuid"),
        ("run_key", "uuid"),
        ("trace_id", "string"),
        ("span_id", "string"),
        ("parent_span_id", "string"),
        ("boot", "int64"),
        ("sequence", "int64"),
        ("origin", "int64"),
        ("observed_ns", "int64"),
        ("severity", "int64"),
        *((one, "string") for one in _PROCESS),
    ),
    SPANS: (
        ("arrival", "int64"),
        ("start_ns", "int64"),
        ("end_ns", "int64"),
        ("name", "string"),
        ("kind", "string"),
        ("tenant", "string"),
        ("lead_id", "string"),
        ("lead_key", "uuid"),
        ("run_key", "uuid"),
        ("trace_id", "string"),
        ("span_id", "string"),
        ("parent_span_id", "string"),
        ("span_kind", "int64"),
        ("status", "string"),
        ("length_ns", "int64"),
        ("scope", "string"),
        *((one, "string") for one in _PROCESS),
    ),
}
_LAST: Final = (("currency", "string"), ("attributes", "string"), ("rest", "string"))
_TYPES: Final[dict[Sort, str]] = {
    "text": "string",
    "list": "string",
    "whole": "int64",
    "number": "double",
    "flag": "int64",
    "micro": "int64",
}
_ROWS: Final = {
    EVENTS: """
SELECT e.arrival, e.time_ns, e.name, e.kind, e.tenant, (SELECT lead_id FROM leads WHERE lead = e.lead),
  (SELECT trace_id FROM traces WHERE trace = e.trace), e.span_id, e.boot, e.sequence, e.origin, e.observed_ns, e.severity,
  e.resource, e.attributes, e.rest
FROM events e WHERE """,
    SPANS: """
SELECT s.arrival, s.start_ns, s.end_ns, s.name, s.tenant, (SELECT lead_id FROM leads WHERE lead = s.lead),
  (SELECT trace_id FROM traces WHERE trace = s.trace), s.span_id, s.parent_id, s.kind, s.status, s.scope,
  s.resource, s.attributes, s.rest
FROM spans s WHERE """,
}
_ALWAYS: Final = ("currency_said", "run_id")
"""What other columns are made of: taken whether or not it is asked for."""
_STATUS: Final = ("unset", "ok", "error")
_NUMBER: Final = re.compile(r"[ \t\n\r]*-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?[ \t\n\r]*")
_INT64: Final = 2**63
_STEP: Final = 20_000  # rows taken at once


def columns_of(relation: int) -> tuple[tuple[str, str], ...]:
    """The columns of a relation in their order, with the names of their Arrow types."""
    facts = tuple((one.name, _TYPES[one.sort]) for one in FACTS)
    return (*_BASE[relation], *facts, *_LAST)


def arrow_type(name: str) -> pyarrow.DataType:
    """The Arrow type of that name."""
    import pyarrow as pa

    return pa.uuid() if name == "uuid" else pa.type_for_alias(name)


def with_keys(table: pyarrow.Table) -> pyarrow.Table:
    """A table of a file that was made before there were keys, with them at its end."""
    tenants = table["tenant"].to_pylist()
    for key, of in KEYS.items():
        if key not in table.column_names:
            table = table.append_column(key, keys_of(tenants, table[of].to_pylist()))
    return table


def keys_of(tenants: Iterable[str], ids: Iterable[str]) -> pyarrow.Array:
    """The keys of ids, each of one tenant: as `key_of` makes them in SQL. NULL where there is no id."""
    import pyarrow as pa

    made: dict[tuple[str, str], bytes] = {}
    found: list[bytes | None] = []
    for pair in zip(tenants, ids, strict=True):
        if not pair[1]:
            found.append(None)
            continue
        key = made.get(pair)
        if key is None:
            said = f"{len(pair[0])}:{pair[0]}{pair[1]}".encode()
            key = made[pair] = hashlib.md5(said, usedforsecurity=False).digest()
        found.append(key)
    return pa.ExtensionArray.from_storage(pa.uuid(), pa.array(found, pa.binary(16)))


def _text(value: Any) -> str | None:
    if value.__class__ is str:
        return value or None
    return str(value) if value.__class__ is int else None


def _list(value: Any) -> str | None:
    return orjson.dumps(value).decode() if value.__class__ is list else None


def _whole(value: Any) -> int | None:
    return min(value, _INT64 - 1) if value.__class__ is int else None


def _number(value: Any) -> float | None:
    return value if value.__class__ is float else float(value) if value.__class__ is int else None


def _flag(value: Any) -> int | None:
    return int(value) if value.__class__ is bool else None


def _micro(value: Any) -> int | None:
    if value.__class__ is str:
        if not _NUMBER.fullmatch(value):
            return None
        value = float(value)
    elif value.__class__ is int:
        value = float(value)
    elif value.__class__ is not float:
        return None
    if not abs(value) < LARGEST_AMOUNT:
        return None
    scaled = value * 1_000_000.0
    if abs(scaled) > 4_503_599_627_370_496.0:  # no double beyond has a fraction: SQLite rounds as this does
        return int(scaled)
    return int(scaled + 0.5) if scaled >= 0 else int(scaled - 0.5)


_TAKE: Final[dict[Sort, Callable[[Any], Any]]] = {
    "text": _text,
    "list": _list,
    "whole": _whole,
    "number": _number,
    "flag": _flag,
    "micro": _micro,
}


class Taker:
    """Reads rows of one connection's state as Arrow tables; remembers names and processes between calls."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._texts: dict[int, str] = {}
        self._kinds: dict[int, str] = {}
        self._scopes: dict[int, str] = {}
        self._processes: dict[int, tuple[str, ...]] = {}

    def between(
        self, relation: int, first: int, last: int, facts: Collection[str] | None = None
    ) -> Iterator[pyarrow.Table]:
        """The rows of those arrivals, both included, in their order, in tables of some thousand rows; `facts` as below."""
        at = first - 1
        where = "arrival > ? AND arrival <= ? ORDER BY arrival LIMIT ?"
        while True:
            rows = self._connection.execute(_ROWS[relation] + where, (at, last, _STEP)).fetchall()
            if not rows:
                return
            yield self._table(relation, rows, facts)
            at = int(rows[-1][0])  # type: ignore[arg-type]

    def these(
        self, relation: int, arrivals: Sequence[int], facts: Collection[str] | None = None
    ) -> Iterator[pyarrow.Table]:
        """The rows of these arrivals, of those that are there; with `facts` only those columns of the attributes."""
        for first in range(0, len(arrivals), _STEP):
            keys = ((one,) for one in arrivals[first : first + _STEP])
            rows = self._connection.executemany(_ROWS[relation] + "arrival = ?", keys).fetchall()
            if rows:
                yield self._table(relation, rows, facts)

    # --- one table ----------------------------------------------------------------------------------------------------

    def _table(self, relation: int, rows: Sequence[tuple[Any, ...]], facts: Collection[str] | None) -> pyarrow.Table:
        import pyarrow as pa

        found = self._event_columns(rows) if relation == EVENTS else self._span_columns(rows)
        sparse = _facts([orjson.loads(one) for one in found["attributes"]], facts, relation)
        said = sparse["currency_said"]
        found["currency"] = ["USD"] * len(rows)
        for at, value in zip(said.places, said.values, strict=True):
            found["currency"][at] = value
        runs = [""] * len(rows)
        for at, value in zip(sparse["run_id"].places, sparse["run_id"].values, strict=True):
            runs[at] = value
        keys = {"lead_key": found["lead_id"], "run_key": runs}
        arrays, names = [], []
        for name, alias in columns_of(relation):
            if name in keys:
                arrays.append(keys_of(found["tenant"], keys[name]))
            elif name in sparse and (facts is None or name in facts or name not in _ALWAYS):
                arrays.append(sparse[name].array(arrow_type(alias), len(rows)))
            elif name in found:
                arrays.append(pa.array(found[name], arrow_type(alias)))
            else:
                continue
            names.append(name)
        return pa.Table.from_arrays(arrays, names)

    def _event_columns(self, rows: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
        (
            arrival, time_ns, name, kind, tenant, lead_id, trace_id, span_id, boot, sequence, origin, observed_ns, severity,
            resource, attributes, rest,
        ) = zip(*rows, strict=True)  # fmt: skip
        text = self._text
        return {
            "arrival": arrival,
            "time_ns": time_ns,
            "name": [text(one) for one in name],
            "kind": [
                text(one) if one is not None else self._known_kind(of) for one, of in zip(kind, name, strict=True)
            ],
            "tenant": [text(one) if one is not None else "" for one in tenant],
            "lead_id": [one or "" for one in lead_id],
            "trace_id": [one.hex() if one else "" for one in trace_id],
            "span_id": [one.hex() if one else "" for one in span_id],
            "boot": boot,
            "sequence": sequence,
            "origin": origin,
            "observed_ns": observed_ns,
            "severity": severity,
            "attributes": attributes,
            "rest": [one or "" for one in rest],
            **self._process_columns(resource),
        }

    def _span_columns(self, rows: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
        (
            arrival, start_ns, end_ns, name, tenant, lead_id, trace_id, span_id, parent_id, kind, status, scope, resource,
            attributes, rest,
        ) = zip(*rows, strict=True)  # fmt: skip
        text = self._text
        return {
            "arrival": arrival,
            "start_ns": start_ns,
            "end_ns": end_ns,
            "name": [text(one) for one in name],
            "tenant": [text(one) if one is not None else "" for one in tenant],
            "lead_id": [one or "" for one in lead_id],
            "trace_id": [one.hex() if one else "" for one in trace_id],
            "span_id": [one.hex() if one else "" for one in span_id],
            "parent_span_id": [one.hex() if one else "" for one in parent_id],
            "span_kind": kind,
            "status": [_STATUS[one] for one in status],
            "length_ns": [end - start if end > 0 else None for start, end in zip(start_ns, end_ns, strict=True)],
            "scope": [self._scope(one) for one in scope],
            "attributes": attributes,
            "rest": [one or "" for one in rest],
            **self._process_columns(resource),
        }

    def _process_columns(self, resources: Sequence[int]) -> dict[str, list[str]]:
        columns = zip(*(self._process(one) for one in resources), strict=True)
        return {name: list(values) for name, values in zip(_PROCESS, columns, strict=True)}

    # --- what few rows say and many refer to ---------------------------------------------------------------------------

    def _text(self, number: int) -> str:
        found = self._texts.get(number)
        if found is None:
            found = self._texts[number] = self._one("SELECT text FROM texts WHERE text_id = ?", number)
        return found

    def _known_kind(self, name: int) -> str:
        found = self._kinds.get(name)
        if found is None:
            from leadtrace import catalogue

            spec = catalogue.get(self._text(name))
            found = self._kinds[name] = str(spec.kind) if spec else ""
        return found

    def _scope(self, number: int) -> str:
        found = self._scopes.get(number)
        if found is None:
            found = self._scopes[number] = self._one("SELECT name FROM scopes WHERE scope = ?", number)
        return found

    def _process(self, number: int) -> tuple[str, ...]:
        found = self._processes.get(number)
        if found is None:
            sql = "SELECT service, attributes FROM resources WHERE resource = ?"
            ((service, attributes),) = self._connection.execute(sql, (number,)).fetchall()
            said = orjson.loads(str(attributes))
            names = ("service.version", "service.instance.id", "host.name", "deployment.environment.name")
            found = (str(service), *(_text(said.get(one)) or "" for one in names))
            self._processes[number] = found
        return found

    def _one(self, sql: str, number: int) -> str:
        ((found,),) = self._connection.execute(sql, (number,)).fetchall()
        return str(found)


class _Sparse:
    """A column in which few rows say anything: their places in rising order, and what they say."""

    __slots__ = ("places", "ranks", "values")

    def __init__(self) -> None:
        self.places: list[int] = []
        self.values: list[Any] = []
        self.ranks: list[int] = []
        """Of a column with several attributes: which of them each value is from."""

    def say(self, at: int, value: Any, rank: int) -> None:
        """Of several attributes the first that says something stands."""
        if self.places and self.places[-1] == at:
            if rank < self.ranks[-1]:
                self.values[-1], self.ranks[-1] = value, rank
        else:
            self.places.append(at)
            self.values.append(value)
            self.ranks.append(rank)

    def array(self, kind: pyarrow.DataType, count: int) -> pyarrow.Array:
        """The whole column: made of the few values, because a list of nothing costs as much as one of something."""
        import pyarrow as pa

        empty = "" if pa.types.is_string(kind) else None
        if not self.places:
            return pa.repeat(pa.scalar(empty, kind), count)
        if len(self.places) == count:
            return pa.array(self.values, kind)
        which = array("i", [len(self.values)]) * count
        for number, at in enumerate(self.places):
            which[at] = number
        indices = pa.Array.from_buffers(pa.int32(), count, [None, pa.py_buffer(which)])
        return pa.array([*self.values, empty], kind).take(indices)


def _facts(attributes: Sequence[dict[str, Any]], wanted: Collection[str] | None, relation: int) -> dict[str, _Sparse]:
    """The columns of the attributes."""
    found: dict[str, _Sparse] = {}
    single: dict[str, tuple[Callable[[Any], Any], Callable[[int], None], Callable[[Any], None]]] = {}
    ranked: dict[str, list[tuple[Callable[[Any], Any], _Sparse, int]]] = {}
    own = [("parent_span_id", "text", ("leadtrace.parent_span_id",))] if relation == EVENTS else []
    own += [("kind", "text", ("leadtrace.kind",))] if relation == SPANS else []
    facts = [(one.name, one.sort, one.attributes) for one in FACTS if _is_wanted(one.name, wanted)]
    asked: list[tuple[str, Sort, tuple[str, ...]]] = [*own, *facts]  # type: ignore[list-item]
    shared = Counter(attribute for _, _, names in asked for attribute in names)
    for name, sort, names in asked:
        column = found[name] = _Sparse()
        for rank, attribute in enumerate(names):
            if len(names) == 1 and shared[attribute] == 1:
                single[attribute] = (_TAKE[sort], column.places.append, column.values.append)
            else:
                ranked.setdefault(attribute, []).append((_TAKE[sort], column, rank))
    one_of, some_of = single.get, ranked.get
    for at, said in enumerate(attributes):
        for attribute, value in said.items():
            taking = one_of(attribute)
            if taking is not None:
                taken = taking[0](value)
                if taken is not None:
                    taking[1](at)
                    taking[2](taken)
                continue
            for take, column, rank in some_of(attribute, ()):
                taken = take(value)
                if taken is not None:
                    column.say(at, taken, rank)
    return found


def _is_wanted(name: str, wanted: Collection[str] | None) -> bool:
    return wanted is None or name in wanted or name in _ALWAYS
