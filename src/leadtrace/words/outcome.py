"""What came of a word's body: how it was left, and what its result says by the callables that read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from leadtrace.words import runtime
from leadtrace.words.answers import Answer
from leadtrace.words.endings import Happened
from leadtrace.words.guard import counts, warn_once
from leadtrace.words.opening import put
from leadtrace.words.raised import cancelled, is_expected, qualified, scrubbed, unwrapped
from leadtrace.words.timeouts import expired

if TYPE_CHECKING:
    from leadtrace.words.handle import Handle

__all__ = ["read_result", "what_happened"]


def what_happened(handle: Handle, problem: BaseException | None, now_mono: int, reason: str) -> Happened:
    happened = Happened("returned", (now_mono - handle.started_mono) / 1e6)
    happened.has_result, happened.result = handle.has_found, handle.found
    if problem is None and not reason:
        return happened
    if problem is None or cancelled(problem):
        timed_out = expired(handle.timeouts) if type(problem).__name__ == "CancelledError" else None
        if timed_out is not None:
            happened.how = "timed_out"
            happened.problem = None
            happened.reason = timed_out.reason or "timed out"
        else:
            happened.how = "cancelled"
            happened.reason = reason or _message_of_cancel(problem)
        return happened
    told = unwrapped(problem)
    happened.problem = told
    happened.type = qualified(told)
    happened.message = scrubbed(handle, told)
    happened.how = "expected" if is_expected(handle, problem) or is_expected(handle, told) else "raised"
    return happened


def _message_of_cancel(problem: BaseException | None) -> str:
    if problem is None or not problem.args:
        return ""
    return str(problem.args[0])


def read_result(handle: Handle, happened: Happened) -> list[str]:
    """Read what was named of the result: late fields, `answer=` and its like, and the data that were asked for."""
    plan, options = handle.plan, handle.options
    args, kwargs = handle.call
    missing: list[str] = []
    if handle.has_found:
        if plan.end_fields:
            missing += plan.read(plan.end_fields, args, kwargs, handle.found, lambda k, v: put(handle.notes, k, v))
        for key, one in plan.end_options:
            if key == "reason":
                continue  # read only for a no, below
            if key in ("answer", "outcome"):
                missing += _judge(handle, key, one)
            else:
                missing += plan.read([(key, one)], args, kwargs, handle.found, options.__setitem__)
        if handle.kind.word == "enhancement" and happened.how == "returned":
            _pick_data(handle)
    marks: list[str] = []
    if handle.kind.word in ("validation", "rule"):
        unread, marks = _judged(handle)
        missing += unread
    return [*(f"missing:{name}" for name in missing), *marks]


def _judge(handle: Handle, key: str, one: Any) -> list[str]:
    """An answer made from the result. One that fails itself leaves a delivery unconfirmed, any other word as it was."""
    found: list[Any] = []
    missing = handle.plan.read([(key, one)], *handle.call, handle.found, lambda _, value: found.append(value))
    if missing:
        handle.options["no_answer"] = f"{key}= failed"
        return missing
    if isinstance(found[0], Answer):
        handle.answer = found[0]
    elif found[0] is not None:
        warn_once(
            f"answer:{handle.plan.where}",
            f"{handle.plan.where}: {key}= gave {type(found[0]).__name__}, expected lt.accepted(…) or its like, or None",
        )
        return [key]
    return []


def _judged(handle: Handle) -> tuple[list[str], list[str]]:
    """A check's yes or no into `options["passed"]`, with the reason of a no; gives the names of the missing, and marks.

    `passed=` decides, else the truth of the result; nothing returned, or a result without a truth, passes.
    """
    options = handle.options
    verdict = options.get("passed", handle.found)
    marks: list[str] = []
    try:
        passed = verdict is None or bool(verdict)
    except Exception:  # noqa: BLE001 - an array, say: its truth may raise anything
        passed = True
        marks.append("no_truth")
        warn_once(
            f"truth:{handle.plan.where}",
            f"{handle.plan.where}: {type(verdict).__name__} is neither true nor false; say passed=lambda result: …",
        )
    options["passed"] = passed
    if passed:
        return [], marks
    late_reason = [(key, one) for key, one in handle.plan.end_options if key == "reason"]
    return handle.plan.read(late_reason, *handle.call, handle.found, options.__setitem__), marks


def _pick_data(handle: Handle) -> None:
    """The keys of the returned data that were named (`data=`) or are allowed; all others are only named."""
    found = handle.found.fields if isinstance(handle.found, Answer) else handle.found
    wanted = handle.options.get("data")
    names = [wanted] if isinstance(wanted, str) else list(wanted) if isinstance(wanted, (list, tuple, set)) else []
    allowed = runtime.active().allow
    picked: dict[str, object] = {}
    unnamed: list[str] = []
    if isinstance(found, Mapping):
        for key, value in found.items():
            text = str(key)
            if text in names or text in allowed or f"enhancement.data_appended.{text}" in allowed:
                picked[text] = value
            else:
                unnamed.append(text)
    else:
        for name in names:
            try:
                picked[name] = getattr(found, name)
            except Exception:  # noqa: BLE001 - a host's property may raise anything; that one is missing
                counts["data_missing"] += 1
    if isinstance(wanted, Mapping):
        picked.update(wanted)
    if picked:
        handle.options["data_appended"] = picked
    if unnamed:
        handle.notes["enhancement.data_unrecorded"] = [*unnamed[:50]]
