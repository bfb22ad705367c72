"""What to do about an error: the table of errors, likely causes and actions, which users extend.

An error's row is the most telling one that fits its place in the taxonomy and the word that it arose under; a timeline
shows that row's first action beside the error. Rows for symptoms (slow flows, a low share of cache hits) have a name and are
asked for by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Advice", "add", "rows", "suggestion_for", "symptom"]


@dataclass(slots=True, frozen=True, kw_only=True)
class Advice:
    """One row: when it applies, what may be behind it, and what to do, the first thing first.

    Empty conditions hold for everything; of several rows that fit, the one with the most conditions is taken, of equals a
    user's own, then the earlier one.
    """

    title: str
    causes: tuple[str, ...]
    actions: tuple[str, ...]
    word: str = ""
    """The word that the error arose under: `enhancement`, `delivery`, `attempt` …"""
    category: str = ""
    subcategory: str = ""
    cause: str = ""
    error_type: str = ""
    code: str = ""
    symptom: str = ""
    """The name of a symptom; such a row is no error's."""
    if_periodic: str = ""
    """What to do first where it comes back at regular intervals."""
    if_one_buyer: str = ""
    """What to do first where it comes from one buyer alone."""

    @property
    def suggestion(self) -> str:
        """The first action."""
        return self.actions[0]

    def fit(self, told: Mapping[str, str]) -> int:
        """How many of its conditions hold; -1 where one does not."""
        wanted = [(name, getattr(self, name)) for name in _CONDITIONS]
        held = [told.get(name) == value for name, value in wanted if value]
        return len(held) if all(held) and not self.symptom else -1


_CONDITIONS = ("word", "category", "subcategory", "cause", "error_type", "code")

_TABLE: tuple[Advice, ...] = (
    Advice(
        title="Service keeps timing out",
        subcategory="timeout",
        causes=(
            "the service answers slowly",
            "the network delays",
            "the service is overloaded",
            "the time-out is too short",
        ),
        actions=(
            "Look at the service's status page, then compare the time-out with its usual response time.",
            "Cache its answers, so that fewer calls depend on it.",
            "Add a fallback service, or raise the time-out if the flow can afford to wait.",
        ),
    ),
    Advice(
        title="Enhancement times out",
        word="enhancement",
        subcategory="timeout",
        causes=(
            "the service answers slowly",
            "the network delays",
            "the service is overloaded",
            "the time-out is too short",
        ),
        actions=(
            "Check the service's status; if it is up, raise the time-out or cache its answers.",
            "Add a fallback service, so that the lead does not go on without the data.",
        ),
    ),
    Advice(
        title="Delivery got no answer in time",
        word="delivery",
        subcategory="timeout",
        causes=("the buyer answers slowly", "the request arrived and its answer was lost"),
        actions=(
            "Ask the buyer whether the lead arrived before sending it again.",
            "Agree on a reference by which the buyer recognises a lead that is sent twice.",
        ),
    ),
    Advice(
        title="Access refused",
        subcategory="authentication",
        causes=("the key is wrong or was withdrawn", "the token ran out"),
        actions=(
            "Check the key or token that this service was called with; renew it if it has run out.",
            "If it comes back at regular intervals, renew the token automatically before it runs out.",
        ),
        if_periodic="Renew the token automatically, before it runs out again.",
    ),
    Advice(
        title="Token ran out",
        subcategory="authentication",
        cause="expired_token",
        causes=("the token's lifetime ended and nobody renewed it",),
        actions=("Renew the token, and automate the renewal ahead of its end.",),
        if_periodic="Renew the token automatically, before it runs out again.",
    ),
    Advice(
        title="Called too often",
        subcategory="authentication",
        cause="rate_limit",
        causes=("more calls than the contract allows", "retries that come too quickly"),
        actions=(
            "Space the calls out by the wait that the service asks for, and cache answers.",
            "Ask the service for a higher limit.",
        ),
    ),
    Advice(
        title="Service cannot be reached",
        subcategory="connection",
        causes=("the service is down", "its name or address changed", "the network between is broken"),
        actions=(
            "Check whether the service is up and reachable from this machine.",
            "Add a fallback, or a circuit breaker that stops calling it while it is down.",
        ),
    ),
    Advice(
        title="Name does not resolve",
        subcategory="connection",
        cause="dns_failure",
        causes=("the host name is misspelt or gone", "the resolver is down"),
        actions=("Check the host name in the configuration, then the resolver of this machine.",),
    ),
    Advice(
        title="No secure connection",
        subcategory="connection",
        cause="tls_error",
        causes=("the certificate ran out or is for another name", "one side lacks a protocol version or authority"),
        actions=("Look at the certificate that the service shows: its dates, its name, its authority.",),
    ),
    Advice(
        title="Input was refused",
        category="data",
        subcategory="invalid_input",
        causes=("a malformed phone number or e-mail address", "a required field is missing"),
        actions=("Validate the lead before the call, and decline it where the source leaves the field out.",),
    ),
    Advice(
        title="No match",
        category="data",
        subcategory="no_match",
        causes=("the person, business or address is not in the service's data",),
        actions=(
            "Go on without the data, or ask another service; the share of misses by source says which leads are poor.",
        ),
    ),
    Advice(
        title="Poor data",
        category="data",
        subcategory="quality",
        causes=("a match of low confidence", "answers that contradict each other", "stale data"),
        actions=("Compare the answer with a second service, or raise the threshold below which it is not used.",),
    ),
    Advice(
        title="Input cannot be parsed",
        category="processing",
        subcategory="parsing",
        causes=("the other side changed its format", "invalid JSON or XML", "another encoding than expected"),
        actions=(
            "Look at the raw input and its encoding, and compare the format with the documentation.",
            "Review what changed last on either side, then adapt the parser.",
        ),
    ),
    Advice(
        title="Buyer's answer cannot be parsed",
        word="delivery",
        category="processing",
        subcategory="parsing",
        causes=("the buyer changed its answer's format", "the buyer answers with an error page"),
        actions=(
            "Check the buyer's API documentation against the answer that came.",
            "If all such errors come from one buyer, tell its technical team.",
        ),
        if_one_buyer="Tell this buyer's technical team, with a raw answer of it.",
    ),
    Advice(
        title="Rule or condition is at fault",
        category="processing",
        subcategory="logic",
        causes=("two rules contradict each other", "a reference goes in a circle", "a condition cannot be evaluated"),
        actions=("Read the rule or condition named in the error with this lead's values in mind.",),
    ),
    Advice(
        title="Data are not as the code expects",
        category="processing",
        subcategory="data",
        causes=("a value of another type", "a required field is missing", "a validation failed"),
        actions=("Compare the lead's fields with what this step expects, and validate where the lead comes in.",),
    ),
    Advice(
        title="Resources run out",
        category="system",
        subcategory="resource",
        causes=("memory at its limit", "throttled CPU", "a full disk"),
        actions=(
            "Look at memory, CPU and disk of this machine at the time of the error.",
            "Add capacity, or make the queries and batches smaller.",
        ),
    ),
    Advice(
        title="Disk is full",
        category="system",
        subcategory="resource",
        cause="disk",
        causes=("logs or data grew beyond what the disk holds",),
        actions=("Free space or enlarge the disk, then see what has grown.",),
    ),
    Advice(
        title="Own service is unavailable",
        category="system",
        subcategory="service",
        causes=("the database is down or refuses connections", "the cache is unavailable", "the queue backs up"),
        actions=("Check the database, cache or queue named in the error, and how many connections it has.",),
    ),
    Advice(
        title="Interfaces do not fit",
        category="system",
        subcategory="integration",
        causes=("the other side changed its API", "protocols do not match", "two versions do not go together"),
        actions=("Compare the API version in use with what the service offers now.",),
    ),
    Advice(
        title="Error",
        causes=("not told apart yet",),
        actions=("Group by type and place, and look for what the errors have in common: buyer, source, hour.",),
    ),
    Advice(
        title="Few cache hits",
        symptom="low_cache_hit_rate",
        causes=(
            "keys that differ where the answers do not",
            "entries that run out too early",
            "data that never repeat",
        ),
        actions=(
            "Review the cache's keys, then how long entries are kept.",
            "Look at how often the same question comes back; below that no cache helps.",
        ),
    ),
    Advice(
        title="Flows run slowly",
        symptom="slow_flow",
        causes=("one slow step on the critical path", "enhancements that wait for one another"),
        actions=(
            "Find the step with the most time of its own on the critical path.",
            "Run enhancements that do not need each other side by side, and cache the slowest.",
        ),
    ),
    Advice(
        title="Many errors",
        symptom="high_error_rate",
        causes=("one cause that shows in many places", "a release or a change on the other side"),
        actions=("Group the errors by type, find what the largest group has in common, and mend that first.",),
    ),
    Advice(
        title="Performance degrades",
        symptom="degraded",
        causes=(
            "a service degrades",
            "volume rose suddenly",
            "the configuration changed",
            "an external API has a problem",
        ),
        actions=("Compare volume, time-outs per service and the last changes with the hour before it began.",),
    ),
    Advice(
        title="Crisis",
        symptom="crisis",
        causes=("failures that cause further failures",),
        actions=(
            "Find the first failure in time, and put a workaround before it.",
            "Tell those whose money it is, and watch the recovery.",
        ),
    ),
)

_own: list[Advice] = []


def add(advice: Advice) -> None:
    """Add a row of one's own; it wins over a row of leadtrace's with as many conditions."""
    _own.insert(0, advice)


def rows() -> tuple[Advice, ...]:
    """All rows, users' own first."""
    return (*_own, *_TABLE)


def suggestion_for(attributes: Mapping[str, object]) -> Advice | None:
    """The row that fits an event's attributes best; None where they tell of no error."""
    told = _told(attributes)
    if told is None:
        return None
    return max(rows(), key=lambda row: row.fit(told))


def symptom(name: str) -> Advice | None:
    """The row of that symptom (`slow_flow`, `low_cache_hit_rate`, `high_error_rate`, `degraded`, `crisis`)."""
    return next((row for row in rows() if row.symptom == name), None)


def _told(attributes: Mapping[str, object]) -> dict[str, str] | None:
    """What the attributes tell of an error, under the conditions' names; None where they tell of none."""
    told: dict[str, str] = {}
    for prefix, word in (("enhancement.failure.", "enhancement"), ("delivery.failure.", "delivery"), ("error.", "")):
        for name in ("category", "subcategory", "cause"):
            if (value := attributes.get(f"{prefix}{name}")) is not None:
                told.setdefault(name, str(value))
                if word:
                    told.setdefault("word", word)
    for name, attribute in (
        ("error_type", "error.type"),
        ("code", "error.code"),
        ("code", "enhancement.failure.error_code"),
    ):
        if (value := attributes.get(attribute)) is not None:
            told.setdefault(name, str(value))
    if not told:
        return None
    if word_told := attributes.get("leadtrace.word"):
        told["word"] = str(word_told)
    return told
