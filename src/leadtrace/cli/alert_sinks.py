"""Where the watch's own events go: over OTLP to a running server, or into an embedded store while nobody writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leadtrace.errors import LeadtraceError, SourceError, StoreLockedError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["EmbeddedSink", "ServedSink"]

_TIMEOUT_S: Final = 10.0


class ServedSink:
    """Sends to a running `leadtrace serve`, whose store takes each event once however often it is sent."""

    def __init__(self, url: str, token: str = "") -> None:
        import urllib3

        self._url = f"{url.rstrip('/')}/v1/logs"
        self._headers = {"content-type": "application/x-protobuf"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=1, timeout=_TIMEOUT_S, retries=False)

    def send(self, body: bytes) -> str:
        import urllib3

        try:
            response = self._pool.request("POST", self._url, body=body, headers=self._headers, redirect=False)
        except (urllib3.exceptions.HTTPError, ValueError, OSError) as problem:
            return f"{self._url} cannot be reached: {type(problem).__name__}"
        return "" if response.status == 200 else f"{self._url} answers {response.status}"


class EmbeddedSink:
    """Writes into an embedded store that no process writes just then: opened for one batch, and let go at once.

    While `leadtrace serve` writes it the events wait; a watch that reads that server by its address sends them there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, body: bytes) -> str:
        from leadtrace.otlp.decode import decode_logs
        from leadtrace.store.embedded import EmbeddedStore

        if not self._path.exists():
            return f"there is no store {self._path}"
        try:
            store = EmbeddedStore.open(self._path, write=True)
        except StoreLockedError:
            return f"another process writes {self._path}: give the watch that server's address instead, --from http://…"
        except SourceError as problem:
            return str(problem)
        try:
            store.append((), decode_logs(body))
        except LeadtraceError as problem:
            return str(problem)
        finally:
            store.close()
        return ""
