"""Which source a URL names; each kind is imported only when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from leadtrace.store.interface import Source

__all__ = ["KINDS", "source_of"]

KINDS = "a path of an embedded store, http://host:port of a running serve, or jaeger://host:port"


def source_of(url: str, token: str = "") -> Source:
    """The source that `url` names, opened for reading."""
    scheme, separator, _ = url.partition("://")
    match scheme.lower() if separator else "":
        case "":
            from leadtrace.store.embedded import EmbeddedStore

            return EmbeddedStore.open(url)
        case "http" | "https":
            from leadtrace.store.served import ServedStore

            if not _names_a_server(url):
                raise SettingsError("a server is named http://host:port", got=url)
            return ServedStore(url, token)
        case "jaeger" | "jaegers":
            from leadtrace.store.jaeger import JaegerStore

            return JaegerStore(url)
        case "clickhouse":
            raise SettingsError("ClickHouse cannot be read yet", expected=KINDS)
    raise SettingsError(f"nothing here reads {scheme}://", expected=KINDS)


def _names_a_server(url: str) -> bool:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
