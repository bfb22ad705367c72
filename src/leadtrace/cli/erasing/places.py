"""Where a lead is erased, or let in again, one place after the other: a place that fails does not keep the others from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadtrace.errors import LeadtraceError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from leadtrace.otlp.tombstone import Readmitted
    from leadtrace.settings import Settings
    from leadtrace.store.embedded import EmbeddedStore
    from leadtrace.store.served import ServedStore

__all__ = ["Done", "Opened", "erase_everywhere", "ids_of", "readmit_everywhere"]


@dataclass(slots=True)
class Done:
    """What was removed in one place; nothing of the person is in it but, apart, the ids of traces."""

    place: str
    """`journal`, `lead events` or `store`."""
    where: str
    counts: dict[str, int] = field(default_factory=dict)
    ranges: dict[str, list[list[int]]] = field(default_factory=dict)
    """By boot, the numbers of the events that were removed."""
    left: list[str] = field(default_factory=list)
    searched_bytes: int = 0
    traces: list[str] = field(default_factory=list)

    @property
    def found(self) -> bool:
        return any(self.counts.values())

    def as_json(self) -> dict[str, Any]:
        """Without the traces, which lead to the person in what others keep."""
        return {
            "place": self.place,
            "where": self.where,
            "counts": self.counts,
            "ranges": self.ranges,
            "searched_bytes": self.searched_bytes,
            "left": self.left,
        }


def ids_of(lead_id: str, tenant: str | None, settings: Settings) -> list[str]:
    """Every id under which the lead may have been recorded; what was typed among them.

    Raises SettingsError where that is a phone number or an e-mail address and its hashes cannot be made for want of a key.
    """
    from leadtrace.otlp.contacts import is_contact
    from leadtrace.otlp.keyfile import load_keys
    from leadtrace.otlp.redact import recorded_ids

    if is_contact(lead_id) is None:
        return [lead_id]
    keys = load_keys(settings.key, create=False)
    found = recorded_ids(lead_id, keys, settings.tenant if tenant is None else tenant)
    return list(dict.fromkeys([*found, lead_id]))


def erase_everywhere(
    lead_ids: Sequence[str], tenant: str | None, journal: Path | None, source: str, named: bool, token: str
) -> list[Done]:
    """Erase from the journal and its lead events first, so that nothing more is sent, then from the store.

    `named`: whether somebody asked for that very store; else one that is not there is no mistake.
    """
    places: list[Done] = []
    if journal is not None and (journal / "segments").is_dir():
        places.append(_attempt("journal", str(journal), lambda: _journal(journal, lead_ids, tenant)))
        events = _attempt("lead events", str(journal), lambda: _lead_events(journal, lead_ids, tenant))
        if events.counts or events.left:
            places.append(events)
    if "://" in source or named or Path(source).expanduser().exists():
        places.append(_attempt("store", source, lambda: _store(source, lead_ids, tenant, token)))
    return places


@dataclass(slots=True)
class Opened:
    """What a place says of a lead that is to be let in again."""

    place: str
    where: str
    lifted: int = 0
    """Tombstones."""
    still: bool = False
    """Whether it is turned away all the same, because it was erased for any tenant."""
    left: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "place": self.place,
            "where": self.where,
            "lifted": self.lifted,
            "still": self.still,
            "left": self.left,
        }


def readmit_everywhere(
    lead_ids: Sequence[str], tenant: str | None, journal: Path | None, source: str, named: bool, token: str
) -> list[Opened]:
    """Let a lead in again, the store first: so nothing is sent that would be turned away there."""
    from leadtrace.journal.erasing import readmit_lead
    from leadtrace.journal.folder import Folder
    from leadtrace.journal.tombstones import readmit

    ways: list[tuple[str, str, Callable[[], Readmitted]]] = []
    if "://" in source or named or Path(source).expanduser().exists():
        ways.append(("store", source, lambda: _readmitted_by_store(source, lead_ids, tenant, token)))
    if journal is not None and (journal / "segments").is_dir():
        ways.append(("journal", str(journal), lambda: readmit(Folder(journal), lead_ids, tenant)))
        ways.append(("lead events", str(journal), lambda: readmit_lead(journal, lead_ids, tenant=tenant)))
    found: list[Opened] = []
    for place, where, way in ways:
        try:
            told = way()
        except (LeadtraceError, OSError) as problem:
            found.append(Opened(place, where, left=[f"nothing could be done there: {problem}"]))
        else:
            found.append(Opened(place, where, told.lifted, told.still))
    return found


def _readmitted_by_store(source: str, lead_ids: Sequence[str], tenant: str | None, token: str) -> Readmitted:
    store = _writable(source, token)
    try:
        return store.readmit(lead_ids, tenant)
    finally:
        store.close()


def _attempt(place: str, where: str, erase: Callable[[], Done]) -> Done:
    try:
        return erase()
    except (LeadtraceError, OSError) as problem:
        return Done(place, where, left=[f"nothing could be done there: {problem}"])


def _journal(folder: Path, lead_ids: Sequence[str], tenant: str | None) -> Done:
    from leadtrace.journal.folder import Folder
    from leadtrace.journal.removal import remove_lead

    told = remove_lead(Folder(folder), lead_ids, tenant)
    return Done(
        "journal",
        str(folder),
        {name: getattr(told, name) for name in ("events", "spans", "kept", "set_aside", "changed")},
        {boot: one.as_json() for boot, one in told.ranges.items()},
        told.left,
    )


def _lead_events(folder: Path, lead_ids: Sequence[str], tenant: str | None) -> Done:
    from leadtrace.journal.erasing import erase_lead
    from leadtrace.journal.outbox import Outbox

    outbox = Outbox(folder)
    there = outbox.exists()
    outbox.close()
    counts = erase_lead(folder, lead_ids, tenant=tenant)  # where there is none it is made, for the tombstone
    return Done("lead events", str(folder), counts if there else {})


def _store(source: str, lead_ids: Sequence[str], tenant: str | None, token: str) -> Done:
    store = _writable(source, token)
    try:
        told = store.erase(lead_ids, tenant)
    finally:
        store.close()
    ranges = {boot: one.as_json() for boot, one in told.ranges.items()}
    return Done("store", source, told.counts(), ranges, told.left, told.searched_bytes, told.traces)


def _writable(source: str, token: str) -> ServedStore | EmbeddedStore:
    """The store of a running server, or of a file that nobody writes. Raises SettingsError for others."""
    scheme = source.partition("://")[0].lower() if "://" in source else ""
    if scheme in ("http", "https"):
        from leadtrace.store.served import ServedStore

        return ServedStore(source, token)
    if scheme:
        raise SettingsError(
            f"nothing can be erased from {scheme}:// by this command", expected="a path, or http://host:port"
        )
    from leadtrace.store.embedded import EmbeddedStore

    return EmbeddedStore.open(source, write=True)
