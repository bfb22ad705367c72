"""Who is recording: the resource that every record of a process shares, by the SDK where there is one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

__all__ = ["described"]


def described(given: Mapping[str, object], provider: object = None) -> tuple[dict[str, Any], str]:
    """Attributes and schema URL: the provider's own resource where it has one, else what the standard variables and the
    SDK's detectors say; `given` goes before both.
    """
    own = getattr(provider, "resource", None)
    if own is not None and isinstance(getattr(own, "attributes", None), Mapping):
        return {**own.attributes, **given}, str(getattr(own, "schema_url", "") or "")
    try:
        from opentelemetry.sdk.resources import Resource
    except ImportError:
        return {**_from_variables(os.environ), **given}, ""
    made = Resource.create(dict(given))  # type: ignore[arg-type]
    return dict(made.attributes), made.schema_url


def _from_variables(environ: Mapping[str, str]) -> dict[str, object]:
    """What the specification has every resource say, read without an SDK."""
    found: dict[str, object] = {"service.name": "unknown_service"}
    for pair in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        key, equals, value = pair.partition("=")
        if equals and key.strip():
            found[key.strip()] = unquote(value.strip())
    if name := environ.get("OTEL_SERVICE_NAME", "").strip():
        found["service.name"] = name
    return found
