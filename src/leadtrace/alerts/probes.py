"""Looks at items of the checklist that a machine can look at: an address, or what the store has of the alert's time.

Each probe answers with a sentence. What it cannot see is `unknown`, never `passed`: only what was seen to be well is.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from leadtrace.alerts.checklist import Check
from leadtrace.alerts.own_events import named_by
from leadtrace.alerts.rules import HOUR
from leadtrace.alerts.spoken import share_text
from leadtrace.errors import SourceError
from leadtrace.query.printable import plain
from leadtrace.store.interface import EventFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from leadtrace.alerts.checklist import Item
    from leadtrace.alerts.model import Alert
    from leadtrace.alerts.rules import Rules
    from leadtrace.otlp.records import EventRecord
    from leadtrace.store.interface import Source

__all__ = ["Probes", "ask"]

_TIMEOUT_S: Final = 5.0
_LOOKED_AT: Final = 64 << 10
_MOST_EVENTS: Final = 20_000
_BEFORE: Final = 6 * HOUR
"""How far before the alert's beginning events are looked at: what came last came then."""

_REFUSED: Final = ("401", "403")


class Probes:
    """Probes over one source. `backlog` says how many records wait in a journal's folder; `cli` knows how."""

    def __init__(self, source: Source, tenant: str | None = None, backlog: Callable[[str], int] | None = None) -> None:
        self._source = source
        self._tenant = tenant
        self._backlog = backlog

    def __call__(self, item: Item, alert: Alert, rules: Rules, now_ns: int) -> Check:
        try:
            result, told = self._look(item, alert, rules, now_ns)
        except SourceError as problem:
            result, told = None, f"the store cannot be read: {problem}"
        if result is None:
            return Check(item.name, "unknown", told, at_ns=now_ns)
        return Check(item.name, "passed" if result else "failed", told, "" if result else item.side, at_ns=now_ns)

    def _look(self, item: Item, alert: Alert, rules: Rules, now_ns: int) -> tuple[bool | None, str]:
        match item.probe:
            case "http":
                return ask(item.url, item.status, item.contains)
            case "intake":
                return self._intake(item, alert, rules, now_ns)
            case "saving":
                return self._saving(alert, rules, now_ns)
            case "sending":
                return self._sending(alert, rules, now_ns)
            case "malformed":
                return self._malformed(item, alert, rules, now_ns)
            case "platform":
                return self._platform(item, alert, rules, now_ns)
            case "journal":
                return self._journal(item)
        return None, "nothing here can look at it"

    def _intake(self, item: Item, alert: Alert, rules: Rules, now_ns: int) -> tuple[bool | None, str]:
        if item.url:
            return ask(item.url, item.status, item.contains)
        names = ("lead.received", "lead.event.received", "flow.started")
        others = 0
        for event in self._events(names, max(alert.began_ns, now_ns - _BEFORE), now_ns):
            others += not _is_of(event, alert, rules)
        if others:
            return True, f"{others} leads of others came in since the alert began"
        return (
            None,
            "nothing came in of anybody since the alert began: ask the intake itself (url = its health address)",
        )

    def _saving(self, alert: Alert, rules: Rules, now_ns: int) -> tuple[bool | None, str]:
        counts = self._counts(
            ("lead.event.received", "lead.event.saved", "lead.event.quarantined"), alert, rules, now_ns
        )
        received, saved = counts["lead.event.received"], counts["lead.event.saved"]
        if not received:
            return None, "no lead event came in that could have been saved"
        lost = received - saved - counts["lead.event.quarantined"]
        return lost <= 0, f"{saved} of {received} lead events were saved" + (f", {lost} were not" if lost > 0 else "")

    def _sending(self, alert: Alert, rules: Rules, now_ns: int) -> tuple[bool | None, str]:
        saved: dict[tuple[str, str], int] = {}  # one id may go to several platforms, each at its own time
        sent: set[tuple[str, str]] = set()
        names = ("lead.event.saved", "lead.event.sent")
        for event in self._events(names, alert.began_ns - _BEFORE, now_ns):
            if not _is_of(event, alert, rules):
                continue
            said = event.attributes
            one_send = (str(said.get("lead.event.id", "")), str(said.get("lead.event.destination", "")))
            if event.name == "lead.event.saved":
                saved[one_send] = event.time_ns
            else:
                sent.add(one_send)
        if not saved:
            return None, "no lead event was saved that could be sent"
        waiting = [at for one, at in saved.items() if one not in sent and at < now_ns - 5 * 60 * 1_000_000_000]
        if not waiting:
            return True, f"all {len(saved)} saved lead events were sent, but for those of the last five minutes"
        return False, f"{len(waiting)} of {len(saved)} saved lead events wait for longer than five minutes"

    def _malformed(self, item: Item, alert: Alert, rules: Rules, now_ns: int) -> tuple[bool | None, str]:
        counts = self._counts(("lead.event.received", "lead.event.quarantined"), alert, rules, now_ns)
        received, bad = counts["lead.event.received"], counts["lead.event.quarantined"]
        total = max(received, bad)
        if not total:
            return None, "no lead event came in that could be malformed"
        share, most = bad / total, item.most if item.most is not None else 0.0
        return (
            share <= most,
            f"{bad} of {total} lead events are malformed ({share_text(share)}, at most {share_text(most)})",
        )

    def _platform(self, item: Item, alert: Alert, rules: Rules, now_ns: int) -> tuple[bool | None, str]:
        ended = [key for key, one in rules.credentials.items() if one.expires_ns and one.expires_ns <= now_ns]
        if ended:
            return False, f"the credential {', '.join(ended)} has ended"
        taken = failed = refused = 0
        last = ""
        for event in self._events(("lead.event.sent", "lead.event.failed"), alert.began_ns - _BEFORE, now_ns):
            if not _is_of(event, alert, rules):
                continue
            if event.name == "lead.event.sent":
                taken += 1
                continue
            failed += 1
            said = event.attributes
            refused += str(said.get("http.response.status_code") or said.get("error.type", "")) in _REFUSED
            last = plain(str(said.get("lead.event.reason") or said.get("error.type") or ""))[:120]
        if not taken and not failed:
            return None, "nothing was sent that the platform could have taken"
        share, most = failed / (taken + failed), item.most if item.most is not None else 0.0
        told = f"{failed} of {taken + failed} sends failed" + (f", the last with: {last}" if last else "")
        if refused:
            told += f"; {refused} were refused for their credentials"
        return share <= most and not refused, told

    def _journal(self, item: Item) -> tuple[bool | None, str]:
        if self._backlog is None:
            return None, "journals cannot be looked at from here"
        try:
            waiting = self._backlog(item.folder)
        except (OSError, SourceError) as problem:
            return None, f"the journal {item.folder} cannot be read: {plain(str(problem))}"
        most = item.most if item.most is not None else 1000
        return waiting <= most, f"{waiting} records wait in {item.folder} (at most {most:g})"

    def _counts(self, names: tuple[str, ...], alert: Alert, rules: Rules, now_ns: int) -> Counter[str]:
        found = self._events(names, alert.began_ns - _BEFORE, now_ns)
        return Counter(one.name for one in found if _is_of(one, alert, rules))

    def _events(self, names: tuple[str, ...], since_ns: int, until_ns: int) -> Iterator[EventRecord]:
        return self._source.events(
            EventFilter(
                names, tenant=self._tenant, since_ns=max(0, since_ns), until_ns=until_ns + 1, limit=_MOST_EVENTS
            )
        )


def _is_of(event: EventRecord, alert: Alert, rules: Rules) -> bool:
    group = rules.groups.get(alert.group)
    if group is None:
        return True
    return any(str(event.attributes.get(one, "")) in group.values for one in named_by(group))


def ask(url: str, status: int = 0, contains: str = "") -> tuple[bool, str]:
    """Whether an address answers as it should, in seconds and with a bounded part of its answer read. Never raises."""
    import urllib3

    try:
        response = urllib3.request(
            "GET",
            url,
            timeout=urllib3.Timeout(connect=_TIMEOUT_S, read=_TIMEOUT_S, total=2 * _TIMEOUT_S),
            retries=False,
            redirect=False,
            preload_content=False,
            headers={"user-agent": "leadtrace-watch"},
        )
    except (urllib3.exceptions.HTTPError, ValueError, OSError) as problem:
        return False, f"it does not answer: {type(problem).__name__}"
    try:
        good = response.status == status if status else 200 <= response.status < 400
        if not good:
            return False, f"it answers {response.status}, expected {status or '200 to 399'}"
        if contains:
            body = response.read(_LOOKED_AT, decode_content=True).decode(errors="replace")
            if contains not in body:
                return False, f"it answers {response.status}, without {contains!r}"
    except (urllib3.exceptions.HTTPError, OSError) as problem:
        return False, f"it broke off its answer: {type(problem).__name__}"
    finally:
        response.close()
    return True, f"it answers {response.status}"
