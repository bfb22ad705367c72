"""The sections of a review, under the names that the sources give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leadtrace.analysis.review_advice import advice_of
from leadtrace.analysis.review_monthly import (
    architecture_review,
    cost_analysis,
    service_reliability,
    system_optimization,
)
from leadtrace.analysis.review_weekly import capacity_planning, error_trends, glance, performance_patterns, roi_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from leadtrace.analysis.model import Row
    from leadtrace.analysis.review_figures import Reviewed
    from leadtrace.analysis.review_rows import Part

__all__ = ["parts_of"]

_PARTS: Final[Mapping[Part, Callable[[Part, Reviewed], Iterable[Row]]]] = {
    "At a glance": glance,
    "Error trends": error_trends,
    "Performance patterns": performance_patterns,
    "Enhancement ROI": roi_of,
    "Capacity planning": capacity_planning,
    "System optimization": system_optimization,
    "Cost analysis": cost_analysis,
    "Service reliability": service_reliability,
    "Architecture review": architecture_review,
}


def parts_of(part: Part, reviewed: Reviewed) -> Iterable[Row]:
    """The rows of one section, its advice last."""
    yield from _PARTS[part](part, reviewed)
    yield from advice_of(part, reviewed)
