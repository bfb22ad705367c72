"""Alerts as events: what the watch says of a problem with a beginning and an end. They belong to no lead."""

from __future__ import annotations

from leadtrace.catalogue.common import SEVERITIES
from leadtrace.catalogue.model import Event, field


class _Alert(Event):
    id: str = field(by="word", doc="The alert's id: 16 hex digits, the same on its beginning and its end.")
    rule: str = field(by="word", dimension=True, doc="The rule that it is of.")
    group: str | None = field(
        default=None, by="word", dimension=True, doc="The declared group, or what else the rule watches."
    )


class _AlertInterval(_Alert):
    kind: str | None = field(default=None, by="word", dimension=True, doc="The rule's kind (`absence`, `budget` …).")
    severity: str | None = field(
        default=None, by="word", dimension=True, values=SEVERITIES, doc="How grave the rule's file says that it is."
    )
    group_values: list[str] | None = field(
        default=None, by="word", doc="What records call the group: whose timelines the alert covers."
    )
    group_attributes: list[str] | None = field(
        default=None, by="word", doc="The attributes of records that name the group."
    )
    began_at: int = field(unit="ns", by="word", measurement=False, doc="When the problem began.")
    ended_at: int | None = field(
        default=None, unit="ns", by="word", measurement=False, doc="When it ended; left out while it lasts."
    )
    ended_by: str | None = field(
        default=None,
        by="word",
        dimension=True,
        values=("recovered", "paused", "withdrawn"),
        doc="Why it ended: it was seen to be well again, its group is paused, its rule left the file.",
    )
    duration_ms: float | None = field(default=None, unit="ms", by="word", doc="From its beginning to its end.")
    observed: float | None = field(default=None, by="word", doc="What was observed.")
    expected: float | None = field(default=None, by="word", doc="What was expected.")
    unit: str | None = field(default=None, by="word", doc="The unit of both (`leads`, `share`, `ms` …).")
    reason: str | None = field(default=None, by="word", doc="The sentence that goes with the figures.")
    runbook: str | None = field(default=None, by="word", doc="Where it says what to do.")
    owners: list[str] | None = field(default=None, by="word", doc="Who is told, as the rules file names them.")
    money_at_risk: float | None = field(
        default=None, unit="{currency}", by="word", doc="The most that was at risk, in major units."
    )
    currency: str | None = field(default=None, by="word", doc="The currency of it (ISO 4217).")


class AlertFired(_AlertInterval, name="alert.fired", kind="alert", source="001", lead=False):
    """A problem was told: it has begun and lasts."""


class AlertResolved(_AlertInterval, name="alert.resolved", kind="alert", source="001", lead=False):
    """The problem's end was told."""


class AlertAcknowledged(_Alert, name="alert.acknowledged", kind="alert", source="001", lead=False):
    """Somebody has the problem in hand."""

    by: str | None = field(default=None, by="word", doc="Who.")
    note: str | None = field(default=None, by="word", doc="What they said.")


class AlertChecked(_Alert, name="alert.checked", kind="alert", source="001", lead=False):
    """One item of the checklist of typical problems was looked at."""

    item: str = field(by="word", dimension=True, doc="The item's name.")
    result: str = field(
        by="word",
        dimension=True,
        values=("passed", "failed", "unknown"),
        doc="Whether it is well; `unknown` where a person must look.",
    )
    side: str | None = field(
        default=None, by="word", dimension=True, doc="Whose side the fault is on, where the item failed."
    )
    answer: str | None = field(default=None, by="word", doc="What was seen, in a sentence.")
    by: str | None = field(default=None, by="word", doc="Who looked; left out where leadtrace did.")
