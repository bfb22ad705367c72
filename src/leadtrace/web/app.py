"""The HTTP side of `leadtrace serve`: health, metrics, the reading API and a page, around the routes it is given."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import orjson
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from leadtrace.errors import LeadtraceError
from leadtrace.store.interface import LeadFilter, Source
from leadtrace.version import __version__
from leadtrace.web.api import api_routes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

__all__ = ["web_app"]

_SHOWN: Final = 100
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>leadtrace</title>
<style>body{{font:15px/1.5 system-ui,sans-serif;margin:2rem}}table{{border-collapse:collapse}}
td,th{{text-align:left;padding:.2rem 1.2rem .2rem 0}}</style>
<h1>leadtrace</h1>
<p>{told}</p>
<table><tr><th>lead<th>tenant<th>state<th>outcome</tr>
{rows}
</table></html>
"""


def web_app(source: Source, metrics: Callable[[], str], routes: Sequence[BaseRoute] = ()) -> Starlette:
    """The application over one source; `metrics` gives the text of /metrics, `routes` are served beside its own."""

    def healthz(_request: Request) -> Response:
        return Response(orjson.dumps({"status": "ok", "leadtrace": __version__}), media_type="application/json")

    def metrics_page(_request: Request) -> Response:
        return PlainTextResponse(metrics(), media_type="text/plain; version=0.0.4")

    def index(_request: Request) -> Response:
        try:
            leads = list(source.leads(LeadFilter(limit=_SHOWN)))
        except LeadtraceError as cause:
            return PlainTextResponse(f"{cause}\n", 503)
        told = f"The {len(leads)} leads last touched; each leads to its timeline." if leads else "No leads yet."
        rows = "\n".join(_row(one.lead_id, one.tenant, one.state, one.outcome) for one in leads)
        return HTMLResponse(_PAGE.format(told=told, rows=rows), headers=_HEADERS)

    return Starlette(
        routes=[
            *routes,
            Route("/", index, methods=["GET"]),
            Route("/healthz", healthz, methods=["GET"]),
            Route("/metrics", metrics_page, methods=["GET"]),
            *api_routes(source),
        ]
    )


def _row(lead_id: str, tenant: str, state: str, outcome: str) -> str:
    link = "/api/v1/timeline?" + urlencode({"lead_id": lead_id, "tenant": tenant})
    cells = "".join(f"<td>{escape(one)}" for one in (tenant, state, outcome))
    return f'<tr><td><a href="{escape(link)}">{escape(lead_id)}</a>{cells}</tr>'
