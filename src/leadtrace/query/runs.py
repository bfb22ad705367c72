"""A lead's runs: what each flow did, counted again over the whole run, beside what the flow itself said at its end."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from leadtrace.query.answers import Delivery, bulk, ended_as, finished
from leadtrace.query.model import Mark, Money, Run, decimal_text
from leadtrace.query.money import Purse, amount, currency_of, total
from leadtrace.query.vocabulary import FLOW_ENDS, kind_of, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from leadtrace.otlp.records import EventRecord, Value
    from leadtrace.query.tree import Forest, Node

__all__ = ["lead_money", "recounted_runs", "runs_of"]

_COUNTS = (
    "flow.summary.steps_executed",
    "flow.summary.enhancements_applied",
    "flow.summary.deliveries_attempted",
    "flow.summary.validations_passed",
    "flow.summary.rules_satisfied",
    "flow.performance.cache_hits",
)
_SUMS = ("flow.journey.total_cost", "flow.journey.total_revenue", "flow.journey.margin")
_FOLLOWS_END = {"flow.failed": "failed", "flow.cancelled": "cancelled", "flow.interrupted": "interrupted"}


@dataclass(slots=True)
class _Passage:
    """What belongs to one run."""

    run_id: str
    nodes: list[Node] = field(default_factory=list)
    events: list[EventRecord] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    flow: Node | None = None
    ends: list[EventRecord] = field(default_factory=list)
    """What ended it, the one that counts first."""


class _Passages(dict[str, _Passage]):
    def __missing__(self, run_id: str) -> _Passage:
        self[run_id] = made = _Passage(run_id)
        return made


def runs_of(forest: Forest, deliveries: Iterable[Delivery]) -> list[Run]:
    """Every run of the lead, the one that began first first."""
    return sorted(map(_run, _passages(forest, deliveries)), key=_began)


def recounted_runs(forest: Forest, deliveries: Iterable[Delivery]) -> tuple[list[Run], list[Mark]]:
    """The same runs, counted again beside what each flow itself said at its end, and what is odd about them."""
    marks: list[Mark] = []
    runs = []
    for passage in _passages(forest, deliveries):
        run = _run(passage)
        _recount(run, passage, marks)
        runs.append(run)
    return sorted(runs, key=_began), sorted(marks, key=lambda one: (one.code, one.text))


def _began(run: Run) -> tuple[int, str]:
    return run.began_ns, run.run_id


def _passages(forest: Forest, deliveries: Iterable[Delivery]) -> Iterable[_Passage]:
    passages = _Passages()
    for node in forest.nodes:
        if run := node.run_id:
            passages[run].nodes.append(node)
    for event in forest.events:
        if run := forest.run_of(event):
            passages[run].events.append(event)
    for delivery in deliveries:
        if delivery.run_id:
            passages[delivery.run_id].deliveries.append(delivery)
    for passage in passages.values():
        passage.flow = min((one for one in passage.nodes if one.word == "flow"), key=_first, default=None)
        passage.ends = sorted(
            (one for one in passage.events if one.name in FLOW_ENDS),
            key=lambda one: (one.name == "flow.interrupted", one.time_ns, one.uid, one.name),
        )
    return passages.values()


def lead_money(forest: Forest, deliveries: Iterable[Delivery]) -> list[Money]:
    """The lead's money over all its runs, what was paid for it and what came back included."""
    several = list(deliveries)
    purse = _purse(forest.nodes, forest.events, several)
    for event in forest.events:
        if event.name == "lead.returned":
            purse.give_back(
                event.attributes, "lead.return.amount", _sold_in(several, text(event.attributes, "delivery.buyer"))
            )
    return purse.contents()


def _sold_in(deliveries: Iterable[Delivery], buyer: str) -> str:
    """The currency in which a returned lead was sold."""
    sold = [one for one in deliveries if one.answer == "accepted" and "delivery.revenue" in one.fields]
    for one in sorted(sold, key=lambda each: each.buyer != buyer):
        return currency_of(one.fields, "delivery.revenue")
    return ""


def _purse(nodes: Iterable[Node], events: Iterable[EventRecord], deliveries: Iterable[Delivery]) -> Purse:
    purse = Purse.empty()
    for event in events:
        if event.name.startswith("enhancement.") and kind_of(event) != "start":
            purse.spend(event.attributes, "enhancement.cost")
        elif "lead.price" in event.attributes:
            purse.spend(event.attributes, "lead.price")
    for node in nodes:
        if node.word == "enhancement" and not node.ends and node.span is not None and not bulk(node):
            purse.spend(node.span.attributes, "enhancement.cost")
    for delivery in deliveries:
        if delivery.answer == "accepted":
            purse.earn(delivery.fields, "delivery.revenue")
    return purse


def _run(passage: _Passage) -> Run:
    flow, ends = passage.flow, passage.ends
    said: dict[str, Value] = {}
    for record in (flow.start if flow else None, flow.span if flow else None, *ends[:1]):
        said.update(record.attributes if record is not None else {})
    purse = _purse(passage.nodes, passage.events, passage.deliveries)
    run = Run(
        passage.run_id,
        flow_id=text(said, "flow.id"),
        name=text(said, "flow.name", "leadtrace.name") if flow or ends else "",
        version=text(said, "flow.version"),
        parent_run_id=text(said, "leadtrace.parent_run_id"),
        began_ns=flow.time_ns if flow else _first_ns(passage),
        services=tuple(_services(passage)),
        money=tuple(purse.contents()),
        delivered_to=tuple(sorted({one.buyer for one in passage.deliveries if one.answer == "accepted" and one.buyer})),
    )
    _close(run, passage, flow, ends)
    return run


def _recount(run: Run, passage: _Passage, marks: list[Mark]) -> None:
    flow, ends = passage.flow, passage.ends
    run.counted = _count(run, passage)
    last = ends[0].attributes if ends else flow.span.attributes if flow and flow.span and flow.span.end_ns else {}
    run.said = {name: last[name] for name in (*_COUNTS, "flow.summary.final_outcome") if name in last}
    run.said |= {name: decimal_text(found) for name in _SUMS if (found := amount(last.get(name))) is not None}
    run.unattributed = _differences(run, last)
    if len(ends) > 1:
        others = ", ".join(one.name for one in ends[1:])
        marks.append(
            Mark("run_ended_twice", f"{run.name or run.run_id} ended with {ends[0].name}, and also told {others}")
        )
    handed = any(one.word == "resume" for one in passage.nodes) or bool(last.get("flow.summary.handed_over"))
    later = any(one.answers and ends and one.answers[-1][0] > ends[0].time_ns for one in passage.deliveries)
    going_on = last.get(
        "flow.summary.open"
    )  # words that the flow itself knew to be open: they ended after it had counted
    if run.unattributed and not handed and not later and not going_on:
        told = ", ".join(
            f"{name.rpartition('.')[2]} {_plain(run.said[name])} where {_plain(run.counted[name])} was counted"
            for name in run.unattributed
        )
        marks.append(Mark("unattributed", f"the end of {run.name or run.run_id} said {told}"))


def _first_ns(passage: _Passage) -> int:
    times = (one.time_ns for several in (passage.nodes, passage.events) for one in several)
    return min(filter(None, times), default=0)


def _plain(value: Value) -> str:
    return str(value)


def _first(node: Node) -> tuple[int, str, str]:
    return node.time_ns, node.trace_id, node.span_id


def _services(passage: _Passage) -> list[str]:
    seen = sorted((one.time_ns, one.service) for one in passage.nodes)
    return list(dict.fromkeys(service for _, service in seen if service))


def _close(run: Run, passage: _Passage, flow: Node | None, ends: list[EventRecord]) -> None:
    """When and how the run ended: by its end event, by its span, or when all that was handed over had ended."""
    if ends:
        run.ended_ns, run.ended_by = ends[0].time_ns, ends[0].name
    elif flow is not None and not flow.ends and flow.span is not None and flow.span.end_ns:
        name = ended_as(flow)
        if name and not flow.span.attributes.get("flow.summary.handed_over"):
            run.ended_ns, run.ended_by = flow.span.end_ns, name
    if not run.ended_ns and flow is not None and finished(flow):
        run.ended_ns = _handed_over_ended(passage, flow)
    if run.ended_ns:
        run.outcome = _FOLLOWS_END.get(run.ended_by) or _outcome(passage)


def _handed_over_ended(passage: _Passage, flow: Node) -> int:
    """When the last of what the flow handed over ended; 0 while any of it has not."""
    handed: set[str] = set()
    for record in (flow.span, *flow.ends):
        ids = record.attributes.get("flow.summary.handed_over") if record is not None else None
        handed.update(map(str, ids) if isinstance(ids, list) else ())
    ended: dict[str, int] = defaultdict(int)
    for node in passage.nodes:
        if node.word == "resume" and finished(node):
            ended[_handover(node)] = max(ended[_handover(node)], _ended_ns(node))
    return max(ended.values()) if handed and handed <= ended.keys() else 0


def _handover(node: Node) -> str:
    for record in (node.start, node.span, node.end):
        if record is not None and (found := text(record.attributes, "leadtrace.handover_id", "leadtrace.handover.id")):
            return found
    return ""


def _ended_ns(node: Node) -> int:
    return node.end.time_ns if node.end is not None else node.span.end_ns if node.span is not None else 0


def _outcome(passage: _Passage) -> str:
    """The final outcome of a run that ended by itself: the first that fits."""
    answers = [one.answer for one in passage.deliveries]
    if "accepted" in answers:
        return "delivered" if set(answers) == {"accepted"} else "partially_delivered"
    if "pending" in answers:
        return "deferred"
    refused = any(ended_as(one) in ("validation.failed", "rule.rejected") for one in passage.nodes)
    refused = refused or any(one.name in ("validation.failed", "rule.rejected") for one in passage.events)
    if set(answers) == {"rejected"} or (refused and not answers and not any(one.nodes for one in passage.deliveries)):
        return "rejected"
    return "undelivered"


def _count(run: Run, passage: _Passage) -> dict[str, Value]:
    ended = [ended_as(one) for one in passage.nodes]
    steps = [one for one in passage.nodes if one.word == "step" and finished(one)]
    currency = next((one.currency for one in run.money), "")
    counted: dict[str, Value] = {
        "flow.summary.steps_executed": sum(ended_as(one) != "operation.cancelled" for one in steps),
        "flow.summary.enhancements_applied": ended.count("enhancement.success"),
        "flow.summary.deliveries_attempted": sum(bool(one.answers or one.nodes) for one in passage.deliveries),
        "flow.summary.validations_passed": ended.count("validation.passed"),
        "flow.summary.rules_satisfied": ended.count("rule.satisfied"),
        "flow.performance.cache_hits": sum(
            _from_cache(node) for name, node in zip(ended, passage.nodes, strict=True) if name == "enhancement.success"
        ),
    }
    if run.outcome:
        counted["flow.summary.final_outcome"] = run.outcome
    if run.duration_ms is not None:
        counted["flow.summary.total_duration_ms"] = run.duration_ms
    if len(run.money) == 1:  # sums of several currencies stand under the run's money alone
        money = run.money[0]
        counted |= dict(zip(_SUMS, map(decimal_text, (money.cost, money.revenue, money.margin)), strict=True))
        counted["flow.journey.currency"] = currency
    return counted


def _from_cache(node: Node) -> bool:
    return any(
        record is not None and record.attributes.get("enhancement.cache_hit") is True
        for record in (node.end, node.span)
    )


def _differences(run: Run, last: Mapping[str, Value]) -> dict[str, str]:
    """What the flow's end said less what was counted, of the fields that both have."""
    found: dict[str, str] = {}
    for name in _COUNTS:
        said, counted = run.said.get(name), run.counted.get(name)
        if isinstance(said, int) and isinstance(counted, int) and said != counted:
            found[name] = str(said - counted)
    money = total(run.money, currency_of(last, "flow.journey.total_cost"))
    for name, counted_money in zip(_SUMS, (money.cost, money.revenue, money.margin), strict=True):
        if name in run.said and (difference := Decimal(str(run.said[name])) - counted_money):
            run.counted.setdefault(name, decimal_text(counted_money))
            found[name] = decimal_text(difference)
    return found
