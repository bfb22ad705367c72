"""What each entry of a timeline says, in words for an operator: a title and its facts, each with a style's name.

A fact is a pair of text and style; styles are names (`good`, `bad`, `open`, `faint`, `money` …) that the printer may
turn into colours.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

from leadtrace.query.money import amount, currency_of
from leadtrace.query.printable import duration, money, plain, value
from leadtrace.query.vocabulary import number, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from leadtrace.otlp.records import Value
    from leadtrace.query.model import Entry

__all__ = ["Fact", "event_facts", "event_title", "span_facts", "span_title"]

Fact: TypeAlias = tuple[str, str]

_VERDICTS: Mapping[str, Fact] = {
    "completed": ("✓ completed", "good"),
    "success": ("✓ success", "good"),
    "accepted": ("✓ accepted", "good"),
    "succeeded": ("✓ answered", "good"),
    "passed": ("✓ passed", "good"),
    "satisfied": ("✓ satisfied", "good"),
    "handed_over": ("→ handed over", "open"),
    "pending": ("… pending", "open"),
    "rejected": ("⊘ rejected", "no"),
    "unconfirmed": ("? unconfirmed", "bad"),
    "failed": ("✗ failed", "bad"),
    "interrupted": ("✗ interrupted", "bad"),
    "cancelled": ("◌ cancelled", "no"),
}
_REFUSED = frozenset({"validation.failed"})
_FLOW_ENDS = frozenset({"flow.completed", "flow.failed", "flow.cancelled", "flow.interrupted"})
_QUIET = frozenset({"lead.id", "tenant_key", "log.record.uid", "error.fingerprint", "code.function.name"})
_QUIET_PREFIXES = ("leadtrace.", "code.", "otel.", "thread.", "telemetry.")
_OF_KIND = {
    "success": "good",
    "failure": "bad",
    "attempt_failure": "bad",
    "error": "bad",
    "rejection": "no",
    "cancelled": "no",
}
_AMOUNTS = (".price", ".cost", ".cost_avoided", ".revenue", ".amount")
_TOLD_OF_ERROR = frozenset(
    {
        "error.type",
        "error.message",
        "error.category",
        "error.subcategory",
        "error.cause",
        "error.severity",
        "error.code",
        "error.context.step",
        "error.context.operation",
        "error.impact.lead_affected",
        "error.retry_count",
    }
)
_FOREIGN = (
    "http.request.method",
    "url.full",
    "url.path",
    "server.address",
    "http.response.status_code",
    "rpc.method",
    "db.system.name",
    "db.system",
    "messaging.destination.name",
    "error.type",
)


def span_title(entry: Entry) -> str:
    """The name, with what tells it from others of that name."""
    name = plain(entry.name) or "(no name)"
    if entry.word == "flow" and (version := text(entry.attributes, "flow.version")):
        return f"{name} v{plain(version)}"
    if entry.word == "enhancement" and (service := text(entry.attributes, "enhancement.service")):
        return f"{name} ({plain(service)})"
    if entry.attempt is not None:
        which, of, waited = entry.attempt.number, entry.attempt.of, entry.attempt.waited_ms
        if which == 1 and waited is None and entry.outcome == "api.call.succeeded":
            return name  # the only one that was needed
        tried = f"try {which} of {of}" if of else f"try {which}"
        return f"{name}, {tried}" + (f", after {duration(waited)}" if waited is not None else "")
    if entry.word in ("validation", "rule", "fallback"):
        return f"{entry.word} {name}"
    return name


def span_facts(entry: Entry, end: Mapping[str, Value]) -> Iterator[Fact]:
    """How it ended and what came of it; `end` is what its end event says, or its span where there is none."""
    yield from _verdict(entry)
    yield from _FACTS.get(entry.word, _other_facts)(entry, end)
    if items := end.get("items"):
        yield f"{value(items)} items", "faint"
    if expected := text(end, "leadtrace.expected"):
        yield f"expected {plain(expected)}", "faint"


def _verdict(entry: Entry) -> Iterator[Fact]:
    if entry.status == "unfinished":
        yield "… unfinished", "open"
    elif entry.outcome in _REFUSED:
        yield "⊘ not passed", "no"
    elif entry.outcome:
        last = entry.outcome.rpartition(".")[2]
        yield _VERDICTS.get(last, (plain(last), ""))
    elif entry.status == "error":
        yield "✗ error", "bad"


def _flow(entry: Entry, end: Mapping[str, Value]) -> Iterator[Fact]:
    outcome = text(end, "flow.summary.final_outcome")
    if outcome and "flow.completed" in (entry.outcome, entry.name):
        yield (
            plain(outcome.replace("_", " ")),
            "good" if outcome.endswith("delivered") and outcome != "undelivered" else "no",
        )
    yield from _problem(end, "flow.reason")


def _enhancement(entry: Entry, end: Mapping[str, Value]) -> Iterator[Fact]:
    if end.get("enhancement.cache_hit") is True:
        saved = amount(end.get("enhancement.cost_avoided"))
        yield (
            "from cache" + (f", saved {money(saved, currency_of(end, 'enhancement.cost_avoided'))}" if saved else ""),
            "money",
        )
    yield from _amount(end, "enhancement.cost", "cost")
    if entry.outcome == "enhancement.failed":
        yield from _problem(end, "enhancement.failure.reason", "enhancement.failure.details")
        yield from _taxonomy(end, "enhancement.failure")
        if missing := end.get("enhancement.impact.data_missing"):
            yield f"missing {value(missing)}", "no"
    elif entry.outcome == "enhancement.cancelled":
        yield from _problem(end, "enhancement.reason")
    prefix = "enhancement.data_appended."
    appended = [(key[len(prefix) :], one) for key, one in end.items() if key.startswith(prefix)]
    if appended:
        yield _pairs(appended), "faint"


def _delivery(_entry: Entry, end: Mapping[str, Value]) -> Iterator[Fact]:
    yield from _amount(end, "delivery.revenue", "revenue")
    yield from _problem(end, "delivery.reason")
    yield from _taxonomy(end, "delivery.failure")
    if code := text(end, "delivery.code"):
        yield f"code {plain(code)}", "faint"
    if reference := text(end, "delivery.reference"):
        yield f"reference {plain(reference)}", "faint"
    tries = end.get("delivery.attempts")
    if isinstance(tries, int) and tries > 1:
        yield f"{tries} tries", ""


def _attempt(entry: Entry, end: Mapping[str, Value]) -> Iterator[Fact]:
    if status := text(end, "http.response.status_code"):
        yield f"HTTP {plain(status)}", ""
    yield from _problem(end, "api.call.reason")
    yield from _taxonomy(end, "error")
    tried = entry.attempt
    if tried is None:
        return
    if tried.planned_ms is not None:
        yield f"next in {duration(tried.planned_ms)}", "faint"
    elif tried.will_retry is False and entry.status == "error":
        yield "no more tries", "no"


def _judgement(entry: Entry, end: Mapping[str, Value]) -> Iterator[Fact]:
    yield from _problem(end, f"{entry.word}.reason")
    yield from _own(entry, end)


def _operation(entry: Entry, end: Mapping[str, Value]) -> Iterator[Fact]:
    yield from _problem(end, "operation.reason", "reason")
    yield from _own(entry, end)


def _other_facts(entry: Entry, end: Mapping[str, Value]) -> Iterator[Fact]:
    """A foreign span: what its conventions say of it."""
    if entry.status_message:
        yield value(entry.status_message), "bad" if entry.status == "error" else "faint"
    found = [(name.rpartition(".")[2], end[name]) for name in _FOREIGN if name in end]
    if found:
        yield _pairs(found), "faint"


_FACTS: Mapping[str, Callable[[Entry, Mapping[str, Value]], Iterator[Fact]]] = {
    "flow": _flow,
    "enhancement": _enhancement,
    "delivery": _delivery,
    "attempt": _attempt,
    "validation": _judgement,
    "rule": _judgement,
    "step": _operation,
    "fallback": _operation,
    "resume": _operation,
}


def _own(entry: Entry, end: Mapping[str, Value]) -> Iterator[Fact]:
    """What the user said about it: keywords under the word's name."""
    said = [
        (key.partition(".")[2], one)
        for key, one in end.items()
        if key.startswith(f"{entry.word}.") and key.partition(".")[2] not in ("name", "reason", "duration_ms")
    ]
    if said:
        yield _pairs(said), "faint"


def _amount(end: Mapping[str, Value], name: str, called: str) -> Iterator[Fact]:
    found = amount(end.get(name))
    if found is not None:
        yield f"{called} {money(found, currency_of(end, name))}", "money"


def _problem(end: Mapping[str, Value], *reasons: str) -> Iterator[Fact]:
    told = text(end, *reasons)
    kind, message = text(end, "error.type"), text(end, "error.message", "exception.message")
    error = ": ".join(plain(one) for one in (kind, message) if one)
    if told and told not in error:
        yield value(told), "bad"
    if error:
        yield value(error, 160), "bad"


def _taxonomy(end: Mapping[str, Value], prefix: str) -> Iterator[Fact]:
    levels = [text(end, f"{prefix}.{level}") for level in ("category", "subcategory", "cause")]
    if any(levels):
        yield f"[{plain('/'.join(one for one in levels if one))}]", "faint"


def _pairs(found: Iterable[tuple[str, Value]]) -> str:
    return " ".join(_pair(key, one) for key, one in found if one != [])


def _pair(key: str, one: Value) -> str:
    if key.endswith("_ms") and isinstance(one, (int, float)) and not isinstance(one, bool) and math.isfinite(one):
        return f"{plain(key.removesuffix('_ms'))}={duration(one)}"
    return f"{plain(key)}={value(one, 80)}"


def event_title(entry: Entry) -> tuple[str, str]:
    """One line for an event that is no word's start or end, and its style."""
    attributes = entry.attributes
    if entry.name == "lead.state.changed":
        before, after = text(attributes, "lead.state.from"), text(attributes, "lead.state.to")
        return f"state {plain(before)} → {plain(after)}" if before else f"state → {plain(after)}", "state"
    if entry.name == "error.occurred":
        kind = text(attributes, "error.type") or "error"
        return f"✗ {plain(kind)}", "bad"
    if entry.name == "error.recovered":
        return "✓ recovered", "good"
    if not entry.name:
        return "log", "faint"
    namespace, _, last = entry.name.rpartition(".")
    if namespace == "delivery" and last in _VERDICTS:
        verdict, style = _VERDICTS[last]
        return f"{verdict[:2]}delivery {verdict[2:]}", style
    if entry.name in _FLOW_ENDS:
        verdict, style = _VERDICTS[last]
        return f"{verdict[:2]}{plain(text(attributes, 'flow.name')) or 'flow'} {verdict[2:]}", style
    return f"• {plain(entry.name)}", _OF_KIND.get(entry.kind, "event")


def event_facts(entry: Entry) -> Iterator[Fact]:
    """What an event says, its own fields in the order in which they came."""
    attributes = entry.attributes
    if entry.name == "error.occurred":
        if message := text(attributes, "error.message"):
            yield value(message, 160), "bad"
        yield from _taxonomy(attributes, "error")
        if (severity := text(attributes, "error.severity")) and severity != "medium":
            yield f"severity {plain(severity)}", "bad"
    elif entry.name == "error.recovered":
        if action := text(attributes, "recovery.action"):
            yield f"by {value(action)}", ""
        if (took := number(attributes, "total_retry_time_ms")) is not None:
            yield f"in {duration(took)}", ""
    elif entry.name == "lead.state.changed":
        if reason := text(attributes, "lead.state.reason"):
            yield value(reason), ""
        if attributes.get("lead.state.final") is True:
            yield "final", "faint"
    elif entry.name == "lead.returned":
        yield from _amount(attributes, "lead.return.amount", "returned")
        if reason := text(attributes, "lead.return.reason"):
            yield value(reason), "no"
    elif entry.name in _FLOW_ENDS:
        yield from _flow(entry, attributes)
        if (took := number(attributes, "flow.summary.total_duration_ms")) is not None:
            yield f"in {duration(took)}", ""
    elif entry.body is not None:
        yield value(entry.body, 200), ""
    amounts = [key for key in attributes if key.endswith(_AMOUNTS) and not _said_already(entry.name, key)]
    for key in amounts:
        yield from _amount(attributes, key, _short(entry.name, key))
    told = [
        (_short(entry.name, key), one)
        for key, one in attributes.items()
        if not (key in _QUIET or key.startswith(_QUIET_PREFIXES) or key in amounts or _said_already(entry.name, key))
        and not (amounts and key.rpartition(".")[2] == "currency")
    ]
    if told:
        yield _pairs(told), "faint"


def _short(name: str, key: str) -> str:
    namespace = name.rpartition(".")[0]
    return key[len(namespace) + 1 :] if namespace and key.startswith(f"{namespace}.") else key


def _said_already(name: str, key: str) -> bool:
    if name == "error.occurred":
        return key in _TOLD_OF_ERROR
    if name == "lead.state.changed":
        return key.startswith("lead.state.")
    if name == "error.recovered":
        return key in ("recovery.action", "total_retry_time_ms", "recovery.success")
    if name == "lead.returned":
        return key.startswith("lead.return.") or key.endswith("currency")
    if name in _FLOW_ENDS:  # its sums are the lead's header, and the whole of it is in the JSON
        return key == "currency" or key.startswith(("flow.", "error."))
    return name.startswith("delivery.") and key == "delivery.id"
