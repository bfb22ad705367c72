"""How one lead event is sent to each platform: in its own form, and with its own way to say no understood.

META_ADS_URL and GOOGLE_ADS_URL say where the platforms are.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import urllib.error
import urllib.request
from typing import Any

import leadtrace as lt

__all__ = ["to_google", "to_meta"]

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Straight to the platforms on this machine, whatever proxy the machine has for others."""
FIRST_WAIT_S = float(os.environ.get("AD_PLATFORMS_FIRST_WAIT", "0.05"))
"""Short, because this is an example; a second is a good beginning in life."""


class MetaError(Exception):
    """Meta Ads' no, told apart by a number in the body. Its status says that it answered: what it refused it has not."""

    EXPIRED, LIMITED = 190, 613

    def __init__(self, status: int, number: int, message: str) -> None:
        super().__init__(f"{message} ({number})")
        self.status = status
        self.retry_after = 0.2 if number == self.LIMITED else None


@lt.sender("Meta Ads", first_wait_s=FIRST_WAIT_S, longest_wait_s=FIRST_WAIT_S * 20)
def to_meta(payload: dict[str, Any], event: lt.LeadEvent) -> None:
    """One event. An expired token is renewed for the next try; a parameter that it will not have is a refusal."""
    person = payload["person"]
    body = {
        "event_id": event.id,  # by which Meta knows an event that it has already
        "event_name": payload["event_type"],
        "event_time": payload["occurred_at"],
        "user_data": {"em": _hashed(person["email"]), "ph": _hashed(person["phone"].lstrip("+"))},
        "custom_data": {"value": payload.get("value", 0), "currency": payload.get("currency", "USD")},
    }
    try:
        _post(os.environ["META_ADS_URL"] + "/events", {"events": [body]}, event, _Token.current())
    except urllib.error.HTTPError as answer:
        said = json.load(answer)["error"]
        if said["code"] == MetaError.EXPIRED:
            _Token.renew()
        elif "field" in said:
            raise lt.Refused(said["message"], field=said["field"], status=answer.code) from None
        raise MetaError(answer.code, said["code"], said["message"]) from None


@lt.sender("Google Ads", first_wait_s=FIRST_WAIT_S, longest_wait_s=FIRST_WAIT_S * 20)
def to_google(payload: dict[str, Any], event: lt.LeadEvent) -> object:
    """One conversion. Its 200 may hold a partial failure: what can never succeed is a refusal, the rest comes again."""
    conversion = {
        "order_id": event.id,  # by which Google knows a conversion that it has already
        "gclid": payload["click"]["gclid"],
        "conversion_action": payload["event_type"],
        "conversion_date_time": payload["occurred_at"],
        "user_identifiers": [{"hashed_email": _hashed(payload["person"]["email"])}],
        "conversion_value": payload.get("value", 0),
    }
    said = _post(os.environ["GOOGLE_ADS_URL"] + "/conversions:upload", {"conversions": [conversion]}, event)
    if failure := said.get("partial_failure_error"):
        if failure["message"].startswith("UNPARSEABLE"):
            return lt.rejected(failure["message"], code=failure["code"])
        return lt.failed(failure["message"])
    return lt.accepted()


class _Token:
    """Meta's token, fetched when it is first needed."""

    _lock = threading.Lock()
    _token = ""

    @classmethod
    def current(cls) -> str:
        with cls._lock:
            if not cls._token:
                cls._token = _post(os.environ["META_ADS_URL"] + "/token", {})["access_token"]
            return cls._token

    @classmethod
    def renew(cls) -> None:
        with cls._lock:
            cls._token = ""


def _hashed(text: str) -> str:
    """As both platforms want contact data."""
    return hashlib.sha256(text.strip().lower().encode()).hexdigest()


def _post(url: str, body: dict[str, Any], event: lt.LeadEvent | None = None, token: str = "") -> dict[str, Any]:
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    if event is not None and event.resend:
        headers["x-resend"] = "1"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310 - our own loopback address
    with OPENER.open(request, timeout=5) as response:
        found: dict[str, Any] = json.load(response)
        return found
