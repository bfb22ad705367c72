"""The leads of the example data, and the search for whom they are about in files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "examples" / "premium_insurance" / "leads.jsonl"


def _leads() -> list[dict[str, Any]]:
    found = []
    for number, line in enumerate(FILE.read_text(encoding="utf-8").splitlines()):
        try:
            lead = json.loads(line)
        except ValueError:
            continue
        found.append(lead | {"id": lead["id"] or f"lead_of_line_{number}"})
    return found


FILE_LEADS = _leads()
EXAMPLE_LEADS = FILE_LEADS[:30]


def words_of(leads: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """What tells who somebody is: addresses, numbers in several forms, whole names and last names; by what it is."""
    words: dict[str, str] = {}
    for one in leads:
        if "@" in one["email"]:
            words[one["email"]] = "email"
            words[one["email"].partition("@")[0]] = "local part"
        digits = re.sub(r"\D", "", one["phone"])
        if len(digits) >= 10:
            words |= {one["phone"]: "phone", digits: "digits", f"{digits[:3]}-{digits[3:6]}-{digits[6:]}": "phone"}
        words[f"{one['first_name']} {one['last_name']}"] = "name"
        if one["last_name"]:
            words[one["last_name"]] = "last name"
        words[one["first_name"]] = "first name"
    return {word: what for word, what in words.items() if len(word) > 2}


def personal_in(files: Mapping[Path, bytes], words: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """File, what it is, and the word, wherever one stands in any of the usual encodings, as a word of its own."""
    found = []
    whole = b"\0".join(files.values())  # most words are in no file at all
    for word, what in words.items():
        for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
            encoded = word.encode(encoding)
            if encoded in whole:
                # A name of three letters is met by chance in a megabyte of ciphertext: it counts as a word only.
                around = (rb"(?<![A-Za-z0-9+/])", rb"(?![A-Za-z0-9+/])") if len(word) < 6 else (b"", b"")
                pattern = re.compile(around[0] + re.escape(encoded) + around[1])
                found += [(str(path), what, word) for path, content in files.items() if pattern.search(content)]
    return found
