"""Sealing: content that only whoever has the key can read, and nobody can change unnoticed.

    sealed = 01 · key id (8) · salt (16) · nonce (12) · AES-256-GCM of the content, its tag behind it

The cipher's key comes from a key of the key file by HKDF with a label of its own, so that it tells nothing of the hashes
made with the same file. The key's id goes along: what was sealed before a rotation is opened with the ring's earlier key.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Final

from leadtrace.errors import SealError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Sealer"]

_FORM: Final = b"\x01"
_ID, _SALT, _NONCE, _TAG = 8, 16, 12, 16
_HEAD: Final = 1 + _ID + _SALT + _NONCE
_DERIVED: Final = 1_000  # keys kept at hand: one per sealing process met


class Sealer:
    """Seals with the first of the keys, and opens with any of them. Any thread may use it, and so may a forked child.

    `again` gives the keys anew: asked where something was sealed with a key that is not among them, because the key file
    may have been rotated since. Raises `SettingsError` where the extra that brings the cipher is not installed.
    """

    def __init__(self, keys: Sequence[bytes], again: Callable[[], Sequence[bytes]] | None = None) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM as Cipher  # noqa: N811
        except ImportError as why:
            raise SettingsError(
                "payloads of lead events are kept encrypted, which needs cryptography: "
                "pip install 'leadtrace[lead-events]'",
                missing=why.name,
            ) from why
        if not keys:
            raise SettingsError("sealing needs a key")
        self._cipher = Cipher
        self._again = again
        self._keys = {_key_id(key): key for key in keys}
        self._current = _key_id(keys[0])
        self._digest_key = _hkdf(keys[0], b"", b"leadtrace digest of a lead event", 32)
        self._salt = os.urandom(_SALT)
        self._derived: dict[bytes, AESGCM] = {}

    def seal(self, content: bytes, about: bytes) -> bytes:
        """The content sealed; `about` is not in it, and must be the same when it is opened."""
        head = self._current + self._salt
        nonce = os.urandom(_NONCE)
        return _FORM + head + nonce + self._of(head).encrypt(nonce, content, about)

    def open(self, sealed: bytes, about: bytes) -> bytes:
        """The content again. Raises `SealError` where no key of the ring fits, or where a byte was changed."""
        if len(sealed) < _HEAD + _TAG or not sealed.startswith(_FORM):
            raise SealError("these bytes were not sealed by leadtrace")
        from cryptography.exceptions import InvalidTag

        head, nonce = sealed[1 : 1 + _ID + _SALT], sealed[1 + _ID + _SALT : _HEAD]
        if head[:_ID] not in self._keys and self._again is not None:
            self._keys |= {_key_id(key): key for key in self._again()}
        if head[:_ID] not in self._keys:
            raise SealError(
                "sealed with a key that is not in the key file; LEADTRACE_KEY names it", key_id=head[:_ID].hex()
            )
        try:
            return self._of(head).decrypt(nonce, sealed[_HEAD:], about)
        except InvalidTag:
            raise SealError("the sealed content was changed, or belongs to something else") from None

    def digest(self, content: bytes) -> bytes:
        """16 bytes that are equal for equal content, and cannot be tried against guesses without the key."""
        return hmac.new(self._digest_key, content, hashlib.sha256).digest()[:16]

    def _of(self, head: bytes) -> AESGCM:
        cipher = self._derived.get(head)
        if cipher is None:
            if len(self._derived) >= _DERIVED:
                self._derived.clear()
            key = _hkdf(self._keys[head[:_ID]], head[_ID:], b"leadtrace payload of a lead event", 32)
            cipher = self._derived[head] = self._cipher(key)
        return cipher


def _key_id(key: bytes) -> bytes:
    return _hkdf(key, b"", b"leadtrace key id", _ID)


def _hkdf(key: bytes, salt: bytes, label: bytes, size: int) -> bytes:
    """HKDF with SHA-256 (RFC 5869), one block long."""
    extracted = hmac.new(salt or bytes(32), key, hashlib.sha256).digest()
    return hmac.new(extracted, label + b"\x01", hashlib.sha256).digest()[:size]
