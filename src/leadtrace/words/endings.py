"""How a word ends: given what happened, which event says so, with which fields. Decisions only; nothing here records.

What happened is one of: returned, raised, expected (an exception that is an answer), cancelled, timed out (cancelled by
`lt.timeout`). An answer that was given stands before all of these.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from leadtrace.catalogue.taxonomy import Failure, classify, failed_status, status_of

if TYPE_CHECKING:
    from leadtrace.words.answers import Answer
    from leadtrace.words.handle import Handle

__all__ = ["Ending", "Happened", "attempt", "delivery", "enhancement", "flow", "judgement", "operation"]


@dataclass(slots=True)
class Happened:
    """How the body of a word was left."""

    how: Literal["returned", "raised", "expected", "cancelled", "timed_out"]
    duration_ms: float
    problem: BaseException | None = None
    """What was raised; a retry library's wrapper is replaced by its cause."""
    type: str = ""
    message: str = ""
    """Of the problem, scrubbed."""
    reason: str = ""
    """Of a cancellation or time-out."""
    has_result: bool = False
    result: Any = None


@dataclass(slots=True)
class Ending:
    """The event that closes a word: its name, its keywords, further attributes, and whether the span's status is ERROR."""

    event: str
    fields: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    expected: bool = False
    status_message: str = ""
    reached: str = ""
    """Of a failed attempt: whether the request can have reached the other side (`no`, `maybe`, `yes`)."""


def _failure(happened: Happened, answer: Answer | None, domain: Literal["enhancement", "error"]) -> Failure:
    """Where the failure stands in the taxonomy: as the answer says, else as the exception or value is classified."""
    if happened.how == "timed_out":
        found = classify(TimeoutError(happened.reason), domain=domain)
    elif happened.problem is not None:
        found = classify(happened.problem, domain=domain)
    elif happened.has_result:
        found = classify(happened.result, domain=domain)
    else:
        found = Failure()
    if answer is None:
        return found
    said = answer.fields
    if not any(key in said for key in ("category", "subcategory", "cause")):
        return found if happened.problem is not None else Failure(error_code=found.error_code)
    return Failure(
        str(said.get("category", "")), str(said.get("subcategory", "")), str(said.get("cause", "")), found.error_code
    )


def _raised(happened: Happened, failure: Failure, answer: Answer | None) -> dict[str, Any]:
    """The fields of `error.*` that any failed end may carry."""
    if happened.how == "timed_out":
        return {"error_type": "TimeoutError", "error_message": happened.reason}
    if happened.problem is not None and answer is None:
        return {"error_type": happened.type, "error_message": happened.message}
    reason = answer.reason if answer is not None else ""
    return {"error_type": failure.error_code or failure.subcategory or "_OTHER", "error_message": reason}


def _prefixed(prefix: str, failure: Failure) -> dict[str, Any]:
    return {
        f"{prefix}_category": failure.category,
        f"{prefix}_subcategory": failure.subcategory,
        f"{prefix}_cause": failure.cause,
    }


def _rest(answer: Answer, *known: str) -> dict[str, Any]:
    """What an answer says beyond the keywords that its word reads itself."""
    return {key: value for key, value in answer.fields.items() if key not in known}


def _words(failure: Failure) -> str:
    """A failure for a person: `timeout`, `connection: dns failure`."""
    levels = [one.replace("_", " ") for one in (failure.subcategory, failure.cause) if one]
    return ": ".join(levels)


_FAILED_FIELDS = ("category", "subcategory", "cause", "cost")


def operation(handle: Handle, happened: Happened) -> Ending:
    """A step, a fallback, a resumed passage."""
    answer = handle.answer
    ended: dict[str, Any] = {"duration_ms": happened.duration_ms}
    if answer is not None and answer.verdict != "failed":
        return Ending("operation.completed", {**ended, "success": True, **answer.fields})
    if answer is not None or happened.how in ("raised", "timed_out"):
        failure = _failure(happened, answer, "error")
        fields = {**ended, **_raised(happened, failure, answer), **_prefixed("error", failure)}
        fields["error_code"] = failure.error_code
        if answer is not None:
            fields.update(_rest(answer, *_FAILED_FIELDS))
        return Ending("operation.failed", fields, status_message=fields["error_message"])
    if happened.how == "cancelled":
        return Ending("operation.cancelled", {**ended, "reason": happened.reason})
    if happened.how == "expected":
        return Ending("operation.completed", {**ended, "success": True}, {"leadtrace.expected": happened.type}, True)
    return Ending("operation.completed", {**ended, "success": True})


def enhancement(handle: Handle, happened: Happened) -> Ending:
    """Data asked of a service: success with its cost, or failure with what is missing now."""
    answer = handle.answer
    options = handle.options
    fields: dict[str, Any] = {**_named(handle), "duration_ms": happened.duration_ms}
    explicit: object = handle.notes.get("enhancement.cost")
    if answer is not None and answer.fields.get("cost") is not None:
        explicit = answer.fields["cost"]
    if explicit is not None:
        fields["cost"] = explicit
    cached = handle.notes.get("enhancement.cache_hit") is True
    charge = options.get("cost")
    status = _bad_status(happened) if answer is None else None
    verdict = answer.verdict if answer is not None else ("failed" if status else None)
    good = verdict in ("accepted", "pending") or (verdict is None and happened.how == "returned")
    if good:
        if explicit is None and charge is not None:
            fields["cost"] = 0.0 if cached else charge
        if cached and charge is not None and explicit is None:
            fields["cost_avoided"] = charge
        fields["outcome"] = "success"
        if answer is not None:
            fields.update(_rest(answer, "cost", "reference"))
        fields["data_appended"] = options.get("data_appended")
        ending = Ending("enhancement.success", fields)
    elif verdict is None and happened.how == "cancelled":
        ending = Ending("enhancement.cancelled", {**fields, "reason": happened.reason})
    else:
        ending = _enhancement_failed(handle, happened, answer, fields)
    if fields.get("cost") is not None or fields.get("cost_avoided") is not None:
        ending.fields.setdefault("currency", options.get("currency"))
    return ending


_NO_MATCH = Failure("data", "no_match", "", "NO_MATCH")
_NO_ANSWER = Failure("technical", "timeout", "", "TIMEOUT_ERROR")


def _enhancement_failed(handle: Handle, happened: Happened, answer: Answer | None, fields: dict[str, Any]) -> Ending:
    verdict = answer.verdict if answer is not None else None
    if verdict == "rejected" or (verdict is None and happened.how == "expected"):
        failure = _NO_MATCH
    elif verdict == "unconfirmed":
        failure = _NO_ANSWER
    else:
        failure = _failure(happened, answer, "enhancement")
    reason = (answer.reason if answer is not None else "") or happened.reason or _words(failure) or happened.type
    fields.update(_raised(happened, failure, answer), **_prefixed("failure", failure))
    fields.update(
        outcome="failed",
        failure_reason=reason,
        failure_error_code=failure.error_code,
        failure_details=happened.message if happened.problem is not None else "",
        impact_data_missing=list(handle.options.get("provides") or ()) or None,
    )
    if status := _bad_status(happened):
        fields["http_response_status_code"] = status
    tries = max((one.last for one in handle.tries.values()), default=0)
    if tries:
        fields.update(retry_attempted=tries > 1, retry_count=tries - 1, retry_will_retry=False)
    if answer is not None:
        fields.update(_rest(answer, *_FAILED_FIELDS, "code", "reference"))
    expected = happened.how == "expected" and answer is None
    attributes = {"leadtrace.expected": happened.type} if expected else {}
    return Ending("enhancement.failed", fields, attributes, expected, status_message=reason)


def _named(handle: Handle) -> dict[str, Any]:
    """The fields that a word's start had and its end repeats, so that either tells the whole."""
    return dict(handle.options.get("repeated") or {})


def _bad_status(happened: Happened) -> int | None:
    """The HTTP status of a returned value that says that the call failed."""
    if not happened.has_result:
        return None
    status = status_of(happened.result)
    return status if status >= 400 else None


def delivery(handle: Handle, happened: Happened) -> Ending:
    """A lead offered to a buyer. Where nobody can know whether it arrived, that is what is said."""
    answer = handle.answer
    attempts = handle.attempts_begun
    fields: dict[str, Any] = {**_named(handle), "duration_ms": happened.duration_ms, "attempts": attempts or None}
    if answer is not None:
        return _answered(handle, happened, answer, fields)
    if happened.how == "returned":
        return Ending("delivery.unconfirmed", {**fields, "reason": handle.options.get("no_answer", "no answer given")})
    if happened.how == "expected":
        fields["reason"] = happened.message or happened.type
        return Ending("delivery.rejected", fields, {"leadtrace.expected": happened.type}, True)
    failure = _failure(happened, None, "error")
    reached = _may_have_reached(handle, happened, failure)
    if happened.how == "cancelled" and not reached:
        return Ending("delivery.cancelled", {**fields, "reason": happened.reason})
    fields.update(_raised(happened, failure, None), **_prefixed("failure", failure))
    reason = happened.reason or _words(failure) or happened.type
    if happened.how == "cancelled":
        for key in ("error_type", "error_message"):
            fields.pop(key, None)
        reason = happened.reason or "cancelled"
    fields["reason"] = reason
    event = "delivery.unconfirmed" if reached else "delivery.failed"
    return Ending(event, fields, status_message=reason)


def _answered(handle: Handle, happened: Happened, answer: Answer, fields: dict[str, Any]) -> Ending:
    said = answer.fields
    match answer.verdict:
        case "accepted":
            fields.update(said)
            if fields.get("revenue") is not None:
                fields.setdefault("currency", handle.options.get("currency"))
            return Ending("delivery.accepted", fields)
        case "rejected":
            return Ending("delivery.rejected", {**fields, "reason": answer.reason, **said})
        case "pending":
            return Ending("delivery.pending", {**fields, **said})
        case "unconfirmed":
            return Ending(
                "delivery.unconfirmed", {**fields, "reason": answer.reason, **said}, status_message=answer.reason
            )
        case "failed":
            failure = _failure(happened, answer, "error")
            fields.update(_raised(happened, failure, answer), **_prefixed("failure", failure))
            fields.update(reason=answer.reason, **_rest(answer, *_FAILED_FIELDS))
            return Ending("delivery.failed", fields, status_message=answer.reason)


def _may_have_reached(handle: Handle, happened: Happened, failure: Failure) -> bool:
    """Whether some try may have reached the buyer without an answer, judged over all tries.

    Without attempt words the call itself counts as begun; a function that is known to use attempts had none that began.
    """
    if handle.attempts_begun:
        return handle.maybe_reached
    if happened.how in ("cancelled", "timed_out"):
        return not handle.plan.uses_attempts
    return failure.reached == "maybe" and not handle.plan.uses_attempts


def attempt(handle: Handle, happened: Happened) -> Ending:
    """One try: what it was answered is for the word around it to say; only `failed`, or no answer, fails it."""
    answer = handle.answer
    fields: dict[str, Any] = {
        "attempt": handle.number,
        "max_attempts": handle.options.get("max_attempts"),
        "duration_ms": happened.duration_ms,
    }
    status = status_of(happened.result) if happened.has_result else 0
    if not status and happened.problem is not None:
        status = classify(happened.problem).status
    fields["http_response_status_code"] = status or None
    if answer is not None and answer.verdict != "failed":
        return Ending("api.call.succeeded", fields)
    bad = answer is None and happened.how == "returned" and failed_status(status)
    if answer is not None or bad or happened.how in ("raised", "timed_out"):
        failure = _failure(happened, answer, "error")
        fields.update(_raised(happened, failure, answer), **_prefixed("error", failure))
        if bad:
            fields.update(error_type=str(status), error_message=_words(failure))
        fields["error_code"] = failure.error_code
        for key in ("will_retry", "wait_ms"):
            fields[key] = handle.options.get(key)
        if answer is not None:
            fields.update(_rest(answer, *_FAILED_FIELDS, "code"))
        message = fields["error_message"] or fields["error_type"]
        reached = "maybe" if happened.how == "timed_out" else failure.reached
        return Ending("api.call.failed", fields, status_message=message, reached=reached)
    if happened.how == "cancelled":
        return Ending("api.call.cancelled", {**fields, "reason": happened.reason}, reached="maybe")
    if happened.how == "expected":
        return Ending("api.call.succeeded", fields, {"leadtrace.expected": happened.type}, True)
    return Ending("api.call.succeeded", fields)


def judgement(handle: Handle, happened: Happened) -> Ending:
    """A validation or rule: its yes or its no; one that raises is a failed operation."""
    word = handle.kind.word
    yes, no = (
        ("validation.passed", "validation.failed") if word == "validation" else ("rule.satisfied", "rule.rejected")
    )
    answer = handle.answer
    fields: dict[str, Any] = {"name": handle.name, "duration_ms": happened.duration_ms}
    if answer is not None:
        if answer.verdict in ("accepted", "pending"):
            return Ending(yes, {**fields, **_rest(answer, "reference", "revenue", "currency")})
        if answer.verdict in ("rejected", "unconfirmed"):
            return Ending(no, {**fields, "reason": answer.reason, **answer.fields})
        return operation(handle, happened)
    if happened.how == "expected":
        reason = happened.message or happened.type
        return Ending(no, {**fields, "reason": reason}, {"leadtrace.expected": happened.type}, True)
    if happened.how in ("raised", "timed_out", "cancelled"):
        return operation(handle, happened)
    if handle.options.get("passed", True):
        return Ending(yes, fields)
    return Ending(no, {**fields, "reason": handle.options.get("reason")})


def flow(handle: Handle, happened: Happened) -> Ending:
    """A flow's end, with what its run adds up to in this process."""
    answer = handle.answer
    fields: dict[str, Any] = dict(handle.options.get("summary") or {})
    fields["summary_total_duration_ms"] = happened.duration_ms
    if answer is not None and answer.verdict != "failed":
        return _flow_returned(handle, fields)
    if answer is not None or happened.how in ("raised", "timed_out"):
        failure = _failure(happened, answer, "error")
        raised = _raised(happened, failure, answer)
        fields.update(raised, summary_final_outcome="failed")
        return Ending("flow.failed", fields, status_message=raised["error_message"])
    if happened.how == "cancelled":
        return Ending("flow.cancelled", {**fields, "reason": happened.reason, "summary_final_outcome": "cancelled"})
    ending = _flow_returned(handle, fields)
    if happened.how == "expected":
        ending.attributes["leadtrace.expected"] = happened.type
        ending.expected = True
    return ending


def _flow_returned(handle: Handle, fields: dict[str, Any]) -> Ending:
    if handle.options.get("ends") == "elsewhere":
        fields.pop("summary_final_outcome", None)
        return Ending("flow.handed_over", fields)
    return Ending("flow.completed", fields)
