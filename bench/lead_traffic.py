"""A store of millions of events for benches, made in minutes: the tests' lead traffic, each lead many times over.

The traffic goes in through the store's own append; then every row is copied with ids of its own, in the order of time, so
that arrivals rise with time as they do when records come in one by one.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import apsw

from leadtrace.store.embedded import EmbeddedStore

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "analysis"))
from traffic import generate

_PER_LEAD = 29.2  # events
_STEP = 20_000  # rows of the pattern copied in one transaction

_COPIED = {
    "traces": "SELECT (trace - 1) * $many + k, randomblob(16), bucket FROM base.traces, numbers",
    "leads": """SELECT (lead - 1) * $many + k, lead_id || '_' || k, tenant, first_ns, last_ns, state, state_ns, outcome, outcome_ns
                FROM base.leads, numbers""",
    "lead_traces": "SELECT (lead - 1) * $many + k, (trace - 1) * $many + k FROM base.lead_traces, numbers",
    "run_traces": "SELECT k || '_' || run_id, (trace - 1) * $many + k FROM base.run_traces, numbers",
}
_ATTRIBUTES = """replace(replace(replace({attributes}, lead_id || '"', lead_id || '_' || k || '"'),
                 '"leadtrace.run_id":"', '"leadtrace.run_id":"' || k || '_'), '"delivery.id":"', '"delivery.id":"' || k || '_')"""
# A span's id begins with the number of the copy, wherever it stands: real ones are of one span.
_PARENT = '"leadtrace.parent_span_id":"'
_BENEATH = f"""CASE WHEN instr(attributes, '{_PARENT}') = 0 THEN attributes
  ELSE substr(attributes, 1, instr(attributes, '{_PARENT}') + {len(_PARENT) - 1}) || printf('%04x', k)
    || substr(attributes, instr(attributes, '{_PARENT}') + {len(_PARENT) + 4}) END"""
_OWN = "CASE WHEN {0} IS NOT NULL THEN CAST(unhex(printf('%04x', k)) || substr({0}, 3) AS BLOB) END"
_EVENTS = f"""
INSERT INTO events SELECT (b.arrival - 1) * $many + k, (trace - 1) * $many + k, {_OWN.format("span_id")}, idx, time_ns + k, name,
  kind, (b.lead - 1) * $many + k, b.tenant, origin, boot + k, sequence, digest, observed_ns, severity, flags, resource, scope,
  {_ATTRIBUTES.format(attributes=_BENEATH)}, rest
FROM base.events b CROSS JOIN numbers JOIN base.leads l ON l.lead = b.lead
WHERE b.arrival BETWEEN $first AND $last"""
_SPANS = f"""
INSERT INTO spans SELECT (b.arrival - 1) * $many + k, (trace - 1) * $many + k, {_OWN.format("span_id")},
  {_OWN.format("parent_id")}, name, kind, start_ns + k, end_ns + k, status, flags, (b.lead - 1) * $many + k, b.tenant, resource,
  scope, {_ATTRIBUTES.format(attributes="attributes")}, rest
FROM base.spans b CROSS JOIN numbers JOIN base.leads l ON l.lead = b.lead
WHERE b.arrival BETWEEN $first AND $last"""


def make_store(path: Path, events: int, copies: int = 40, days: int = 7) -> tuple[int, int]:
    """A store of about so many events at `path`, over so many days. Gives the first and the last moment of them."""
    pattern = path.with_name("pattern.db")
    traffic = generate(seed=11, leads=int(events / copies / _PER_LEAD), days=days)
    store = EmbeddedStore.open(pattern, write=True)
    traffic.write(store)
    store.close()
    EmbeddedStore.open(path, write=True).close()
    connection = apsw.Connection(str(path))
    connection.pragma("synchronous", "off")
    connection.pragma("cache_size", -512_000)
    connection.execute("ATTACH ? AS base", (str(pattern),))
    connection.execute("CREATE TEMP TABLE numbers (k INTEGER PRIMARY KEY)")
    connection.executemany("INSERT INTO numbers VALUES (?)", [(one,) for one in range(1, copies + 1)])
    with connection:
        for table in ("texts", "resources", "scopes"):
            connection.execute(f"INSERT INTO main.{table} SELECT * FROM base.{table}")
        for table, sql in _COPIED.items():
            connection.execute(f"INSERT INTO main.{table} {sql}", {"many": copies})
    last = connection.execute("SELECT value FROM base.counters WHERE name = 'arrival'").get
    began = time.monotonic()
    for first in range(1, last + 1, _STEP):
        with connection:
            for sql in (_EVENTS, _SPANS):
                connection.execute(sql, {"many": copies, "first": first, "last": first + _STEP - 1})
        done = min(first + _STEP - 1, last)
        print(
            f"\r{done * copies:,} of {last * copies:,} rows, {time.monotonic() - began:.0f} s", end="", file=sys.stderr
        )
    with connection:
        connection.execute("UPDATE counters SET value = ? WHERE name = 'arrival'", (last * copies,))
    print(file=sys.stderr)
    connection.close()
    pattern.unlink()
    for suffix in (".lock", "-wal", "-shm"):
        pattern.with_name(pattern.name + suffix).unlink(missing_ok=True)
    return traffic.since_ns, traffic.until_ns


if __name__ == "__main__":
    print(make_store(Path(sys.argv[1]), int(sys.argv[2])))
