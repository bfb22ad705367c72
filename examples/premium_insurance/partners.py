"""Whom the pipeline calls, and how one request is made: with patience, and again where that may help."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import stamina

import leadtrace as lt

__all__ = ["Buyer", "Partner", "Partners", "connected"]

TRY_AGAIN = {401, 408, 425, 429, 500, 502, 503, 504}
"""Answers after which another try may help: 401 because the token is renewed in between."""


@dataclass
class Partner:
    """A company that answers over HTTP."""

    name: str
    client: httpx.AsyncClient
    first_wait_s: float
    """The wait before the second try; doubled before each further one."""
    sent: Counter[str] = field(default_factory=Counter)
    """Requests about leads, by path: our own book, to compare with theirs."""

    async def call(self, method: str, path: str, **rest: Any) -> httpx.Response:
        """One request, tried up to three times. A 404 or 422 is an answer and returned; the last failure is raised."""
        async for again in stamina.retry_context(
            on=_may_help, attempts=3, timeout=None, wait_initial=self.first_wait_s, wait_jitter=0
        ):
            with again:
                return await self._once(method, path, **rest)
        raise AssertionError("stamina ends a retry by returning or raising")

    async def _once(self, method: str, path: str, **rest: Any) -> httpx.Response:
        self.sent[path] += 1
        async with lt.attempt(f"{method} {path}", max_attempts=3) as attempt:
            response = await self.client.request(method, path, **rest)
            attempt.result(response)  # its status says whether this try succeeded
        if response.status_code == 401:
            await self._renew_token()
        if response.status_code in TRY_AGAIN:
            response.raise_for_status()
        return response

    @lt.step("renew token")
    async def _renew_token(self) -> None:
        token = (await self.client.post("/token")).raise_for_status().json()["token"]
        self.client.headers["authorization"] = f"Bearer {token}"


def _may_help(error: Exception) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in TRY_AGAIN
    return isinstance(error, httpx.TransportError)


@dataclass
class Buyer(Partner):
    """A company that buys leads."""

    states: frozenset[str] = frozenset()
    products: frozenset[str] = frozenset()


@dataclass
class Partners:
    """Everybody that the pipeline works with, and what it keeps between leads."""

    truecaller: Partner
    id_verify: Partner
    property_iq: Partner
    buyers: list[Buyer]
    """In the order in which they are asked: the best payer first."""
    auction_window_s: float
    threads: ThreadPoolExecutor
    phones: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What is known about telephone numbers already looked up."""


@asynccontextmanager
async def connected(addresses: Mapping[str, str], speed: float) -> AsyncIterator[Partners]:
    """Connections to the companies at these addresses (by name); at speed 10, all patience is a tenth."""
    async with AsyncExitStack() as stack:

        async def to(name: str) -> tuple[str, httpx.AsyncClient, float]:
            client = httpx.AsyncClient(base_url=addresses[name], timeout=5 / speed, trust_env=False)
            return name, await stack.enter_async_context(client), 0.4 / speed

        all_states = frozenset({"CA", "TX", "FL", "NY", "OH", "IL", "VT"})
        all_products = frozenset({"auto", "home", "life"})
        yield Partners(
            truecaller=Partner(*await to("TrueCaller ID")),
            id_verify=Partner(*await to("ID Verify Pro")),
            property_iq=Partner(*await to("PropertyIQ")),
            buyers=[
                Buyer(*await to("Premier Insurance"), states=all_states - {"VT"}, products=all_products),
                Buyer(*await to("Heritage Mutual"), states=frozenset({"VT", "OH"}), products=frozenset({"home"})),
                Buyer(*await to("Buyer X"), states=all_states, products=frozenset({"auto", "life"})),
                Buyer(*await to("Coastal Casualty"), states=frozenset({"CA", "FL", "NY"}), products=all_products),
                Buyer(*await to("Standard Insurance"), states=all_states, products=all_products),
            ],
            auction_window_s=1.5 / speed,
            threads=stack.enter_context(ThreadPoolExecutor(max_workers=2, thread_name_prefix="rating")),
        )
