"""A flow's own figures: what it begins with, and the summary, journey and performance that its end carries."""

from __future__ import annotations

import threading
import time
from decimal import Decimal
from typing import TYPE_CHECKING

from leadtrace.otlp import identity
from leadtrace.words import runtime
from leadtrace.words.run import Run, micro

if TYPE_CHECKING:
    from leadtrace.otlp.records import Value
    from leadtrace.words.handle import Handle

__all__ = ["figures", "flow_began", "flow_ended", "flow_gone", "flows_now"]

_open_flows = 0
_begun_flows = 0
_lock = threading.Lock()


def flow_began(handle: Handle, attributes: dict[str, Value]) -> None:
    """Make the run of a flow: a flow inside a flow is a run of its own, which knows the one around it."""
    global _open_flows, _begun_flows
    around = handle.parent.run.id if handle.parent is not None and handle.parent.run is not None else ""
    handle.run = Run(identity.current().token("run"), around)
    handle.told = handle.run.told
    handle.in_flow = handle
    handle.in_delivery = None
    if handle.parent is None or (handle._lead and handle._lead != handle.parent.lead_id):
        handle.states = {}  # another lead's passage: its state is its own
    attributes.setdefault("flow.name", handle.name)
    if "flow.id" in attributes:
        handle.id = str(attributes["flow.id"])
    handle.cpu_ns = time.process_time_ns()
    handle.options["counted"] = True
    with _lock:
        _open_flows += 1
        _begun_flows += 1


def flows_now() -> tuple[int, int]:
    """How many flows are open in this process, and how many have begun since it did."""
    return _open_flows, _begun_flows


def flow_ended(handle: Handle, now_mono: int) -> None:
    """Close the flow's books: its figures go on its end event."""
    repeated = handle.options.get("repeated") or {}
    handle.options["summary"] = {**repeated, **figures(handle, now_mono - handle.started_mono)}
    flow_gone(handle)


def flow_gone(handle: Handle) -> None:
    """One flow less is open."""
    global _open_flows
    if handle.options.pop("counted", False):
        with _lock:
            _open_flows -= 1


def figures(handle: Handle, total_ns: int) -> dict[str, object]:
    """Count the run as it stands: over its words in this process that have ended. Keywords of the flow's end events."""
    run = handle.run
    assert run is not None
    currency = runtime.active().currency
    with run.lock:
        counts = run.counts
        revenue = counts.revenue.get(currency, Decimal(0))
        cost = counts.cost.get(currency, Decimal(0))
        summary: dict[str, object] = {
            "summary_steps_executed": counts.steps,
            "summary_enhancements_applied": counts.enhanced,
            "summary_deliveries_attempted": len(counts.deliveries),
            "summary_validations_passed": counts.passed,
            "summary_rules_satisfied": counts.satisfied,
            "summary_final_outcome": counts.outcome(),
            "summary_scope": "process",
            "summary_handed_over": list(run.handed_over) or None,
            "summary_open": run.open_words - 1,
            "journey_accepted": bool(counts.buyers()) or "accepted" in {v for v, _ in counts.deliveries.values()},
            "journey_enhanced": counts.enhanced > 0,
            "journey_delivered_to": counts.buyers() or None,
            "journey_total_revenue": micro(revenue),
            "journey_total_cost": micro(cost),
            "journey_margin": micro(revenue - cost),
            "journey_currency": currency,
            "performance_cpu_ms": (time.process_time_ns() - handle.cpu_ns) / 1e6,
            "performance_peak_memory_bytes": _peak_memory(),
            "performance_concurrent_flows": max(_open_flows, 1),
            "performance_bottlenecks": counts.bottlenecks(total_ns) or None,
            "performance_cache_hits": counts.cache_hits,
            "performance_steps_per_second": round(counts.steps / (total_ns / 1e9), 3) if total_ns else None,
        }
        foreign = (set(counts.revenue) | set(counts.cost)) - {currency}
    if foreign:
        others: list[Value] = [*sorted(foreign)]
        handle.notes["flow.journey.other_currencies"] = others
    return summary


def _peak_memory() -> int | None:
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
