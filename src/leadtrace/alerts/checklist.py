"""The checklist of typical problems: what to look at before the fault is called somebody else's, and the plan of a crisis.

Items are data. Those that leadtrace can look at itself name a probe; the others wait for a person, who answers with
`leadtrace alerts checks ID --item NAME --result passed`. Users add items, change and drop ours:

    [checklist.bot-filter]                      [checklist.landing-page]
    probe = "http"                              question = "Is the landing page up?"
    url = "https://filter.example/health"       side = "client"
                                                probe = "http"
    [checklist.ad-settings]                     url = "https://shop.example/form"
    use = false
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from leadtrace.alerts.channels import OURS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leadtrace.alerts.model import Alert
    from leadtrace.alerts.rules import Rules
    from leadtrace.alerts.toml_table import Table

__all__ = [
    "CHECKLIST",
    "PLAN",
    "PROBES",
    "RESULTS",
    "Check",
    "Checklist",
    "Item",
    "checklist_of",
    "plan_of",
    "read_checklist",
    "side_at_fault",
]

Result = Literal["passed", "failed", "unknown"]
RESULTS: Final[tuple[Result, ...]] = ("passed", "failed", "unknown")

PROBES: Final = ("", "http", "intake", "saving", "sending", "malformed", "platform", "journal")
"""What leadtrace can look at: '' is nothing, a person must."""

_OF_LEADS: Final = ("absence", "too_few", "budget")


@dataclass(frozen=True, slots=True)
class Item:
    """One typical problem."""

    name: str
    question: str
    side: str = OURS
    """Whose fault it is where the answer is no."""
    hint: str = ""
    """Where to look, or what to do."""
    probe: str = ""
    url: str = ""
    """Of `http`: what must answer. Of the probe `intake`, too, where given."""
    folder: str = ""
    """Of `journal`: the journal's folder."""
    status: int = 0
    """Of `http`: the status that is expected; 0 is any of 200 to 399."""
    contains: str = ""
    """Of `http`: text that the answer has in its first part."""
    most: float | None = None
    """Of a share or a number: the most that is well."""
    kinds: tuple[str, ...] = ()
    """Of alerts of which kinds of rules; empty: of all."""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """What looking at one item gave."""

    item: str
    result: Result
    answer: str = ""
    side: str = ""
    """Where it failed: whose fault it is."""
    by: str = ""
    """Who looked; '': leadtrace."""
    at_ns: int = 0


CHECKLIST: Final[tuple[Item, ...]] = (
    Item(
        "intake",
        "Is the intake up, and does it take anything at all?",
        hint="Ask the intake's health address; see whether leads of other groups arrive.",
        probe="intake",
        kinds=_OF_LEADS,
    ),
    Item(
        "saving",
        "Is every lead event that came in saved?",
        hint="Look at the database's disk and locks, and at the errors of the step that saves.",
        probe="saving",
        kinds=_OF_LEADS,
    ),
    Item(
        "sender",
        "Does the sender keep up, without a backlog?",
        hint="Is the sender running, and what does its last error say? `leadtrace journal` shows what waits.",
        probe="sending",
        kinds=_OF_LEADS,
    ),
    Item(
        "malformed",
        "Are lead events well-formed?",
        side="client",
        hint="`leadtrace events --name lead.event.quarantined` names the field that is wrong.",
        probe="malformed",
        kinds=_OF_LEADS,
        most=0.05,
    ),
    Item(
        "platform",
        "Does the platform's API take what is sent, and are the credentials good?",
        side="platform",
        hint="Look at the platform's status page; renew the token where it answers 401 or 403.",
        probe="platform",
        kinds=_OF_LEADS,
        most=0.5,
    ),
    Item(
        "bot-filter",
        "Does the filter against bots let real people through?",
        side="client",
        hint="Look at the filter's own share of blocked visits since the alert began.",
        kinds=_OF_LEADS,
    ),
    Item(
        "ad-settings",
        "Are the ads running, with budget left and the settings of the lead form unchanged?",
        side="client",
        hint="Look for paused or rejected ads, spent budgets, changed forms and changed conversion events.",
        kinds=_OF_LEADS,
    ),
)

PLAN: Final = (
    "Identify the root cause: what failed first, and what changed before it.",
    "Put a workaround in place: a fallback, another route, or a pause, so that nothing more is lost.",
    "Notify those who are affected: owners, buyers and the client, with what is known and when more will be.",
    "Monitor the recovery until the figures are normal again, and write down what happened.",
)
"""What to do in a crisis, in this order."""


@dataclass(frozen=True, slots=True)
class Checklist:
    items: tuple[Item, ...] = CHECKLIST
    otherwise: str = "client"
    """Whose fault it is where every item of our own side is known to be well and none has failed."""

    def of(self, alert: Alert) -> tuple[Item, ...]:
        """The items that belong to that alert."""
        return tuple(
            one
            for one in self.items
            if (not one.kinds or alert.kind in one.kinds) and (not one.groups or alert.group in one.groups)
        )


def checklist_of(rules: Rules) -> Checklist:
    found = rules.extra.get("checklist")
    return found if isinstance(found, Checklist) else Checklist()


def plan_of(alert: Alert) -> tuple[str, ...]:
    """The steps of the response to an alert that is a crisis: the gravest severity, or a crisis of health."""
    return PLAN if alert.severity == "critical" or (alert.kind == "health_state" and alert.text == "crisis") else ()


def side_at_fault(items: Iterable[Item], checks: Iterable[Check], otherwise: str) -> str:
    """Whose side the fault is on, as far as the checks say; '' while nobody can say.

    What failed decides, ours first. Where nothing failed and all of our own side is known to be well, it is `otherwise`.
    """
    latest = {one.item: one for one in checks}
    sides = [one.side for one in latest.values() if one.result == "failed"]
    if sides:
        return OURS if OURS in sides else sides[0]
    ours = [one.name for one in items if one.side == OURS]
    well = [name for name in ours if name in latest and latest[name].result == "passed"]
    return otherwise if ours and len(well) == len(ours) else ""


def read_checklist(table: Table) -> Checklist:
    """`[checklist]`: `otherwise`, `defaults`, and a table per item."""
    otherwise = table.text("otherwise", "client")
    items = {one.name: one for one in CHECKLIST} if table.flag("defaults", True) else {}
    for name in table.content:
        if name in ("otherwise", "defaults") or (inner := table.table(name)) is None:
            continue
        found = _item(inner, items.get(name))
        if inner.flag("use", True):
            items[name] = found
        else:
            items.pop(name, None)
        inner.done()
    table.done()
    return Checklist(tuple(items.values()), otherwise)


def _item(table: Table, usual: Item | None) -> Item:
    if usual is None:
        usual = Item(table.name, "")
        if not table.text("question") and table.flag("use", True):
            table.wrong("an item of the checklist has question = and a sentence", "question")
    probe = table.choice("probe", PROBES, usual.probe)
    found = replace(
        usual,
        question=table.text("question", usual.question),
        side=table.text("side", usual.side),
        hint=table.text("hint", usual.hint),
        probe=probe,
        url=table.text("url", usual.url),
        folder=table.text("folder", usual.folder),
        status=table.whole("status", usual.status),
        contains=table.text("contains", usual.contains),
        most=table.number("most", usual.most, above=-1e-12),
        kinds=table.texts("kinds", usual.kinds),
        groups=table.texts("groups", usual.groups),
    )
    if probe == "http" and not found.url.startswith(("http://", "https://")):
        table.wrong("a probe of this kind has url = and an http:// or https:// address", "url")
    if probe == "journal" and not found.folder:
        table.wrong("a probe of this kind has folder = and the journal's folder", "folder")
    return found
