"""Bringing a batch to its receiver: tried again while it says later, halved where it refuses the whole."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Protocol

from leadtrace.journal.answers import Answer
from leadtrace.otlp import encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadtrace.journal.endpoints import Kind
    from leadtrace.journal.transport import Transport
    from leadtrace.otlp.sink import Signal

__all__ = ["LONGEST_ASKED_S", "GaveUpError", "Patience", "Piece", "deliver"]

Piece = list["tuple[Signal, bytes]"]

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 30.0
LONGEST_ASKED_S = 3600.0
"""What a receiver may ask for; beyond that it is asked again."""


class GaveUpError(Exception):
    """The sender was told to stop before the receiver had answered; nothing is known of what was on its way."""


class Patience(Protocol):
    """Whoever sends: what to do between two tries."""

    def sending(self) -> None:
        """Before each try. May raise GaveUpError."""
        ...

    def failed(self, answer: Answer) -> None:
        """After a try that was answered with `later`, or not at all. May raise GaveUpError."""
        ...

    def answered(self) -> None:
        """After a try that had a final answer."""
        ...

    def wait(self, wait_s: float, asked: bool) -> None:
        """Wait before the next try; `asked`: the receiver named that time. May raise GaveUpError."""
        ...


def deliver(
    transport: Transport, kind: Kind, resource: bytes, batch: Piece, patience: Patience
) -> Iterator[tuple[Piece, int, str]]:
    """The batch in the pieces in which it was settled, in order: the piece, how many of it are set aside, and why.

    A piece of which some were rejected, nobody knows which, is one with fewer set aside than it has records.
    """
    pieces = [batch]
    while pieces:
        piece = pieces.pop()
        answer = _send(transport, kind, resource, piece, patience)
        if answer.outcome == "refused":
            if answer.split and len(piece) > 1:
                middle = len(piece) // 2
                pieces += (piece[middle:], piece[:middle])
                continue
            yield piece, len(piece), answer.why
        else:
            why = f"the receiver rejected {answer.rejected} of {len(piece)} records, unknown which: {answer.why}"
            yield piece, min(answer.rejected, len(piece)), why if answer.rejected else ""


def _send(transport: Transport, kind: Kind, resource: bytes, piece: Piece, patience: Patience) -> Answer:
    groups: dict[int, tuple[Signal, list[bytes]]] = {}
    for signal, record in piece:
        groups.setdefault(id(signal), (signal, []))[1].append(record)
    body = encode.request(resource, groups.values())
    wait_s = _FIRST_WAIT_S
    while True:
        patience.sending()
        try:
            answer = transport.send(kind, body)
        except Exception as why:  # noqa: BLE001 - a transport that breaks its promise must not end the thread
            answer = Answer("later", f"{type(why).__name__}: {why}")
        if answer.outcome != "later":
            patience.answered()
            return answer
        patience.failed(answer)
        asked = answer.retry_after_s
        patience.wait(wait_s * random.uniform(0.5, 1.0) if asked is None else asked, asked is not None)  # noqa: S311
        wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
