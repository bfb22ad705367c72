"""Exceptions: what one is called, whether it ends a word as cancelled, and the telling of it, once."""

from __future__ import annotations

import hashlib
import os
import sys
import traceback
from typing import TYPE_CHECKING

from leadtrace.catalogue.taxonomy import classify, members, unwrap
from leadtrace.otlp import encode
from leadtrace.words import runtime
from leadtrace.words.tell import SIGNAL, resolve, tell

if TYPE_CHECKING:
    from types import TracebackType

    from leadtrace.words.endings import Happened
    from leadtrace.words.handle import Handle

__all__ = ["cancelled", "fingerprint", "is_expected", "qualified", "scrubbed", "tell_raised", "unwrapped"]

_STACK_LIMIT = 32_000
_MESSAGE_LIMIT = 4_000


def cancelled(problem: BaseException) -> bool:
    """Whether an exception ends a word as cancelled: it says that the work was stopped, not that it went wrong."""
    if isinstance(problem, (GeneratorExit, KeyboardInterrupt)):
        return True
    if isinstance(problem, SystemExit):
        return problem.code in (0, None)
    if isinstance(problem, Exception):
        return False
    # Asked by name, so that neither asyncio nor trio is imported for it.
    names = {f"{one.__module__.partition('.')[0]}.{one.__name__}" for one in type(problem).__mro__}
    if names & {"asyncio.CancelledError", "trio.Cancelled"}:
        return True
    return isinstance(problem, BaseExceptionGroup) and all(cancelled(one) for one in problem.exceptions)


def unwrapped(problem: BaseException) -> BaseException:
    """A retry library's wrapper is reported as its cause."""
    return unwrap(problem)


def qualified(problem: BaseException) -> str:
    """The type's name, with its module unless it is built in."""
    kind = type(problem)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def is_expected(handle: Handle, problem: BaseException) -> bool:
    """Whether the word, or the settings, call this exception an answer; a group is one if all of its members are."""
    current = runtime.current()
    expected = handle.plan.expected + (current.expected if current is not None else ())
    return bool(expected) and (
        isinstance(problem, expected) or all(isinstance(one, expected) for one in members(problem))
    )


def scrubbed(handle: Handle | None, problem: BaseException | str, limit: int = _MESSAGE_LIMIT) -> str:
    """The message of an exception, free of what is personal."""
    try:
        text = problem if isinstance(problem, str) else str(problem)
    except Exception as trouble:  # noqa: BLE001 - a host's __str__ may raise anything
        text = f"<str() raised {type(trouble).__name__}>"
    if len(text) > limit:
        text = text[:limit] + "…"
    current = runtime.active()
    if current.redactor is not None and text:
        return current.redactor.text(text, handle.personal_values() if handle is not None else ())
    return text


def tell_raised(handle: Handle, problem: BaseException, happened: Happened, now: int) -> None:
    """Tell an exception that leaves a word: `error.occurred` and one `exception`, at the innermost word that it leaves."""
    if handle.told.uid(problem):
        return
    failure = classify(problem, domain="error")
    fields: dict[str, object] = {
        "type": happened.type,
        "message": happened.message,
        "code": failure.error_code,
        "category": failure.category,
        "subcategory": failure.subcategory,
        "cause": failure.cause,
        "severity": "medium",
        "context_step": handle.name,
        "context_operation": handle.kind.word,
        "impact_lead_affected": True if handle.lead_id else None,
        "fingerprint": fingerprint(problem, happened.message),
    }
    if handle.number:
        fields["retry_count"] = handle.number - 1
    spec, resolved = resolve("error.occurred", fields, [])
    receipt, _ = tell(
        spec, "error.occurred", resolved, at=handle, lead=handle.lead_id, tenant=handle.tenant, time_ns=now
    )
    handle.told.add(problem, receipt.uid)
    _record_exception(handle, problem, happened, now)


def _record_exception(handle: Handle, problem: BaseException, happened: Happened, now: int) -> None:
    """The semantic conventions' `exception`: on the span, as a log record, or both, by the standard variable."""
    opted = {one.strip() for one in os.environ.get("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", "").split(",")}
    rt = runtime.active()
    as_log, as_span = bool(opted & {"logs", "logs/dup"}), "logs" not in opted or "logs/dup" in opted
    if not (as_log and rt.sink is not None) and not (as_span and handle.span.is_recording()):
        return
    stack = "".join(traceback.format_exception(problem))
    if len(stack) > _STACK_LIMIT:
        stack = "…\n" + stack[-_STACK_LIMIT:]
    attributes = {
        "exception.type": happened.type,
        "exception.message": happened.message,
        "exception.stacktrace": scrubbed(handle, stack, _STACK_LIMIT + 2),
    }
    if as_span and handle.span.is_recording():
        handle.span.add_event("exception", attributes, timestamp=now)
    if as_log and rt.sink is not None:
        context = handle.span.get_span_context()
        common = {"lead.id": handle.lead_id, "tenant_key": handle.tenant, "leadtrace.run_id": handle.run_id}
        said = {**{key: value for key, value in common.items() if value}, **attributes}
        record = encode.log_record(
            "exception",
            now,
            said,
            trace_id=context.trace_id,
            span_id=context.span_id,
            trace_flags=int(context.trace_flags),
            severity_number=17,
        )
        rt.sink.append(SIGNAL, record)


def fingerprint(problem: BaseException, message: str = "") -> str:
    """Equal for errors of one kind from one place: the type and the code line that raised it, in the host's own code."""
    place = _place(problem.__traceback__)
    digest = hashlib.blake2s(f"{qualified(problem)}|{place or message}".encode(), digest_size=8)
    return digest.hexdigest()


_OUTSIDE = ("site-packages", "dist-packages", os.path.join("leadtrace", "words"), sys.prefix + os.sep + "lib")


def _place(trace: TracebackType | None) -> str:
    """File and function of the innermost frame that is the host's own; line numbers change too often to group by."""
    found = ""
    while trace is not None:
        code = trace.tb_frame.f_code
        if not any(part in code.co_filename for part in _OUTSIDE):
            found = f"{os.path.basename(code.co_filename)}:{code.co_qualname}"
        trace = trace.tb_next
    return found
