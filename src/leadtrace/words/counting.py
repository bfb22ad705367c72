"""What an ended word leaves behind: for the word around it, its delivery, its fallback and its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadtrace.words import runtime
from leadtrace.words.tell import resolve, tell

if TYPE_CHECKING:
    from leadtrace.words.endings import Ending
    from leadtrace.words.handle import Handle

__all__ = ["count"]


def count(handle: Handle, ending: Ending, now_mono: int) -> None:
    """Take the ended word into what its parent, its delivery and its run know."""
    parent, word = handle.parent, handle.kind.word
    spent = now_mono - handle.started_mono
    if parent is not None:
        parent.beneath_ns += spent
    attributes = ending.attributes
    good = ending.event in ("enhancement.success", "delivery.accepted")
    if handle.in_flow is not None and handle.in_flow is not handle and ending.event in _FAILED:
        handle.in_flow.failed_beneath.update((handle.plan.name, handle.name, str(attributes.get("delivery.buyer", ""))))
    if good:
        at = parent
        while at is not None:
            if at.kind.word == "fallback":
                _recovered_by_fallback(at)
            at = at.parent
    if word == "attempt":
        _count_try(handle, ending, now_mono)
    run = handle.run
    if run is not None:
        if word == "flow":
            run.closed()
            run.told.clear()
        else:
            run.count(ending.event, attributes, runtime.active().currency, word)
            run.closed(handle.name, max(spent - handle.beneath_ns, 0))


_FAILED = frozenset({"enhancement.failed", "delivery.failed", "delivery.unconfirmed", "operation.failed"})


def _recovered_by_fallback(fallback: Handle) -> None:
    instead = fallback.options.get("instead_of")
    if (
        fallback.options.get("recovered")
        or fallback.in_flow is None
        or str(instead) not in fallback.in_flow.failed_beneath
    ):
        return
    fallback.options["recovered"] = True
    spec, fields = resolve("error.recovered", {"recovery_action": "fallback", "recovery_success": True}, [])
    tell(spec, "error.recovered", fields, at=fallback, lead=fallback.lead_id, tenant=fallback.tenant)


def _count_try(handle: Handle, ending: Ending, now_mono: int) -> None:
    failed = ending.event != "api.call.succeeded"
    parent = handle.parent
    delivery = handle.in_delivery
    if delivery is not None:
        if not failed:
            delivery.maybe_reached = False
        elif ending.reached:  # `yes`: the buyer answered, if only by an error; `no`: an earlier doubt stands
            delivery.maybe_reached = ending.reached == "maybe" or (ending.reached == "no" and delivery.maybe_reached)
    if parent is None:
        return
    tries = parent.tries.get(handle.name)
    if tries is None:
        return
    took_ns = tries.end(now_mono, failed, handle.number)
    if took_ns:
        spec, fields = resolve(
            "error.recovered",
            {"recovery_action": "retry", "recovery_success": True, "total_retry_time_ms": took_ns / 1e6},
            [],
        )
        tell(spec, "error.recovered", fields, at=parent, lead=parent.lead_id, tenant=parent.tenant)
