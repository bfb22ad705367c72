"""Where records are sent, by the standard variables of the OTLP exporter; an argument goes before a variable.

    http/protobuf    OTEL_EXPORTER_OTLP_ENDPOINT is a base that /v1/traces and /v1/logs are put behind;
                     OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and …_LOGS_ENDPOINT are used as they are
    grpc             host and port of the same; TLS unless the scheme is http or …_INSECURE says so

Each of the variables has a `_TRACES_` and a `_LOGS_` form, which goes before the common one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, cast
from urllib.parse import urlsplit

from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Endpoint", "Kind", "Target", "endpoints"]

Kind: TypeAlias = Literal["logs", "traces"]
Protocol: TypeAlias = Literal["http/protobuf", "grpc"]
Compression: TypeAlias = Literal["none", "gzip", "deflate"]

_PATHS: dict[Kind, str] = {"logs": "v1/logs", "traces": "v1/traces"}


@dataclass(slots=True, frozen=True)
class Endpoint:
    """Where one kind of records goes, and how."""

    kind: Kind
    protocol: Protocol
    url: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    timeout_s: float = 10.0
    """For one request."""
    compression: Compression = "none"
    certificate: str = ""
    """A file of certificates to trust in place of the system's."""
    client_certificate: str = ""
    client_key: str = ""
    insecure: bool = False
    """gRPC without TLS."""

    @property
    def address(self) -> str:
        """Host and port, to tell whether two exporters have the same receiver."""
        parts = urlsplit(self.url if "//" in self.url else f"//{self.url}")
        port = parts.port or (4317 if self.protocol == "grpc" else 443 if parts.scheme == "https" else 80)
        return f"{(parts.hostname or '').lower()}:{port}"


@dataclass(slots=True, frozen=True)
class Target:
    """What `configure()` was told about where to send; None is left to the variables."""

    endpoint: str | None = None
    protocol: str | None = None
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    timeout_s: float | None = None
    compression: str | None = None
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    insecure: bool | None = None


def endpoints(target: Target | None = None, environ: Mapping[str, str] | None = None) -> dict[Kind, Endpoint]:
    """The endpoint of each kind that is sent.

    None where OTEL_SDK_DISABLED is true, or OTEL_…_EXPORTER has neither `otlp` nor `leadtrace`.

    Raises `SettingsError` for a value that cannot be: a protocol that leadtrace does not speak, a URL that is none, a
    certificate that cannot be read.
    """
    environ = os.environ if environ is None else environ
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return {}
    kinds: tuple[Kind, ...] = ("logs", "traces")
    return {kind: _endpoint(kind, target or Target(), environ) for kind in kinds if _wanted(kind, environ)}


def _wanted(kind: Kind, environ: Mapping[str, str]) -> bool:
    named = environ.get(f"OTEL_{kind.upper()}_EXPORTER", "").strip().lower()
    return not named or any(one.strip().startswith(("otlp", "leadtrace")) for one in named.split(","))


def _endpoint(kind: Kind, target: Target, environ: Mapping[str, str]) -> Endpoint:
    def variable(name: str) -> tuple[str, str]:
        """Its value and its name: the form of this kind, else the common one."""
        for form in (f"OTEL_EXPORTER_OTLP_{kind.upper()}_{name}", f"OTEL_EXPORTER_OTLP_{name}"):
            if value := environ.get(form, "").strip():
                return value, form
        return "", f"OTEL_EXPORTER_OTLP_{name}"

    protocol, where = (target.protocol, "protocol=") if target.protocol else variable("PROTOCOL")
    protocol = (protocol or "http/protobuf").strip().lower()
    if protocol not in ("http/protobuf", "grpc"):
        hint = "; JSON is for receivers to read, records are sent as protobuf" if protocol == "http/json" else ""
        raise SettingsError(f"{where} is http/protobuf or grpc{hint}", got=repr(protocol))
    compression, where = (target.compression, "compression=") if target.compression else variable("COMPRESSION")
    compression = (compression or "none").lower()
    if compression not in ("none", "gzip", "deflate"):
        raise SettingsError(f"{where} is gzip, deflate or none", got=repr(compression))
    certificate = _file("certificate=", target.certificate) or _file(*reversed(variable("CERTIFICATE")))
    client = _file("client_certificate=", target.client_certificate) or _file(*reversed(variable("CLIENT_CERTIFICATE")))
    client_key = _file("client_key=", target.client_key) or _file(*reversed(variable("CLIENT_KEY")))
    if target.timeout_s is not None:
        timeout_s = _seconds(str(target.timeout_s), "timeout_s=", as_written=True)
    else:
        timeout_s = _seconds(*variable("TIMEOUT"))
    url = _url(kind, protocol, target, environ)
    scheme = urlsplit(url).scheme if "//" in url else ""
    insecure = target.insecure
    if insecure is None:
        said, _ = variable("INSECURE")
        insecure = False if scheme == "https" else said.lower() == "true" if said else scheme in ("http", "unix")
    return Endpoint(
        kind,
        cast(Protocol, protocol),
        url,
        _headers(target, variable("HEADERS")[0]),
        timeout_s,
        cast(Compression, compression),
        certificate,
        client,
        client_key,
        insecure,
    )


def _url(kind: Kind, protocol: str, target: Target, environ: Mapping[str, str]) -> str:
    own = f"OTEL_EXPORTER_OTLP_{kind.upper()}_ENDPOINT"
    default = "http://localhost:4317" if protocol == "grpc" else "http://localhost:4318"
    base, where = (target.endpoint, "endpoint=") if target.endpoint else (environ.get(own, "").strip(), own)
    whole = bool(base) and not target.endpoint
    if not base:
        base, where = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip() or default, "OTEL_EXPORTER_OTLP_ENDPOINT"
    if protocol == "grpc":
        if not (urlsplit(base).netloc or base.startswith("unix:") or ("//" not in base and base)):
            raise SettingsError(f"{where} is a URL such as {default}", got=repr(base))
        return base
    try:
        parts = urlsplit(base)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise SettingsError(f"{where} is a URL such as {default}", got=repr(base))
    if whole:
        return base if parts.path else base + "/"
    for path in _PATHS.values():  # an endpoint of one kind, given for both
        base = base.removesuffix("/").removesuffix("/" + path)
    return f"{base.removesuffix('/')}/{_PATHS[kind]}"


def _headers(target: Target, text: str) -> tuple[tuple[str, str], ...]:
    from opentelemetry.util.re import parse_env_headers

    found = dict(parse_env_headers(text, liberal=True)) if text else {}
    found.update({name.lower(): str(value) for name, value in (target.headers or {}).items()})
    return tuple(found.items())


def _seconds(text: str, where: str, *, as_written: bool = False) -> float:
    """The specification has milliseconds, Python's own exporters read seconds: from 1000 on it is the former."""
    if not text:
        return 10.0
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise SettingsError(f"{where} is a number above 0", got=repr(text))
    return number / 1000 if number >= 1000 and not as_written else number


def _file(where: str, path: str | None) -> str:
    if not path:
        return ""
    try:
        with open(path, "rb"):
            return path
    except OSError as why:
        raise SettingsError(f"{where} names a file that cannot be read", path=path, cause=why.strerror) from why
