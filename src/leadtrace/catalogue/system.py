"""The system itself: how well it does, and how full it is. These events belong to no lead."""

from __future__ import annotations

from leadtrace.catalogue.model import Event, field

_STATES = ("unknown", "healthy", "degraded", "crisis")


class SystemHealthChanged(Event, name="system.health.changed", kind="transition", source="000", lead=False):
    """The system went over to another state of health, as the report `health` judges it."""

    from_: str | None = field(
        default=None, by="word", dimension=True, values=_STATES, doc="The state before; absent at first."
    )
    to: str | None = field(default=None, by="word", dimension=True, values=_STATES, doc="The state now.")
    reasons: list[str] | None = field(
        default=None, by="word", doc="Why, a sentence each, with the figure and what it was compared with."
    )
    subject: str | None = field(
        default=None, by="word", dimension=True, doc="Whose health it is, where not the whole system's: a flow."
    )


class SystemCapacitySampled(Event, name="system.capacity.sampled", kind="milestone", source="000", lead=False):
    """How full a process and its host are, each figure beside the most that was declared or is there."""

    queue_depth: int | None = field(default=None, unit="{item}", by="word", doc="How much waits in the queue.")
    queue_depth_max: int | None = field(default=None, unit="{item}", by="word", doc="The most that may wait there.")
    in_flight: int | None = field(default=None, unit="{item}", by="word", doc="How much is being worked on.")
    in_flight_max: int | None = field(default=None, unit="{item}", by="word", doc="The most at the same time.")
    journal_lag: int | None = field(
        default=None, unit="{record}", by="word", doc="Records made here that wait for their receiver."
    )
    journal_lag_max: int | None = field(default=None, unit="{record}", by="word", doc="The most that may wait.")
    memory: int | None = field(default=None, unit="By", by="word", doc="Resident memory of the process.")
    memory_max: int | None = field(
        default=None, unit="By", by="word", doc="The most that it may have: as declared, its limit, or the host's."
    )
    cpu: float | None = field(
        default=None, unit="1", by="word", doc="Cores that the process kept busy since the last sample, on average."
    )
    cpu_max: float | None = field(default=None, unit="1", by="word", doc="The cores that it may use.")
    disk: int | None = field(
        default=None, unit="By", by="word", doc="Bytes in use on the disk that holds the journal, or the named folder."
    )
    disk_max: int | None = field(default=None, unit="By", by="word", doc="The disk's size, or as declared.")
    host_memory: int | None = field(default=None, unit="By", by="word", doc="Memory in use on the host.")
    host_memory_max: int | None = field(default=None, unit="By", by="word", doc="The host's memory.")
    host_cpu: float | None = field(
        default=None, unit="1", by="word", doc="Cores of the host kept busy since the last sample, on average."
    )
    host_cpu_max: float | None = field(default=None, unit="1", by="word", doc="The host's cores.")
    flows_per_hour: float | None = field(
        default=None, unit="{flow}/h", by="word", doc="Flows that began since the last sample, as a rate per hour."
    )
    flows_per_hour_max: float | None = field(
        default=None, unit="{flow}/h", by="word", doc="The most flows per hour that this process is made for."
    )
