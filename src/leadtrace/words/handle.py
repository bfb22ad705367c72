"""The handle: one open word, told by its own code and by the words beneath it.

A handle keeps its own lead, parent and context, and never reads the current one: it may be used from another thread, or
after another word has begun.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leadtrace.words import answers, runtime
from leadtrace.words.answers import Answer, Money
from leadtrace.words.beneath import Beneath
from leadtrace.words.run import Run, Told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context.context import Context
    from opentelemetry.trace import Span

    from leadtrace.catalogue.model import Event
    from leadtrace.otlp.records import Value
    from leadtrace.otlp.sink import Receipt
    from leadtrace.words.crossing import Arrival
    from leadtrace.words.kinds import WordKind
    from leadtrace.words.plan import Plan
    from leadtrace.words.timeouts import timeout
    from leadtrace.words.tries import Tries

__all__ = ["Handle"]


class Handle(Beneath):
    """One open word.

    Its methods are the words themselves (`handle.step(…)`, `handle.emit(…)`), the answers (`handle.accepted(…)`), and what
    belongs to it alone: `note`, `note_for`, `identify`, `result`, `carry`.
    """

    __slots__ = (
        "_lead",
        "_tenant",
        "active_ns",
        "answer",
        "arrival",
        "attempts_begun",
        "beneath_ns",
        "bulk",
        "call",
        "context",
        "cpu_ns",
        "ended",
        "failed_beneath",
        "found",
        "has_found",
        "id",
        "in_delivery",
        "in_flow",
        "items",
        "kind",
        "lead_ids",
        "maybe_reached",
        "name",
        "notes",
        "notes_for",
        "number",
        "options",
        "parent",
        "plan",
        "positions",
        "run",
        "span",
        "span_id",
        "started_mono",
        "started_ns",
        "stated",
        "states",
        "timeouts",
        "told",
        "tries",
    )

    def __init__(self, kind: WordKind, name: str, plan: Plan, parent: Handle | None) -> None:
        self.kind = kind
        self.name = name
        self.plan = plan
        self.parent = parent
        self.id: str = ""
        """`delivery.id` of a delivery, the flow's id of a flow where it has one, else the span's id."""
        self.span: Span
        self.span_id: str = ""
        self.context: Context
        self.run: Run | None = parent.run if parent is not None else None
        self.in_flow: Handle | None = parent.in_flow if parent is not None else None
        self.in_delivery: Handle | None = parent.in_delivery if parent is not None else None
        self.lead_ids: tuple[str, ...] = parent.lead_ids if parent is not None else ()
        """The leads of a call that serves several, for it and all beneath; empty where there is one lead, or none."""
        self.bulk = False
        """Whether it named them itself: then it ends once for each."""
        self.states: dict[str, str] = parent.states if parent is not None else {}
        self.told: Told = parent.told if parent is not None else Told()
        self._lead = ""
        self._tenant = ""
        self.started_ns = 0
        self.started_mono = 0
        self.beneath_ns = 0
        self.cpu_ns = 0
        self.notes: dict[str, Value] = {}
        self.stated: set[str] = set()
        """The attributes among its notes that the user set while it was open."""
        self.notes_for: dict[str, dict[str, Value]] = {}
        self.options: dict[str, Any] = {}
        self.answer: Answer | None = None
        self.found: Any = None
        self.has_found = False
        self.call: tuple[tuple[Any, ...], Mapping[str, Any]] = ((), {})
        self.tries: dict[str, Tries] = {}
        self.number = 0
        self.positions = 0
        self.attempts_begun = 0
        self.maybe_reached = False
        self.failed_beneath: set[str] = set()
        self.timeouts: tuple[timeout, ...] = ()
        self.arrival: Arrival | None = None
        """Of a `resume`: what was carried to it."""
        self.items = -1
        self.active_ns = 0
        self.ended = False

    # -- what it belongs to

    @property
    def lead_id(self) -> str:
        """Its lead: its own, or that of the nearest word around it that has one; '' while nobody knows."""
        at: Handle | None = self
        while at is not None:
            if at._lead or at.lead_ids:
                return at._lead
            at = at.parent
        return ""

    @property
    def tenant(self) -> str:
        at: Handle | None = self
        while at is not None:
            if at._tenant:
                return at._tenant
            at = at.parent
        current = runtime.current()
        return current.tenant if current is not None else ""

    @property
    def run_id(self) -> str:
        return self.run.id if self.run is not None else ""

    def identify(self, lead_id: object, *, tenant: object = None) -> None:
        """Say which lead this passage is about, once it is known; the reader joins what came before."""
        from leadtrace.words.noting import identify

        identify(self, lead_id, tenant)

    def personal_values(self) -> tuple[str, ...]:
        """The values of personal arguments of the calls that are open here: what free text must not repeat."""
        from leadtrace.words.noting import personal_values

        return personal_values(self)

    # -- what is told

    def emit(
        self,
        event: str | Event,
        /,
        *,
        attributes: Mapping[str, object] | None = None,
        lead_id: object = None,
        tenant: object = None,
        **keywords: object,
    ) -> Receipt:
        """Record an event of this word; see `leadtrace.emit`."""
        from leadtrace.words.events import emit_at

        return emit_at(self, event, attributes, lead_id, tenant, keywords)

    def note(self, *, attributes: Mapping[str, object] | None = None, **fields: object) -> None:
        """Set fields of this word: they go on its end event and its span. The last value of a field wins."""
        from leadtrace.words.noting import note

        note(self, fields, attributes)

    def note_for(self, lead_id: object, /, **fields: object) -> None:
        """Set fields of one lead's end event, in a word that serves several (`lead_ids=`)."""
        from leadtrace.words.noting import note_for

        note_for(self, lead_id, fields)

    def move_to(
        self, state: object, reason: str = "", *, final: bool = False, lead_id: object = None, tenant: object = None
    ) -> Receipt:
        """Record that the lead is now in `state`; see `leadtrace.move_to`."""
        from leadtrace.words.events import move_at

        return move_at(self, state, reason, final, lead_id, tenant)

    def error(
        self,
        problem: BaseException | str,
        /,
        recovery_action: str = "",
        severity: str = "",
        **impact: object,
    ) -> Receipt:
        """Record an error that was handled here; see `leadtrace.error`."""
        from leadtrace.words.events import error_at

        return error_at(self, problem, recovery_action, severity, impact)

    def carry(self) -> dict[str, str]:
        """What is open here, as text for a queue's message; see `leadtrace.carry`."""
        from leadtrace.words.crossing import carry_from

        return carry_from(self)

    # -- what came of it

    def result(self, value: Any) -> None:
        """In the `with` form, what a function would have returned: `answer=`, `outcome=`, `passed=` and `data=` read it."""
        self.found = value
        self.has_found = True
        if isinstance(value, Answer):
            self.answer = value

    def accepted(self, *, revenue: Money | None = None, currency: str | None = None, **fields: object) -> None:
        self.answer = answers.accepted(revenue=revenue, currency=currency, **fields)

    def rejected(self, reason: str = "", *, code: object = None, **fields: object) -> None:
        self.answer = answers.rejected(reason, code=code, **fields)

    def pending(self, reference: object = None, **fields: object) -> None:
        self.answer = answers.pending(reference, **fields)

    def unconfirmed(self, why: str = "", **fields: object) -> None:
        self.answer = answers.unconfirmed(why, **fields)

    def failed(
        self,
        reason: str = "",
        *,
        category: str | None = None,
        subcategory: str | None = None,
        cause: str | None = None,
        cost: Money | None = None,
        **fields: object,
    ) -> None:
        self.answer = answers.failed(
            reason, category=category, subcategory=subcategory, cause=cause, cost=cost, **fields
        )

    def __repr__(self) -> str:
        return f"<{self.kind.word} {self.name!r}{' of ' + self.lead_id if self.lead_id else ''}{' ended' if self.ended else ''}>"
