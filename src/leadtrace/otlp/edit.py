"""Taking a lead out of an encoded record without decoding it: whose it is, and the same record without one of its leads.

Works on what `encode` writes and on any other valid OTLP. An edited record is exactly as long as it was, so that it can be
written in its place in a file: what is left over is filled with a field that no receiver knows and all pass over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from leadtrace.otlp.peek import peek_log, peek_span

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator

__all__ = ["Named", "named_in", "names_somebody", "only_lead", "replace_text", "without_leads"]

Kind: TypeAlias = "Literal['logs', 'traces']"

_ATTRIBUTES: Final = {"logs": 6, "traces": 9}
_OWN: Final = b"lead.id"
_SEVERAL: Final = b"leadtrace.lead_ids"
_FILLER: Final = b"\xa2\x06"  # field 100, length-delimited
_STAND_IN: Final = b"erased"


@dataclass(slots=True, frozen=True)
class Named:
    """Whom a record names, and where it stands."""

    tenant: str
    leads: tuple[str, ...]
    """`lead.id`, then those of `leadtrace.lead_ids`."""
    trace_id: int
    span_id: int
    uid: str


def names_somebody(record: bytes) -> bool:
    """The cheap question before the others: whether a record has one of the attributes that name leads."""
    return b"\x0a\x07" + _OWN in record or b"\x0a\x12" + _SEVERAL in record


def only_lead(record: bytes) -> tuple[str, str] | None:
    """Tenant and lead of a record that names one lead, once, found without reading the rest; None where it takes a closer look."""
    if record.count(_OWN_MARK) != 1 or _SEVERAL in record or record.count(_TENANT_MARK) > 1:
        return None
    lead, tenant = _after(record, _OWN_MARK), _after(record, _TENANT_MARK) if _TENANT_MARK in record else ""
    return None if lead is None or tenant is None else (tenant, lead)


_OWN_MARK: Final = b"\x0a\x07lead.id\x12"
_TENANT_MARK: Final = b"\x0a\x0atenant_key\x12"


def _after(record: bytes, mark: bytes) -> str | None:
    """The text of the AnyValue behind a key."""
    size, at = _varint(record, record.find(mark) + len(mark))
    return _text(record, at, at + size)


def named_in(record: bytes, kind: Kind) -> Named:
    """Whom a framed record names itself; a span's events are not asked."""
    found = (peek_log if kind == "logs" else peek_span)(record)
    said = found.attributes
    several = said.get("leadtrace.lead_ids")
    own = said.get("lead.id")
    leads = ([str(own)] if own else []) + ([str(one) for one in several] if isinstance(several, list) else [])
    tenant, uid = said.get("tenant_key", ""), said.get("log.record.uid", "")
    return Named(str(tenant), tuple(leads), found.trace_id, found.span_id, str(uid))


def without_leads(record: bytes, kind: Kind, gone: Callable[[str, str], bool]) -> bytes | None:
    """A framed record without the leads for which `gone(tenant, lead_id)` holds: itself where it names none of them,
    None where it names nobody else, else one of the same length. Of a span, events that are those leads' alone go too.
    """
    named = named_in(record, kind)
    leaving = {one for one in named.leads if gone(named.tenant, one)}
    if leaving and leaving == set(named.leads):
        return None
    start, end = _body(record)
    if end < 0:
        return record
    parts: list[bytes] = []
    changed = False
    for number, begin, at, stop in _parts(record, start, end):
        if number == _ATTRIBUTES[kind] and leaving:
            kept = _attribute(record, at, stop, leaving)
            if kept is None:
                changed = True
                continue
            if kept is not record:
                parts.append(_field(number, kept))
                changed = True
                continue
        elif number == 11 and kind == "traces" and _is_events(record, at, stop, gone):
            changed = True
            continue
        parts.append(record[begin:stop])
    if not changed:
        return record
    body = b"".join(parts)
    return record[:start] + body + _filler(end - start - len(body))


def replace_text(record: bytes, kind: Kind, pattern: re.Pattern[bytes]) -> bytes:
    """The framed record with `erased` in place of what the pattern finds in its texts, of the same length; itself where
    nothing is found."""
    start, end = _body(record)
    edited: bytearray | None = None
    for at, stop in _texts(record, start, end, kind):
        for match in pattern.finditer(record[at:stop]):
            edited = bytearray(record) if edited is None else edited
            size = match.end() - match.start()
            edited[at + match.start() : at + match.end()] = (_STAND_IN + b"." * size)[:size]
    return record if edited is None else bytes(edited)


# --- the wire form, by place ------------------------------------------------------------------------------------------


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    return value, len(data)


def _parts(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a message: number, where the field begins, where its value does, and where both end.

    Of numbers the value is empty. Ends where it is no message any more.
    """
    at = start
    while at < end:
        begin = at
        tag, at = _varint(data, at)
        match tag & 7:
            case 0:
                _, at = _varint(data, at)
                size = 0
            case 1:
                at, size = at + 8, 0
            case 5:
                at, size = at + 4, 0
            case 2:
                size, at = _varint(data, at)
            case _:
                return
        if at + size > end:
            return
        yield tag >> 3, begin, at, at + size
        at += size


def _body(record: bytes) -> tuple[int, int]:
    """Where the message in a framed field begins and ends; nowhere where it is none."""
    return next(((at, stop) for _, _, at, stop in _parts(record, 0, len(record))), (0, -1))


def _field(number: int, value: bytes) -> bytes:
    return _varint_of(number << 3 | 2) + _varint_of(len(value)) + value


def _varint_of(number: int, size: int = 0) -> bytes:
    """As few bytes as it takes, or as many as asked."""
    out = bytearray()
    while number > 127 or len(out) + 1 < size:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _filler(size: int) -> bytes:
    """A field that nobody knows, of that many bytes. What was taken out is always long enough for one."""
    if size == 0:
        return b""
    digits = next(count for count in range(1, 6) if size - len(_FILLER) - count < 128**count)
    length = size - len(_FILLER) - digits
    return _FILLER + _varint_of(length, digits) + bytes(length)


def _key(data: bytes, start: int, end: int) -> bytes:
    return next((data[at:stop] for number, _, at, stop in _parts(data, start, end) if number == 1), b"")


def _attribute(data: bytes, start: int, end: int, leaving: set[str]) -> bytes | None:
    """One attribute's message without those leads: the whole record where it has nothing to do with them, None where it goes."""
    key = _key(data, start, end)
    value = next(((at, stop) for number, _, at, stop in _parts(data, start, end) if number == 2), None)
    if value is None or key not in (_OWN, _SEVERAL):
        return data
    if key == _OWN:
        own = next((data[at:stop] for number, _, at, stop in _parts(data, *value) if number == 1), b"")
        return None if own.decode("utf-8", "replace") in leaving else data
    array = next(((at, stop) for number, _, at, stop in _parts(data, *value) if number == 5), None)
    if array is None:
        return data
    kept = [
        data[begin:stop]
        for number, begin, at, stop in _parts(data, *array)
        if not (number == 1 and _text(data, at, stop) in leaving)
    ]
    if not kept:
        return None
    return _field(1, key) + _field(2, _field(5, b"".join(kept)))


def _text(data: bytes, start: int, end: int) -> str | None:
    return next(
        (data[at:stop].decode("utf-8", "replace") for number, _, at, stop in _parts(data, start, end) if number == 1),
        None,
    )


def _is_events(data: bytes, start: int, end: int, gone: Callable[[str, str], bool]) -> bool:
    """Whether a span's event is one of the leads that go."""
    said: dict[bytes, str] = {}
    for number, _, at, stop in _parts(data, start, end):
        if number == 3 and (key := _key(data, at, stop)) in (_OWN, b"tenant_key"):
            value = next(((a, s) for n, _, a, s in _parts(data, at, stop) if n == 2), None)
            said[key] = (_text(data, *value) if value else "") or ""
    own = said.get(_OWN)
    return bool(own) and gone(said.get(b"tenant_key", ""), own or "")


def _texts(data: bytes, start: int, end: int, kind: Kind) -> Iterator[tuple[int, int]]:
    """Where text stands in a record: names, values, bodies, messages."""
    for number, _, at, stop in _parts(data, start, end):
        if number == _ATTRIBUTES[kind]:
            yield from _of_pair(data, at, stop, 0)
        elif kind == "logs":
            if number == 5:
                yield from _of_value(data, at, stop, 0)
            elif number in (3, 12):
                yield at, stop
        elif number in (3, 5):
            yield at, stop
        elif number in (11, 13, 15):
            for inner, _, begin, finish in _parts(data, at, stop):
                if (number == 11 and inner == 3) or (number == 13 and inner == 4):
                    yield from _of_pair(data, begin, finish, 0)
                elif (number, inner) in ((11, 2), (13, 3), (15, 2)):
                    yield begin, finish


def _of_pair(data: bytes, start: int, end: int, depth: int) -> Iterator[tuple[int, int]]:
    for number, _, at, stop in _parts(data, start, end):
        if number == 2:
            yield from _of_value(data, at, stop, depth)


def _of_value(data: bytes, start: int, end: int, depth: int) -> Iterator[tuple[int, int]]:
    if depth > 50:
        return
    for number, _, at, stop in _parts(data, start, end):
        if number in (1, 7):
            yield at, stop
        elif number == 5:
            for inner, _, begin, finish in _parts(data, at, stop):
                if inner == 1:
                    yield from _of_value(data, begin, finish, depth + 1)
        elif number == 6:
            for inner, _, begin, finish in _parts(data, at, stop):
                if inner == 1:
                    yield from _of_pair(data, begin, finish, depth + 1)
