"""`leadtrace compare A B`: what differs between two leads, or what tells a bad group of leads from a good one.

Of two leads every difference is told. Of groups, each fact that some lead has is looked at in both, and those are ranked that
tell them apart best: by how much likelier it is in the first, among leads for which it can hold at all. What may well be chance
is marked so, and small groups are said to be small.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from statistics import median
from typing import TYPE_CHECKING, ClassVar, Final

from leadtrace.analysis.chance import adjusted, cliffs_delta, fisher, rank_test
from leadtrace.analysis.groups import group_of
from leadtrace.analysis.lead_facts import Key, LeadFacts, facts_of
from leadtrace.analysis.model import Rate, Report, Row, Sample, Window, limited
from leadtrace.analysis.options import Options, option
from leadtrace.analysis.passages import oddities
from leadtrace.analysis.registry import Analysis
from leadtrace.analysis.sampled import stories_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from leadtrace.store.relations.interface import Relations

__all__ = ["COMPARE", "CompareOptions", "Differs", "Explains", "Path", "compare", "differences", "explanations"]

_SURE = 0.05
_FEW = 8
"""Leads on the smaller side, below which hardly any difference can be told from chance."""
_MOST_VALUES = 200
"""Values of one fact; one with more is a name, not a property."""


@dataclass(slots=True, frozen=True, kw_only=True)
class CompareOptions(Options):
    a: str = option("", "One side: a lead, conditions such as outcome=rejected, or ids, one in each line.")
    b: str = option("", "The other side.")
    sample: int = option(200, "How many leads of each side are looked at; 0: all.")
    all: bool = option(False, "Also what may well be chance.")


@dataclass(slots=True, frozen=True)
class Differs(Row):
    """One difference between two leads."""

    section: ClassVar[str] = "differences"
    aspect: str
    """`order`, `values`, `timing`, `retries` or `money`."""
    subject: str
    """The word that it is about; '' for the lead as a whole."""
    attribute: str
    a: str
    b: str
    less: float | None
    """Of numbers: the first less the second."""


@dataclass(slots=True, frozen=True)
class Explains(Row):
    """One fact that tells two groups apart."""

    section: ClassVar[str] = "explains"
    aspect: str
    subject: str
    attribute: str
    value: str
    """Which value it is about; '' of numbers."""
    a: Rate | None
    """In how many leads of the first group, of those for which it can hold; None of numbers."""
    b: Rate | None
    a_median: float | None
    """Of numbers: the median of the leads of the first group that have it, and how many these are."""
    b_median: float | None
    a_leads: int
    b_leads: int
    effect: float
    """How much likelier in the first group, -1 to 1: the difference of the shares; of numbers, how much likelier a lead of the
    first group has more of it than one of the second, less the other way round."""
    weight: float
    """The effect over all leads of both groups, those included for which it cannot hold: what facts are ranked by."""
    lift: float | None
    """The first share by the second; None of numbers, and where the second is 0."""
    chance: float
    """How likely so large a difference is by chance, allowing for how many were looked at."""
    sure: bool
    """Whether that is less than 5 %."""
    also: tuple[str, ...] = ()
    """Other facts that hold for the very same leads, and so say the same."""


@dataclass(slots=True, frozen=True)
class Path(Row):
    """One order in which leads went, and how many of each group did."""

    section: ClassVar[str] = "order"
    path: tuple[str, ...]
    a: Rate
    b: Rate


def compare(relations: Relations, options: CompareOptions) -> Report[Row]:
    """Compare two sides. Raises `SettingsError` for a condition that there is not, `NotFoundError` where a side has no leads."""
    missing: dict[str, None] = {}
    sides: list[list[LeadFacts]] = []
    groups = [group_of(relations, text, options.sample) for text in (options.a, options.b)]
    for group in groups:
        stories = stories_of(relations, group.drawn, options.now_ns, missing)
        sides.append([facts_of(timeline, found) for timeline, found in stories])
    one, other = sides
    notes: list[str] = []
    rows: list[Row]
    if groups[0].single and groups[1].single:
        rows = list(differences(one[0], other[0]))
        notes.append("Two leads show what differs between them, not what usually does: compare groups for that.")
    else:
        chosen_by = {attribute for group in groups for attribute in group.chosen_by}
        rows, notes = explanations(one, other, options.all, chosen_by)
        both = {facts.lead_id for facts in one} & {facts.lead_id for facts in other}
        if both:
            notes.append(f"{len(both):,} leads are on both sides.")
    for name, group in zip("AB", groups, strict=True):
        if len(group.drawn.leads) < group.drawn.of:
            notes.append(
                f"{name}: {len(group.drawn.leads):,} of {group.drawn.of:,} leads were looked at, drawn evenly."
            )
    everyone = [*one, *other]
    notes += oddities(sum(lead.unfinished for lead in everyone), sum(lead.shifted for lead in everyone), "leads")
    rows, cut = limited(
        [[row for row in rows if isinstance(row, sort)] for sort in (Explains, Path, Differs)], options.limit
    )
    return Report(
        COMPARE.name,
        Window(relations.part.since_ns, relations.part.until_ns),
        Sample({"leads_of_a": len(one), "leads_of_b": len(other)}),
        tuple(rows),
        (f"A is {groups[0].text}, B is {groups[1].text}.", *notes, *cut),
        tuple(missing),
    )


def differences(one: LeadFacts, other: LeadFacts) -> Iterator[Differs]:
    """Everything that differs between two leads, by aspect: in the order of the first lead, times by how far apart they are."""
    yield from _order(one, other)
    said = {key: None for key in (*one.said, *other.said) if key.attribute not in ("followed by", "ran")}
    shared = one.subjects & other.subjects
    for aspect in ("order", "values", "timing", "retries", "money"):
        for key in said:
            if key.aspect != aspect or (key.subject and key.subject not in shared):
                continue
            mine, theirs = one.said.get(key, set()), other.said.get(key, set())
            if mine != theirs:
                yield Differs(aspect, key.subject, key.attribute, _told(mine), _told(theirs), None)
        rows = []
        for measured in dict.fromkeys((*one.measured, *other.measured)):
            if measured.aspect != aspect or (measured.subject and measured.subject not in shared):
                continue
            a, b = _number(one, measured), _number(other, measured)
            if a != b:
                less = a - b if a is not None and b is not None else None
                rows.append(Differs(aspect, measured.subject, measured.attribute, _as_text(a), _as_text(b), less))
        if aspect == "timing":
            rows.sort(key=lambda row: -abs(row.less or 0.0))
        yield from rows


def _order(one: LeadFacts, other: LeadFacts) -> Iterator[Differs]:
    matcher = SequenceMatcher(None, one.sequence, other.sequence, autojunk=False)
    for what, i1, i2, j1, j2 in matcher.get_opcodes():
        if what != "equal":
            before = one.sequence[i1 - 1] if i1 else ""
            yield Differs(
                "order",
                "",
                f"after {before}" if before else "at the beginning",
                ", ".join(one.sequence[i1:i2]),
                ", ".join(other.sequence[j1:j2]),
                None,
            )


def _told(values: set[str]) -> str:
    return ", ".join(sorted(values))


def _as_text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _number(facts: LeadFacts, key: Key) -> float | None:
    """The lead's number; retries and money that are not told are none."""
    return facts.measured.get(key, 0.0 if key.aspect in ("retries", "money") else None)


@dataclass(slots=True)
class _Side:
    """One group, counted."""

    leads: list[LeadFacts]
    with_subject: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """The leads that have each word, by their place."""
    having: dict[Key, dict[str, set[int]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    """The leads that have each value of each fact."""

    @classmethod
    def of(cls, leads: list[LeadFacts]) -> _Side:
        side = cls(leads)
        for at, facts in enumerate(leads):
            for subject in facts.subjects:
                side.with_subject[subject].add(at)
            for key, values in facts.said.items():
                for value in values:
                    side.having[key][value].add(at)
        side.with_subject[""] = set(range(len(leads)))
        return side

    def numbers(self, key: Key) -> dict[int, float]:
        told = {at: _number(self.leads[at], key) for at in self.with_subject[key.subject]}
        return {at: one for at, one in told.items() if one is not None}


@dataclass(slots=True)
class _Fact:
    """A fact that may tell the groups apart, and for which leads it holds: facts with the same say the same."""

    row: Explains
    holds: object


def explanations(
    one: list[LeadFacts], other: list[LeadFacts], everything: bool = False, chosen_by: Collection[str] = ()
) -> tuple[list[Row], list[str]]:
    """What tells two groups apart, the most telling first, then the orders in which they went; and what to say of it.

    `chosen_by`: attributes of the lead as a whole that the groups were chosen by, and that are no finding.
    """
    a, b = _Side.of(one), _Side.of(other)
    facts = [
        fact
        for fact in (*_shares(a, b), *_numbers(a, b))
        if not (fact.row.attribute in chosen_by and fact.row.aspect == "values")
    ]
    chances = adjusted([fact.row.chance for fact in facts])
    for fact, chance in zip(facts, chances, strict=True):
        fact.row = replace(fact.row, chance=chance, sure=chance < _SURE)
    ranked = _merged(facts)
    ranked.sort(key=lambda row: (not row.sure, -abs(row.weight), row.chance, _label(row)))
    sure = sum(row.sure for row in ranked)
    few = min(len(one), len(other)) < _FEW
    notes = [
        f"{len(facts)} facts differ at all, {len(ranked)} of them for different leads; {sure} by more than chance (at 5 %, "
        "allowing for how many were looked at)."
        + ("" if everything or few or sure == len(ranked) else " --all tells the others too.")
    ]
    if few:
        notes.append(
            f"Too few leads ({len(one)} and {len(other)}): with fewer than {_FEW} on a side hardly any difference can be told "
            "from chance. All are shown, the largest first."
        )
    if chosen_by:
        notes.append(f"Left out, because the groups were chosen by it: {', '.join(sorted(chosen_by))}.")
    shown = ranked if everything or few else [row for row in ranked if row.sure]
    return [*shown, *_paths(one, other)], notes


_TELLS_MOST = ("values", "order", "retries", "money", "timing")


def _merged(facts: Iterable[_Fact]) -> list[Explains]:
    """One row for facts that hold for the same leads: the one that says most by itself, the others named beside it."""
    alike: dict[object, list[Explains]] = defaultdict(list)
    for fact in facts:
        alike[fact.holds].append(fact.row)
    found = []
    for rows in alike.values():
        rows.sort(key=lambda row: (-abs(row.weight), _TELLS_MOST.index(row.aspect), row.effect < 0, _label(row)))
        same = (rows[0].subject, rows[0].attribute)  # that the other of two values does not hold goes without saying
        also = tuple(_label(row) for row in rows[1:] if (row.subject, row.attribute) != same)
        found.append(replace(rows[0], also=also))
    return found


def _label(row: Explains) -> str:
    return " ".join(part for part in (row.subject and f"{row.subject}:", row.attribute, row.value) if part)


def _shares(a: _Side, b: _Side) -> Iterable[_Fact]:
    for key in dict.fromkeys((*a.having, *b.having)):
        of, other_of = a.with_subject[key.subject], b.with_subject[key.subject]
        values = sorted({*a.having[key], *b.having[key]})
        if not of or not other_of or len(values) > _MOST_VALUES:
            continue
        for value in values:
            row = _share(a, b, key, value)
            if row.effect:
                mine, theirs = frozenset(a.having[key][value]), frozenset(b.having[key][value])
                # Where one of two values holds, the other does not: either says it all.
                opposite = (frozenset(of - mine), frozenset(other_of - theirs))
                yield _Fact(row, frozenset({(mine, theirs), opposite}))


def _share(a: _Side, b: _Side, key: Key, value: str) -> Explains:
    count, other = len(a.having[key][value]), len(b.having[key][value])
    of, other_of = len(a.with_subject[key.subject]), len(b.with_subject[key.subject])
    what = f"leads with {key.subject}" if key.subject else "leads"
    share, other_share = count / of, other / other_of
    return Explains(
        key.aspect,
        key.subject,
        key.attribute,
        value,
        Rate(count, of, what, 1),
        Rate(other, other_of, what, 1),
        None,
        None,
        of,
        other_of,
        share - other_share,
        # Of a fact about few leads, no more than these few are explained by it.
        (share - other_share) * min(of / len(a.leads), other_of / len(b.leads)) if key.subject else share - other_share,
        share / other_share if other_share else None,
        fisher(count, of, other, other_of),
        False,
    )


def _numbers(a: _Side, b: _Side) -> Iterable[_Fact]:
    keys = dict.fromkeys(key for side in (a, b) for facts in side.leads for key in facts.measured)
    for key in keys:
        mine, theirs = a.numbers(key), b.numbers(key)
        if not mine or not theirs:
            continue
        values, others = list(mine.values()), list(theirs.values())
        effect = cliffs_delta(values, others)
        if effect:
            row = Explains(
                key.aspect,
                key.subject,
                key.attribute,
                "",
                None,
                None,
                median(values),
                median(others),
                len(values),
                len(others),
                effect,
                effect * min(len(values) / len(a.leads), len(others) / len(b.leads)),
                None,
                rank_test(values, others),
                False,
            )
            yield _Fact(row, (tuple(sorted(mine.items())), tuple(sorted(theirs.items()))))


_MOST_PATHS: Final = 5


def _paths(one: list[LeadFacts], other: list[LeadFacts]) -> Iterable[Path]:
    mine, theirs = (Counter(facts.sequence for facts in side) for side in (one, other))
    ranked = sorted({*mine, *theirs}, key=lambda path: (-abs(mine[path] / len(one) - theirs[path] / len(other)), path))
    for path in ranked[:_MOST_PATHS]:
        yield Path(path, Rate(mine[path], len(one), "leads", 1), Rate(theirs[path], len(other), "leads", 1))


COMPARE: Final = Analysis(
    "compare",
    compare,
    CompareOptions,
    (Differs, Explains, Path),
    picture="leadtrace.analysis.compare_picture:draw_compare",
    pictured=(Differs, Explains, Path),
)
