"""Finding phone numbers and e-mail addresses in text that may hold anything.

One pass, leftmost match first. What looks like one and is something else (dates, UUIDs, IP addresses, hashes of ours)
is matched too, and stepped over. A text without seven digits and
without an `@` is not looked at at all.

A number is recognised when it is written so that a person would see one:

    +49 30 123456 · 0049…            with its country
    (415) 555-0100 · 1-415-555-0100 · 4155550100        of the North American plan
    020 7946 0958 · 06 12 34 56 78   national, with its leading zero
    44 20 7946 0958                  in groups after a calling code
    tel: 5550100 · phone=…           anything of 7 to 15 digits after a word that says so

A bare run of digits that is none of these is a count, a time or an id.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

from leadtrace.otlp.facets import calling_code

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Contact", "is_contact", "is_plain", "may_hold_contact", "replace_contacts"]

Contact: TypeAlias = Literal["phone", "email"]

may_hold_contact = re.compile("[@\uff20]|%40|\\d(?:\\D{0,5}\\d){6}").search
"""The cheap check that most texts end with."""


@lru_cache(maxsize=8192)
def _short_is_plain(text: str) -> bool:
    return not may_hold_contact(text)


def is_plain(text: str) -> bool:
    """Whether the cheap check ends with a text; names, kinds and outcomes come again and again and are remembered."""
    return _short_is_plain(text) if len(text) < 64 else not may_hold_contact(text)


_GAP = r"(?:[\s.\-/()_*\u00ad\u00b7\u2010-\u2015\u2212\u200b-\u200f\u2060\ufeff]|%20|%2[89DdFf])"
_START = r"(?<![\w#])(?<!\d\.)"
_END = r"(?:(?!\w)|(?=x\d|ext))"
_NANP = rf"\(?[2-9]\d\d\)?{_GAP}{{0,3}}[2-9]\d\d{_GAP}{{0,3}}\d{{4}}"

_DATE = r"(?<!\d)(?:19|20)\d\d([-./]?)(?:0[1-9]|1[0-2])\2(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[T\x20_]\d\d:?\d\d(?::?\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d(?!\d))?)?"
_KEEP = "|".join(
    (
        r"(?:phone|email|name|personal|text)\#[0-9a-f]{16}(?![0-9a-f])",
        r"REDACTED(?=@)",  # credentials taken out of a URL: its host is no address
        r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b",  # UUID
        _DATE + _TIME + r"(?!\d)",  # 2026-11-22T02:17:05.123Z
        r"(?<!\d)[0-3]?\d([./-])[0-3]?\d\3(?:19|20)\d\d(?!\d)",  # 22.11.2026, 11/22/2026
        r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?!\d|\.\d)",  # IPv4
        r"(?<![\w-])\d{5}-\d{4}(?![\w-])",  # ZIP+4
    )
)
_EMAIL = (
    r"(?:[\w.+%~!$*^|\-]|(?<=\w)'(?=\w)){1,64}(?:[@\uff20]|%40){1,3}"
    r"(?:[\w\-]{1,63}\.){1,10}(?:xn--[\w\-]{2,59}|[^\W\d_]{2,63})"
    r'|"[^"\r\n]{1,64}"@(?:[\w\-]{1,63}\.){1,10}[^\W\d_]{2,63}'
)
_CUE = r"(?<![^\W_])(?i:tele?phone|phone|tel|mobile|cell|fax)(?i:[_\s\-]?(?:number|num|no|nr))?[\"'\s:=.\#>]{1,6}"
_PARTED = "|".join(
    (
        rf"\(\d{{3}}\){_GAP}{{0,3}}\d{{3}}{_GAP}{{0,3}}",
        rf"\d{{3}}{_GAP}{{1,3}}\d{{3}}{_GAP}{{1,3}}",
        rf"[2-9]\d\d{_GAP}{{1,3}}[2-9]\d\d",
        r"[2-9]\d\d[2-9]\d\d[-\s]",
    )
)
_PHONE = "|".join(
    (
        rf"(?<![\w#])(?:\+|%2[Bb]|00){_GAP}{{0,3}}1{_GAP}{{0,3}}{_NANP}{_END}",
        rf"(?<![\w#])(?:\+|%2[Bb]|00)[1-9]\d{{7,14}}{_END}",
        rf"(?<![\w#])(?:\+|%2[Bb]|00){_GAP}{{0,3}}[1-9](?:{_GAP}{{0,3}}\d){{6,14}}{_END}",
        rf"{_START}1?[2-9]\d\d[2-9]\d{{6}}{_END}",
        rf"{_START}(?:1{_GAP}{{0,3}})?(?:{_PARTED})\d{{4}}{_END}",
        rf"{_START}\(?0[1-9](?:{_GAP}{{0,3}}\d){{7,10}}{_END}",
    )
)
_GROUPED = rf"{_START}[1-9]\d{{0,2}}(?:[\s.\-]\d{{1,6}}){{2,6}}{_END}"

_scan = re.compile(
    rf"(?P<keep>{_KEEP})|(?P<email>{_EMAIL})|(?P<cue>{_CUE})(?P<cued>\+?\(?\d(?:{_GAP}{{0,3}}\d){{6,14}}{_END})"
    rf"|(?P<phone>{_PHONE})|(?P<grouped>{_GROUPED})"
)


def replace_contacts(text: str, stand_in: Callable[[Contact, str], str]) -> str:
    """The text with each number and address replaced by what `stand_in` gives for it."""

    def one(match: re.Match[str]) -> str:
        found = match.group()
        match match.lastgroup:
            case "email":
                return stand_in("email", found)
            case "phone":
                return stand_in("phone", found)
            case "cued":
                return match["cue"] + stand_in("phone", match["cued"])
            case "grouped":
                if _is_international(found):
                    return stand_in("phone", found)
                head = re.match(r"\d+", found)  # numbers in a row: one may still stand further on
                assert head is not None
                return head.group() + _scan.sub(one, found[head.end() :])
        return found

    return _scan.sub(one, text)


def _is_international(groups: str) -> bool:
    digits = "".join(one for one in groups if one.isdecimal())
    first = re.split(r"\D", groups, maxsplit=1)[0]
    return 10 <= len(digits) <= 13 and first != "1" and calling_code(first) == first


def is_contact(text: str) -> Contact | None:
    """What a text is as a whole: a phone number, an e-mail address, or neither."""
    text = text.strip()
    if not may_hold_contact(text):
        return None
    found = _scan.fullmatch(text)
    match found and found.lastgroup:
        case "email":
            return "email"
        case "phone":
            return "phone"
        case "grouped":
            return "phone" if _is_international(text) else None
    return None
