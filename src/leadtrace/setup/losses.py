"""Telling what a sink had to refuse, as an event of its own once there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from leadtrace.journal.losses import Lost
    from leadtrace.otlp.sink import Sink

__all__ = ["teller"]


def teller(sink: Sink) -> Callable[[Lost], None]:
    """What a sink calls with each range that it refused: tells `leadtrace.records.dropped` where that sink is in use."""

    def tell(lost: Lost) -> None:
        from leadtrace.words import runtime
        from leadtrace.words.events import emit

        running = runtime.current()
        if running is not None and running.sink is sink:
            emit(
                "leadtrace.records.dropped",
                count=lost.count,
                reason=lost.why,
                signal=lost.kind,
                first_at=lost.first_ns,
                last_at=lost.last_ns,
            )

    return tell
