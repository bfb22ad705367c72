"""The text of a timeline, made to be read: who, what became of it, then the tree of what happened.

        0 ms  Premium Insurance Flow v12        3.46 s  ✓ completed, delivered
        1 ms  ├─ state → received
        2 ms  ├─ Phone Intelligence (TrueCaller)  245 ms  ✓ success, cost 0.02 USD
      250 ms  └─ deliver to Acme                   3.2 s  ✓ accepted, revenue 45.00 USD, 3 tries

A word's start and end events are in its own line; every other event has one. The left column is the time since the
lead's first record. Lines are pairs of text and style, so that the command line can colour what is plain elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from leadtrace.query.model import Entry, Run, Timeline
from leadtrace.query.phrases import Fact, event_facts, event_title, span_facts, span_title
from leadtrace.query.printable import cut, duration, moment, money, plain, width_of
from leadtrace.query.vocabulary import SKIPPED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from leadtrace.otlp.records import Value

__all__ = ["Line", "facts_lines", "hanging", "lines", "text"]

Line: TypeAlias = list[Fact]
"""Pieces of one line, each with the name of its style: `head`, `time`, `tree`, `title`, `took`, `good`, `bad` …"""

_TIME = 11
_NARROWEST = 40


@dataclass(slots=True)
class _Branch:
    """An entry with what lies under it; start and end events already taken out of `below`."""

    entry: Entry
    below: list[_Branch] = field(default_factory=list)
    end: Mapping[str, Value] = field(default_factory=dict)
    """What its end event says, or itself where there is none."""
    hints: list[str] = field(default_factory=list)
    """What only the reader knows, where it helps whoever acts on it."""


def text(timeline: Timeline, width: int = 100) -> str:
    """The story as plain text, no line wider than `width` (40 at least), without a line break at the end."""
    return "\n".join("".join(piece for piece, _ in line).rstrip() for line in lines(timeline, width))


def lines(timeline: Timeline, width: int = 100) -> Iterator[Line]:
    """The story line by line."""
    width = max(width, _NARROWEST)
    yield from _header(timeline, width)
    branches = _branches(timeline.entries)
    if branches:
        yield []
        yield from _Drawing(timeline, width, branches).lines()
    notes = [(one.text, "note") for one in timeline.marks] + [(one, "note") for one in timeline.incomplete]
    if notes:
        yield []
        for told, style in notes:
            yield from hanging("! ", plain(told), style, width)


def _header(timeline: Timeline, width: int) -> Iterator[Line]:
    title: Line = [("Lead ", ""), (cut(plain(timeline.lead_id), width - 5), "head")]
    facts: list[Fact] = []
    if timeline.outcome:
        good = timeline.outcome in ("delivered", "partially_delivered")
        facts.append((plain(timeline.outcome.replace("_", " ")), "good" if good else "no"))
    elif timeline.runs:
        facts.append(("open", "open"))
    if timeline.state:
        facts.append((f"state {plain(timeline.state)}", "state"))
    if timeline.tenant:
        facts.append((f"tenant {plain(timeline.tenant)}", "faint"))
    yield from facts_lines(title, facts, width, separator="  ")
    if not timeline.entries:
        yield [("nothing is recorded of it", "faint")]
        return
    when = [
        (moment(timeline.first_ns), "faint"),
        (f"over {duration((timeline.last_ns - timeline.first_ns) / 1e6)}", "faint"),
    ]
    if len(timeline.runs) > 1:
        when.append((f"{len(timeline.runs)} runs", "faint"))
    if services := timeline.services:
        when.append((f"in {', '.join(map(plain, services))}", "faint"))
    yield from facts_lines([], when, width, separator=", ")
    for one in timeline.money:
        told: list[Fact] = [
            (f"cost {money(one.cost, one.currency)}", "money"),
            (f"revenue {money(one.revenue, one.currency)}", "money"),
        ]
        if one.returned:
            told.append((f"returned {money(one.returned, one.currency)}", "no"))
            told.append((f"net revenue {money(one.net_revenue, one.currency)}", "money"))
        told.append((f"margin {money(one.margin, one.currency)}", "money"))
        yield from facts_lines([], told, width, separator=", ")
    for run in timeline.runs:
        yield from facts_lines([], list(_run(run)), width, separator=", ")


def _run(run: Run) -> Iterator[Fact]:
    """A line of its own for a run whose flow said otherwise than was counted."""
    said = run.said.get("flow.summary.final_outcome")
    if run.outcome and said and said != run.outcome:
        yield f"{plain(run.name or run.run_id)}: its end said {plain(str(said))}, by now {plain(run.outcome)}", "note"


def _branches(entries: Iterable[Entry]) -> list[_Branch]:
    """The tree again from the entries' depths, each word's own events folded into it."""
    roots: list[_Branch] = []
    path: list[_Branch] = []
    for entry in entries:
        del path[entry.depth :]
        branch = _Branch(entry, end=entry.attributes, hints=_hints(entry))
        siblings = path[-1].below if path else roots
        parent = path[-1] if path else None
        path.append(branch)
        if entry.role == "start":
            continue
        if entry.role == "end" and parent is not None and entry.name == parent.entry.outcome:
            parent.end = {**parent.entry.attributes, **entry.attributes}
            parent.hints += branch.hints
            continue
        if entry.name in SKIPPED:
            continue
        siblings.append(branch)
    return [_folded(one) for one in roots]


def _folded(root: _Branch) -> _Branch:
    """The tree without what is told twice.

    A span that only carries one event of its own name is that event; an error needs no line under the word that it left
    and no message on the words above, an exception none where its error is told.
    """
    pending = [root]
    while pending:
        branch = pending.pop()
        below = branch.below
        errors = [one for one in below if one.entry.name == "error.occurred"]
        if errors:
            below = [one for one in below if one.entry.name != "exception"]
        error = _error(branch)
        if (
            len(errors) == 1
            and branch.entry.word
            and error[0]
            and _error(errors[0]) == error
            and _plain_error(errors[0])
        ):
            below = [one for one in below if one is not errors[0]]
            advised = any(one.startswith("→") for one in branch.hints)
            branch.hints += [one for one in errors[0].hints if not (advised and one.startswith("→"))]
        if error[1] and any(one.entry.word and _error(one) == error for one in below):
            kept = {key: one for key, one in branch.end.items() if not key.startswith(_OF_ERRORS)}
            branch.end = {**kept, "error.type": str(error[0])}
        branch.below = [_only_event(one) for one in below]
        pending.extend(branch.below)
    return _only_event(root)


_OF_ERRORS = ("error.", "enhancement.failure.", "delivery.failure.", "delivery.reason", "flow.reason")


def _error(branch: _Branch) -> tuple[object, object]:
    return branch.end.get("error.type"), branch.end.get("error.message")


def _plain_error(branch: _Branch) -> bool:
    """Whether the line would say no more than its word's line does."""
    told = branch.entry.attributes
    return "error.impact.recovery_action" not in told and "leadtrace.amends" not in told


def _only_event(branch: _Branch) -> _Branch:
    entry, below = branch.entry, branch.below
    if entry.type == "span" and not entry.word and not entry.duration_ms and len(below) == 1:
        only = below[0].entry
        if only.type == "event" and only.name == entry.name:
            return below[0]
    return branch


class _Drawing:
    """Puts the tree on lines of a given width: time, branch and title, how long it took, what came of it."""

    def __init__(self, timeline: Timeline, width: int, roots: list[_Branch]) -> None:
        self._first_ns = timeline.first_ns
        self._now_ns = timeline.now_ns
        self._width = width
        self._several_services = len(timeline.services) > 1
        self._hinted: set[str] = set()
        self._rows = list(_walk(roots, max(9, min((width - _TIME - 2) // 2, width - 40))))
        longest = max(
            (self._left(one, prefix, service) for one, prefix, _, service in self._rows if one.entry.type == "span"),
            default=0,
        )
        self._column = min(longest, max(16, (width - _TIME - 10) // 2))

    def lines(self) -> Iterator[Line]:
        for branch, prefix, stem, service in self._rows:
            if branch is _GAP:
                yield []
                continue
            yield from self._row(branch, prefix, _beside(stem, bool(branch.below)), service)

    def _left(self, branch: _Branch, prefix: str, service: str) -> int:
        return width_of(prefix) + width_of(self._title(branch, service)[0])

    def _title(self, branch: _Branch, service: str) -> Fact:
        entry = branch.entry
        title, style = (
            event_title(entry) if entry.type == "event" else (span_title(entry), "title" if entry.word else "foreign")
        )
        if self._several_services and entry.service and entry.service != service:
            title += f" [{plain(entry.service)}]"
        return title, style

    def _row(self, branch: _Branch, prefix: str, below: str, service: str) -> Iterator[Line]:
        entry = branch.entry
        title, style = self._title(branch, service)
        room = self._width - _TIME - 2
        when = duration((entry.time_ns - self._first_ns) // 1_000_000) if entry.time_ns else ""
        head: Line = [(f"{when:>{_TIME}}  ", "time"), (prefix, "tree")]
        if entry.type == "event":
            head.append((cut(title, room - width_of(prefix)), style))
            yield from facts_lines(head, list(event_facts(entry)), self._width, below=_stem(below), separator="  ")
        else:
            left = max(self._column - width_of(prefix), 4)
            most = max(room - width_of(prefix) - 10, 4)
            shown = cut(title, min(left, most) if width_of(title) > left + 12 else most)
            head += [(shown, style), (" " * max(0, left - width_of(shown)), "")]
            head.append((f"{self._took(entry):>9}", "took"))
            yield from facts_lines(
                head,
                list(span_facts(entry, branch.end)),
                self._width,
                below=_stem(below),
                separator="  ",
                then=", ",
            )
        for hint in branch.hints:
            if hint not in self._hinted:  # what to do is said once, however often it went wrong
                yield from hanging(_stem(below) + "  ", hint, "hint", self._width)
            if hint.startswith("→"):
                self._hinted.add(hint)

    def _took(self, entry: Entry) -> str:
        if entry.duration_ms is not None:
            return duration(entry.duration_ms)
        return f"{duration((self._now_ns - entry.time_ns) / 1e6)}…" if self._now_ns > entry.time_ns > 0 else ""


_GAP = _Branch(Entry("event", "", "", "", 0))


def _walk(roots: list[_Branch], most: int) -> Iterator[tuple[_Branch, str, str, str]]:
    """Each branch with what is drawn before its title, what is drawn beside what lies under it, its cause's service.

    What is drawn takes `most` columns at most.
    """
    tall = False
    for at, root in enumerate(roots):
        if at and (tall or root.below):
            yield _GAP, "", "", ""
        tall = bool(root.below)
        pending: list[tuple[_Branch, str, str, str]] = [(root, "", "", "")]
        while pending:
            row = pending.pop()
            yield row
            branch, _, stem, _ = row
            below = branch.below
            deep = len(stem) + 3 > most  # deeper ones are drawn beside each other: there is no room to go further in
            pending.extend(
                (
                    one,
                    stem + ("└─ " if last else "├─ "),
                    stem if deep else stem + ("   " if last else "│  "),
                    branch.entry.service,
                )
                for one, last in reversed([(one, one is below[-1]) for one in below])
            )


def _beside(stem: str, has_below: bool) -> str:
    """What stands before a continued line of an entry: the branch to what lies under it goes on."""
    return stem + ("│  " if has_below else "   ")


def _stem(below: str) -> str:
    return " " * (_TIME + 2) + below


def _hints(entry: Entry) -> list[str]:
    found = []
    if entry.reader.get("error.impact.flow_stopped") is True:
        found.append("it stopped the flow")
    if entry.reader.get("enhancement.impact.flow_continued") is True:
        found.append("the flow went on without it")
    if pattern := entry.reader.get("leadtrace.pattern"):
        related = str(entry.reader.get("troubleshooting.related_errors", 0))
        found.append(f"{related} others like it nearby: {plain(str(pattern))}")
    if entry.reader.get("flow.performance.processing_time") == "slow":
        found.append("slower than 95 % of this flow's runs before")
    if suggestion := entry.reader.get("troubleshooting.suggestion"):
        found.append(f"→ {plain(str(suggestion))}")
    return found


def facts_lines(
    head: Line, facts: list[Fact], width: int, *, below: str = "", separator: str = "  ", then: str | None = None
) -> Iterator[Line]:
    """The facts behind the head, on as many lines as they need; those after the first begin with `below`.

    `separator` stands after the head, `then` (the same, unless given) between facts.
    """
    line, used, gap = list(head), sum(width_of(piece) for piece, _ in head), separator if head else ""
    indent: Line = [(below + "  ", "tree")] if below else []
    for fact, style in facts:
        told = fact
        if used + len(gap) + width_of(told) > width:
            if line:
                yield line
            line, used, gap = list(indent), sum(width_of(piece) for piece, _ in indent), ""
            *whole, told = _wrapped(told, width - used)
            for one in whole:
                yield [*indent, (one, style)]
        line += [(gap, ""), (told, style)]
        used += len(gap) + width_of(told)
        gap = separator if then is None else then
    if line:
        yield line


def hanging(mark: str, told: str, style: str, width: int) -> Iterator[Line]:
    """A sentence behind a mark, on as many lines as it needs."""
    for at, line in enumerate(_wrapped(told, width - width_of(mark))):
        yield [(mark if at == 0 else mark.replace("!", " "), "tree"), (line, style)]


def _wrapped(told: str, room: int) -> list[str]:
    """The text broken between words into lines of that width; a word that is wider is cut."""
    room = max(room, 12)
    found = [""]
    for word in told.split(" "):
        longer = f"{found[-1]} {word}" if found[-1] else word
        if found[-1] and width_of(longer) > room:
            found.append(cut(word, room))
        else:
            found[-1] = cut(longer, room)
    return found
