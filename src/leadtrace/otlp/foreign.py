"""What other libraries' spans bring that says more than it should: URLs with queries, SQL with literals."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["MACHINES", "STATEMENTS", "URLS", "without_literals", "without_query"]

URLS = frozenset(
    {
        "http.referer",
        "http.request.header.referer",
        "http.response.header.location",
        "http.target",
        "http.url",
        "url.full",
        "url.original",
        "url.query",
    }
)
MACHINES = frozenset(
    {"destination.address", "network.local.address", "network.peer.address", "server.address", "source.address"}
)
"""Addresses that are no person's; `client.address` may be one's."""
STATEMENTS = frozenset({"db.query.text", "db.statement"})

_GONE = "REDACTED"  # the semantic conventions' own word for it
_userinfo = re.compile(r"(?<=//)[^/?#@\s]*@")
_literal = re.compile(r"'(?:[^'\\]|''|\\.)*'", re.DOTALL)


def without_query(url: str, allowed: Collection[str] = ()) -> str:
    """A URL whose query values, but for those of allowed names, and whose credentials read `REDACTED`."""
    url = _userinfo.sub(f"{_GONE}:{_GONE}@", url)
    head, mark, rest = url.partition("?")
    if not mark:
        return url
    query, hash_, fragment = rest.partition("#")
    pairs = re.split(r"([&;])", query)
    for at in range(0, len(pairs), 2):
        name, equals, value = pairs[at].partition("=")
        if equals and value and name not in allowed:
            pairs[at] = f"{name}={_GONE}"
        elif not equals and name:  # a bare word may be anything
            pairs[at] = name if name in allowed else _GONE
    return f"{head}?{''.join(pairs)}{hash_}{fragment}"


def without_literals(statement: str) -> str:
    """SQL whose quoted texts are `?`."""
    return _literal.sub("?", statement)
