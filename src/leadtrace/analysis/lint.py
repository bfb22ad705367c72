"""Lint of recorded data: what no single record shows to be wrong, and what each lead's timeline does, gathered into lines.

Memory does not grow with the number of leads: findings of one rule about the same name are one line with a count, the leads
counted, the worst of them told, and a few leads to look at.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from leadtrace.analysis.lint_rules import RULES, Finding, findings_of, is_undeclared, skew_of, undeclared_text
from leadtrace.analysis.model import Rate, Report, Row, Sample, Window
from leadtrace.analysis.options import Options, option
from leadtrace.analysis.registry import Analysis
from leadtrace.analysis.sampled import Drawn, draw_leads, leads_in, stories_of
from leadtrace.errors import NotFoundError, SettingsError
from leadtrace.query.printable import duration, plain
from leadtrace.query.story import hanging
from leadtrace.query.vocabulary import text
from leadtrace.store.interface import LeadRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from leadtrace.otlp.records import EventRecord, SpanRecord
    from leadtrace.query.model import Entry, Timeline
    from leadtrace.query.story import Line
    from leadtrace.store.interface import Found
    from leadtrace.store.relations.interface import Relations

__all__ = ["LINT", "LintOptions", "Linted", "Linter", "lint"]

_SAMPLES = 3
_MOST_LINES = 5_000
_MOST_NAMES = 10
_FEW = 5
"""Values of one field and service, from which on it is compared with other services'."""


@dataclass(slots=True, frozen=True, kw_only=True)
class LintOptions(Options):
    lead: tuple[str, ...] = option((), "Only these leads.")
    rule: tuple[str, ...] = option((), "Only what this rule finds.")
    sample: int = option(1000, "How many leads are looked at; 0: all.")


@dataclass(slots=True, frozen=True)
class Linted(Row):
    """One line: a rule's findings about one name."""

    rule: str
    what: str
    """The word's or event's name, or what else it is about."""
    service: str
    text: str
    """The worst of them, in a sentence."""
    count: int
    leads: Rate
    """In how many of the leads looked at it was found."""
    samples: tuple[str, ...]
    """Some of these leads."""
    trace_id: str = ""
    span_id: str = ""
    uid: str = ""


@dataclass(slots=True)
class _Line:
    worst: Finding
    count: int = 0
    leads: int = 0
    samples: list[str] = field(default_factory=list)

    def add(self, finding: Finding, fresh: bool) -> None:
        self.count += 1
        if (finding.measure, finding.lead_id) > (self.worst.measure, self.worst.lead_id):
            self.worst = finding
        if fresh:
            self.leads += 1
            self.samples = sorted({*self.samples, finding.lead_id} - {""})[:_SAMPLES]


@dataclass(slots=True)
class _Magnitude:
    """How large the values of one field are, without keeping them: their geometric mean."""

    count: int = 0
    logs: float = 0.0

    @property
    def mean(self) -> float:
        return math.exp(self.logs / self.count)


class Linter:
    """Takes one lead after the other, in any order, and gives the lines at the end; each lead once."""

    def __init__(self, rules: Collection[str] = (), now_ns: int = 0) -> None:
        """`rules`: only these; empty: all of them."""
        self.looked_at = 0
        self.cut = 0
        """Findings that found no room any more, because too many different things were wrong."""
        self._rules = frozenset(rules) or frozenset(RULES)
        self._now_ns = now_ns
        self._lines: dict[tuple[str, str, str], _Line] = {}
        self._step_ids: dict[str, dict[str, str]] = defaultdict(dict)
        self._step_counts: Counter[str] = Counter()
        self._skews: dict[tuple[str, str], _Line] = {}
        self._magnitudes: dict[tuple[str, str], dict[str, _Magnitude]] = defaultdict(lambda: defaultdict(_Magnitude))

    def look(self, timeline: Timeline, found: Found | None = None) -> None:
        """Look at one lead. `found` are its records, which know the hosts that the timeline does not."""
        self.looked_at += 1
        mine = list(findings_of(timeline, self._now_ns))
        self._gather(mine)
        for entry in timeline.entries:
            self._step_id(timeline, entry)
            self._magnitude(entry)
        self._skew(timeline, found)

    def _gather(self, findings: Iterable[Finding]) -> None:
        seen: set[tuple[str, str, str]] = set()
        for one in findings:
            if one.rule not in self._rules:
                continue
            key = (one.rule, one.what, one.service)
            if key not in self._lines and len(self._lines) >= _MOST_LINES:
                self.cut += 1
                continue
            self._lines.setdefault(key, _Line(one)).add(one, key not in seen)
            seen.add(key)

    def _step_id(self, timeline: Timeline, entry: Entry) -> None:
        step_id = text(entry.attributes, "enhancement.step_id")
        name = text(entry.attributes, "enhancement.name")
        if not step_id or not name or (step_id not in self._step_ids and len(self._step_ids) >= _MOST_LINES):
            return
        if entry.type == "event":
            self._step_counts[step_id] += 1
        names = self._step_ids[step_id]
        if name in names or len(names) < _MOST_NAMES:
            names[name] = min(names.get(name, timeline.lead_id), timeline.lead_id)

    def _magnitude(self, entry: Entry) -> None:
        if entry.type != "event":
            return
        for attribute, value in entry.attributes.items():
            if attribute.endswith("_ms") and isinstance(value, (int, float)) and 0 < value < 1e11:
                one = self._magnitudes[entry.name, attribute][entry.service]
                one.count += 1
                one.logs += math.log(value)

    def _skew(self, timeline: Timeline, found: Found | None) -> None:
        hosts = _hosts(found) if found is not None else {}
        seen: set[tuple[str, str]] = set()
        for entry, parent, off in skew_of(timeline):
            pair = tuple(
                _at(one.service or "a process", hosts.get((one.trace_id, one.span_id), "")) for one in (entry, parent)
            )
            key = (pair[0], pair[1])
            told = f"the clock of {key[0]} is about {duration(abs(off))} {'behind' if off > 0 else 'ahead of'} that of {key[1]}"
            finding = Finding(
                "clock_skew",
                f"{key[0]} and {key[1]}",
                told,
                timeline.lead_id,
                entry.service,
                entry.trace_id,
                entry.span_id,
                measure=abs(off),
            )
            self._skews.setdefault(key, _Line(finding)).add(finding, key not in seen)
            seen.add(key)

    def look_at_names(self, rows: Iterable[tuple[str, str, str, int]]) -> None:
        """Look at events of no lead: name, service, marks and how many."""
        for name, service, marks, count in rows:
            if is_undeclared(name, "undeclared" in marks, known_kind=False) and "undeclared_event" in self._rules:
                line = _Line(Finding("undeclared_event", name, undeclared_text(name), service=service))
                self._lines.setdefault(("undeclared_event", name, service), line).count += count

    def lines(self) -> list[Linted]:
        """What was found, by rule in the order of the rules, the most frequent of each first."""
        found = [_linted(one, self.looked_at) for one in (*self._lines.values(), *self._wide())]
        order = {name: at for at, name in enumerate(RULES)}
        return sorted(found, key=lambda one: (order[one.rule], -one.count, one.what, one.service))

    def _wide(self) -> Iterable[_Line]:
        """What only several leads show."""
        if "clock_skew" in self._rules:
            yield from self._skews.values()
        if "step_id_two_meanings" in self._rules:
            for step_id, names in sorted(self._step_ids.items()):
                if len(names) > 1:
                    told = f"step_id {step_id} is {' and '.join(sorted(names))}"
                    finding = Finding("step_id_two_meanings", step_id, told, min(names.values()))
                    leads = sorted(set(names.values()))
                    yield _Line(finding, self._step_counts[step_id], len(leads), leads[:_SAMPLES])
        if "seconds_in_ms" in self._rules:
            yield from self._smaller_by_a_thousand()

    def _smaller_by_a_thousand(self) -> Iterable[_Line]:
        for (event, attribute), services in sorted(self._magnitudes.items()):
            known = {service: one for service, one in services.items() if one.count >= _FEW}
            for service, one in sorted(known.items()):
                larger = [other for other in known if 300 <= known[other].mean / one.mean <= 3000]
                if larger:
                    where = f"{attribute} of {event}"
                    told = (
                        f"{where} is {one.mean:.3g} on average in {service or 'one service'} ({one.count} values) and "
                        f"{known[larger[0]].mean:.3g} in {larger[0] or 'another'} ({known[larger[0]].count}): seconds in one?"
                    )
                    yield _Line(Finding("seconds_in_ms", where, told, service=service), one.count)


def _linted(line: _Line, looked_at: int) -> Linted:
    worst = line.worst
    return Linted(
        worst.rule,
        worst.what,
        worst.service,
        worst.text,
        line.count,
        Rate(line.leads, max(looked_at, line.leads), "leads looked at", 1),
        tuple(line.samples),
        worst.trace_id,
        worst.span_id,
        worst.uid,
    )


def _hosts(found: Found) -> dict[tuple[str, str], str]:
    """Each span's host, as its process said."""
    records: list[EventRecord | SpanRecord] = [*found.events, *found.spans]
    return {
        (record.trace_id, record.span_id): host
        for record in records
        if (host := text(record.resource.attributes, "host.name", "host.id"))
    }


def _at(service: str, host: str) -> str:
    return f"{service} on {host}" if host else service


_OF_NO_LEAD: Final = """
SELECT name, service, marks, count(*)
FROM lead_events
WHERE lead_id = '' AND lead_ids = '' AND run_id = '' AND name <> ''
GROUP BY name, service, marks
ORDER BY name, service, marks"""


def lint(relations: Relations, options: LintOptions) -> Report[Linted]:
    """Look at leads with a record in the window, or at those named. Raises `SettingsError` for a rule that there is not,
    `NotFoundError` for a lead that there is not."""
    if unknown := [one for one in options.rule if one not in RULES]:
        raise SettingsError(f"no rule {unknown[0]!r}", rules=", ".join(RULES))
    part = relations.part
    missing: dict[str, None] = {}
    drawn = _named(relations, options) if options.lead else None
    if drawn is None:
        rows, missing = leads_in(relations)
        drawn = draw_leads(rows, options.sample)
    linter = Linter(options.rule, options.now_ns)
    for timeline, found in stories_of(relations, drawn, options.now_ns, missing):
        linter.look(timeline, found)
    if not options.lead:
        linter.look_at_names((str(a), str(b), str(c), int(d)) for a, b, c, d in relations.query(_OF_NO_LEAD))
    lines = linter.lines()
    notes = ["What is found of a lead is of its whole timeline, also outside the window."] * bool(
        part.since_ns or part.until_ns
    )
    if linter.looked_at < drawn.of:
        notes.append(
            f"{linter.looked_at:,} of {drawn.of:,} leads were looked at, drawn evenly; --sample 0 looks at all."
        )
    if linter.cut:
        notes.append(
            f"Too much is wrong: {linter.cut:,} findings found no room beside the first {_MOST_LINES:,} lines."
        )
    if options.limit and len(lines) > options.limit:
        notes.append(f"{len(lines) - options.limit:,} more lines, left out by the limit")
    return Report(
        LINT.name,
        Window(part.since_ns, part.until_ns),
        Sample({"leads_looked_at": linter.looked_at, "leads": drawn.of}),
        tuple(lines[: options.limit] if options.limit else lines),
        tuple(notes),
        tuple(missing),
    )


def _named(relations: Relations, options: LintOptions) -> Drawn:
    tenant = relations.part.tenant
    for lead_id in options.lead:
        found = relations.source.lead(lead_id, tenant)
        if not found.spans and not found.events:
            nearest = relations.source.nearest(lead_id, tenant)
            data = {"nearest": nearest} if nearest else {}
            raise NotFoundError(f"no lead {lead_id!r} in {relations.source.url}", **data)
    leads = tuple(LeadRow(one, tenant or "", 0, 0) for one in dict.fromkeys(options.lead))
    return Drawn(leads, len(leads))


def draw_lint(report: Report[Linted], width: int) -> Iterator[Line]:
    """What was found, by rule: what it is about, how often, the worst of it, and a lead to look at."""
    last = ""
    for one in report.rows:
        if one.rule != last:
            if last:
                yield []
            yield [(one.rule, "head"), (f"  {RULES[one.rule]}", "faint")]
            last = one.rule
        seen = f" in {one.leads.numerator:,} of {one.leads.denominator:,} leads" if one.leads.numerator else ""
        often = f"{one.count:,} {'time' if one.count == 1 else 'times'}{seen}"
        where = f" [{plain(one.service)}]" if one.service else ""
        yield [("  ", ""), (plain(one.what), "title"), (where, "faint"), (f"  {often}", "took")]
        yield from hanging("      ", plain(one.text), "note", width)
        if one.samples:
            yield [(f"      leadtrace lead {plain(one.samples[0])}", "faint")]


LINT: Final = Analysis(
    "lint", lint, LintOptions, (Linted,), picture="leadtrace.analysis.lint:draw_lint", pictured=(Linted,)
)
