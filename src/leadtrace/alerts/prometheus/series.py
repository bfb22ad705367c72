"""Which series of the Collector count what a group is made of, and expressions over them.

    lead_campaign_group_events_total{campaign_group=…}      lead_enhancement_events_total{enhancement_name=…}
    lead_buyer_events_total{delivery_buyer=…}               lead_flow_events_total{flow_name=…}
    traces_span_metrics_duration_milliseconds_bucket        how long spans took

`collector-config.yaml` makes them, each with `event_name` and `leadtrace_kind`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from leadtrace.alerts.rules import DAY
from leadtrace.analysis.series import LEAD_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leadtrace.alerts.rules import Group

__all__ = ["FAILED", "bucket", "counted", "leads", "matching", "promql_span", "quoted"]

_SECOND: Final = 1_000_000_000

_SERIES: Final = {
    "campaign_group": ("lead_campaign_group_events_total", "campaign_group"),
    "buyer": ("lead_buyer_events_total", "delivery_buyer"),
    "enhancement": ("lead_enhancement_events_total", "enhancement_name"),
    "flow": ("lead_flow_events_total", "flow_name"),
}

FAILED: Final = 'leadtrace_kind="failure"'

_SPANS: Final = "traces_span_metrics_duration_milliseconds_bucket"


def leads(group: Group) -> str:
    """The series that count the group's leads; '' where the Collector counts none by what names it."""
    if group.attribute:
        return ""
    return counted(group, group.events or LEAD_EVENTS[group.kind])


def counted(group: Group, events: Iterable[str], more: str = "") -> str:
    """The series that count those events of the group."""
    name, label = _SERIES[group.kind]
    chosen = [f"{label}=~{matching(group.values)}", f"event_name=~{matching(events)}"]
    return f"{name}{{{', '.join([*chosen, *([more] if more else [])])}}}"


def bucket(group: Group) -> str:
    """The histogram of how long the group's work took; '' where spans do not name it."""
    match group.kind:
        case "buyer":
            return f'{_SPANS}{{leadtrace_word="delivery", delivery_buyer=~{matching(group.values)}}}'
        case "enhancement" | "flow":
            return f'{_SPANS}{{leadtrace_word="{group.kind}", span_name=~{matching(group.values)}}}'
    return ""


def matching(values: Iterable[str]) -> str:
    """A quoted regular expression that matches these texts and no others."""
    return quoted("|".join(re.sub(r"([.+*?()|\[\]{}^$\\])", r"\\\1", one) for one in values))


def quoted(text: str) -> str:
    """A text in PromQL, in double quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def promql_span(span_ns: int) -> str:
    """A span of time as Prometheus writes it, to the millisecond."""
    if span_ns and span_ns % DAY == 0:
        return f"{span_ns // DAY}d"
    for unit, name in ((3600 * _SECOND, "h"), (60 * _SECOND, "m"), (_SECOND, "s")):
        if span_ns and span_ns % unit == 0:
            return f"{span_ns // unit}{name}"
    return f"{max(0, round(span_ns / 1e6))}ms" if span_ns else "0s"
