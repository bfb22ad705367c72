"""Requests on the wire: headers, compression, TLS with files, proxies, and no spans of their own."""

from __future__ import annotations

import ssl
import subprocess

import grpc
import pytest

from leadtrace.errors import SettingsError
from leadtrace.journal.endpoints import Target, endpoints
from leadtrace.journal.transport import OtlpTransport, uninstrumented
from leadtrace.otlp import encode

LOGS = encode.signal("logs", "leadtrace")
BODY = encode.request(encode.resource({"service.name": "test"}), [(LOGS, [encode.log_record("e.told", 1, {})])])


def transport(address: str, environ=None, **target) -> OtlpTransport:
    return OtlpTransport(endpoints(Target(address, **target), environ or {}))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate authority with a server's and a client's certificate, made by openssl."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*args: str) -> None:
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test ca",
            "-days", "2", "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    (folder / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in ("server", "client"):
        openssl(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
            "-subj",
            f"/CN={name}",
        )
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-out", f"{name}.pem", "-extfile", "san")  # fmt: skip
    return folder


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("compression", ["gzip", "deflate", "none"])
def test_a_request_arrives_whole_with_headers_however_it_is_compressed(request, protocol, compression):
    """The receiver inflates it, and sees who sends."""
    receiver = request.getfixturevalue("over_grpc" if protocol == "grpc" else "over_http")
    sender = transport(receiver.address, protocol=protocol, compression=compression, headers={"Api-Key": "k"})
    assert sender.send("logs", BODY).outcome == "taken"
    (came,) = receiver.accepted
    assert came.body == BODY
    assert came.headers["api-key"] == "k"
    assert came.headers["user-agent"].startswith("leadtrace-OTLP/")
    if protocol == "http/protobuf":
        assert came.headers["content-type"] == "application/x-protobuf"
        assert came.headers.get("content-encoding", "none") == compression
    sender.close()


def test_http_trusts_the_certificate_in_the_file_and_no_other(authority, http_receiver_on):
    """A client certificate is shown where there is one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem", authority / "server.key")
    context.load_verify_locations(authority / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    receiver = http_receiver_on(tls=context)
    files = {
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(authority / "ca.pem"),
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(authority / "client.pem"),
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(authority / "client.key"),
    }
    assert transport(receiver.address, files).send("logs", BODY).outcome == "taken"
    stranger = transport(receiver.address).send("logs", BODY)
    assert (stranger.outcome, "CERTIFICATE_VERIFY_FAILED" in stranger.why) == ("later", True)
    assert len(receiver.accepted) == 1


def test_grpc_trusts_the_certificate_in_the_file_and_shows_its_own(authority, grpc_receiver_on):
    """The same variables, the same files."""
    pair = (authority / "server.key").read_bytes(), (authority / "server.pem").read_bytes()
    credentials = grpc.ssl_server_credentials([pair], (authority / "ca.pem").read_bytes(), require_client_auth=True)
    receiver = grpc_receiver_on(credentials=credentials)
    files = {"certificate": "ca.pem", "client_certificate": "client.pem", "client_key": "client.key"}
    given = {name: str(authority / file) for name, file in files.items()}
    sender = transport(receiver.address, protocol="grpc", **given)
    assert sender.send("logs", BODY).outcome == "taken"
    sender.close()
    stranger = transport(receiver.address, protocol="grpc", certificate=given["certificate"], timeout_s=2)
    assert stranger.send("logs", BODY).outcome == "later"
    stranger.close()


def test_a_receiver_that_does_not_answer_is_left_after_the_time_for_one_request(over_http):
    """The request may be tried again."""
    over_http.gate.clear()
    answer = transport(over_http.address, timeout_s=0.2).send("logs", BODY)
    assert (answer.outcome, "timed out" in answer.why.lower()) == ("later", True)


def test_an_endless_answer_is_not_read_to_its_end(over_http):
    """What a receiver says is read up to a bound."""
    over_http.body = b"x" * 5_000_000
    assert transport(over_http.address).send("logs", BODY).outcome == "taken"


def test_a_proxy_of_the_variables_is_used_but_not_for_its_exceptions(over_http, monkeypatch):
    """As other clients of HTTP do."""
    monkeypatch.setenv("http_proxy", over_http.address)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert transport("http://collector.invalid:4318").send("logs", BODY).outcome == "taken"
    assert over_http.accepted[0].path == "http://collector.invalid:4318/v1/logs"
    monkeypatch.setenv("no_proxy", "collector.invalid")
    assert transport("http://collector.invalid:4318").send("logs", BODY).outcome == "later"


def test_without_grpcio_the_error_says_what_to_install(monkeypatch):
    """An extra that is missing."""
    monkeypatch.setitem(__import__("sys").modules, "leadtrace.journal.over_grpc", None)
    with pytest.raises(SettingsError, match=r"OTLP over gRPC needs grpcio: pip install 'leadtrace\[grpc\]'"):
        transport("http://localhost:4317", protocol="grpc")


def test_within_an_export_instrumentations_of_clients_are_switched_off():
    """Both keys that instrumentations look at, and only there."""
    from opentelemetry import context

    keys = ("suppress_instrumentation", "suppress_http_instrumentation")
    with uninstrumented():
        assert [context.get_value(key) for key in keys] == [True, True]
    assert [context.get_value(key) for key in keys] == [None, None]
