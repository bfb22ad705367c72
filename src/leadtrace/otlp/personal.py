"""Names of what is personal, and the values that a call was given under such names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from types import MemberDescriptorType
from typing import Literal, TypeAlias

__all__ = ["PERSONAL", "Sort", "personal_names", "personal_values", "plain_name", "sort_of"]

Sort: TypeAlias = Literal["phone", "email", "name", "text", "personal"]

_NAMES = """
    phone phones phone_number phone_numbers phone1 phone2 phone_1 phone_2 telephone tel mobile mobile_phone
    mobile_number cell cell_phone cellphone home_phone work_phone day_phone evening_phone primary_phone
    alternate_phone caller_phone fax fax_number msisdn
    email emails e_mail email_address emailaddress mail_address
    first_name firstname last_name lastname full_name fullname middle_name given_name family_name surname maiden_name
    lead_name customer_name contact_name consumer_name person_name applicant_name borrower_name
    address address1 address2 address_1 address_2 address_line address_line1 address_line2 street street_address
    home_address mailing_address postal_address
    dob date_of_birth birth_date birthdate birthday ssn social_security_number national_id tax_id passport
    passport_number drivers_license driver_license license_number
    account_number card_number credit_card iban ip_address
    password passwd secret token access_token refresh_token api_key apikey authorization
"""
PERSONAL: frozenset[str] = frozenset(_NAMES.split())
"""What is taken to be personal by its name alone, where the catalogue does not say; users extend it."""

_MOST_VALUES = 64
_MOST_MEMBERS = 200
_LONGEST = 1_000
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@lru_cache(maxsize=4096)
def plain_name(name: str) -> str:
    """A name as the list has it: `_firstName` and `First-Name` are `first_name`."""
    return _CAMEL.sub("_", name).replace("-", "_").replace(" ", "_").strip("_").lower()


def personal_names(extra: Iterable[str] = ()) -> frozenset[str]:
    """The list, with names of the user's own; a full attribute name (`user.id`) stands for that attribute alone."""
    more = (extra,) if isinstance(extra, str) else extra
    return PERSONAL | {name if "." in name else plain_name(name) for name in more}


def sort_of(name: str) -> Sort:
    """What a personal name is the name of, as far as it tells."""
    name = name.rpartition(".")[2].lower()
    if "mail" in name and "address" not in name.replace("email_address", "").replace("emailaddress", ""):
        return "email"
    if any(part in name for part in ("phone", "mobile", "cell", "fax", "msisdn")) or name == "tel":
        return "phone"
    return "name" if name.endswith("name") else "personal"


def personal_values(arguments: Mapping[str, object], personal: Collection[str] = PERSONAL) -> list[str]:
    """The values given under personal names: parameters, and attributes or keys of them, one level down.

    Only what is stored is looked at (items of mappings, instance attributes, slots): no property and no other code of
    the host runs but a mapping's own. Texts and long numbers, longest first, at most 64.
    """
    found: dict[str, None] = {}
    for name, value in arguments.items():
        if plain_name(name) in personal:
            _gather(name, value, found)
        else:
            for inner, one in _members(value):
                if plain_name(inner) in personal:
                    _gather(inner, one, found)
        if len(found) >= _MOST_VALUES:
            break
    return sorted(found, key=len, reverse=True)[:_MOST_VALUES]


def _gather(name: str, value: object, found: dict[str, None], depth: int = 0) -> None:
    if len(found) >= _MOST_VALUES:
        return
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, str):
        text = value.strip()[:_LONGEST]
        if len(text) > 1:
            found[text] = None
            if sort_of(plain_name(name)) == "name":  # a message may have the last name alone
                found.update(dict.fromkeys(part for part in text.split() if len(part) > 2))
    elif isinstance(value, int):
        if abs(value) > 99_999:
            found[str(value)] = None
    elif isinstance(value, date):
        found[value.isoformat()] = None
    elif depth < 1:
        items = value if isinstance(value, (list, tuple, set, frozenset)) else [one for _, one in _members(value)]
        for count, one in enumerate(items):
            if count >= _MOST_MEMBERS:
                break
            _gather(name, one, found, depth + 1)


def _members(value: object) -> Iterator[tuple[str, object]]:
    """Names and values stored in a thing, at most 200; nothing of what it computes."""
    if isinstance(value, (str, bytes, int, float, type(None), type)):
        return
    try:
        if isinstance(value, Mapping):
            for count, (key, one) in enumerate(value.items()):
                if count >= _MOST_MEMBERS:
                    return
                if isinstance(key, str):
                    yield key, one
            return
        names = getattr(type(value), "_fields", None)
        if isinstance(value, tuple) and isinstance(names, tuple):
            yield from zip((str(name) for name in names), value, strict=False)
            return
        stored: object = object.__getattribute__(value, "__dict__") if hasattr(type(value), "__dict__") else None
    except Exception:  # noqa: BLE001 - a host's object may do anything when looked at
        stored = None
    if isinstance(stored, dict):
        for count, (key, one) in enumerate(list(stored.items())):
            if count >= _MOST_MEMBERS:
                return
            if isinstance(key, str):
                yield key, one
    for base in type(value).__mro__:
        for key, member in vars(base).items():
            if isinstance(member, MemberDescriptorType):
                try:
                    yield key, member.__get__(value)
                except AttributeError:  # a slot that was never filled
                    continue
