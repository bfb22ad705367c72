"""Redaction: what is personal becomes a keyed hash and safe facets before a record is encoded.

    lead.phone = "+1 415 555 0100"      lead.phone         = "phone#5f0c9a3be1d47702"
                                        lead.phone_country = "US"
                                        lead.phone_area    = "415"

The same number, however written, has the same hash within a tenant, and another one in any other tenant. Without the
key a hash cannot be tried against lists of numbers. Redacting what is redacted changes nothing. Nothing here raises.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING

from leadtrace.otlp.allowed import Allow, Allowed
from leadtrace.otlp.contacts import Contact, is_contact, is_plain, may_hold_contact, replace_contacts
from leadtrace.otlp.facets import domain_of, normal_email, normal_phone, phone_facets
from leadtrace.otlp.foreign import MACHINES, STATEMENTS, URLS, without_literals, without_query
from leadtrace.otlp.personal import Sort, personal_names, personal_values, plain_name, sort_of

if TYPE_CHECKING:
    from leadtrace.catalogue.model import EventSpec, FieldSpec

__all__ = ["Redactor", "recorded_ids"]

_hashed = re.compile(r"(?:phone|email|name|personal|text)#[0-9a-f]{16}").fullmatch
_id = re.compile(
    r"(?i:(?:^|[._])(?:u?u?id|uids|ids|hash|fingerprint|timestamp|traceparent|tracestate|boot|cursor)$)|[a-z0-9]Ids?$"
).search
_PLANS = 2_000  # event names that plans are kept for
_FOREIGN = "\0"  # no event's name: what other libraries record
_NAMES = 2_000  # attributes in one plan


class _How(IntEnum):
    SPARE = 0
    SCRUB = 1
    HASH = 2
    LEAD = 3
    URL = 4
    QUERY = 5
    STATEMENT = 6


_Plan = dict[str, tuple[_How, Sort]]


class Redactor:
    """Keeps personal data out of records; one for a process, used by any thread.

    `key` is the secret of the hashes (`load_key`), `tenant` the one where a call names none, `allow` the fields
    recorded as they are, `personal` names beyond the list of `leadtrace.otlp.personal`.
    """

    def __init__(self, key: bytes, *, tenant: str = "", allow: Allow = (), personal: Iterable[str] = ()) -> None:
        self.tenant = tenant
        self.allowed = Allowed(allow)
        self.personal = personal_names(personal)
        self._key = key
        self._tenants: dict[str, bytes] = {}
        self._plans: dict[str | None, _Plan] = {}

    # Values

    def hash(self, sort: Sort, text: str, tenant: str | None = None) -> str:
        """What stands for a text: `SORT#` and 16 hex digits; numbers and addresses are brought to one form first."""
        if _hashed(text):
            return text
        if sort == "phone":
            text = normal_phone(text) or text
        elif sort == "email":
            text = normal_email(text)
        else:
            text = " ".join(text.split()).casefold()
        kind = sort if sort in ("phone", "email") else "other"  # one value, one hash, whatever its field is called
        message = f"{kind}\0{text}".encode("utf-8", "surrogatepass")
        digest = hmac.new(self._of_tenant(tenant), message, hashlib.sha256).hexdigest()
        return f"{sort}#{digest[:16]}"

    def _of_tenant(self, tenant: str | None) -> bytes:
        tenant = self.tenant if tenant is None else tenant
        key = self._tenants.get(tenant)
        if key is None:
            if len(self._tenants) >= _PLANS:
                self._tenants.clear()
            key = hmac.new(self._key, f"tenant\0{tenant}".encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
            self._tenants[tenant] = key
        return key

    def lead_id(self, value: str, tenant: str | None = None) -> str:
        """A lead's id as it is recorded: hashed where as a whole it is a phone number or an e-mail address.

        Readers ask for a lead by what this gives for what the user typed.
        """
        contact = is_contact(value)
        return value if contact is None else self.hash(contact, value, tenant)

    def text(self, text: str, call_values: Iterable[str] = (), tenant: str | None = None) -> str:
        """Free text without what is personal: first the personal values of the call, then numbers and addresses."""
        values = tuple(call_values)
        return text if not values and is_plain(text) else self._scrub(text, values, tenant, None)

    def personal_values(self, arguments: Mapping[str, object]) -> list[str]:
        """The values that a call was given under personal names; see `leadtrace.otlp.personal.personal_values`."""
        return personal_values(arguments, self.personal)

    def _scrub(
        self, text: str, call_values: tuple[str, ...], tenant: str | None, seen: dict[Contact, set[str]] | None
    ) -> str:
        if call_values and text:
            text = _without_values(text, call_values, lambda one: self.hash(is_contact(one) or "personal", one, tenant))
        if not may_hold_contact(text):
            return text

        def stand_in(contact: Contact, found: str) -> str:
            if seen is not None:
                seen.setdefault(contact, set()).add(found)
            return self.hash(contact, found, tenant)

        return replace_contacts(text, stand_in)

    # Records

    def attributes(
        self,
        event_name: str | None,
        spec: EventSpec | None,
        attributes: Mapping[str, object],
        *,
        call_values: Iterable[str] = (),
        tenant: str | None = None,
    ) -> dict[str, object]:
        """An event's attributes as they may be recorded.

        A field that the catalogue marks, or an undeclared one whose name is in the personal list, is hashed as a whole;
        phone numbers and addresses in any other text are hashed where they stand; `call_values` are taken out of text
        first. Facets come beside the field. Ids, allowed fields and numbers are left as they are.
        """
        if tenant is None:
            own = attributes.get("tenant_key")
            tenant = own if isinstance(own, str) else self.tenant
        values = tuple(call_values)
        plan = self._plans.get(event_name)
        if plan is None:
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            plan = self._plans[event_name] = {}
        out = dict(attributes)  # read once: what the SDK hands out takes a lock at each look
        for attribute, value in list(out.items()):
            how = plan.get(attribute)
            if how is None:
                if len(plan) >= _NAMES:
                    plan.clear()
                how = plan[attribute] = self._how(event_name, spec, attribute)
            if how[0] is _How.SPARE:
                continue
            if how[0] is _How.SCRUB:
                if isinstance(value, str):
                    if not values and is_plain(value):
                        continue
                elif isinstance(value, (int, float)):
                    continue
            self._change(out, attribute, value, how, values, tenant, event_name or "")
        return out

    def span_attributes(
        self, attributes: Mapping[str, object], tenant: str | None = None, *, ours: bool = False
    ) -> dict[str, object]:
        """A span's attributes: URLs lose what their queries say, SQL its literals.

        `ours`: a word's span, which carries the fields of its end event; what is allowed in any event is allowed there. On
        another library's span it is what is allowed in every event.
        """
        return self.attributes(None if ours else _FOREIGN, None, attributes, tenant=tenant)

    def url(self, url: str, tenant: str | None = None, *, event_name: str = "") -> str:
        """A URL without credentials and query values, but for those of names allowed in that event; its path is scrubbed."""
        return self._scrub(without_query(url, self.allowed.of(event_name)), (), tenant, None)

    def _how(self, event_name: str | None, spec: EventSpec | None, attribute: str) -> tuple[_How, Sort]:
        """How an attribute of an event is treated, decided once."""
        last = plain_name(attribute.rpartition(".")[2])
        if attribute in ("lead.id", "leadtrace.lead_ids"):
            return _How.LEAD, "personal"
        if self.allowed.permits(event_name, attribute):
            return _How.SPARE, "personal"
        if attribute in self.personal:
            return _How.HASH, sort_of(last)
        declared = _field_of_any(attribute) if event_name in (None, _FOREIGN) else _field(spec, attribute)
        if declared is not None and declared.personal:
            return _How.HASH, declared.personal
        fixed = declared is not None and not declared.attribute.endswith(".*")
        if last in self.personal and not fixed and attribute not in MACHINES:
            return _How.HASH, sort_of(last)
        if _id(attribute) or attribute == "tenant_key" or (declared is not None and declared.values):
            return _How.SPARE, "personal"
        if attribute in URLS:
            return (_How.QUERY if attribute.endswith("query") else _How.URL), "personal"
        return (_How.STATEMENT if attribute in STATEMENTS else _How.SCRUB), "personal"

    def _change(
        self,
        out: dict[str, object],
        attribute: str,
        value: object,
        how: tuple[_How, Sort],
        values: tuple[str, ...],
        tenant: str,
        event_name: str,
    ) -> None:
        way, sort = how
        if way is _How.LEAD:
            if isinstance(value, str):
                out[attribute] = self.lead_id(value, tenant)
            elif isinstance(value, (list, tuple)):
                out[attribute] = [self.lead_id(str(one), tenant) for one in value]
            return
        if way is _How.HASH:
            out[attribute] = self._whole(sort, value, tenant)
            self._facets(out, attribute, sort, value)
            return
        if isinstance(value, str):
            if way in (_How.URL, _How.QUERY):
                bare = way is _How.QUERY and not value.startswith("?")
                url = self.url("?" + value if bare else value, tenant, event_name=event_name)
                out[attribute] = url[1:] if bare else url
                return
            if way is _How.STATEMENT:
                value = without_literals(value)
            seen: dict[Contact, set[str]] = {}
            out[attribute] = self._scrub(value, values, tenant, seen)
            for contact, found in seen.items():
                if len(found) == 1:
                    self._facets(out, attribute, contact, next(iter(found)))
        else:
            out[attribute] = self._inside(attribute, value, values, tenant)

    def _inside(self, attribute: str, value: object, values: tuple[str, ...], tenant: str) -> object:
        """A list, a mapping or bytes, scrubbed inside; keys of mappings count as names."""
        if isinstance(value, str):
            return self._scrub(value, values, tenant, None)
        if isinstance(value, (list, tuple)):
            return [self._inside(attribute, one, values, tenant) for one in value]
        if isinstance(value, Mapping):
            inner: dict[str, object] = {}
            for key, one in value.items():
                name = plain_name(str(key))
                if name in self.personal:
                    inner[str(key)] = self._whole(sort_of(name), one, tenant)
                else:
                    inner[str(key)] = one if _id(str(key)) else self._inside(str(key), one, values, tenant)
            return inner
        if isinstance(value, bytes):
            text = value.decode("utf-8", "surrogateescape")
            return self._scrub(text, values, tenant, None).encode("utf-8", "surrogateescape")
        return value

    def _whole(self, sort: Sort, value: object, tenant: str) -> object:
        if isinstance(value, bool) or value is None:
            return value  # whether there is one says nothing of whose it is
        if isinstance(value, (list, tuple)):
            return [self._whole(sort, one, tenant) for one in value]
        if isinstance(value, Mapping):
            return {str(key): self._whole(sort, one, tenant) for key, one in value.items()}
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        return self.hash(sort, text, tenant) if text.strip() else text

    def _facets(self, out: dict[str, object], attribute: str, sort: Sort, value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            return
        text = str(value)
        if _hashed(text) or not text.strip():
            return
        facets: dict[str, object] = {}
        if sort == "phone":
            facets.update(phone_facets(normal_phone(text)))
        elif sort == "email":
            if is_contact(text) == "email":
                facets["domain"] = domain_of(normal_email(text))
        elif sort == "text":
            facets["length"] = len(text)
        for name, facet in facets.items():
            out.setdefault(f"{attribute}_{name}", facet)


def _field(spec: EventSpec | None, attribute: str) -> FieldSpec | None:
    return None if spec is None else spec.field_of(attribute)


def _field_of_any(attribute: str) -> FieldSpec | None:
    """The field that any declared event has under that attribute: a span carries the fields of its end event."""
    from leadtrace.catalogue.model import declared

    return next((found for spec in declared() if (found := spec.attributes.get(attribute)) is not None), None)


def _without_values(text: str, values: tuple[str, ...], stand_in: Callable[[str], str]) -> str:
    """The text without these values, in the ways in which a message may write them."""
    lowered = text.casefold()
    ways: dict[str, str] = {}
    for value in values:
        quoted = urllib.parse.quote(value, errors="replace"), urllib.parse.quote_plus(value, errors="replace")
        for way in (value, repr(value)[1:-1], value.replace("'", "\\'"), json.dumps(value)[1:-1], *quoted):
            if way and way.casefold() in lowered:
                ways.setdefault(way, value)
    if not ways:
        return text
    meant = {way.casefold(): value for way, value in ways.items()}
    longest_first = sorted(ways, key=len, reverse=True)
    found = re.compile("|".join(map(_whole_word, longest_first)), re.IGNORECASE)
    return found.sub(lambda match: stand_in(meant.get(match.group().casefold(), match.group())), text)


def _whole_word(text: str) -> str:
    """A pattern that finds the text where it is no part of a longer word; scripts without blanks know no such thing."""
    if any(one > "\u2e7f" for one in text):
        return re.escape(text)
    return rf"(?:(?<![^\W_])|(?<=%[0-9A-Fa-f]{{2}})){re.escape(text)}(?![^\W_])"


def recorded_ids(lead_id: str, keys: Iterable[bytes], tenant: str = "") -> list[str]:
    """Every id under which that lead may have been recorded, the current key's first: one unless it is a contact.

    `keys` is a ring (`load_keys`). Without a key a contact is answered as it is.
    """
    if is_contact(lead_id) is None:
        return [lead_id]
    return list(dict.fromkeys(Redactor(key, tenant=tenant).lead_id(lead_id) for key in keys)) or [lead_id]
