"""`sender`: the user's function that brings one lead event to one platform, and what its answer means."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from leadtrace.catalogue.taxonomy import classify, status_of
from leadtrace.errors import DecorationError
from leadtrace.otlp.retry_after import retry_after_s
from leadtrace.words.answers import Answer
from leadtrace.words.payloads import without_values
from leadtrace.words.raised import qualified, unwrapped

if TYPE_CHECKING:
    from leadtrace.otlp.lead_event import LeadEvent

__all__ = ["Refused", "Said", "Sender", "sender", "senders", "what_was_raised", "what_was_said"]

F = TypeVar("F", bound=Callable[..., object])


class Refused(Exception):  # noqa: N818 - it reads as what a platform did: raise lt.Refused("…")
    """Raised by a sender: the platform will never take this payload. It goes into quarantine with the reason."""

    def __init__(self, reason: str = "", *, field: str = "", status: int = 0) -> None:
        super().__init__(reason or "refused")
        self.reason = reason or "refused"
        self.field = field
        self.status = status


@dataclass(slots=True, frozen=True)
class Sender:
    """A function that sends, as it is marked."""

    destination: str
    function: Callable[..., object]
    takes_event: bool
    """Whether it is called with the `LeadEvent` beside the payload."""
    refused: tuple[type[BaseException] | int, ...]
    first_wait_s: float
    longest_wait_s: float
    max_attempts: int | None

    def call(self, payload: Any, event: LeadEvent) -> object:
        """What the function gives back: of a coroutine function, the coroutine."""
        return self.function(payload, event) if self.takes_event else self.function(payload)


@dataclass(slots=True, frozen=True)
class Said:
    """What one try came to."""

    outcome: str
    """`sent`, `failed` or `refused`."""
    reason: str = ""
    field: str = ""
    error_type: str = ""
    status: int = 0
    after_s: float | None = None
    """How long the platform asks to be left alone."""
    platform_failed: bool = False
    may_be_sent: bool = False


senders: dict[str, Sender] = {}
"""By platform; of this process."""


def sender(
    destination: str,
    *,
    refused: type[BaseException] | int | Sequence[type[BaseException] | int] = (),
    first_wait_s: float = 1.0,
    longest_wait_s: float = 300.0,
    max_attempts: int | None = None,
) -> Callable[[F], F]:
    """Mark the function that sends one lead event to that platform: `send_waiting` and `sending` call it.

    It gets the payload and, if it takes a second parameter, the `LeadEvent` (id, ids, attempt, resend). It may be a
    coroutine function. Raising is a failed try, told as `lead.event.failed`, and there will be another; so is returning
    `lt.failed(…)` or an answer whose integer `status_code` or `status` is not 2xx. Raising `lt.Refused`, or returning
    `lt.rejected(…)`, says that the platform will never take it: it goes into quarantine. Anything else returned is sent.

    refused: exception classes, and statuses, that mean the same as `lt.Refused`.
    first_wait_s, longest_wait_s: the wait before the second try; doubled each time, up to the longest, with jitter.
    max_attempts: after so many failed tries it goes into quarantine; None: it is tried without end.
    """
    if not isinstance(destination, str) or not destination:
        raise DecorationError(f"lt.sender takes the platform's name, not {destination!r}")
    listed = (refused,) if isinstance(refused, (type, int)) else tuple(refused)
    for one in listed:
        if not (isinstance(one, int) or (isinstance(one, type) and issubclass(one, BaseException))):
            raise DecorationError(f"lt.sender refused= takes exception classes and statuses, not {one!r}")
    if not 0 < first_wait_s <= longest_wait_s:
        raise DecorationError(
            f"lt.sender waits first_wait_s up to longest_wait_s, not {first_wait_s} to {longest_wait_s}"
        )
    if max_attempts is not None and max_attempts < 1:
        raise DecorationError(f"lt.sender tries at least once, not {max_attempts} times")

    def mark(function: F) -> F:
        takes_event = _takes_event(function, destination)
        before = senders.get(destination)
        if before is not None and _name(before.function) != _name(function):
            raise DecorationError(f"{destination!r} has a sender already, {_name(before.function)}; a platform has one")
        senders[destination] = Sender(
            destination, function, takes_event, listed, first_wait_s, longest_wait_s, max_attempts
        )
        return function

    return mark


def _name(function: Callable[..., object]) -> str:
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__qualname__)}"


def _takes_event(function: Callable[..., object], destination: str) -> bool:
    """Whether it can be called with the payload and the event; with the payload alone, at least."""
    if not callable(function):
        raise DecorationError(f"lt.sender({destination!r}) marks a function, not {function!r}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True
    for given in ((0, 0), (0,)):
        try:
            signature.bind(*given)
        except TypeError:
            continue
        return len(given) == 2
    raise DecorationError(
        f"lt.sender({destination!r}): {_name(function)} is called with the payload and the event, or the payload alone, "
        f"and takes {signature}"
    )


def what_was_said(answer: object, by: Sender, payload: Any) -> Said:
    """What a sender's return value means."""
    if isinstance(answer, Answer):
        reason = without_values(answer.reason, payload)
        code = answer.fields.get("code")
        told = without_values(f"{reason} ({code})" if code and reason else str(code or reason), payload)
        match answer.verdict:
            case "rejected":
                return Said("refused", told or "refused")
            case "failed":
                technical = answer.fields.get("category") == "technical"
                return Said("failed", told or "failed", after_s=_asked(answer), platform_failed=technical)
            case "unconfirmed":
                return Said("failed", told or "unconfirmed", may_be_sent=True)
        return Said("sent")
    if answer is False:
        return Said("failed", "the sender returned False")
    status = status_of(answer)
    if not status or 200 <= status < 300:
        return Said("sent", status=status)
    reason = f"answered {status}"
    if status in by.refused:
        return Said("refused", reason, error_type=str(status), status=status)
    return Said(
        "failed",
        reason,
        error_type=str(status),
        status=status,
        after_s=_asked(answer),
        platform_failed=_platforms_fault(status),
        may_be_sent=_half_done(status),
    )


def what_was_raised(problem: BaseException, by: Sender, payload: Any) -> Said:
    """What a sender's exception means."""
    told = unwrapped(problem)
    if isinstance(told, Refused):
        return Said("refused", without_values(told.reason, payload), told.field, qualified(told), told.status)
    failure = classify(told)
    status = failure.status or status_of(getattr(told, "response", None)) or status_of(told)
    try:
        text = str(told)
    except Exception:  # noqa: BLE001 - a host's __str__ may raise anything
        text = ""
    reason = without_values(text, payload)[:500] or qualified(told)
    classes = tuple(one for one in by.refused if isinstance(one, type))
    if isinstance(told, classes) or (status and status in by.refused):
        return Said("refused", reason, error_type=qualified(told), status=status)
    answered = bool(status) and not _half_done(status)
    never_left = not status and failure.reached == "no" and failure.category == "technical"
    return Said(
        "failed",
        reason,
        error_type=qualified(told),
        status=status,
        after_s=_asked(told),
        platform_failed=_platforms_fault(status) if status else failure.category == "technical",
        may_be_sent=not (answered or never_left),
    )


def _platforms_fault(status: int) -> bool:
    """Whether other lead events would be answered likewise: not let in, too many at once, or broken."""
    return status in (401, 403, 408, 425, 429) or status >= 500


def _half_done(status: int) -> bool:
    """Whether an answer with that status leaves open if the platform has it."""
    return status >= 500 and status not in (501, 503)


def _asked(answer: object) -> float | None:
    """How long an answer or exception asks to be left alone: its `retry_after`, or the header of its response."""
    if isinstance(answer, Answer):
        seconds = answer.fields.get("retry_after")
        return float(seconds) if isinstance(seconds, (int, float)) else None
    try:
        seconds = getattr(answer, "retry_after", None)
        if isinstance(seconds, (int, float)) and not isinstance(seconds, bool):
            return max(0.0, float(seconds))
        for one in (getattr(answer, "response", None), answer):
            headers = getattr(one, "headers", None)
            if headers is not None and hasattr(headers, "get"):
                found = headers.get("Retry-After") or headers.get("retry-after")
                if found is not None:
                    return retry_after_s(str(found))
    except Exception:  # noqa: BLE001 - the host's own object may do anything when it is asked
        return None
    return None
