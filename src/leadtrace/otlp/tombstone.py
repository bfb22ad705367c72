"""What stands for a lead that was erased: a keyed hash of tenant and id, from which nobody learns the id.

Store and journal keep theirs apart, each under a key of its own that never leaves it.
"""

from __future__ import annotations

import hashlib

__all__ = ["tombstone"]


def tombstone(key: bytes, lead_id: str, tenant: str | None) -> bytes:
    """16 bytes; `tenant` None stands for any tenant, and is another tombstone than that of each."""
    told = f"{tenant or ''}\0{lead_id}".encode("utf-8", "surrogatepass")
    scope = b"any tenant" if tenant is None else b"tenant"
    return hashlib.blake2b(told, digest_size=16, key=key, person=scope).digest()
