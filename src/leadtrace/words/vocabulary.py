"""The words as users write them: one function per word, whose signature says what the word reads.

Each is a decorator, bare (`@lt.step`) or called (`@lt.step("routing")`), and a context manager, sync and async. Where a
parameter takes a value, a decorator also takes a reference (`lt.arg.lead.id`, `lt.result`) or a callable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from leadtrace.errors import DecorationError
from leadtrace.words.context import innermost
from leadtrace.words.silent import SILENT
from leadtrace.words.word import Word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from leadtrace.words.answers import Money
    from leadtrace.words.handle import Handle

__all__ = [
    "WORDS",
    "attempt",
    "current",
    "delivery",
    "enhancement",
    "fallback",
    "flow",
    "identify",
    "note",
    "resume",
    "rule",
    "step",
    "validation",
]

F = TypeVar("F", bound="Callable[..., Any] | classmethod[Any, ..., Any] | staticmethod[..., Any]")
"""What a word decorates, given back as it is: its signature, overloads included, stays that of the function."""

WORDS = frozenset({"attempt", "delivery", "enhancement", "fallback", "flow", "resume", "rule", "step", "validation"})

Expected = type[BaseException] | tuple[type[BaseException], ...]


def _make(
    word: str,
    name: Any,
    fields: Mapping[str, object],
    options: Mapping[str, object],
    attributes: Mapping[str, object] | None,
    expected: object,
) -> Any:
    """A word; used bare, the function that it decorates comes in the place of the name."""
    if name is not None and not isinstance(name, str):
        if callable(name) or isinstance(name, (classmethod, staticmethod)):
            return Word(word, "", fields, options, attributes, expected)(name)
        raise DecorationError(f"lt.{word} takes its name as text, not {type(name).__name__}; fields go by keyword")
    return Word(word, name or "", fields, options, attributes, expected)


@overload
def flow(function: F, /) -> F: ...
@overload
def flow(
    name: str = ...,
    /,
    *,
    id: Any = ...,
    version: Any = ...,
    source: Any = ...,
    campaign: Any = ...,
    campaign_group: Any = ...,
    ends: Literal["here", "elsewhere"] = ...,
    new_trace: bool = ...,
    lead_id: Any = ...,
    tenant: Any = ...,
    expected: Expected = ...,
    attributes: Mapping[str, Any] | None = ...,
    **fields: Any,
) -> Word: ...
def flow(
    name: Any = None,
    /,
    *,
    id: Any = None,  # noqa: A002 - the field is called so
    version: Any = None,
    source: Any = None,
    campaign: Any = None,
    campaign_group: Any = None,
    ends: Literal["here", "elsewhere"] = "here",
    new_trace: bool = False,
    lead_id: Any = None,
    tenant: Any = None,
    expected: Any = (),
    attributes: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Any:
    """One passage of a lead: the run in which all words beneath count.

    It ends as `flow.completed` with the computed summary, journey and performance, or as failed or cancelled. With
    `ends="elsewhere"` the call's end is `flow.handed_over`, and the flow ends where its last part is resumed.
    `new_trace=True` starts a trace of its own, linked to the current span.
    """
    if ends not in ("here", "elsewhere"):
        raise DecorationError(f"lt.flow: ends= is 'here' or 'elsewhere', not {ends!r}")
    named = {
        "id": id,
        "version": version,
        "journey_source": source,
        "journey_campaign": campaign,
        "journey_campaign_group": campaign_group,
        **fields,
    }
    if isinstance(name, str):
        named["name"] = name
    options = {
        "ends": ends if ends == "elsewhere" else None,
        "new_trace": new_trace or None,
        "lead_id": lead_id,
        "tenant": tenant,
    }
    return _make("flow", name, named, options, attributes, expected)


@overload
def step(function: F, /) -> F: ...
@overload
def step(
    name: str = ...,
    /,
    *,
    lead_id: Any = ...,
    lead_ids: Any = ...,
    tenant: Any = ...,
    expected: Expected = ...,
    attributes: Mapping[str, Any] | None = ...,
    **fields: Any,
) -> Word: ...
def step(
    name: Any = None,
    /,
    *,
    lead_id: Any = None,
    lead_ids: Any = None,
    tenant: Any = None,
    expected: Any = (),
    attributes: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Any:
    """One operation of a flow. Keywords of your own (`chosen=lt.result[0].name`) go on its span and end event as `step.…`."""
    options = {"lead_id": lead_id, "lead_ids": lead_ids, "tenant": tenant}
    return _make("step", name, fields, options, attributes, expected)


@overload
def enhancement(function: F, /) -> F: ...
@overload
def enhancement(
    name: str = ...,
    /,
    *,
    service: Any = ...,
    step_id: Any = ...,
    position: Any = ...,
    cost: Callable[..., Any] | Money | None = ...,
    currency: str | None = ...,
    data: Callable[..., Any] | Sequence[str] | str | None = ...,
    provides: Sequence[str] | None = ...,
    outcome: Callable[..., Any] | None = ...,
    lead_id: Any = ...,
    lead_ids: Any = ...,
    tenant: Any = ...,
    expected: Expected = ...,
    attributes: Mapping[str, Any] | None = ...,
    **fields: Any,
) -> Word: ...
def enhancement(
    name: Any = None,
    /,
    *,
    service: Any = None,
    step_id: Any = None,
    position: Any = None,
    cost: Any = None,
    currency: str | None = None,
    data: Any = None,
    provides: Sequence[str] | None = None,
    outcome: Any = None,
    lead_id: Any = None,
    lead_ids: Any = None,
    tenant: Any = None,
    expected: Any = (),
    attributes: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Any:
    """Data asked of a service. `cost` is charged on success, in major units; a cache hit (`note(cache_hit=True)`) avoids it.

    `data` names the keys (or attributes) of what is returned that are recorded; `provides` what a lead lacks if it fails;
    `outcome` makes an answer of what is returned.
    """
    named = {"service": service, "step_id": step_id, "position": position, **fields}
    options = {
        "cost": cost,
        "currency": currency,
        "data": data,
        "provides": provides,
        "outcome": outcome,
        "lead_id": lead_id,
        "lead_ids": lead_ids,
        "tenant": tenant,
    }
    return _make("enhancement", name, named, options, attributes, expected)


@overload
def delivery(function: F, /) -> F: ...
@overload
def delivery(
    buyer: Any = ...,
    *,
    answer: Callable[..., Any] | None = ...,
    currency: str | None = ...,
    lead_id: Any = ...,
    lead_ids: Any = ...,
    tenant: Any = ...,
    expected: Expected = ...,
    attributes: Mapping[str, Any] | None = ...,
    **fields: Any,
) -> Word: ...
def delivery(
    buyer: Any = None,
    *,
    answer: Any = None,
    currency: str | None = None,
    lead_id: Any = None,
    lead_ids: Any = None,
    tenant: Any = None,
    expected: Any = (),
    attributes: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Any:
    """A lead offered to a buyer: accepted, rejected, pending, failed or unconfirmed; with no answer, unconfirmed.

    `answer` makes the answer of what is returned (`lt.accepted(revenue=…)` and its like); or return one, or give it by the
    handle's method. The handle's `id` is the delivery's, by which a pending one is closed later.
    """
    from leadtrace.words.references import Reference

    options = {"answer": answer, "currency": currency, "lead_id": lead_id, "lead_ids": lead_ids, "tenant": tenant}
    bare = isinstance(buyer, (classmethod, staticmethod)) or (callable(buyer) and not isinstance(buyer, Reference))
    if bare and answer is None and not fields and lead_id is None:
        return _make("delivery", buyer, {}, options, attributes, expected)
    return _make("delivery", "", {"buyer": buyer, **fields}, options, attributes, expected)


@overload
def attempt(function: F, /) -> F: ...
@overload
def attempt(
    name: str = ...,
    /,
    *,
    number: Any = ...,
    max_attempts: Any = ...,
    outcome: Callable[..., Any] | None = ...,
    wait_ms: Any = ...,
    will_retry: Any = ...,
    lead_id: Any = ...,
    tenant: Any = ...,
    expected: Expected = ...,
    attributes: Mapping[str, Any] | None = ...,
    **fields: Any,
) -> Word: ...
def attempt(
    name: Any = None,
    /,
    *,
    number: Any = None,
    max_attempts: Any = None,
    outcome: Any = None,
    wait_ms: Any = None,
    will_retry: Any = None,
    lead_id: Any = None,
    tenant: Any = None,
    expected: Any = (),
    attributes: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Any:
    """One try of a call to another system, numbered under the word around it; put it inside the retry library's decorator.

    A returned status of 408, 425, 429 or 5xx is a failed try; every other status is an answer, whatever it says.
    """
    options = {
        "number": number,
        "outcome": outcome,
        "wait_ms": wait_ms,
        "will_retry": will_retry,
        "max_attempts": max_attempts,
        "lead_id": lead_id,
        "tenant": tenant,
    }
    return _make("attempt", name, {"max_attempts": max_attempts, **fields}, options, attributes, expected)


@overload
def validation(function: F, /) -> F: ...
@overload
def validation(
    name: str = ...,
    /,
    *,
    passed: Callable[..., Any] | bool | None = ...,
    reason: Callable[..., Any] | str | None = ...,
    lead_id: Any = ...,
    tenant: Any = ...,
    expected: Expected = ...,
    attributes: Mapping[str, Any] | None = ...,
    **fields: Any,
) -> Word: ...
def validation(
    name: Any = None,
    /,
    *,
    passed: Any = None,
    reason: Any = None,
    lead_id: Any = None,
    tenant: Any = None,
    expected: Any = (),
    attributes: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Any:
    """A check of the lead. Without `passed` the truth of the result decides; `reason` is read only for a no."""
    options = {"passed": passed, "reason": reason, "lead_id": lead_id, "tenant": tenant}
    return _make("validation", name, fields, options, attributes, expected)


@overload
def rule(function: F, /) -> F: ...
@overload
def rule(
    name: str = ...,
    /,
    *,
    passed: Callable[..., Any] | bool | None = ...,
    reason: Callable[..., Any] | str | None = ...,
    lead_id: Any = ...,
    tenant: Any = ...,
    expected: Expected = ...,
    attributes: Mapping[str, Any] | None = ...,
    **fields: Any,
) -> Word: ...
def rule(
    name: Any = None,
    /,
    *,
    passed: Any = None,
    reason: Any = None,
    lead_id: Any = None,
    tenant: Any = None,
    expected: Any = (),
    attributes: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Any:
    """A business rule: satisfied or rejected. Without `passed` the truth of the result decides; `reason` is read only for a no."""
    options = {"passed": passed, "reason": reason, "lead_id": lead_id, "tenant": tenant}
    return _make("rule", name, fields, options, attributes, expected)


@overload
def fallback(function: F, /) -> F: ...
@overload
def fallback(
    name: str = ...,
    /,
    *,
    instead_of: Any = ...,
    lead_id: Any = ...,
    tenant: Any = ...,
    expected: Expected = ...,
    attributes: Mapping[str, Any] | None = ...,
    **fields: Any,
) -> Word: ...
def fallback(
    name: Any = None,
    /,
    *,
    instead_of: Any = None,
    lead_id: Any = None,
    tenant: Any = None,
    expected: Any = (),
    attributes: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Any:
    """Another way in place of `instead_of` (the name of an enhancement or step, or a buyer). The lead is recovered when
    that one had failed and an enhancement or delivery beneath this word succeeds."""
    options = {"instead_of": instead_of, "lead_id": lead_id, "tenant": tenant}
    return _make("fallback", name, fields, options, attributes, expected)


def resume(
    carried: Any = None,
    *,
    ends_flow: bool = False,
    lead_id: Any = None,
    tenant: Any = None,
    expected: Any = (),
    attributes: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Word:
    """Go on with what `carry()` handed over, in a new trace linked to the one it came from.

    Never raises for what it is given: None or nonsense starts a run of its own, marked. With `ends_flow=True` the carried
    flow ends as this block ends.
    """
    options = {"carried": carried, "ends_flow": ends_flow or None, "lead_id": lead_id, "tenant": tenant}
    return Word("resume", "", fields, options, attributes, expected)


def current() -> Handle:
    """The handle of the innermost open word. Outside any, one that is false and records nothing: `lt.current().note(…)` is safe."""
    at = innermost()
    while at is not None and at.ended:  # code that outlives its word, or a context that the host's generators mixed
        at = at.parent
    return at or cast("Handle", SILENT)


def note(*, attributes: Mapping[str, object] | None = None, **fields: object) -> None:
    """Set fields of the innermost open word: they go on its end event and its span."""
    current().note(attributes=attributes, **fields)


def identify(lead_id: object, *, tenant: object = None) -> None:
    """Say which lead the passage that is open here is about, once it is known."""
    current().identify(lead_id, tenant=tenant)
