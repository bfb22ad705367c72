"""One HTTP connection of `leadtrace serve`: uvicorn's own, with a bound on how long the head of a request may take.

uvicorn bounds the pause between two requests only: whoever connects and says nothing, or a letter a minute, would hold a
connection for ever, before any token is asked for, until there is none left for senders. The size of a head is bounded by
h11 (64 KiB); the time of a body by the receiver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

__all__ = ["Connection"]


class Connection(H11Protocol):
    """Closes where no whole request head has come in time."""

    head_timeout_s: ClassVar[float] = 10

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait_for_head()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._head_timer is None:  # what comes meanwhile does not buy time
            self._head_timer = self.loop.call_later(self.head_timeout_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
