"""What the receiver counts, in Prometheus's text form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from leadtrace.receiver.intake import Intake

__all__ = ["prometheus"]

_OUTCOMES: Final = {
    "stored": "stored for the first time",
    "united": "united with their other half (a log record and its span event)",
    "repeated": "there already",
    "replaced": "spans that replaced their unfinished form",
    "set_aside": "set aside because another record has their identity",
    "erased": "turned away because they name a lead that was erased",
}


def prometheus(intake: Intake, store_bytes: int) -> str:
    """The page that /metrics answers."""
    counts = intake.counts
    lines: list[str] = []
    lines += _counter("requests_total", "Requests that reached the decoder.", {"": counts.requests})
    received = {f'{{signal="{signal}"}}': counts.received[signal] for signal in ("spans", "span_events", "log_records")}
    lines += _counter("records_received_total", "Records in requests that decoded.", received)
    for name, told in _OUTCOMES.items():
        lines += _counter(f"records_{name}_total", f"Records {told}.", {"": getattr(counts.appended, name)})
    refused = {f'{{reason="{reason}"}}': number for reason, number in sorted(counts.refused.items())}
    lines += _counter("requests_refused_total", "Requests refused, by reason.", refused)
    lines += _gauge("queue_requests", "Requests that wait to be stored.", intake.waiting)
    lines += _gauge("queue_bytes", "Bytes of requests that are being read or wait.", intake.held_bytes)
    lines += _gauge("store_bytes", "Bytes of the store on the disk, its log included.", store_bytes)
    return "\n".join(lines) + "\n"


def _counter(name: str, doc: str, values: Mapping[str, int]) -> Iterable[str]:
    yield f"# HELP leadtrace_{name} {doc}"
    yield f"# TYPE leadtrace_{name} counter"
    for labels, value in values.items():
        yield f"leadtrace_{name}{labels} {value}"


def _gauge(name: str, doc: str, value: int) -> Iterable[str]:
    yield f"# HELP leadtrace_{name} {doc}"
    yield f"# TYPE leadtrace_{name} gauge"
    yield f"leadtrace_{name} {value}"
