"""Value that no event carries and somebody states: a file of amounts, read exactly, each with what it is for.

As TOML:                                          or as CSV:

    [[value]]                                         enhancement,what,amount,currency,since,until
    enhancement = "Phone Intelligence"                Phone Intelligence,better routing,5000,USD,2026-11-01,2026-12-01
    what = "better routing"
    amount = 5000
    currency = "USD"
    since = 2026-11-01        # may be left out, as may until: then it is of the whole window, whichever that is
    until = 2026-12-01        # not included
"""

from __future__ import annotations

import csv
import io
import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Declared", "read_declared"]

_KEYS: Final = ("enhancement", "what", "amount", "currency", "since", "until")
_NEEDED: Final = ("enhancement", "amount")


@dataclass(slots=True, frozen=True)
class Declared:
    """One stated amount."""

    enhancement: str
    what: str
    amount: Decimal
    currency: str
    since_ns: int = 0
    until_ns: int = 0
    """Both 0: of whatever window is asked for."""


def read_declared(text: str) -> tuple[Declared, ...]:
    """The amounts in a file's text. Raises `SettingsError` with the place and what was expected there."""
    if not text.strip():
        return ()
    entries = _of_csv(text) if _is_csv(text) else _of_toml(text)
    return tuple(_declared(where, entry) for where, entry in entries)


def _is_csv(text: str) -> bool:
    first = text.lstrip("\ufeff\r\n").splitlines()[0]
    return "," in first and "=" not in first and "enhancement" in first


def _of_csv(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    rows = csv.DictReader(io.StringIO(text.lstrip("\ufeff\r\n")), skipinitialspace=True, strict=True)
    try:
        for row in rows:
            if None in row:
                raise SettingsError(f"declared values, line {rows.line_num}: more values than the first line names")
            yield (
                f"line {rows.line_num}",
                {(key or "").strip(): value.strip() for key, value in row.items() if value and value.strip()},
            )
    except csv.Error as cause:
        raise SettingsError(f"declared values, line {rows.line_num}: no CSV", cause=str(cause)) from cause


def _of_toml(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        found = tomllib.loads(text.lstrip("\ufeff"), parse_float=Decimal)
    except tomllib.TOMLDecodeError as cause:
        raise SettingsError(
            "declared values: neither TOML nor CSV whose first line names the columns", cause=str(cause)
        ) from cause
    entries = found.get("value", [])
    if set(found) - {"value"} or not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise SettingsError(
            "declared values: a list of tables is expected", expected="[[value]]", got=", ".join(found) or "nothing"
        )
    for number, entry in enumerate(entries, start=1):
        yield f"value {number}", entry


def _declared(where: str, entry: Mapping[str, Any]) -> Declared:
    if unknown := [key for key in entry if key not in _KEYS]:
        raise SettingsError(f"declared values, {where}: no key {unknown[0]!r}", expected=", ".join(_KEYS))
    if missing := [key for key in _NEEDED if key not in entry]:
        raise SettingsError(f"declared values, {where}: {missing[0]} is needed")
    if ("since" in entry) != ("until" in entry):
        raise SettingsError(f"declared values, {where}: since and until are given together or not at all")
    since, until = (_time(where, key, entry[key]) if key in entry else 0 for key in ("since", "until"))
    if until < since or (until == since and "since" in entry):
        raise SettingsError(f"declared values, {where}: until is after since")
    currency = entry.get("currency", "USD")
    if not (isinstance(currency, str) and len(currency) == 3 and currency.isalpha() and currency.isupper()):
        raise SettingsError(f"declared values, {where}: currency is three capital letters", got=repr(currency))
    return Declared(
        str(entry["enhancement"]),
        str(entry.get("what", "")),
        _amount(where, entry["amount"]),
        currency,
        since,
        until,
    )


def _amount(where: str, told: Any) -> Decimal:
    try:
        found = Decimal(told) if isinstance(told, (str, int, Decimal)) and not isinstance(told, bool) else None
    except InvalidOperation:
        found = None
    if found is None or not found.is_finite() or abs(found) >= Decimal(10) ** 15:
        raise SettingsError(f"declared values, {where}: amount is a number", got=repr(told))
    return found


def _time(where: str, key: str, told: Any) -> int:
    try:
        found = datetime.fromisoformat(told) if isinstance(told, str) else told
    except ValueError:
        found = None
    if isinstance(found, date) and not isinstance(found, datetime):
        found = datetime(found.year, found.month, found.day, tzinfo=UTC)
    if not isinstance(found, datetime):
        raise SettingsError(f"declared values, {where}: {key} is a date or a date and time", got=repr(told))
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    since = found - datetime.fromtimestamp(0, UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000
