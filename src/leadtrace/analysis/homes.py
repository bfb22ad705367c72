"""The leads of runs, for records that name none: a flow may learn its lead after it began.

Few records name no lead, and most windows hold none: runs are read only where there are some.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leadtrace.store.relations.interface import Parameters, Relations, Tables

__all__ = ["with_homes"]


def with_homes(relations: Relations, name: str, wanted: str, tables: Tables, given: Parameters) -> Tables:
    """Those tables and one more of that name, a row for each run that has a lead: `run_key`, `lead_id` and `lead_key`.

    `wanted` selects the `run_key` of those that are asked for; NULL is none.
    """
    asked = f"{name}_asked"
    found = {**tables, asked: f"SELECT DISTINCT run_key FROM ({wanted}) wanted WHERE run_key IS NOT NULL"}  # noqa: S608 - names of ours
    text = f"SELECT run_key, '' AS lead_id, run_key AS lead_key FROM {asked}"  # noqa: S608 - as above; of no rows
    if relations.query(f"SELECT count(*) FROM {asked}", given, found)[0][0]:  # noqa: S608 - as above
        text = f"""
SELECT run_key, lead_id, lead_key FROM lead_runs
WHERE lead_key IS NOT NULL AND run_key IN (SELECT run_key FROM {asked})"""  # noqa: S608 - as above
    return {**found, name: text}
