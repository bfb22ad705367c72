"""What other leads tell that one lead's records cannot: how often errors like its own came, and how long its flow usually takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ENOUGH_RUNS", "Band", "Kindred", "Surroundings", "Usual", "band_of"]

Band: TypeAlias = Literal["fast", "normal", "slow"]

ENOUGH_RUNS = 30
"""Runs of a flow, from which on one may say what is usual of it."""


@dataclass(slots=True, frozen=True)
class Kindred:
    """Errors of one fingerprint among those told nearest to the lead's own."""

    errors: int
    leads: int
    pattern: str = ""
    """In a sentence what they have in common that runs at large have not; '' where that is nothing."""


@dataclass(slots=True, frozen=True)
class Usual:
    """How long a flow took, over its runs before the lead's own."""

    runs: int
    p50_ms: float
    p95_ms: float


@dataclass(slots=True, frozen=True)
class Surroundings:
    kindred: Mapping[str, Kindred] = field(default_factory=dict)
    """By fingerprint."""
    usual: Mapping[str, Usual] = field(default_factory=dict)
    """By the flow's name."""


def band_of(duration_ms: float, usual: Usual) -> Band | None:
    """Fast is at most the usual median, slow above the usual 95th percentile; None where too few runs say what is usual."""
    if usual.runs < ENOUGH_RUNS:
        return None
    return "fast" if duration_ms <= usual.p50_ms else "normal" if duration_ms <= usual.p95_ms else "slow"
