"""Lead events: what an advertising platform is told about a lead, from the word that takes one in to the sender of each platform.

    lt.lead_event ─► keep ─► journal ─► import ─► outbox ─► claim ─► the user's sender ─► settle ─► lead.event.sent
                                                    └─► quarantine (malformed, refused for good)

The words ask for it by the protocol `LeadEvents`; what stands behind it is the journal's. A kept record has a head that
anybody may read, with what the events of the lead say as well, and a sealed body with the payload and all that was given.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from leadtrace.errors import SealError
from leadtrace.otlp import identity

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from leadtrace.otlp.sealing import Sealer
    from leadtrace.otlp.sink import Receipt

__all__ = [
    "KIND",
    "Arrival",
    "Claimed",
    "Content",
    "Kept",
    "LeadEvent",
    "LeadEvents",
    "Problem",
    "Settled",
    "Telling",
    "Turn",
    "open_content",
    "seal_content",
    "utf8",
]

KIND: Final = "lead_event"
"""The kind of a kept record that is a lead event."""


@dataclass(slots=True, frozen=True)
class LeadEvent:
    """A lead event as its sender gets it beside the payload: what was given to `lt.lead_event`, and which try this is."""

    id: str
    """The same at every try and after every crash: what a platform tells resends by."""
    destination: str
    type: str = ""
    account_id: str = ""
    campaign_group: str = ""
    campaign_id: str = ""
    ad_id: str = ""
    lead_id: str = ""
    tenant: str = ""
    received_ns: int = 0
    """When it came in, Unix nanoseconds."""
    attempt: int = 1
    resend: bool = False
    """Whether the platform may have had it before: a try was cut off, or its process died."""


@dataclass(slots=True, frozen=True)
class Problem:
    """What is wrong with a payload: a reason that quotes nothing of it, and the field, where there is one."""

    reason: str
    field: str = ""


@dataclass(slots=True, frozen=True)
class Content:
    """What is sealed: the payload with what came beside it, exactly as given."""

    payload: Any = None
    """JSON: what a sender is called with."""
    raw: str | None = None
    """Of what is no JSON: the bytes as they came, decoded as Latin-1, so that any byte comes back."""
    given: Mapping[str, str] = field(default_factory=dict)
    """type, account_id, campaign_group, campaign_id, ad_id and lead_id before redaction; absent ones left out."""
    schema: Any = None
    """The JSON Schema that a malformed payload was checked by, so that its repair is checked by the same."""


@dataclass(slots=True, frozen=True)
class Arrival:
    """One call of `lt.lead_event`: for one or several platforms."""

    id: str
    destinations: tuple[str, ...]
    content: Content
    lead_id: str
    """As recorded: hashed where as a whole it is an e-mail address or a phone number."""
    tenant: str
    received_ns: int
    fields: Mapping[str, str]
    """type, account_id … as recorded, redacted."""
    malformed: Mapping[str, Problem] = field(default_factory=dict)
    """By destination: why it is not sent there."""


@dataclass(slots=True, frozen=True)
class Kept:
    """A kept record: everything but the sealed content may be read without the key."""

    id: str
    destinations: tuple[str, ...]
    digest: bytes
    sealed: bytes
    lead_id: str = ""
    tenant: str = ""
    received_ns: int = 0
    fields: Mapping[str, str] = field(default_factory=dict)
    malformed: Mapping[str, Problem] = field(default_factory=dict)

    @classmethod
    def of(cls, arrival: Arrival, sealer: Sealer) -> Kept:
        digest, sealed = seal_content(arrival.id, arrival.content, sealer)
        return cls(
            arrival.id,
            arrival.destinations,
            digest,
            sealed,
            arrival.lead_id,
            arrival.tenant,
            arrival.received_ns,
            arrival.fields,
            arrival.malformed,
        )

    def packed(self) -> bytes:
        """As bytes: the head's length, the head as JSON, the sealed content."""
        head = {
            "id": self.id,
            "to": list(self.destinations),
            "digest": self.digest.hex(),
            "lead_id": self.lead_id,
            "tenant": self.tenant,
            "at": self.received_ns,
            "fields": dict(self.fields),
            "malformed": {destination: [one.reason, one.field] for destination, one in self.malformed.items()},
        }
        told = json.dumps(
            {key: value for key, value in head.items() if value or key == "id"}, separators=(",", ":")
        ).encode()
        return len(told).to_bytes(4, "big") + told + self.sealed

    @classmethod
    def unpacked(cls, record: bytes) -> Kept:
        """The record of these bytes. Raises `SealError` where they are none."""
        size = int.from_bytes(record[:4], "big")
        try:
            head = json.loads(record[4 : 4 + size])
            at = head.get("at", 0)
            if type(at) is not int or abs(at) >= 1 << 63:
                raise ValueError("no time")
            return cls(
                _text(head["id"]),
                tuple(_text(one) for one in head["to"]),
                bytes.fromhex(head["digest"]),
                record[4 + size :],
                _text(head.get("lead_id", "")),
                _text(head.get("tenant", "")),
                at,
                {_text(key): _text(one) for key, one in head.get("fields", {}).items()},
                {_text(to): Problem(*map(_text, one)) for to, one in head.get("malformed", {}).items()},
            )
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as why:
            raise SealError("these bytes are no kept lead event", cause=type(why).__name__) from why


def utf8(text: str) -> str:
    """A text that can be written: half a surrogate pair, as badly decoded input leaves it, becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    value.encode()
    return value


def seal_content(id: str, content: Content, sealer: Sealer) -> tuple[bytes, bytes]:  # noqa: A002 - the event's own word
    """The digest of what is sent and the sealed content, bound to each other and to the lead event's id."""
    named: dict[str, Any] = {"given": dict(content.given), "payload": content.payload, "raw": content.raw}
    sent = json.dumps(named, sort_keys=True, separators=(",", ":"))
    digest = sealer.digest(sent.encode())
    whole = json.dumps({**named, "schema": content.schema}, separators=(",", ":"))
    return digest, sealer.seal(whole.encode(), _about(id, digest))


def open_content(id: str, digest: bytes, sealed: bytes, sealer: Sealer) -> Content:  # noqa: A002 - as above
    """What was sealed under that id and digest. Raises `SealError` where it cannot be opened."""
    return Content(**json.loads(sealer.open(sealed, _about(id, digest))))


def _about(id: str, digest: bytes) -> bytes:  # noqa: A002 - as above
    return id.encode("utf-8", "surrogatepass") + b"\0" + digest


@dataclass(slots=True, frozen=True)
class Telling:
    """An event that is to be told of a lead event: written down with what it tells of, and told after that.

    Its uid is made before, so that telling it twice, once by whoever comes after a crash, is one event.
    """

    uid: str
    name: str
    lead_id: str
    tenant: str
    time_ns: int
    fields: Mapping[str, str | int | bool]

    @classmethod
    def of(
        cls,
        name: str,
        time_ns: int,
        event: LeadEvent,
        lead_id: str,
        recorded: Mapping[str, str],
        **more: str | int | bool | None,
    ) -> Telling:
        """An event of a lead event: with what was recorded of it when it came, and `more`; absent values are left out."""
        fields: dict[str, str | int | bool] = {"id": event.id, "destination": event.destination, **recorded}
        fields.update({key: value for key, value in more.items() if value not in (None, "")})
        return cls(identity.current().uid(), name, lead_id, event.tenant, time_ns, fields)


@dataclass(slots=True, frozen=True)
class Claimed:
    """A lead event in this process's hands: nobody else sends it while this process lives."""

    number: int
    event: LeadEvent
    content: Content
    lead_id: str
    """As recorded."""
    fields: Mapping[str, str]
    """As recorded."""
    check_again: bool = False
    """Whether it was released from quarantine, so that this process's checks apply before it is sent."""


@dataclass(slots=True, frozen=True)
class Settled:
    """What came of a claimed lead event."""

    number: int
    outcome: Literal["sent", "failed", "quarantined"]
    telling: Telling
    reason: str = ""
    field: str = ""
    status: int = 0
    due_ns: int = 0
    """Of a failed one: when it may be tried again."""
    pause_until_ns: int = 0
    """When its platform may be asked again at all; 0: at once."""
    platform_failed: bool = False
    """Whether it is the platform that does not work, not this event."""
    may_be_sent: bool = False
    """Of a failed one: whether the platform may have it all the same."""


@dataclass(slots=True, frozen=True)
class Turn:
    """One step of a sender: what is to be told now, and what comes next."""

    tellings: Sequence[Telling] = ()
    """Of what was settled, unless its lead was erased meanwhile, and of what could not be claimed."""
    claimed: Claimed | None = None


class LeadEvents(Protocol):
    """Where lead events are kept, and where senders get them. Any thread and any process may use it.

    `keep` may be called on a running event loop, and never raises for storage; everything else does file I/O and belongs
    on a worker's thread.
    """

    def keep(self, arrival: Arrival) -> Receipt:
        """Keep it for all its destinations. Raises `SettingsError` where encryption is not installed or has no key."""
        ...

    def bring_in(self) -> list[Telling]:
        """Take over what was kept, and what dead workers left; gives events that those could not tell any more."""
        ...

    def turn(self, destination: str, settled: Settled | None, told: Sequence[str]) -> Turn:
        """Settle one, forget what was told, and claim the next that is due for that destination, in one step."""
        ...

    def settle(self, settled: Settled | None, told: Sequence[str]) -> Turn:
        """The same without a claim."""
        ...

    def due_in_s(self, destination: str) -> float | None:
        """How long until something is due for it; None where nothing waits."""
        ...

    def waiting(self, destinations: Collection[str]) -> int:
        """How many wait for these, claimed ones included."""
        ...

    @property
    def version(self) -> int:
        """Rises with everything kept by this process."""
        ...

    def wait(self, version: int, timeout_s: float) -> None:
        """Wait until more has been kept by this process than at that version, at most that long."""
        ...

    @property
    def location(self) -> str:
        """Where quarantined payloads lie."""
        ...
