"""The desk of a loan broker: a class with methods, called by the threads of a pool.

The words go on methods as on functions; `lt.arg.self` is the object, should a word need something of it.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from typing import Any

import leadtrace as lt

__all__ = ["Desk", "Enquiry"]

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Straight to the companies on this machine, whatever proxy the machine has for others."""


@dataclass(frozen=True)
class Enquiry:
    """Somebody who would like a loan, in dollars."""

    id: str
    zip: str
    loan: int


class BusyError(Exception):
    """The buyer asks to be called again."""


class Desk:
    """Takes enquiries to one buyer."""

    def __init__(self, companies: str, buyer: str) -> None:
        self.companies = companies
        self.buyer = buyer

    @lt.flow("Loan Desk", id="flow_loan_desk", version=3, lead_id=lt.arg.enquiry.id, source="call centre")
    def handle(self, enquiry: Enquiry) -> bool:
        """One enquiry's way; whether the buyer took it."""
        lt.move_to("received")
        if not self.plausible(enquiry):
            lt.move_to("declined", reason="not a loan that we broker", final=True)
            return False
        band = self.credit_band(enquiry)
        taken = bool(self.offer(enquiry, band)["taken"])
        lt.move_to("placed" if taken else "refused", final=True)
        return taken

    @staticmethod
    @lt.rule("loan size", reason="outside 1,000 to 100,000")
    def plausible(enquiry: Enquiry) -> bool:
        """Whether it is a loan that this desk brokers."""
        return 1_000 <= enquiry.loan <= 100_000

    @lt.enhancement("Credit Band", service="Bureau", cost=0.03, data=["band"], provides=["band"])
    def _bureau(self, enquiry: Enquiry) -> dict[str, Any]:
        try:
            return self._call("GET", f"/band/{enquiry.zip}")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            lt.current().failed("Address not known", category="data", subcategory="no_match")
            return {}

    def credit_band(self, enquiry: Enquiry) -> str:
        """The bureau's band; C where it knows nothing."""
        return str(self._bureau(enquiry).get("band", "C"))

    @lt.delivery(
        buyer=lt.arg.self.buyer,
        answer=lambda said: lt.accepted(revenue=said["pays"]) if said["taken"] else lt.rejected(said["why"]),
    )
    def offer(self, enquiry: Enquiry, band: str) -> dict[str, Any]:
        """Post the enquiry to the buyer, up to three times: a plain loop, as one writes it."""
        for wait_s in (0.02, 0.04, None):
            try:
                return self._post(asdict(enquiry) | {"band": band})
            except BusyError:
                if wait_s is None:
                    raise
                time.sleep(wait_s)
        raise AssertionError("the last try returns or raises")

    @lt.attempt("POST enquiry", max_attempts=3)
    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._call("POST", "/leads", body)
        except urllib.error.HTTPError as error:
            if error.code == 503:
                raise BusyError("all agents are busy") from error
            raise

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.companies + path, content, method=method)  # noqa: S310 - our own loopback address
        with OPENER.open(request, timeout=5) as response:
            found: dict[str, Any] = json.load(response)
            return found
