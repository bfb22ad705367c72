"""What stands for a lead that was erased: a keyed hash of tenant and id, from which nobody learns the id.

Store and journal keep theirs apart, each under a key of its own that never leaves it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

__all__ = ["Readmitted", "tombstone"]


@dataclass(slots=True, frozen=True)
class Readmitted:
    """What came of letting a lead in again, in one place."""

    lifted: int
    """Tombstones; an id has one for each form in which it is recorded."""
    still: bool
    """Whether what comes of it is turned away all the same, because it was erased for any tenant."""


def tombstone(key: bytes, lead_id: str, tenant: str | None) -> bytes:
    """16 bytes; `tenant` None stands for any tenant, and is another tombstone than that of each."""
    told = f"{tenant or ''}\0{lead_id}".encode("utf-8", "surrogatepass")
    scope = b"any tenant" if tenant is None else b"tenant"
    return hashlib.blake2b(told, digest_size=16, key=key, person=scope).digest()
