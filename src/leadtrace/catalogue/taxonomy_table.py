"""The taxonomy's table: which exception, error number, status or gRPC code is which failure.

An exception is named by the top package that defines it and its class (`httpx.ReadTimeout`; built-in ones by the class
alone), so that no library is imported to recognise its exceptions and moves inside the library do not matter. A class
that is not here is looked up by the classes that it inherits from, nearest first.
"""

from __future__ import annotations

import errno
from typing import Literal, NamedTuple, TypeAlias

__all__ = ["ERRNOS", "EXCEPTIONS", "GRPC_CODES", "NAME_ENDINGS", "STATUSES", "TRANSLATED", "Reached", "Row"]

Reached: TypeAlias = Literal["no", "maybe", "yes"]


class Row(NamedTuple):
    """A failure's place, and whether the request can have reached the other side."""

    category: str
    subcategory: str = ""
    cause: str = ""
    reached: Reached = "no"
    deeper: bool = False
    """The class says only roughly what happened; the exception that it wraps says it better."""
    own: bool = False
    """A mistake in the pipeline's own code: what reached the other side was decided before it."""


def _timeout(reached: Reached, cause: str = "slow_response") -> Row:
    return Row("technical", "timeout", cause, reached)


def _connection(reached: Reached, cause: str = "service_down", *, deeper: bool = False) -> Row:
    return Row("technical", "connection", cause, reached, deeper)


def _own(subcategory: str, cause: str = "") -> Row:
    return Row("processing", subcategory, cause, "no", own=True)


def _parsing(cause: str) -> Row:
    # What cannot be parsed has arrived: the other side has answered, or our own input is at fault.
    return Row("processing", "parsing", cause, "yes", own=True)


_DATABASE = Row("system", "service", "database")
_CACHE = Row("system", "service", "cache")
_QUEUE = Row("system", "service", "queue")
_VALIDATION = _own("data", "validation_failed")

EXCEPTIONS: dict[str, Row] = {
    # Built-in, and the standard library.
    "TimeoutError": _timeout("maybe"),
    "ConnectionRefusedError": _connection("no"),
    "ConnectionResetError": _connection("maybe"),
    "ConnectionAbortedError": _connection("maybe"),
    "BrokenPipeError": _connection("maybe"),
    "ConnectionError": _connection("maybe", deeper=True),
    "EOFError": _connection("maybe"),
    "MemoryError": Row("system", "resource", "memory"),
    "RecursionError": _own("logic", "circular_reference"),
    "UnicodeError": _parsing("encoding"),
    "KeyError": _own("data", "required_missing"),
    "LookupError": _own("data", "required_missing"),
    "AttributeError": _own("data", "type_mismatch"),
    "TypeError": _own("data", "type_mismatch"),
    "ValueError": _VALIDATION,
    "AssertionError": _own("logic", "invalid_condition"),
    "ArithmeticError": _own("logic", "invalid_condition"),
    "NameError": _own("logic"),
    "NotImplementedError": _own("logic"),
    "ImportError": Row("system", "integration", "version_conflict"),
    "FileNotFoundError": _own("data", "required_missing"),
    "PermissionError": Row("system", "resource"),
    "asyncio.IncompleteReadError": _connection("maybe"),
    "asyncio.QueueFull": _QUEUE,
    "queue.Full": _QUEUE,
    "socket.gaierror": _connection("no", "dns_failure"),
    "socket.herror": _connection("no", "dns_failure"),
    "ssl.SSLError": _connection("no", "tls_error"),
    "ssl.SSLEOFError": _connection("maybe", "tls_error"),
    "ssl.SSLZeroReturnError": _connection("maybe", "tls_error"),
    "json.JSONDecodeError": _parsing("invalid_json"),
    "xml.ParseError": _parsing("invalid_xml"),
    "xml.ExpatError": _parsing("invalid_xml"),
    "csv.Error": _parsing("unexpected_format"),
    "_csv.Error": _parsing("unexpected_format"),
    "binascii.Error": _parsing("encoding"),
    "zlib.error": _parsing("encoding"),
    "gzip.BadGzipFile": _parsing("encoding"),
    "http.RemoteDisconnected": _connection("maybe"),
    "http.IncompleteRead": _connection("maybe"),
    "http.BadStatusLine": Row("system", "integration", "protocol_mismatch", "maybe"),
    "http.HTTPException": Row("system", "integration", "protocol_mismatch", "maybe"),
    "http.InvalidURL": _VALIDATION,
    "urllib.URLError": _connection("no", deeper=True),
    "sqlite3.Error": _DATABASE,
    "sqlite3.IntegrityError": _VALIDATION,
    "decimal.DecimalException": _VALIDATION,
    # httpx and httpcore.
    "httpx.ConnectTimeout": _timeout("no", "network_delay"),
    "httpx.PoolTimeout": _timeout("no", "overload"),
    "httpx.ReadTimeout": _timeout("maybe"),
    "httpx.WriteTimeout": _timeout("maybe", "network_delay"),
    "httpx.TimeoutException": _timeout("maybe"),
    "httpx.ConnectError": _connection("no", deeper=True),
    "httpx.ProxyError": _connection("no"),
    "httpx.NetworkError": _connection("maybe", deeper=True),
    "httpx.RemoteProtocolError": _connection("maybe"),
    "httpx.LocalProtocolError": Row("system", "integration", "protocol_mismatch"),
    "httpx.UnsupportedProtocol": _VALIDATION,
    "httpx.InvalidURL": _VALIDATION,
    "httpx.TooManyRedirects": Row("system", "integration", "api_change", "yes"),
    "httpx.DecodingError": _parsing("encoding"),
    "httpx.TransportError": _connection("maybe", deeper=True),
    "httpcore.ConnectTimeout": _timeout("no", "network_delay"),
    "httpcore.PoolTimeout": _timeout("no", "overload"),
    "httpcore.TimeoutException": _timeout("maybe"),
    "httpcore.ConnectError": _connection("no", deeper=True),
    "httpcore.NetworkError": _connection("maybe", deeper=True),
    "httpcore.ProxyError": _connection("no"),
    "httpcore.RemoteProtocolError": _connection("maybe"),
    # requests and urllib3. requests wraps urllib3, which wraps again: what is inside decides.
    "requests.ConnectTimeout": _timeout("no", "network_delay"),
    "requests.ReadTimeout": _timeout("maybe"),
    "requests.Timeout": _timeout("maybe"),
    "requests.SSLError": _connection("no", "tls_error"),
    "requests.ProxyError": _connection("no"),
    "requests.ChunkedEncodingError": _connection("maybe"),
    "requests.ContentDecodingError": _parsing("encoding"),
    "requests.JSONDecodeError": _parsing("invalid_json"),
    "requests.InvalidURL": _VALIDATION,
    "requests.InvalidSchema": _VALIDATION,
    "requests.MissingSchema": _VALIDATION,
    "requests.TooManyRedirects": Row("system", "integration", "api_change", "yes"),
    "urllib3.NameResolutionError": _connection("no", "dns_failure"),
    "urllib3.NewConnectionError": _connection("no", deeper=True),
    "urllib3.ConnectTimeoutError": _timeout("no", "network_delay"),
    "urllib3.ReadTimeoutError": _timeout("maybe"),
    "urllib3.TimeoutError": _timeout("maybe"),
    "urllib3.SSLError": _connection("no", "tls_error"),
    "urllib3.ProxyError": _connection("no"),
    "urllib3.IncompleteRead": _connection("maybe"),
    "urllib3.DecodeError": _parsing("encoding"),
    "urllib3.EmptyPoolError": _timeout("no", "overload"),
    "urllib3.LocationValueError": _VALIDATION,
    # aiohttp.
    "aiohttp.ConnectionTimeoutError": _timeout("no", "network_delay"),
    "aiohttp.SocketTimeoutError": _timeout("maybe"),
    "aiohttp.ServerTimeoutError": _timeout("maybe"),
    "aiohttp.ClientConnectorDNSError": _connection("no", "dns_failure"),
    "aiohttp.ClientConnectorCertificateError": _connection("no", "tls_error"),
    "aiohttp.ClientConnectorSSLError": _connection("no", "tls_error"),
    "aiohttp.ClientConnectorError": _connection("no", deeper=True),
    "aiohttp.ClientSSLError": _connection("no", "tls_error"),
    "aiohttp.ServerDisconnectedError": _connection("maybe"),
    "aiohttp.ClientPayloadError": _connection("maybe"),
    "aiohttp.ClientConnectionError": _connection("maybe", deeper=True),
    "aiohttp.ContentTypeError": _parsing("unexpected_format"),
    "aiohttp.InvalidURL": _VALIDATION,
    # Databases, caches, queues.
    "sqlalchemy.TimeoutError": _DATABASE,
    "sqlalchemy.IntegrityError": _VALIDATION,
    "sqlalchemy.DataError": _VALIDATION,
    "sqlalchemy.DBAPIError": _DATABASE,
    "sqlalchemy.SQLAlchemyError": _DATABASE,
    "psycopg.IntegrityError": _VALIDATION,
    "psycopg.Error": _DATABASE,
    "psycopg2.IntegrityError": _VALIDATION,
    "psycopg2.Error": _DATABASE,
    "asyncpg.IntegrityConstraintViolationError": _VALIDATION,
    "asyncpg.PostgresError": _DATABASE,
    "asyncpg.InterfaceError": _DATABASE,
    "pymysql.Error": _DATABASE,
    "pymongo.PyMongoError": _DATABASE,
    "apsw.Error": _DATABASE,
    "duckdb.Error": _DATABASE,
    "redis.RedisError": _CACHE,
    "pymemcache.MemcacheError": _CACHE,
    "kombu.KombuError": _QUEUE,
    "kombu.OperationalError": _QUEUE,
    "pika.AMQPError": _QUEUE,
    "aiormq.AMQPError": _QUEUE,
    "kafka.KafkaError": _QUEUE,
    "confluent_kafka.KafkaException": _QUEUE,
    # Data models and formats.
    "pydantic.ValidationError": _VALIDATION,
    "pydantic_core.ValidationError": _VALIDATION,
    "marshmallow.ValidationError": _VALIDATION,
    "jsonschema.ValidationError": _VALIDATION,
    "msgspec.ValidationError": _VALIDATION,
    "msgspec.DecodeError": _parsing("unexpected_format"),
    "yaml.YAMLError": _parsing("unexpected_format"),
    "lxml.XMLSyntaxError": _parsing("invalid_xml"),
    # Circuit breakers: the call was not made.
    "pybreaker.CircuitBreakerError": _connection("no"),
    "circuitbreaker.CircuitBreakerError": _connection("no"),
    "purgatory.OpenedState": _connection("no"),
    # boto.
    "botocore.ConnectTimeoutError": _timeout("no", "network_delay"),
    "botocore.ReadTimeoutError": _timeout("maybe"),
    "botocore.EndpointConnectionError": _connection("no"),
    "botocore.ConnectionClosedError": _connection("maybe"),
    "botocore.NoCredentialsError": Row("technical", "authentication", "invalid_key"),
}
"""By `package.Class`."""

ERRNOS: dict[int, Row] = {
    errno.ECONNREFUSED: _connection("no"),
    errno.EHOSTUNREACH: _connection("no"),
    errno.ENETUNREACH: _connection("no"),
    errno.EHOSTDOWN: _connection("no"),
    errno.ENETDOWN: _connection("no"),
    errno.EADDRNOTAVAIL: _connection("no"),
    errno.ECONNRESET: _connection("maybe"),
    errno.ECONNABORTED: _connection("maybe"),
    errno.EPIPE: _connection("maybe"),
    errno.ENOTCONN: _connection("maybe"),
    errno.ETIMEDOUT: _timeout("maybe", "network_delay"),
    errno.ENOSPC: Row("system", "resource", "disk"),
    errno.EDQUOT: Row("system", "resource", "disk"),
    errno.EFBIG: Row("system", "resource", "disk"),
    errno.EROFS: Row("system", "resource", "disk"),
    errno.EIO: Row("system", "resource", "disk"),
    errno.ENOMEM: Row("system", "resource", "memory"),
    errno.EMFILE: Row("system", "resource"),
    errno.ENFILE: Row("system", "resource"),
}
"""Of an OSError that no class tells apart."""


def _answered(category: str, subcategory: str = "", cause: str = "") -> Row:
    return Row(category, subcategory, cause, "yes")


STATUSES: dict[int, tuple[Row, Row]] = {
    status: (_answered(*asked), _answered(*(told or asked)))
    for status, asked, told in (
        (400, ("data", "invalid_input"), ("processing", "data", "validation_failed")),
        (401, ("technical", "authentication", "invalid_key"), ()),
        (402, ("technical", "authentication"), ()),
        (403, ("technical", "authentication", "invalid_key"), ()),
        (404, ("data", "no_match"), ("system", "integration", "api_change")),
        (405, ("technical", "connection", "protocol_mismatch"), ("system", "integration", "protocol_mismatch")),
        (406, ("technical", "connection", "protocol_mismatch"), ("system", "integration", "protocol_mismatch")),
        (407, ("technical", "authentication", "invalid_key"), ()),
        (408, ("technical", "timeout", "slow_response"), ()),
        (409, ("data", "quality", "conflicting_data"), ("processing", "logic", "rule_conflict")),
        (410, ("technical", "connection", "api_change"), ("system", "integration", "api_change")),
        (411, ("data", "invalid_input", "missing_required"), ("processing", "data", "required_missing")),
        (413, ("data", "invalid_input"), ("processing", "data", "validation_failed")),
        (414, ("data", "invalid_input"), ("processing", "data", "validation_failed")),
        (415, ("technical", "connection", "protocol_mismatch"), ("system", "integration", "protocol_mismatch")),
        (422, ("data", "invalid_input"), ("processing", "data", "validation_failed")),
        (425, ("technical", "timeout", "overload"), ()),
        (426, ("technical", "connection", "version_conflict"), ("system", "integration", "version_conflict")),
        (428, ("data", "invalid_input", "missing_required"), ("processing", "data", "required_missing")),
        (429, ("technical", "authentication", "rate_limit"), ()),
        (431, ("data", "invalid_input"), ("processing", "data", "validation_failed")),
        (440, ("technical", "authentication", "expired_token"), ()),
        (498, ("technical", "authentication", "expired_token"), ()),
        (501, ("technical", "connection", "api_change"), ("system", "integration", "api_change")),
        (504, ("technical", "timeout", "slow_response"), ()),
        (505, ("technical", "connection", "version_conflict"), ("system", "integration", "version_conflict")),
        (507, ("technical", "connection", "service_down"), ("system", "resource", "disk")),
        (508, ("technical", "connection", "service_down"), ("processing", "logic", "circular_reference")),
        (509, ("technical", "authentication", "rate_limit"), ()),
        (522, ("technical", "timeout", "network_delay"), ()),
        (524, ("technical", "timeout", "slow_response"), ()),
        (525, ("technical", "connection", "tls_error"), ()),
        (526, ("technical", "connection", "tls_error"), ()),
        (529, ("technical", "timeout", "overload"), ()),
    )
}
"""HTTP statuses, for an enhancement and for everything else; what is not here falls under its range."""

GRPC_CODES: dict[str, tuple[int, Reached]] = {
    "INVALID_ARGUMENT": (400, "yes"),
    "FAILED_PRECONDITION": (400, "yes"),
    "OUT_OF_RANGE": (400, "yes"),
    "UNAUTHENTICATED": (401, "yes"),
    "PERMISSION_DENIED": (403, "yes"),
    "NOT_FOUND": (404, "yes"),
    "ALREADY_EXISTS": (409, "yes"),
    "ABORTED": (409, "yes"),
    "RESOURCE_EXHAUSTED": (429, "yes"),
    "UNIMPLEMENTED": (501, "yes"),
    "INTERNAL": (500, "maybe"),
    "UNKNOWN": (500, "maybe"),
    "DATA_LOSS": (500, "maybe"),
    # The client's own library says these as well as the server: whether the call arrived is not known.
    "UNAVAILABLE": (503, "maybe"),
    "CANCELLED": (503, "maybe"),
    "DEADLINE_EXCEEDED": (504, "maybe"),
}
"""A gRPC code fails as this HTTP status does, and may have reached the server."""

NAME_ENDINGS: tuple[tuple[str, Row], ...] = (
    ("Timeout", _timeout("maybe")),
    ("TimeoutError", _timeout("maybe")),
    ("TimedOut", _timeout("maybe")),
    ("RateLimitError", Row("technical", "authentication", "rate_limit", "yes")),
    ("RateLimited", Row("technical", "authentication", "rate_limit", "yes")),
    ("AuthenticationError", Row("technical", "authentication", "invalid_key", "yes")),
    ("Unauthorized", Row("technical", "authentication", "invalid_key", "yes")),
    ("ConnectionError", _connection("maybe")),
    ("ParseError", _parsing("unexpected_format")),
    ("DecodeError", _parsing("unexpected_format")),
    ("ValidationError", _VALIDATION),
)
"""The last resort for a class that nothing above knows: what the end of its name says."""

TRANSLATED: dict[tuple[str, str], tuple[str, str]] = {
    ("processing", "parsing"): ("data", "quality"),
    ("processing", "data"): ("data", "invalid_input"),
    ("processing", "logic"): ("technical", ""),
    ("processing", ""): ("technical", ""),
    ("system", "service"): ("technical", "connection"),
    ("system", "integration"): ("technical", "connection"),
    ("system", "resource"): ("technical", ""),
    ("system", ""): ("technical", ""),
    ("data", "invalid_input"): ("processing", "data"),
    ("data", "no_match"): ("processing", "data"),
    ("data", "quality"): ("processing", "data"),
    ("data", ""): ("processing", "data"),
}
"""An enhancement's categories are `technical` and `data`, everything else's `technical`, `processing` and `system`:
what is of the one list stands here in the other."""
