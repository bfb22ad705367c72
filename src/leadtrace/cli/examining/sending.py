"""Where records go: whether somebody listens there, whether the clocks agree, whether anything is sent twice."""

from __future__ import annotations

import email.utils
import socket
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from leadtrace.cli.examining.finding import bad, ok, warn
from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from leadtrace.cli.examining.finding import Finding
    from leadtrace.journal.endpoints import Endpoint

__all__ = ["clock_against", "examine_clock", "examine_endpoints"]

_TIMEOUT_S: Final = 2.0
_APART_S: Final = 5.0
"""Further apart, the order of events of two machines can no longer be told from their times."""


def examine_endpoints(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Each receiver by the standard variables: reachable, and asked once."""
    from leadtrace.journal.endpoints import endpoints

    try:
        found = endpoints(None, environ)
    except SettingsError as problem:
        yield bad("sending", str(problem), "see docs/settings.md, The standard variables")
        return
    if not found:
        yield warn("sending", "OTEL_SDK_DISABLED or OTEL_…_EXPORTER say that nothing is sent", "unset them to send")
    for kind, endpoint in found.items():
        yield _reachable(kind, endpoint)
    for kind in ("traces", "logs"):
        named = [one.strip() for one in environ.get(f"OTEL_{kind.upper()}_EXPORTER", "").lower().split(",")]
        if "leadtrace" in named and any(one.startswith("otlp") for one in named):
            yield bad(
                "sending",
                f"OTEL_{kind.upper()}_EXPORTER names otlp beside leadtrace: every record goes to the same receiver twice",
                "name leadtrace alone; it sends over OTLP itself",
            )


def _reachable(kind: str, endpoint: Endpoint) -> Finding:
    host, _, port = endpoint.address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_TIMEOUT_S).close()
    except OSError as problem:
        return warn(
            "sending",
            f"{kind} go to {endpoint.url}, and nobody listens there ({problem.strerror or problem})",
            "start it; what is recorded waits meanwhile",
        )
    return ok("sending", f"{kind} go to {endpoint.url} by {endpoint.protocol}, which listens")


def examine_clock(url: str, token: str = "") -> Iterator[Finding]:
    """This machine's clock against that of a running server, by the Date of its answer."""
    import urllib3

    before = time.time()
    try:
        answer = urllib3.request(
            "GET",
            f"{url.rstrip('/')}/healthz",
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=_TIMEOUT_S,
            retries=False,
        )
    except urllib3.exceptions.HTTPError as problem:
        yield warn("clock", f"{url} does not answer, so clocks cannot be compared ({type(problem).__name__})")
        return
    yield clock_against(answer.headers.get("Date", ""), before, time.time(), urlsplit(url).hostname or url)


def clock_against(date: str, before: float, after: float, who: str) -> Finding:
    """What a Date header, whose seconds are whole, says of two clocks; the request took from `before` to `after`."""
    try:
        theirs = email.utils.parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return warn("clock", f"{who} does not say what time it is there, so clocks cannot be compared")
    # It was made at some moment of a second, while the request was on its way.
    ahead, behind = before - (theirs + 1), theirs - after
    apart = max(ahead, behind, 0.0)
    if apart <= _APART_S:
        return ok("clock", f"this machine and {who} agree to within {_APART_S:.0f} s")
    which = "ahead of" if ahead > 0 else "behind"
    return bad(
        "clock",
        f"this machine's clock is {apart:,.0f} s {which} that of {who}",
        "let both keep time by NTP; recorded times are never changed",
    )
