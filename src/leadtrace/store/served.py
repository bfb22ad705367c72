"""A running `leadtrace serve` as a source: the embedded store's answers over HTTP, complete and exact.

Answers come as JSON Lines whose last line says that it is the last; one that was cut short raises SourceError instead
of looking complete.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlencode

import orjson
import urllib3

from leadtrace.errors import NotFoundError, OtlpError, SettingsError, SourceError
from leadtrace.otlp.ledger import Held
from leadtrace.otlp.plain import event_from_plain, span_from_plain
from leadtrace.otlp.tombstone import Readmitted
from leadtrace.store.erased import Erased
from leadtrace.store.interface import EventFilter, Found, Holds, LeadFilter, LeadRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from leadtrace.otlp.records import EventRecord

__all__ = ["ServedStore"]

_T = TypeVar("_T")

_TIMEOUT: Final = urllib3.Timeout(connect=5, read=60)
_ERASE_TIMEOUT: Final = urllib3.Timeout(connect=5, read=900)  # every byte of the store is searched
_REPORT_TIMEOUT: Final = urllib3.Timeout(connect=5, read=600)
_LONGEST_ADDRESS: Final = 4_000  # what is longer is posted


class ServedStore:
    """A `Source` behind `http://host:port`, asked with a token where one is given."""

    def __init__(self, url: str, token: str = "") -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=4, timeout=_TIMEOUT, retries=False)

    @property
    def url(self) -> str:
        return self._url

    @property
    def holds(self) -> Holds:
        return Holds()

    def close(self) -> None:
        self._pool.clear()

    def lead(self, lead_id: str, tenant: str | None = None) -> Found:
        return self._found({"lead_id": lead_id, "tenant": tenant}) if lead_id else Found()

    def trace(self, trace_id: str) -> Found:
        return self._found({"trace_id": trace_id}) if trace_id else Found()

    def leads(self, which: LeadFilter) -> Iterator[LeadRow]:
        asked = {
            "since_ns": which.since_ns or None,
            "until_ns": which.until_ns or None,
            "tenant": which.tenant,
            "state": which.state or None,
            "outcome": which.outcome or None,
            "contains": which.contains or None,
            "limit": which.limit or None,
        }
        for line in self._lines("leads", asked):
            yield self._read(line, "lead", lambda plain: LeadRow(**plain))

    def events(self, which: EventFilter) -> Iterator[EventRecord]:
        asked = {
            "name": list(which.names),
            "kind": list(which.kinds),
            "lead_id": which.lead_id or None,
            "trace_id": which.trace_id or None,
            "tenant": which.tenant,
            "since_ns": which.since_ns or None,
            "until_ns": which.until_ns or None,
            "after_arrival": which.after_arrival or None,
            "limit": which.limit or None,
        }
        for line in self._lines("events", asked):
            yield self._read(line, "event", event_from_plain)

    def nearest(self, lead_id: str, tenant: str | None = None) -> str:
        response = self._ask("nearest", {"lead_id": lead_id, "tenant": tenant})
        return str(_loads(response.data, self._url)["lead_id"])

    def report(self, name: str, options: Sequence[tuple[str, str]]) -> Mapping[str, Any]:
        """A report as JSON, worked out by the server. Raises SettingsError for one that it does not know."""
        pairs = [("name", name), *options]
        if sum(len(text) for _, text in pairs) > _LONGEST_ADDRESS:
            response = self._ask("report", {}, posted=orjson.dumps(pairs))
        else:
            asked: dict[str, list[str]] = {}
            for key, text in pairs:
                asked.setdefault(key, []).append(text)
            response = self._ask("report", asked)
        return _loads(response.data, self._url)

    def sequences(self) -> Iterator[Held]:
        for line in self._lines("sequences", {}):
            yield self._read(line, "process", Held.from_json)

    def erase(self, lead_ids: Sequence[str], tenant: str | None = None) -> Erased:
        """Have the server remove a lead from its store; see `EmbeddedStore.erase`."""
        asked = orjson.dumps({"lead_ids": list(lead_ids), "tenant": tenant})
        response = self._send("POST", "erase", "", asked, _ERASE_TIMEOUT)
        return self._read({"erased": _loads(response.data, self._url)}, "erased", Erased.from_json)

    def readmit(self, lead_ids: Sequence[str], tenant: str | None = None) -> Readmitted:
        """Have the server store what arrives of a lead again; see `EmbeddedStore.readmit`."""
        asked = orjson.dumps({"lead_ids": list(lead_ids), "tenant": tenant})
        response = self._send("POST", "readmit", "", asked, _ERASE_TIMEOUT)
        answer = {"readmitted": _loads(response.data, self._url)}
        return self._read(answer, "readmitted", lambda said: Readmitted(int(said["lifted"]), bool(said["still"])))

    def _found(self, asked: Mapping[str, object]) -> Found:
        found = Found()
        for line in self._lines("records", asked):
            if "span" in line:
                found.spans.append(self._read(line, "span", span_from_plain))
            elif "event" in line:
                found.events.append(self._read(line, "event", event_from_plain))
            else:
                found.incomplete = self._read(line, "end", lambda plain: list(plain.get("incomplete", ())))
        return found

    def _read(self, line: Mapping[str, Any], what: str, read: Callable[[Any], _T]) -> _T:
        try:
            return read(line[what])
        except (OtlpError, KeyError, TypeError, ValueError, AttributeError) as cause:
            raise SourceError(f"{self._url} does not answer as leadtrace does", cause=cause) from cause

    def _lines(self, what: str, asked: Mapping[str, object]) -> Iterator[dict[str, Any]]:
        """The lines of an answer; of the last one only what it says of the answer, if anything."""
        response = self._ask(what, asked)
        rest = b""
        try:
            for chunk in response.stream(64 << 10):
                *lines, rest = (rest + chunk).split(b"\n")
                for raw in lines:
                    line = _loads(raw, self._url)
                    if "error" in line:
                        raise SourceError(f"{self._url} could not finish its answer", cause=line["error"])
                    if "end" not in line:
                        yield line
                        continue
                    if line["end"]:
                        yield line
                    response.drain_conn()
                    return
        except urllib3.exceptions.HTTPError as cause:
            raise SourceError(f"{self._url} broke off its answer", cause=cause) from cause
        finally:
            response.release_conn()
        raise SourceError(f"{self._url} broke off its answer", do="ask again")

    def _ask(self, what: str, asked: Mapping[str, object], posted: bytes | None = None) -> urllib3.BaseHTTPResponse:
        query = urlencode({key: one for key, one in asked.items() if one is not None}, doseq=True)
        method, timeout = "GET" if posted is None else "POST", _REPORT_TIMEOUT if what == "report" else _TIMEOUT
        return self._send(method, what, f"?{query}", posted, timeout)

    def _send(
        self, method: str, what: str, query: str, body: bytes | None, timeout: urllib3.Timeout
    ) -> urllib3.BaseHTTPResponse:
        url = f"{self._url}/api/v1/{what}{query}"
        headers = {**self._headers, "Content-Type": "application/json"} if body else self._headers
        try:
            response = self._pool.request(
                method, url, body=body, headers=headers, timeout=timeout, preload_content=False
            )
        except (urllib3.exceptions.HTTPError, ValueError) as cause:
            raise SourceError(
                f"cannot reach {self._url}", cause=type(cause).__name__, do="is `leadtrace serve` running there?"
            ) from cause
        if response.status == 200:
            return response
        told = response.read(4_000, decode_content=True)
        response.close()
        if response.status in (401, 403):
            raise SourceError(f"{self._url} refuses to answer: {_words(told)}", do="set LEADTRACE_TOKEN to its token")
        if response.status == 400 and what == "report":
            raise SettingsError(_words(told))
        if response.status == 404 and what == "report" and told.startswith(b'{"error"'):  # not a page that is not there
            raise NotFoundError(_words(told))
        raise SourceError(f"{self._url} answers {response.status}: {_words(told)}")


def _words(told: bytes) -> str:
    """What an error answer says, as one short line that is safe to print."""
    text = told.decode(errors="replace")
    if text.startswith("{"):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            text = str(orjson.loads(told)["error"])
    return "".join(one if one.isprintable() else " " for one in text)[:1_000].strip()


def _loads(raw: bytes, url: str) -> dict[str, Any]:
    try:
        found = orjson.loads(raw)
    except ValueError as cause:
        raise SourceError(f"{url} does not answer as leadtrace does", cause=str(cause)) from cause
    if not isinstance(found, dict):
        raise SourceError(f"{url} does not answer as leadtrace does")
    return found
