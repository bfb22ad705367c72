"""The other companies: three that sell data about people, four that buy leads; real HTTP servers on loopback.

Each answers as such companies do: in its own time, mostly well, sometimes late, busy or with something that cannot
be read. What goes wrong depends on the seed, the company and the lead only, so that a run can be repeated.
Each keeps a book of what it was asked and what it answered (`Book`): the truth that telemetry is compared with.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

__all__ = ["Book", "Company", "companies", "running"]


@dataclass
class Book:
    """What one company was asked and what it answered. Kept on the server's side; the pipeline never sees it."""

    requests: Counter[str] = field(default_factory=Counter)
    """By lead: how often it was asked about each."""
    answers: Counter[str] = field(default_factory=Counter)
    """By answer: how often it gave each."""
    billed: dict[str, Decimal] = field(default_factory=dict)
    """By lead: what it charges us. Asking twice is charged once."""
    bought: dict[str, Decimal] = field(default_factory=dict)
    """By lead: what it pays us."""
    returned: dict[str, str] = field(default_factory=dict)
    """By lead: why it was given back."""
    garbled: set[str] = field(default_factory=set)
    """Leads that it bought with a reply that cannot be read."""
    unread: set[str] = field(default_factory=set)
    """Those of them that it could not be asked about either: it has them, and nobody here knows."""


@dataclass
class Company:
    """One company: its name, where it answers, and its book."""

    name: str
    routes: list[Route]
    book: Book
    url: str = ""


class World:
    """The seed and the speed, and what follows from them."""

    def __init__(self, seed: int, speed: float) -> None:
        self.seed = seed
        self.speed = speed

    def chance(self, *about: object) -> float:
        """A number from 0 to 1 that is always the same for the same company and lead."""
        digest = blake2b(repr((self.seed, *about)).encode(), digest_size=8).digest()
        return int.from_bytes(digest) / 2**64

    async def takes(self, low_ms: float, high_ms: float, *about: object) -> None:
        """Work that takes so long at speed 1."""
        await asyncio.sleep((low_ms + (high_ms - low_ms) * self.chance("time", *about)) / 1000 / self.speed)


def companies(seed: int, speed: float) -> list[Company]:
    """All companies, not yet running."""
    world = World(seed, speed)
    return [
        _truecaller(world),
        _id_verify_pro(world),
        _property_iq(world),
        _buyer(world, "Premier Insurance", Decimal("45.00"), busy=0.10, overloaded=0.03),
        _buyer(world, "Standard Insurance", Decimal("22.50"), late=0.05, silent=0.03),
        _buyer(world, "Buyer X", Decimal("30.00"), garbled_hour=14),
        _buyer(world, "Coastal Casualty", Decimal("26.25"), decides_later=True),
        # Nothing listens at its address any more.
        Company("Heritage Mutual", [], Book()),
    ]


# ---------------------------------------------------------------- companies that sell data


def _truecaller(world: World) -> Company:
    book = Book()

    async def lookup(request: Request) -> Response:
        asked = await request.json()
        lead, phone = asked["lead_id"], "".join(filter(str.isdigit, asked["phone"]))
        book.requests[lead] += 1
        await world.takes(120, 300, "TrueCaller ID", lead, book.requests[lead])
        fate = world.chance("TrueCaller ID", lead)
        if len(phone) not in (10, 11):
            return _answer(book, "malformed phone", 422)
        if fate < 0.04 and book.requests[lead] == 1:
            return _answer(book, "rate limit exceeded", 429)
        if fate > 0.97 and book.requests[lead] <= 2:
            return _answer(book, "overloaded", 503)
        book.billed[lead] = Decimal("0.02")
        mobile = world.chance("mobile", phone) < 0.7
        found = {
            "phone_type": "mobile" if mobile else "landline",
            "carrier": ["Verizon", "T-Mobile", "AT&T"][int(world.chance("carrier", phone) * 3)],
            "risk_score": int(world.chance("risk", phone) * 100),
            "line_status": "active" if world.chance("line", phone) < 0.95 else "disconnected",
            "is_wireless": mobile,
        }
        return _answer(book, "found", 200, found, {"x-api-version": "2.1", "x-data-freshness": "real-time"})

    return Company("TrueCaller ID", [Route("/v2/lookup", lookup, methods=["POST"])], book)


def _id_verify_pro(world: World) -> Company:
    book = Book()
    renewed = 0

    async def verify(request: Request) -> Response:
        asked = await request.json()
        lead = asked["lead_id"]
        book.requests[lead] += 1
        fate = world.chance("ID Verify Pro", lead)
        if fate < 0.05 or (fate < 0.09 and book.requests[lead] == 1):
            await _never_in_time(world, request)
            return _answer(book, "too late", 200)
        await world.takes(150, 260, "ID Verify Pro", lead, book.requests[lead])
        if fate < 0.12 and book.requests[lead] == 1:
            return _answer(book, "expired token", 401)
        book.billed[lead] = Decimal("0.05")  # a person whom it does not know is charged as well
        if fate > 0.92:
            return _answer(book, "person not in database", 404)
        found = {
            "identity_verified": world.chance("identity", lead) < 0.97,
            "age": 18 + int(world.chance("age", lead) * 60),
            "financial_band": "ABCD"[int(world.chance("band", lead) * 4)],
        }
        return _answer(book, "verified", 200, found, {"x-api-version": "5.0"})

    async def renew(_: Request) -> Response:
        nonlocal renewed
        await world.takes(40, 60, "token", renewed)
        renewed += 1
        return JSONResponse({"token": f"token-{renewed}"})

    routes = [Route("/verify", verify, methods=["POST"]), Route("/token", renew, methods=["POST"])]
    return Company("ID Verify Pro", routes, book)


def _property_iq(world: World) -> Company:
    book = Book()

    async def match(request: Request) -> Response:
        lead = request.query_params["lead_id"]
        book.requests[lead] += 1
        await world.takes(80, 200, "PropertyIQ", lead)
        fate = world.chance("PropertyIQ", lead)
        if fate < 0.04:
            return _answer(book, "address not found", 404)
        book.billed[lead] = Decimal("0.01")
        confidence = round(0.35 + fate * 4 if fate < 0.12 else 0.7 + fate * 0.3, 2)
        owner = world.chance("owner", lead) < 0.6
        return _answer(book, "matched", 200, {"home_owner": owner, "match_confidence": confidence})

    return Company("PropertyIQ", [Route("/property", match)], book)


# ---------------------------------------------------------------- companies that buy leads


def _buyer(
    world: World,
    name: str,
    price: Decimal,
    *,
    busy: float = 0,
    overloaded: float = 0,
    late: float = 0,
    silent: float = 0,
    garbled_hour: int = -1,
    decides_later: bool = False,
) -> Company:
    """A buyer. Faults are shares of its leads: `busy` twice, `late` once, `overloaded` and `silent` for good."""
    book = Book()
    waiting: dict[str, str] = {}  # the reference of each lead that it still thinks about

    async def bid(request: Request) -> Response:
        """What it would pay for an exclusive lead; one in four takes longer to think than an auction lasts."""
        asked = await request.json()
        slow = world.chance(name, "slow bid", asked["lead_id"]) < 0.25
        await world.takes(*((1800, 2400) if slow else (60, 220)), name, "bid", asked["lead_id"])
        factor = Decimal(80 + int(world.chance(name, "bid", asked["lead_id"]) * 80)) / 100
        return JSONResponse({"price": str((price * factor).quantize(Decimal("0.01")))})

    async def post(request: Request) -> Response:
        asked = await request.json()
        lead = asked["lead_id"]
        book.requests[lead] += 1
        fate = world.chance(name, lead)
        if fate < silent or (fate < silent + late and book.requests[lead] == 1):
            await _never_in_time(world, request)
            return _answer(book, "too late", 200)
        await world.takes(300, 700, name, lead, book.requests[lead])
        if fate > 1 - overloaded or (fate > 1 - overloaded - busy and book.requests[lead] <= 2):
            return _answer(book, "busy", 503)
        if lead not in book.bought and (reason := _objection(world, name, asked)):
            return _answer(book, "rejected", 200, {"status": "rejected", "reason": reason[0], "code": reason[1]})
        if decides_later:
            waiting[lead] = f"{name[:2].upper()}-{int(world.chance('reference', lead) * 10**5):05}"
            return _answer(book, "pending", 202, {"status": "pending", "reference": waiting[lead]})
        book.bought[lead] = Decimal(asked["price"]) if "price" in asked else price
        if _garbled(asked):
            book.garbled.add(lead)
            book.unread.add(lead)
            return _answer(book, "garbled", 200, text='{"status": accepted')
        return _answer(book, "accepted", 200, {"status": "accepted", "price": str(book.bought[lead])})

    def _garbled(asked: dict[str, Any]) -> bool:
        rate = 0.75 if datetime.fromisoformat(asked["received_at"]).hour == garbled_hour else 0.03
        return garbled_hour >= 0 and world.chance(name, "garbled", asked["lead_id"]) < rate

    async def status(request: Request) -> Response:
        """What became of a lead; one in three of the garbled ones stay so."""
        lead = request.path_params["lead_id"]
        await world.takes(60, 120, name, "status", lead)
        if world.chance(name, "status", lead) < 0.33:
            return Response('{"status": accepted', media_type="application/json")
        book.unread.discard(lead)
        return JSONResponse({"status": "accepted", "price": str(book.bought[lead])})

    async def decisions(_: Request) -> Response:
        """What it has decided in the meantime about the leads that it wanted to think about; some it still does."""
        told = []
        for lead, reference in list(waiting.items()):
            mind = world.chance(name, "decision", lead)
            if mind < 0.15:
                continue
            del waiting[lead]
            if mind < 0.75:
                book.bought[lead] = price
                told.append({"lead_id": lead, "reference": reference, "status": "accepted", "price": str(price)})
            else:
                told.append({"lead_id": lead, "reference": reference, "status": "rejected", "reason": "Sold out"})
        return JSONResponse(told)

    async def returns(_: Request) -> Response:
        """The leads that it gives back: bought, called, and not what was promised."""
        reasons = ["Disconnected number", "Did not ask for a quote", "Already a customer"]
        for lead in book.bought:
            if world.chance(name, "return", lead) < 0.06 and lead not in book.unread:
                book.returned.setdefault(lead, reasons[int(world.chance(name, "why", lead) * 3)])
        return JSONResponse(
            [{"lead_id": lead, "reason": why, "amount": str(book.bought[lead])} for lead, why in book.returned.items()]
        )

    routes = [
        Route("/bid", bid, methods=["POST"]),
        Route("/leads", post, methods=["POST"]),
        Route("/leads/{lead_id}", status),
        Route("/decisions", decisions),
        Route("/returns", returns),
    ]
    return Company(name, routes, book)


def _objection(world: World, name: str, asked: dict[str, Any]) -> tuple[str, str] | None:
    """Why a buyer does not want a lead, in its own words and with its own code."""
    if world.chance(name, "known", asked["lead_id"]) < 0.07:
        return "Duplicate lead", "DUP"
    if asked["line_status"] == "disconnected":
        return "Number not in service", "PHONE"
    if world.chance(name, "criteria", asked["lead_id"]) < 0.06:
        return "Outside buying criteria", "CRITERIA"
    return None


# ---------------------------------------------------------------- the servers


def _answer(
    book: Book,
    said: str,
    status: int,
    body: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
    *,
    text: str = "",
) -> Response:
    book.answers[said] += 1
    if text:
        return Response(text, status, headers, media_type="application/json")
    return JSONResponse({"error": said} if body is None else body, status, headers)


async def _never_in_time(world: World, request: Request) -> None:
    """Take longer than anybody waits; end early once the asker has hung up, as a real server would notice too."""
    patience = asyncio.get_running_loop().time() + 60 / world.speed
    while asyncio.get_running_loop().time() < patience and not await request.is_disconnected():
        await asyncio.sleep(0.5 / world.speed)


@contextmanager
def running(seed: int, speed: float) -> Iterator[dict[str, Company]]:
    """All companies by name, each at an address of its own, for as long as the block lasts."""
    found = companies(seed, speed)
    listeners: list[socket.socket] = []
    servers: list[tuple[uvicorn.Server, socket.socket]] = []
    for company in found:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listeners.append(listener)
        company.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if company.routes:
            listener.listen(256)  # from here on, whoever comes before its server has started waits a moment
            app = Starlette(routes=company.routes, exception_handlers={ClientDisconnect: _hung_up})
            config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off")
            servers.append((uvicorn.Server(config), listener))
    thread = threading.Thread(target=asyncio.run, args=(_serve(servers),), name="companies", daemon=True)
    thread.start()
    try:
        yield {company.name: company for company in found}
    finally:
        for server, _ in servers:
            server.should_exit = True
        thread.join()
        for listener in listeners:
            listener.close()


async def _hung_up(_: Request, __: Exception) -> Response:
    """Whoever asked has gone, an auction's window having closed: nobody reads this."""
    return Response(status_code=400)


async def _serve(servers: list[tuple[uvicorn.Server, socket.socket]]) -> None:
    await asyncio.gather(*(server.serve(sockets=[listener]) for server, listener in servers))
