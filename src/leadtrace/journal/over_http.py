"""OTLP over HTTP with protobuf bodies, by urllib3: one request, one answer; whoever calls decides on trying again."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from leadtrace.journal.answers import Answer, partial_success, status_message
from leadtrace.otlp.retry_after import retry_after_s
from leadtrace.version import __version__

if TYPE_CHECKING:
    from leadtrace.journal.endpoints import Endpoint

__all__ = ["HttpSender"]

_LATER = frozenset({429, 502, 503, 504})  # the OTLP specification's list
_SPLIT = frozenset({400, 413, 422})
_LONGEST_ANSWER = 65_536


class HttpSender:
    """Sends to one endpoint. Used by one thread at a time."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._headers = {
            "content-type": "application/x-protobuf",
            "user-agent": f"leadtrace-OTLP/{__version__} (Python)",
            **dict(endpoint.headers),
        }
        if endpoint.compression != "none":
            self._headers["content-encoding"] = endpoint.compression
        self._timeout = urllib3.Timeout(total=endpoint.timeout_s)
        self._pool = self._new_pool()

    def _new_pool(self) -> urllib3.PoolManager:
        end = self.endpoint
        tls: dict[str, Any] = {}
        if end.certificate:
            tls["ca_certs"] = end.certificate
        if end.client_certificate:
            tls["cert_file"] = end.client_certificate
            if end.client_key:
                tls["key_file"] = end.client_key
        parts = urlsplit(end.url)
        proxy = getproxies().get(parts.scheme)
        if proxy and not proxy_bypass(parts.hostname or ""):
            return urllib3.ProxyManager(proxy if "//" in proxy else f"http://{proxy}", num_pools=1, maxsize=1, **tls)
        return urllib3.PoolManager(num_pools=1, maxsize=1, **tls)

    def send(self, body: bytes) -> Answer:
        """Send one request. Never raises for what the network or the receiver does."""
        if self.endpoint.compression == "gzip":
            body = gzip.compress(body, compresslevel=1, mtime=0)
        elif self.endpoint.compression == "deflate":
            body = zlib.compress(body, 1)
        try:
            response = self._pool.request(
                "POST",
                self.endpoint.url,
                body=body,
                headers=self._headers,
                timeout=self._timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                content = response.read(_LONGEST_ANSWER)
                if response.read(1):
                    response.close()  # more than an answer has: the connection is not worth draining
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as why:
            return Answer("later", f"{self.endpoint.url}: {_reason(why)}")
        return self._answer(response, content)

    def _answer(self, response: urllib3.BaseHTTPResponse, content: bytes) -> Answer:
        status = response.status
        protobuf = response.headers.get("content-type", "").startswith("application/x-protobuf")
        if 200 <= status < 300:
            rejected, why = partial_success(content) if protobuf else (0, "")
            return Answer("taken", why, rejected=rejected)
        said = status_message(content) if protobuf else content[:300].decode("utf-8", "replace").strip()
        why = f"{self.endpoint.url} answered {status}{': ' + said if said else ''}"
        if status in _LATER:
            return Answer("later", why, retry_after_s(response.headers.get("retry-after")))
        if 300 <= status < 400:
            why += f"; its redirect to {response.headers.get('location', '?')} is not followed"
        return Answer("refused", why, split=status in _SPLIT)

    def reset(self) -> None:
        """Forget the connections, which belong to the parent process."""
        self._pool = self._new_pool()

    def close(self) -> None:
        self._pool.clear()


def _reason(why: BaseException) -> str:
    """The innermost cause in one line: urllib3 wraps what the system said."""
    if isinstance(why, urllib3.exceptions.NewConnectionError):
        return str(why).rpartition(": ")[2]
    return f"{type(why).__name__}: {why}"[:300]
