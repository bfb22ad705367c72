"""Where records are sent: the standard variables, arguments before them, and what is said of values that cannot be."""

from __future__ import annotations

import pytest

from leadtrace.errors import SettingsError
from leadtrace.journal.endpoints import Target, endpoints


def urls(environ, **target):
    return {kind: one.url for kind, one in endpoints(Target(**target), environ).items()}


@pytest.mark.parametrize(
    ("environ", "logs", "traces"),
    [
        ({}, "http://localhost:4318/v1/logs", "http://localhost:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c/x/"}, "https://c/x/v1/logs", "https://c/x/v1/traces"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://l:2/in"},
            "http://l:2/in",
            "http://c:1/v1/traces",
        ),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://l:2"}, "http://l:2/", "http://localhost:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http://localhost:4317", "http://localhost:4317"),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://t:9"},
            "http://localhost:4318/v1/logs",
            "https://t:9",
        ),
    ],
)
def test_the_paths_are_those_of_the_exporters_specification(environ, logs, traces):
    """A base gets a path behind it, the form of one kind is taken as it is."""
    assert urls(environ) == {"logs": logs, "traces": traces}


@pytest.mark.parametrize("given", ["http://a:1", "http://a:1/", "http://a:1/v1/traces", "http://a:1/v1/logs/"])
def test_an_endpoint_given_in_code_is_a_base_for_both_kinds(given):
    """One kind's own path is taken off: it is often copied from an exporter; variables do not matter then."""
    environ = {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://elsewhere/"}
    assert urls(environ, endpoint=given) == {"logs": "http://a:1/v1/logs", "traces": "http://a:1/v1/traces"}


def test_headers_time_and_compression_are_read_per_kind_and_arguments_go_first():
    """The form of one kind before the common one."""
    environ = {
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b,x=1",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "api-key=t",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION": "none",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "10000",
        "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT": "2.5",
    }
    found = endpoints(Target(headers={"X": "2"}), environ)
    assert [(one.headers, one.compression, one.timeout_s) for one in found.values()] == [
        ((("api-key", "a b"), ("x", "2")), "none", 2.5),
        ((("api-key", "t"), ("x", "2")), "gzip", 10.0),
    ]


@pytest.mark.parametrize(
    ("environ", "kinds"),
    [
        ({}, {"logs", "traces"}),
        ({"OTEL_TRACES_EXPORTER": "none"}, {"logs"}),
        ({"OTEL_LOGS_EXPORTER": "console"}, {"traces"}),
        ({"OTEL_LOGS_EXPORTER": "console, otlp_proto_http"}, {"logs", "traces"}),
        ({"OTEL_SDK_DISABLED": "TRUE"}, set()),
    ],
)
def test_a_kind_is_sent_where_the_variables_want_it(environ, kinds):
    """`none` is none, and a disabled SDK sends nothing."""
    assert set(endpoints(None, environ)) == kinds


@pytest.mark.parametrize(
    ("url", "environ", "insecure"),
    [
        ("http://c:4317", {}, True),
        ("https://c:4317", {"OTEL_EXPORTER_OTLP_INSECURE": "true"}, False),
        ("c:4317", {}, False),
        ("c:4317", {"OTEL_EXPORTER_OTLP_INSECURE": "true"}, True),
    ],
)
def test_grpc_is_secure_unless_the_scheme_or_the_variable_says_otherwise(url, environ, insecure):
    """As the specification has it."""
    (found, _) = endpoints(Target(url, "grpc"), environ).values()
    assert found.insecure is insecure


@pytest.mark.parametrize(
    ("environ", "target", "sentence"),
    [
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
            {},
            (
                "OTEL_EXPORTER_OTLP_PROTOCOL is http/protobuf or grpc; JSON is for receivers to read, records are sent as "
                "protobuf (got: 'http/json')"
            ),
        ),
        ({}, {"protocol": "thrift"}, "protocol= is http/protobuf or grpc (got: 'thrift')"),
        (
            {},
            {"endpoint": "localhost:4318"},
            "endpoint= is a URL such as http://localhost:4318 (got: 'localhost:4318')",
        ),
        (
            {"OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"},
            {},
            "OTEL_EXPORTER_OTLP_COMPRESSION is gzip, deflate or none (got: 'zstd')",
        ),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, {}, "OTEL_EXPORTER_OTLP_TIMEOUT is a number above 0 (got: 'soon')"),
        (
            {"OTEL_EXPORTER_OTLP_CERTIFICATE": "/no/ca.pem"},
            {},
            (
                "OTEL_EXPORTER_OTLP_CERTIFICATE names a file that cannot be read (path: /no/ca.pem, cause: No such file or "
                "directory)"
            ),
        ),
    ],
)
def test_a_value_that_cannot_be_is_refused_in_one_line(environ, target, sentence):
    """What was expected and what came."""
    with pytest.raises(SettingsError) as caught:
        endpoints(Target(**target), environ)
    assert str(caught.value) == sentence


def test_headers_are_not_shown():
    """They hold keys."""
    assert "hidden" not in repr(endpoints(Target(headers={"api-key": "hidden"}), {}))
