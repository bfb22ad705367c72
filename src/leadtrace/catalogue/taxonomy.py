"""Which failure it was: exceptions, HTTP statuses and answers that carry one, put into the catalogue's closed lists.

`classify` gives category, subcategory and cause (an empty one is not known), a code for programs, and whether the
request can have reached the other side, which tells a delivery that failed from one that nobody can confirm. The table
is `taxonomy_table`; `extend` puts a user's own rows before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from leadtrace.catalogue.common import CATEGORIES, ENHANCEMENT_CATEGORIES
from leadtrace.catalogue.taxonomy_table import (
    ERRNOS,
    EXCEPTIONS,
    GRPC_CODES,
    NAME_ENDINGS,
    STATUSES,
    TRANSLATED,
    Reached,
    Row,
)
from leadtrace.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LEVELS", "Failure", "classify", "extend", "failed_status", "members", "status_of", "unwrap"]

LEVELS: dict[str, dict[str, tuple[str, ...]]] = {
    "technical": {
        "timeout": ("slow_response", "network_delay", "overload"),
        "authentication": ("invalid_key", "expired_token", "rate_limit"),
        "connection": ("service_down", "dns_failure", "tls_error"),
    },
    "data": {
        "invalid_input": ("malformed_phone", "invalid_email", "missing_required"),
        "no_match": ("person", "business", "address"),
        "quality": ("low_confidence", "conflicting_data", "stale_data"),
    },
    "processing": {
        "parsing": ("invalid_json", "invalid_xml", "unexpected_format", "encoding"),
        "logic": ("rule_conflict", "circular_reference", "invalid_condition"),
        "data": ("type_mismatch", "required_missing", "validation_failed"),
    },
    "system": {
        "resource": ("memory", "cpu", "disk"),
        "service": ("database", "cache", "queue"),
        "integration": ("api_change", "protocol_mismatch", "version_conflict"),
    },
}
"""The three levels. The first two are closed; a user's own table may bring causes beyond these."""

_CODES = {
    "timeout": "TIMEOUT_ERROR",
    "authentication": "AUTH_ERROR",
    "rate_limit": "RATE_LIMIT",
    "connection": "CONNECTION_ERROR",
    "dns_failure": "DNS_ERROR",
    "tls_error": "TLS_ERROR",
    "invalid_input": "INVALID_INPUT",
    "no_match": "NO_MATCH",
    "quality": "LOW_QUALITY",
    "parsing": "PARSE_ERROR",
    "logic": "LOGIC_ERROR",
    "data": "DATA_ERROR",
    "resource": "RESOURCE_ERROR",
    "service": "SERVICE_ERROR",
    "integration": "INTEGRATION_ERROR",
}
_DEPTH = 8  # of exceptions inside one another: enough for every library known, and an end for circles
_WORST: tuple[Reached, ...] = ("no", "yes", "maybe")

Domain = Literal["enhancement", "error"]

_own_exceptions: dict[str, Row] = {}
_own_statuses: dict[int, Row] = {}


class Failure(NamedTuple):
    """A failure's place in the taxonomy; '' where a level is not known."""

    category: str = ""
    subcategory: str = ""
    cause: str = ""
    error_code: str = ""
    reached: Reached = "no"
    """Whether the request can have reached the other side; `yes` means that it answered."""
    status: int = 0
    """The HTTP status that came, 0 where none did."""


def classify(what: object, *, domain: Domain = "error") -> Failure:
    """The failure that an exception, or an answer with an integer `status_code` or `status`, stands for.

    `domain` says which lists apply: an enhancement's, or those of every other error. An answer that is no failure, and
    an exception that nobody knows, has empty levels.
    """
    if not isinstance(what, BaseException):
        status = status_of(what)
        row = _of_status(status, domain)
        return _failure(row, domain, status) if row else Failure(status=status)
    exception = unwrap(what)
    inside = members(exception)
    if len(inside) > 1:
        each = [classify(one, domain=domain) for one in inside]
        known = next((one for one in each if one.category), each[0])
        return known._replace(reached=max((one.reached for one in each), key=_WORST.index))
    found = _look(inside[0], domain, 0)
    if found is None:
        return Failure(error_code=_code_of(inside[0]))
    failure = _failure(found[0], domain, found[1])
    if own := _code_of(inside[0]):
        failure = failure._replace(error_code=own)
    return failure


def failed_status(status: int) -> bool:
    """Whether a try that was answered so is a failed try (408, 425, 429, 5xx); every other status is an answer."""
    return status in (408, 425, 429) or 500 <= status <= 599


def status_of(answer: object) -> int:
    """The HTTP status of an answer: its integer `status_code` or `status`; 0 where it has none."""
    for name in ("status_code", "status"):
        try:
            status = getattr(answer, name, None)
        except Exception:  # noqa: BLE001, S112 - a property of the host's own object may do anything
            continue
        if isinstance(status, int) and not isinstance(status, bool) and 100 <= status <= 599:
            return int(status)
    return 0


def unwrap(exception: BaseException) -> BaseException:
    """The exception that a retry library's wrapper stands for; any other exception itself."""
    for _ in range(_DEPTH):
        inner: object = None
        if type(exception).__name__ == "RetryError":
            package = type(exception).__module__.partition(".")[0]
            last = getattr(exception, "last_attempt", None)
            if package == "tenacity" and last is not None and getattr(last, "failed", False):
                inner = last.exception()
            elif package == "retrying" and last is not None and getattr(last, "has_exception", False):
                inner = last.value[1]
            elif package == "google":
                inner = getattr(exception, "cause", None)
        if not isinstance(inner, BaseException):
            break
        exception = inner
    return exception


def members(exception: BaseException) -> tuple[BaseException, ...]:
    """The exceptions in a group, those of groups within it included; of any other exception, itself."""
    if isinstance(exception, BaseExceptionGroup):
        return tuple(leaf for one in exception.exceptions for leaf in members(unwrap(one)))
    return (exception,)


def extend(
    what: type[BaseException] | str | int,
    category: str,
    subcategory: str = "",
    cause: str = "",
    *,
    reached: Reached | None = None,
) -> None:
    """Add a row to the table, before all others: an exception by class or dotted name, or an HTTP status.

    Category and subcategory are of the closed lists (`LEVELS`), the cause is free. `reached` says whether such a
    failure can come after the request reached the other side; left out, `yes` for a status and `no` for an exception.
    """
    below = LEVELS.get(category)
    if below is None:
        raise SettingsError(f"failure category {category!r} is not one of: {', '.join(LEVELS)}")
    if subcategory and subcategory not in below:
        raise SettingsError(f"failure subcategory {subcategory!r} is not one of {category}'s: {', '.join(below)}")
    if isinstance(what, int):
        _own_statuses[what] = Row(category, subcategory, cause, reached or "yes")
    else:
        name = what if isinstance(what, str) else f"{what.__module__}.{what.__qualname__}"
        _own_exceptions[name.removeprefix("builtins.")] = Row(category, subcategory, cause, reached or "no")


def _look(exception: BaseException, domain: Domain, depth: int) -> tuple[Row, int] | None:
    """The row of an exception, asked for from its own class first and then from what it wraps, and its HTTP status."""
    row = _own_row(exception)
    if row is None:
        if (answered := _answered(exception, domain)) is not None:
            return answered
        row = _known_row(exception)
    if row is not None and not row.deeper and not row.own:
        return row, 0
    inner = _first_inside(exception, domain, depth)
    if row is None:
        return inner or _by_name(exception)
    if inner is None:
        return row, 0
    if row.own:
        return (row._replace(reached="maybe") if inner[0].reached == "maybe" else row), 0
    if inner[0].category != row.category:
        return row, 0
    return inner[0]._replace(reached=row.reached), inner[1]


def _first_inside(exception: BaseException, domain: Domain, depth: int) -> tuple[Row, int] | None:
    if depth >= _DEPTH:
        return None
    for one in _inside(exception):
        for leaf in members(unwrap(one)):
            found = _look(leaf, domain, depth + 1)
            if found is not None:
                return found
    return None


def _inside(exception: BaseException) -> Iterator[BaseException]:
    """What an exception wraps: what it was raised from or while handling, and where libraries put it."""
    candidates: list[object] = [exception.__cause__]
    if not exception.__suppress_context__:
        candidates.append(exception.__context__)
    candidates += [getattr(exception, name, None) for name in ("reason", "os_error", "certificate_error", "orig")]
    candidates += exception.args[:2]
    for one in candidates:
        if isinstance(one, BaseException) and one is not exception:
            yield one


def _names(cls: type) -> tuple[str, ...]:
    module = cls.__module__
    if module == "builtins":
        return (cls.__qualname__,)
    return f"{module}.{cls.__qualname__}", f"{module.partition('.')[0]}.{cls.__qualname__}"


def _own_row(exception: BaseException) -> Row | None:
    if not _own_exceptions:
        return None
    for cls in type(exception).__mro__:
        for name in _names(cls):
            if row := _own_exceptions.get(name):
                return row
    return None


def _known_row(exception: BaseException) -> Row | None:
    for cls in type(exception).__mro__:
        if cls is OSError:
            return ERRNOS.get(exception.errno or 0) if isinstance(exception, OSError) else None
        for name in _names(cls):
            if row := EXCEPTIONS.get(name):
                return row
    return None


def _by_name(exception: BaseException) -> tuple[Row, int] | None:
    for cls in type(exception).__mro__:
        for ending, row in NAME_ENDINGS:
            if cls.__name__.endswith(ending):
                return row, 0
    return None


def _answered(exception: BaseException, domain: Domain) -> tuple[Row, int] | None:
    """The row of the status, or the gRPC code, that an exception reports; None where it reports none."""
    status = status_of(getattr(exception, "response", None)) or status_of(exception)
    try:
        code = getattr(exception, "code", None)
        if callable(code) and any(cls.__name__ == "RpcError" for cls in type(exception).__mro__):
            return _of_grpc(str(getattr(code(), "name", "")), exception, domain)
        if not status and isinstance(code, int) and not isinstance(code, bool) and 400 <= code <= 599:
            status = int(code)
    except Exception:  # noqa: BLE001 - the host's own object may do anything when it is asked
        return None
    row = _of_status(status, domain)
    return (row, status) if row else None


def _of_grpc(code: str, exception: BaseException, domain: Domain) -> tuple[Row, int] | None:
    found = GRPC_CODES.get(code)
    row = _of_status(found[0], domain) if found else None
    if found is None or row is None:
        return None
    details = getattr(exception, "details", None)
    text = str(details()) if callable(details) else ""
    if "DNS resolution failed" in text:
        return row._replace(cause="dns_failure", reached="no"), 0
    never = "failed to connect" in text or "Connection refused" in text
    return row._replace(reached="no" if never else found[1]), 0


def _of_status(status: int, domain: Domain) -> Row | None:
    if row := _own_statuses.get(status):
        return row
    if pair := STATUSES.get(status):
        return pair[0] if domain == "enhancement" else pair[1]
    if 500 <= status <= 599:
        return Row("technical", "connection", "service_down", "yes")
    if 400 <= status <= 499:
        return (
            Row("data", "invalid_input", "", "yes") if domain == "enhancement" else Row("processing", "data", "", "yes")
        )
    return None


def _failure(row: Row, domain: Domain, status: int) -> Failure:
    category, subcategory = row.category, row.subcategory
    allowed = ENHANCEMENT_CATEGORIES if domain == "enhancement" else CATEGORIES
    if category not in allowed:
        category, subcategory = TRANSLATED[category, subcategory]
    code = _CODES.get(row.cause) or _CODES.get(row.subcategory, "")
    return Failure(category, subcategory, row.cause, code, row.reached, status)


def _code_of(exception: BaseException) -> str:
    """The code that an exception brings itself, in an attribute `error_code`."""
    code = getattr(exception, "error_code", None)
    return code if isinstance(code, str) else ""
