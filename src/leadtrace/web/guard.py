"""Who may ask: on loopback requests whose Host is this machine, elsewhere those that bring the token.

A web page that one visits can have a name of its own point to 127.0.0.1 and then read what listens there; but its
requests carry that name in Host, and are refused. Telemetry of leads is worth that page.
"""

from __future__ import annotations

import hmac
import ipaddress
from typing import TYPE_CHECKING, Final

from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Guard", "is_loopback"]

_OPEN_PATHS: Final = frozenset({"/healthz"})


def is_loopback(host: str) -> bool:
    """Whether an address that one listens on can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """Refuses requests that may not ask, before anything of them is read."""

    def __init__(self, app: ASGIApp, host: str, token: str, refused: Callable[[str], None]) -> None:
        """Guard an application that listens on `host`; `refused` is told the reason of each refusal, to count it."""
        self._app = app
        self._loopback = is_loopback(host)
        self._names = {"localhost", "127.0.0.1", "::1", host.strip("[]").lower()}
        self._token = f"Bearer {token}".encode() if token else b""
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if self._loopback and _name(headers.get(b"host", b"")) not in self._names:
            self._refused("host")
            refusal = PlainTextResponse("this server answers to the names of this machine only\n", 403)
        elif self._token and scope["path"] not in _OPEN_PATHS and not self._presented(headers):
            self._refused("token")
            refusal = PlainTextResponse(
                "a token is needed: Authorization: Bearer TOKEN\n", 401, {"WWW-Authenticate": "Bearer"}
            )
        else:
            await self._app(scope, receive, send)
            return
        refusal.headers["Connection"] = "close"  # the body is not read
        await refusal(scope, receive, send)

    def _presented(self, headers: dict[bytes, bytes]) -> bool:
        return hmac.compare_digest(headers.get(b"authorization", b""), self._token)


def _name(host: bytes) -> str:
    """The name in a Host header, without the port."""
    text = host.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] if ":" in text else text
