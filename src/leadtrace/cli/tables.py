"""A report as tables: a column per field of its rows, as wide as the output is."""

from __future__ import annotations

import dataclasses
import re
from importlib import import_module
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from leadtrace.analysis.registry import analysis
from leadtrace.cli.cells import cells, heading, is_number, is_zero
from leadtrace.cli.colour import print_lines
from leadtrace.cli.options import echo_json, say, width
from leadtrace.query.printable import moment, plain, width_of
from leadtrace.query.story import hanging

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from leadtrace.analysis.model import Report, Row
    from leadtrace.analysis.registry import Analysis
    from leadtrace.query.story import Line

__all__ = ["lines_of", "print_report", "print_table", "tell"]

_GAP = 2
"""Between columns."""
_WORD = 16
"""A longer word may be broken where there is too little room."""
_NARROWEST = 8
"""Of a column of words, where words of that length are broken too."""
_MARKS = "_-./:"
"""Behind these a word is broken by preference."""
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
        print_table([one for one in found.rows if type(one) is sort], asked)
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


def print_table(rows: Sequence[Row], asked: Analysis[Any, Any]) -> None:
    """Rows of one sort, with what their analysis says of fields; columns of nothing go where they would fold the others."""
    names = [one.name for one in dataclasses.fields(rows[0]) if one.name not in asked.hidden]  # type: ignore[arg-type]
    # A column in which no row says anything is not shown.
    said = [name for name in names if any(getattr(one, name) not in (None, "", ()) for one in rows)]
    columns = {name: [getattr(one, name) for one in rows] for name in said if name not in asked.beneath}
    texts = {name: cells(name, column, share=name in asked.shares) for name, column in columns.items()}
    right = {name: all(map(is_number, column)) for name, column in columns.items()}
    idle: list[str] = []
    if _unfolded([[heading(name), *texts[name]] for name in texts]) > width():
        idle = [name for name, column in columns.items() if all(map(is_zero, column))]
    shown = [name for name in columns if name not in idle]
    heads, lines = [heading(name) for name in shown], list(zip(*(texts[name] for name in shown), strict=True))
    for number, laid in groupby(_laid_out(heads, lines, [right[name] for name in shown]), key=lambda one: one[0]):
        print_lines([(line, "" if number else "head")] for _, line in laid)
        for name in said if number else ():
            if name in asked.beneath and (told := getattr(rows[number - 1], name)):
                print_lines(_beneath(name, told))
    if idle:
        print_lines([[(f"0 in every row: {', '.join(map(heading, idle))}", "faint")]])


def _beneath(name: str, told: str | tuple[str, ...]) -> Iterator[Line]:
    """Sentences that are too long for a cell, under their row; a note is one without saying so."""
    for sentence in (told,) if isinstance(told, str) else told:
        text = plain(sentence) if name == "note" else f"{heading(name)}: {plain(sentence)}"
        yield from hanging("    ", text, "faint", width())


def lines_of(heads: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool] = ()) -> Iterator[str]:
    """A table as plain lines no wider than the output; `right` says which columns stand to the right.

    Where there is too little room, headings and cells go over several lines. Nothing is cut: figures stay whole, and where
    even that needs more room the table is wider than the output.
    """
    for _, line in _laid_out(heads, cells, right or [False] * len(heads)):
        yield line


def _laid_out(heads: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> Iterator[tuple[int, str]]:
    """Each line with the number of its row, 0 of the headings."""
    room = width() - _GAP * (len(heads) - 1)
    columns = list(zip(heads, *cells, strict=True))
    widths = [max(width_of(text) for text in column) for column in columns]
    floors = _floors(columns, right)
    narrowest = [floor if figures else min(floor, _NARROWEST) for floor, figures in zip(floors, right, strict=True)]
    for least in (floors, narrowest):
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
            yield number, _line(texts, widths, right)


def _floors(columns: Sequence[Sequence[str]], right: Sequence[bool]) -> list[int]:
    """The least room of each column: of its longest figure, or longest word within reason."""
    return [
        max(
            width_of(part) if figures and number else min(width_of(part), _WORD)
            for number, text in enumerate(column)
            for part in _parts(text, figures and number > 0)
        )
        for column, figures in zip(columns, right, strict=True)
    ]


def _unfolded(columns: Sequence[Sequence[str]]) -> int:
    """How wide a table of these columns is with each row on a line of its own; headings, which come first, may be folded."""
    heads = _floors([column[:1] for column in columns], [False] * len(columns))
    cells = [max(map(width_of, column[1:])) for column in columns]
    return sum(map(max, heads, cells)) + _GAP * (len(columns) - 1)


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
            lines += [part] if figures else _broken(part, room)
    return lines


def _broken(word: str, room: int) -> list[str]:
    """A word in pieces that have room, after a mark within it where there is one."""
    pieces = []
    while width_of(word) > room:
        most = next(at for at in range(len(word), 0, -1) if width_of(word[:at]) <= room or at == 1)
        mark = max(word.rfind(one, 0, most) for one in _MARKS) + 1
        at = mark if 2 * mark >= most or (mark and width_of(word[mark:]) <= room) else most
        pieces.append(word[:at])
        word = word[at:]
    return [*pieces, word]


def _line(texts: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = []
    for text, room, to_the_right in zip(texts, widths, right, strict=True):
        space = " " * (room - width_of(text))
        parts.append(space + text if to_the_right else text + space)
    return (" " * _GAP).join(parts).rstrip()
