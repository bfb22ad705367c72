"""The reading side put together: `leadtrace.open(url)` gives a reader over whichever source the URL names."""

from __future__ import annotations

from leadtrace.reading.reader import Reader
from leadtrace.reading.sources import source_of

__all__ = ["Reader", "open"]


def open(  # noqa: A001 - the public name is `leadtrace.open`
    url: str | None = None, *, token: str | None = None, tenant: str | None = None
) -> Reader:
    """Open a source of recorded leads for reading.

        with leadtrace.open("http://127.0.0.1:4318") as reader:
            print(reader.timeline("lead_7K9mHpQR3x2B5N8j"))

    `url` is the path of an embedded store, `http://host:port` of a running `leadtrace serve`, or `jaeger://host:16686`;
    without it `LEADTRACE_FROM`, then the default store. `token` is the server's (`LEADTRACE_TOKEN`), `tenant` the one
    that every answer is limited to unless a call says otherwise; None is any. Raises `SettingsError` for a URL that
    nothing here can read, and `SourceError` where the source cannot be reached or read.
    """
    from leadtrace.settings import Settings

    settings = Settings.from_env(token=token)
    return Reader(source_of(url or settings.from_ or str(settings.store), settings.token), settings, tenant)
