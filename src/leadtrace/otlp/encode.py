"""Records to OTLP bytes, by hand: a record is encoded once, where it happens, without building message objects first.

    request  = (1: ResourceLogs)*                       ResourceSpans alike
    resource = 1: Resource, 3: schema URL               `resource()`, made once a process
    scope    = 1: Scope, 3: schema URL                  `signal()`, made once a scope
    record   = 2: LogRecord | Span                      `log_record()`, `span()`: one framed field each

Protobuf lets fields come in any order and messages be put together from pieces, so a sender only frames and joins; it
never parses. What comes out parses equal to what the SDK's own exporter sends (tested, field by field).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any, Literal

from leadtrace.otlp.sink import Signal

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import Link, SpanContext

__all__ = ["Encoded", "framed", "log_record", "pairs", "request", "resource", "signal", "span"]

_fixed64 = Struct("<Q").pack
_fixed32 = Struct("<I").pack
_double = Struct("<d").pack
_TIME = Struct("<BQ").pack  # a tag and its fixed64
_MASK64 = (1 << 64) - 1
_SMALL = [bytes((n,)) for n in range(128)]
_TEXT = [bytes((0x12, n + 2, 0x0A, n)) for n in range(100)]
"""Before a text of that many bytes: the frame of its AnyValue, and of the string in it."""


def _varint(number: int) -> bytes:
    if number < 128:
        return _SMALL[number]
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def framed(tag: bytes, body: bytes) -> bytes:
    """A length-delimited field."""
    return tag + _varint(len(body)) + body


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate: told apart rather than lost
        return text.encode("utf-8", "backslashreplace")


_keys: dict[str, bytes] = {}
_KEYS = 4096


def _key(key: str) -> bytes:
    """A framed key: the same few hundred come again and again."""
    found = _keys.get(key)
    if found is None:
        found = framed(b"\x0a", _utf8(key))
        if len(_keys) < _KEYS:
            _keys[key] = found
    return found


def _value(value: object) -> bytes:
    """The body of an AnyValue."""
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, str):
        return framed(b"\x0a", _utf8(value))
    if isinstance(value, int):
        return b"\x18" + _varint(value & _MASK64)
    if isinstance(value, float):
        return b"\x21" + _double(value)
    if isinstance(value, bytes):
        return framed(b"\x3a", value)
    if isinstance(value, Mapping):
        pairs = b"".join(framed(b"\x0a", _pair(str(key), one)) for key, one in value.items())
        return framed(b"\x32", pairs)
    if isinstance(value, Sequence):
        return framed(b"\x2a", b"".join(framed(b"\x0a", _value(one)) for one in value))
    return b"" if value is None else framed(b"\x0a", _utf8(str(value)))


def _pair(key: str, value: object) -> bytes:
    """The body of a KeyValue."""
    return _key(key) + framed(b"\x12", _value(value))


class Encoded(dict[str, Any]):
    """Attributes that are encoded once, though they are sent twice: with a log record, and with its copy on a span.

    Not to be changed once they were encoded.
    """

    __slots__ = ("bodies",)

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        super().__init__(attributes)
        self.bodies: list[bytes] | None = None


def pairs(tag: bytes, attributes: Mapping[str, object] | None) -> bytes:
    """Each attribute as a KeyValue under that tag."""
    if not attributes:
        return b""
    if isinstance(attributes, Encoded):
        bodies = attributes.bodies
        if bodies is None:
            bodies = attributes.bodies = _bodies(attributes)
    else:
        bodies = _bodies(attributes)
    return tag + tag.join(bodies)


def _bodies(attributes: Mapping[str, object]) -> list[bytes]:
    """Each attribute's KeyValue behind its length. The common cases are written out: this is the hot loop of every event."""
    out = []
    keys = _keys
    for key, value in attributes.items():
        head = keys.get(key) or _key(key)
        kind = value.__class__
        if kind is str:
            try:
                text = value.encode()  # type: ignore[attr-defined]
            except UnicodeEncodeError:
                text = _utf8(value)  # type: ignore[arg-type]
            size = len(text)
            body = head + (_TEXT[size] + text if size < 100 else framed(b"\x12", framed(b"\x0a", text)))
        elif kind is float:
            body = head + b"\x12\x09\x21" + _double(value)
        elif kind is int:
            number = _varint(value & _MASK64)  # type: ignore[operator]
            body = head + b"\x12" + _SMALL[len(number) + 1] + b"\x18" + number
        elif kind is bool:
            body = head + (b"\x12\x02\x10\x01" if value else b"\x12\x02\x10\x00")
        else:
            body = head + framed(b"\x12", _value(value))
        size = len(body)
        out.append((_SMALL[size] if size < 128 else _varint(size)) + body)
    return out


def resource(attributes: Mapping[str, object], schema_url: str = "") -> bytes:
    """The resource of this process: the head of a ResourceLogs or ResourceSpans message."""
    head = framed(b"\x0a", pairs(b"\x0a", attributes))
    return head + (framed(b"\x1a", _utf8(schema_url)) if schema_url else b"")


def signal(
    kind: Literal["logs", "traces"],
    scope_name: str,
    scope_version: str = "",
    schema_url: str = "",
    attributes: Mapping[str, object] | None = None,
) -> Signal:
    """A kind of records from one instrumentation scope; see `Signal`."""
    scope = (framed(b"\x0a", _utf8(scope_name)) if scope_name else b"") + (
        framed(b"\x12", _utf8(scope_version)) if scope_version else b""
    )
    head = framed(b"\x0a", scope + pairs(b"\x1a", attributes))
    return Signal(kind, head + (framed(b"\x1a", _utf8(schema_url)) if schema_url else b""))


def request(resource_head: bytes, groups: Iterable[tuple[Signal, Iterable[bytes]]]) -> bytes:
    """The body of an Export…ServiceRequest: one resource, a scope per group, each group's records behind one another.

    All signals of one request have the same kind.
    """
    scopes = b"".join(framed(b"\x12", head.scope + b"".join(records)) for head, records in groups)
    return framed(b"\x0a", resource_head + scopes)


def log_record(
    event_name: str,
    time_ns: int,
    attributes: Mapping[str, object],
    *,
    trace_id: int = 0,
    span_id: int = 0,
    trace_flags: int = 0,
    severity_number: int = 9,
    severity_text: str = "",
    observed_ns: int = 0,
    body: object = None,
) -> bytes:
    """One event as a framed LogRecord. Times are Unix nanoseconds; ids are ints, 0 for none."""
    name = _key(event_name)[1:]  # the same length and text, under another tag
    parts = [
        _TIME(0x09, time_ns),
        b"\x10",
        _varint(severity_number),
        framed(b"\x1a", _utf8(severity_text)) if severity_text else b"",
        framed(b"\x2a", _value(body)) if body is not None else b"",
        pairs(b"\x32", attributes),
        b"\x45" + _fixed32(trace_flags) if trace_flags else b"",
        b"\x4a\x10" + trace_id.to_bytes(16, "big") + b"\x52\x08" + span_id.to_bytes(8, "big") if trace_id else b"",
        _TIME(0x59, observed_ns or time_ns),
        b"\x62" + name if event_name else b"",
    ]
    return framed(b"\x12", b"".join(parts))


def span(
    ended: ReadableSpan,
    attributes: Mapping[str, object] | None = None,
    events: Sequence[tuple[Event, Mapping[str, object] | None]] | None = None,
    status_message: str | None = None,
) -> bytes:
    """An ended span of the SDK as a framed Span.

    `attributes`, `events` (each with the attributes to send) and `status_message` stand in for the span's own where the
    caller has redacted them; a span is never changed.
    """
    context = ended.get_span_context()
    assert context is not None
    own_events = [(one, one.attributes) for one in ended.events] if events is None else events
    message = ended.status.description if status_message is None else status_message
    state = ",".join(f"{key}={value}" for key, value in context.trace_state.items()) if context.trace_state else ""
    status = (framed(b"\x12", _utf8(message)) if message else b"") + (
        b"\x18" + _varint(ended.status.status_code.value) if ended.status.status_code.value else b""
    )
    parts = [
        b"\x0a\x10" + context.trace_id.to_bytes(16, "big"),
        b"\x12\x08" + context.span_id.to_bytes(8, "big"),
        framed(b"\x1a", _utf8(state)) if state else b"",
        b"\x22\x08" + ended.parent.span_id.to_bytes(8, "big") if ended.parent else b"",
        framed(b"\x2a", _utf8(ended.name)),
        b"\x30" + _varint(ended.kind.value + 1),  # the SDK counts kinds from 0, OTLP keeps 0 for unspecified
        _TIME(0x39, ended.start_time or 0),
        _TIME(0x41, ended.end_time or 0),
        pairs(b"\x4a", ended.attributes if attributes is None else attributes),
        b"\x50" + _varint(ended.dropped_attributes) if ended.dropped_attributes else b"",
        *(framed(b"\x5a", _event(one, pairs)) for one, pairs in own_events),
        b"\x60" + _varint(ended.dropped_events) if ended.dropped_events else b"",
        *(framed(b"\x6a", _link(one)) for one in ended.links),
        b"\x70" + _varint(ended.dropped_links) if ended.dropped_links else b"",
        framed(b"\x7a", status),
        b"\x85\x01" + _fixed32(_flags(ended.parent)),
    ]
    return framed(b"\x12", b"".join(parts))


def _event(event: Event, attributes: Mapping[str, object] | None) -> bytes:
    dropped = getattr(event, "dropped_attributes", 0)
    return b"".join(
        (
            _TIME(0x09, event.timestamp),
            framed(b"\x12", _utf8(event.name)),
            pairs(b"\x1a", attributes),
            b"\x20" + _varint(dropped) if dropped else b"",
        )
    )


def _link(link: Link) -> bytes:
    context = link.context
    state = ",".join(f"{key}={value}" for key, value in context.trace_state.items()) if context.trace_state else ""
    return b"".join(
        (
            b"\x0a\x10" + context.trace_id.to_bytes(16, "big"),
            b"\x12\x08" + context.span_id.to_bytes(8, "big"),
            framed(b"\x1a", _utf8(state)) if state else b"",
            pairs(b"\x22", link.attributes),
            b"\x35" + _fixed32(_flags(context)),
        )
    )


def _flags(context: SpanContext | None) -> int:
    """0x100: it is known whether the context is remote; 0x200: it is."""
    return 0x300 if context is not None and context.is_remote else 0x100
