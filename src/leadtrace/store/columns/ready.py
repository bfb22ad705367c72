"""What lies ready beside a file of events: worked out of it and of nothing else, so that a report need not.

    runs-…    the parts of `lead_runs`, sorted by the end of the runs
    again-…   the keys of those runs of which other files had parts when this one was made
    told-…    the parts of what `lead_stops` stands on, sorted by when it was told

Reports ask for runs of all time, and working them out of twenty million events takes longer than the rest of a day's report. A
run that lies in one part is read from there as it is; one in several is put together. Of two files that have parts of one run,
the one made later names it, so that together they name all. Parts of files with changed rows are not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leadtrace.store.columns.functions import FUNCTIONS
from leadtrace.store.columns.names import KEYED, ready_file
from leadtrace.store.relations.interface import Slice
from leadtrace.store.relations.named import bounded, read_view, told_last
from leadtrace.store.relations.on_rows import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    import pyarrow

__all__ = ["READY", "RUN_COLUMNS", "all_parts", "joined", "parts_of", "ready_files", "worked_out"]

_FIRST_SAID: Final = (
    "run_id", "tenant", "lead_id", "parent_run_id", "flow_id", "flow_name", "flow_version", "source", "campaign",
    "campaign_group", "service",
)  # fmt: skip
RUN_COLUMNS: Final = (
    "run_key", "lead_key", *_FIRST_SAID, "start_ns", "end_ns", "ends", "handed_over", "outcome", "duration_ms",
)  # fmt: skip
"""The columns of `lead_runs` in their order."""
_SUMS: Final = ("ends", "handed_over")

READY: Final = {"runs": RUN_COLUMNS, "again": ("run_key",), "told": ("run_key", "told")}
"""What there is beside a file, in the order in which it is made, and its columns."""
_SORTED: Final = {"runs": "end_ns, start_ns, run_key", "again": "run_key", "told": "told, run_key"}

# The outcome is that of the end told last, as in the view: of two at one moment, the greater text.
_JOINED: Final = {
    "lead_key": "key_of(max(tenant), max(lead_id))",
    **{one: f"max({one})" for one in (*_FIRST_SAID, "end_ns", "duration_ms")},
    **{one: f"sum({one})" for one in _SUMS},
    "start_ns": "min(start_ns)",
    "outcome": """coalesce(substr(max(CASE WHEN end_ns IS NOT NULL
    THEN substr('0000000000000000000' || CAST(end_ns AS VARCHAR), -19) || outcome END), 20), '')""",
}


def ready_files(file: str) -> tuple[str, ...]:
    """The names of all that lies beside a file; beside one of spans, nothing."""
    return tuple(ready_file(file, what) for what in READY) if file.startswith("events-") else ()


def parts_of(what: str, events: str) -> str:
    """SQL of the parts of those events alone."""
    if what == "told":
        told = bounded(told_last(), Slice())
        return f"SELECT * FROM (WITH all_events AS ({events}) SELECT * FROM ({told}))"  # noqa: S608 - texts of ours
    columns = ", ".join(f"CAST({one} AS BIGINT) AS {one}" if one in _SUMS else one for one in RUN_COLUMNS)
    return f"SELECT {columns} FROM (WITH all_events AS ({events}) {read_view('lead_runs')})"  # noqa: S608 - texts of ours


def joined(parts: str, columns: Iterable[str] = RUN_COLUMNS) -> str:
    """SQL that puts parts of the same runs together, with these columns of them."""
    listed = ", ".join(f"{_JOINED[one]} AS {one}" if one in _JOINED else one for one in columns)
    return f"SELECT {listed} FROM ({parts}) GROUP BY run_key"  # noqa: S608 - texts of ours


def worked_out(what: str, path: Path, name: str, replaced: Collection[str]) -> pyarrow.Table:
    """What is to lie beside the file of events at `path`, which will have that name and stand in place of those replaced."""
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,
        "memory_limit": "1GB",
        "autoinstall_known_extensions": False,
    }
    with duckdb.connect(":memory:", config=config) as duck:
        duck.execute("SET arrow_lossless_conversion = true")  # a key comes as one, not as its text
        for one in FUNCTIONS:
            duck.execute(one)
        if what == "again":
            own = path.with_name(ready_file(name, "runs"))
            not_met = {own.name, *(ready_file(one, "runs") for one in replaced)}
            parts = _met_in(own, [one for one in path.parent.glob(f"runs-*{KEYED}") if one.name not in not_met])
        else:
            parts = parts_of(what, f"SELECT * FROM read_parquet({quoted(str(path))})")  # noqa: S608 - a name of ours
        return duck.sql(f"SELECT * FROM ({parts}) ORDER BY {_SORTED[what]}").to_arrow_table()  # noqa: S608 - as above


def _met_in(own: Path, others: Sequence[Path]) -> str:
    if not others:
        return f"SELECT run_key FROM read_parquet({quoted(str(own))}) WHERE false"  # noqa: S608 - as above
    listed = ", ".join(quoted(str(one)) for one in others)
    return f"""SELECT DISTINCT run_key FROM read_parquet([{listed}])
WHERE run_key IN (SELECT run_key FROM read_parquet({quoted(str(own))}))"""  # noqa: S608 - as above


def all_parts(what: str, paths: Iterable[Path], others: str) -> str:
    """SQL of all parts: those in files, and those in the table `others`."""
    columns = ", ".join(READY[what])
    listed = ", ".join(quoted(str(one)) for one in paths)
    ready = f"SELECT {columns} FROM read_parquet([{listed}]) UNION ALL " if listed else ""  # noqa: S608 - as above
    return f"{ready}SELECT {columns} FROM {others}"  # noqa: S608 - as above
