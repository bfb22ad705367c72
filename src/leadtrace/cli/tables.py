"""A report as tables: a column per field of its rows, each value as a person reads it."""

from __future__ import annotations

import dataclasses
import re
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from leadtrace.analysis.model import Rate, Row
from leadtrace.analysis.registry import analysis
from leadtrace.cli.colour import print_lines
from leadtrace.cli.options import echo_json, say, width
from leadtrace.query.printable import cut, duration, moment, plain, value, width_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from leadtrace.analysis.model import Report

__all__ = ["lines_of", "print_report", "tell"]

_LONGEST = 120
"""Of one cell; what is longer is cut, JSON has it whole."""
_WORD = 16
"""A longer word may be cut where there is too little room."""
_NARROWEST = 8
"""Of a column; a table of so many columns that this does not do is wider than the output."""
_BETWEEN = re.compile(r" (?=of )|(?<=\d-\d\d) ")


def tell(found: Report[Any], as_json: bool, nothing: str = "nothing to tell") -> None:
    """The answer on standard output, as JSON or for people, and on standard error why it may lack something."""
    for reason in found.incomplete:
        say(reason)
    if as_json:
        echo_json(found.as_json())
    else:
        print_report(found, nothing)


def print_report(found: Report[Any], nothing: str = "nothing to tell") -> None:
    """Print what the answer is about, its picture, then a table for each sort of row, then what must be known to read it."""
    click.echo(_head(found))
    asked = analysis(found.report)
    if asked.picture and found.rows:
        module, _, name = asked.picture.partition(":")
        click.echo()
        print_lines(getattr(import_module(module), name)(found, width()))
    sorts = [one for one in dict.fromkeys(type(one) for one in found.rows) if one not in asked.pictured]
    for sort in sorts:
        click.echo()
        if sort.section:
            click.echo(sort.section)
        _print_table([one for one in found.rows if type(one) is sort], frozenset(asked.hidden))
    if not found.rows:
        click.echo(nothing)
    if found.notes:
        click.echo()
    for note in found.notes:
        click.echo(f"· {plain(note)}")


def _head(found: Report[Any]) -> str:
    since, until = found.window.since_ns, found.window.until_ns
    window = " ".join([f"from {moment(since)}"] * bool(since) + [f"until {moment(until)}"] * bool(until))
    counts = ", ".join(f"{number:,} {plain(what.replace('_', ' '))}" for what, number in found.sample.counts.items())
    return f"{found.report}, {window or 'all time'}: {counts}"


def _print_table(rows: Sequence[Row], hidden: frozenset[str]) -> None:
    names = [one.name for one in dataclasses.fields(rows[0]) if one.name not in hidden]  # type: ignore[arg-type]
    # A column in which no row says anything is not shown; nor is a currency that stands beside each of its amounts.
    shown = [name for name in names if any(getattr(one, name) not in (None, "", ()) for one in rows)]
    cells = [[_cell(name, getattr(one, name), one) for name in shown] for one in rows]
    heads = [_heading(name) for name in shown]
    right = [all(_is_number(getattr(one, name)) for one in rows) for name in shown]
    print_lines([(line, "head" if heading else "")] for line, heading in _laid_out(heads, cells, right))


def lines_of(heads: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool] = ()) -> Iterator[str]:
    """A table as plain lines no wider than the output; `right` says which columns stand to the right.

    Where there is too little room, headings and cells go over several lines; only a word that is too long is cut.
    """
    for line, _ in _laid_out(heads, cells, right or [False] * len(heads)):
        yield line


def _laid_out(
    heads: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]
) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is of the headings."""
    room = width() - 2 * (len(heads) - 1)
    columns = list(zip(heads, *cells, strict=True))
    widths = [max(width_of(text) for text in column) for column in columns]
    floors = [
        max(
            min(width_of(part), _WORD)
            for number, text in enumerate(column)
            for part in _parts(text, figures and number > 0)
        )
        for column, figures in zip(columns, right, strict=True)
    ]
    for least in (floors, [_NARROWEST] * len(heads)):
        while sum(widths) > room and any(one > floor for one, floor in zip(widths, least, strict=True)):
            above = [one if one > floor else 0 for one, floor in zip(widths, least, strict=True)]
            widths[above.index(max(above))] -= 1
    for number, row in enumerate([heads, *cells]):
        folded = [
            _folded(text, space, figures and number > 0)
            for text, space, figures in zip(row, widths, right, strict=True)
        ]
        high = max(len(one) for one in folded)
        for line in range(high):
            # Headings stand on the table, cells hang from their first line.
            at = [line - (high - len(one)) * (number == 0) for one in folded]
            texts = [one[n] if 0 <= n < len(one) else "" for one, n in zip(folded, at, strict=True)]
            yield _line(texts, widths, right), number == 0


def _parts(text: str, figures: bool) -> list[str]:
    """Where a cell may be folded: between words; a figure only before what it is of, and between date and time."""
    return _BETWEEN.split(text) if figures else text.split(" ")


def _folded(text: str, room: int, figures: bool) -> list[str]:
    """A cell over as many lines as it needs."""
    lines: list[str] = []
    for part in _parts(text, figures):
        if lines and width_of(lines[-1]) + 1 + width_of(part) <= room:
            lines[-1] += " " + part
        else:
            lines.append(part)
    return lines


def _line(texts: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = []
    for text, room, to_the_right in zip(texts, widths, right, strict=True):
        short = cut(text, room)
        space = " " * (room - width_of(short))
        parts.append(space + short if to_the_right else short + space)
    return "  ".join(parts).rstrip()


def _heading(name: str) -> str:
    return name.removesuffix("_ns").removesuffix("_ms").replace("_", " ")


def _is_number(found: object) -> bool:
    return found is None or (isinstance(found, (int, float, Decimal, Rate)) and not isinstance(found, bool))


def _cell(name: str, found: Any, row: Row) -> str:
    """One value: times as moments, durations with their unit, money with its currency, a share with what it is of."""
    if found is None or found == "":
        return ""
    if isinstance(found, Rate):
        return f"{found.numerator:,} of {found.denominator:,}" if found.value is None else _share(found)
    if isinstance(found, Decimal):
        return f"{found:,f}"
    if name.endswith("_ns"):
        return moment(found)[: len("2026-11-26 10:30:00")].removesuffix(" 00:00:00")
    if name.endswith("_ms"):
        return duration(found)
    if isinstance(found, bool):
        return value(found)
    if isinstance(found, int):
        return f"{found:,}"
    if isinstance(found, float):
        return f"{found:,.4g}"
    if isinstance(found, tuple):
        return cut(", ".join(_cell("", one, row) for one in found), _LONGEST)
    if dataclasses.is_dataclass(found):
        told = ((one.name, _cell(one.name, getattr(found, one.name), row)) for one in dataclasses.fields(found))
        return cut(", ".join(f"{_heading(key)} {text}" for key, text in told if text), _LONGEST)
    return cut(plain(str(found)), _LONGEST)


def _share(rate: Rate) -> str:
    assert rate.value is not None
    return f"{rate.value:.1%} of {rate.denominator:,}"
