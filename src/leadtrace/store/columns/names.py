"""The names of the columnar copy's files.

events-FIRST-LAST-RANDOM.2.parquet     what `column_files` registers; without the 2 one of a version that had no keys
runs-FIRST-LAST-RANDOM.2.parquet       what lies ready beside it, and so for each of `ready.READY`
"""

from __future__ import annotations

import secrets
from typing import Final

from leadtrace.store.columns.taking import EVENTS

__all__ = ["KEYED", "SUFFIX", "has_keys", "new_name", "ready_file"]

SUFFIX: Final = ".parquet"
KEYED: Final = f".2{SUFFIX}"
"""How the name of a file ends that has the columns which are keys."""


def new_name(relation: int, first: int, last: int, keyed: bool) -> str:
    """A name that no file has had, for one that stands for those arrivals."""
    of = "events" if relation == EVENTS else "spans"
    return f"{of}-{first}-{last}-{secrets.token_hex(4)}{KEYED if keyed else SUFFIX}"


def has_keys(file: str) -> bool:
    """Whether a file of that name has the columns which are keys."""
    return file.endswith(KEYED)


def ready_file(file: str, what: str) -> str:
    """The name of what lies beside a file of events."""
    return file.replace("events-", f"{what}-", 1)
