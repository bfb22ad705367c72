"""The journal's books: whether every event that was numbered is accounted for, and, beside a store, whether it is there."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Final

from leadtrace.cli.examining.finding import bad, ok, warn

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from leadtrace.cli.examining.finding import Finding
    from leadtrace.otlp.clock import ClockNote
    from leadtrace.otlp.ledger import Ledger
    from leadtrace.otlp.reconcile import Hole, Reconciled

__all__ = ["examine_books", "examine_own_clock", "ledgers_of", "told_of_holes"]

_AHEAD_NS: Final = 5_000_000_000
_RECENT_NS: Final = 7 * 86_400 * 1_000_000_000
_MOST_HOLES: Final = 100
"""Holes that are printed one by one; `--json` has all of them."""


def ledgers_of(folder: Path) -> list[Ledger]:
    """What that journal accounts for, by process; nothing where there is none."""
    from leadtrace.journal.books import ledgers
    from leadtrace.journal.folder import Folder

    where = Folder(folder)
    return ledgers(where) if where.exists() else []


def examine_books(folder: Path, books: Sequence[Ledger], configured: Collection[str], now_ns: int) -> Iterator[Finding]:
    """Of each process: acknowledged + waiting + set aside + refused + erased = numbered; and what of it needs somebody.

    `configured`: the destinations that records go to now.
    """
    from leadtrace.journal.folder import Folder
    from leadtrace.journal.status import abandoned_do, status, unread_told

    where = Folder(folder)
    if not where.exists():
        return
    found = status(where, configured)
    totals = dict.fromkeys(("acknowledged", "waiting", "set_aside", "refused", "erased"), 0)
    numbered = 0
    for one in books:
        numbered += one.last_sequence
        for name in totals:
            totals[name] += getattr(one, name).count
        if one.missing and one.unread:
            yield warn("books", f"{_who(one)}: {one.missing} may wait in segments that are not read here")
        elif one.missing and one.alive:
            yield warn("books", f"{_who(one)} has numbered {one.missing} and not written them yet: look again")
        elif one.missing:
            yield bad(
                "books",
                f"{_who(one)} numbered {one.last_sequence:,} events, and the journal does not know what became of {one.missing}",
                "leadtrace doctor --reconcile URL says whether a store has them",
            )
        if one.contradictions:
            yield bad(
                "books", f"{_who(one)}: the journal says two things of {one.contradictions}", "report this as a mistake"
            )
        if one.ended_ns > now_ns + _AHEAD_NS:
            yield bad(
                "clock",
                f"{_who(one)} wrote at {_moment(one.ended_ns)}, which is still to come: this machine's clock was set back",
                "let it keep time by NTP; recorded times are never changed",
            )
    told = " + ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in totals.items())
    if not any(one.missing for one in books):
        yield ok("books", f"{numbered:,} events of {len(books)} processes = {told}")
    if found.unreadable:
        yield bad(
            "books",
            f"the disk does not give {found.unreadable} segments of the journal: {found.unreadable_why}",
            "look at that disk",
        )
    if found.unread:
        yield warn("books", unread_told(found.unread), "run the leadtrace that wrote them, or a later one")
    if found.damaged:
        yield bad("books", f"{found.damaged:,} bytes of the journal hold no intact record", "look at that disk")
    if found.set_aside:
        yield warn(
            "books", f"{found.set_aside:,} records were refused for good by a receiver", "leadtrace journal aside"
        )
    if found.refused:
        yield warn(
            "books", f"{found.refused:,} records found no room; their receipts said so", "make room for the journal"
        )
    if found.dead:
        yield warn(
            "books", f"{found.dead} processes died and nobody has taken over what they left", "leadtrace journal send"
        )
    for lane in found.lanes:
        if lane.failing:
            yield warn("books", f"{lane.lane}: {lane.waiting:,} wait; its receiver last said: {lane.error}")
        if lane.abandoned:
            yield warn(
                "books",
                f"{lane.lane}: {lane.waiting:,} wait, and nobody sends there any more: their segments are kept for it",
                abandoned_do(lane.destination),
            )
        if lane.forgotten:
            yield ok("books", f"{lane.lane}: {lane.forgotten:,} were let go of unsent (leadtrace journal forget)")


def examine_own_clock(folder: Path, now_ns: int) -> Iterator[Finding]:
    """This machine's clock against the time since it was started, as each process that recorded here wrote both down."""
    from leadtrace.journal.books import clock_notes
    from leadtrace.journal.folder import Folder
    from leadtrace.otlp.clock import ClockNote, jumps, machine_boot, uptime_ns

    where = Folder(folder)
    if not where.exists():
        return
    notes = clock_notes(where)
    if machine_boot():
        hosts = {one.host for one in notes if one.machine == machine_boot()}
        notes += [ClockNote(machine_boot(), host, uptime_ns(), now_ns) for host in hosts]
    found = [one for one in jumps(notes, _AHEAD_NS) if one.after.wall_ns > now_ns - _RECENT_NS]
    for one in found:
        which = "forward" if one.by_ns > 0 else "back"
        yield warn(
            "clock",
            f"a clock was set {which} by {abs(one.by_ns) / 1e9:,.0f} s after {_who(one.before)} began to record at"
            f" {_moment(one.before.wall_ns)}, and before {_after(one.after)} at {_moment(one.after.wall_ns)}:"
            " the order of what different processes told there cannot be told from its times",
            "let it keep time by NTP; recorded times are never changed",
        )
    if notes and not found:
        yield ok("clock", f"nobody has set it by more than {_AHEAD_NS / 1e9:.0f} s between the processes that recorded")


def _after(one: ClockNote) -> str:
    return f"{_who(one)} did" if one.boot else "now,"


def told_of_holes(found: Reconciled, where: str) -> Iterator[Finding]:
    """Both books laid over each other: the sum, and each hole."""
    told = ", ".join(
        f"{getattr(found, name):,} {said}"
        for name, said in (
            ("held", f"in {where}"),
            ("waiting", "waiting"),
            ("set_aside", "set aside"),
            ("refused", "refused"),
            ("erased", "erased"),
        )
    )
    sentence = f"{found.numbered:,} events of {found.processes} processes: {told}, {found.lost:,} lost"
    yield bad("reconcile", sentence, "the holes follow") if found.lost else ok("reconcile", sentence)
    for hole in found.holes[:_MOST_HOLES]:
        yield _told(hole)
    if len(found.holes) > _MOST_HOLES:
        yield warn("reconcile", f"{len(found.holes) - _MOST_HOLES:,} more holes", "--json names all of them")


def _told(hole: Hole) -> Finding:
    numbers = f"event {hole.first}" if hole.count == 1 else f"events {hole.first}-{hole.last} ({hole.count:,})"
    between = " and ".join(_moment(one) for one in (hole.after_ns, hole.before_ns) if one)
    when = (
        f", made between {between}"
        if hole.after_ns and hole.before_ns
        else f", made after {between}"
        if hole.after_ns
        else ""
    )
    what = f"{numbers} of {_who(hole)}{when}"
    match hole.why:
        case "acknowledged":
            return bad(
                "reconcile",
                f"{what}: acknowledged, and not there",
                "is it the store that acknowledged? else see its log",
            )
        case "unaccounted":
            return bad(
                "reconcile",
                f"{what}: neither the journal nor the store knows of them",
                "were files of the journal removed?",
            )
        case "unread":
            return warn(
                "reconcile", f"{what}: they may wait in segments that only a later leadtrace can read", "run that"
            )
        case "unwritten":
            return warn("reconcile", f"{what}: not written yet; the process runs", "look again")
        case _:
            return warn(
                "reconcile", f"{what}: not there, and no journal here is of that process", "ask on its own machine"
            )


def _who(one: Ledger | Hole | ClockNote) -> str:
    process = f"{one.service or 'a process'}" + (f", process {one.pid}" if one.pid else "")
    return f"{process}{f' on {one.host}' if one.host else ''} (boot {one.boot})"


def _moment(ns: int) -> str:
    try:
        moment = datetime.datetime.fromtimestamp(ns / 1e9, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return f"{ns} ns"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{ns // 1_000_000 % 1000:03d}Z"
