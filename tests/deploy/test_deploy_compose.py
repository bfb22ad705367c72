"""docker-compose.yml, the Dockerfile and the mounted files agree with each other and with what `make e2e` runs.

No engine is needed: what the containers do is shown by the end-to-end tests, which run the same versions with the same
files; here is checked that they are the same.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from leadtrace.alerts.channels import channels_of
from leadtrace.alerts.rules_file import load, loads
from leadtrace.cli import main

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LOCKS = ROOT / "tests" / "e2e" / "servers"
ENDS_BY_ITSELF = {"volumes-owner"}
VARIABLE = re.compile(r"\$\{env:(\w+)(:-[^}]*)?\}")


def mounts(service: str) -> dict[str, str]:
    """Inside path → what is mounted there."""
    return {volume.split(":")[1]: volume.split(":")[0] for volume in SERVICES[service].get("volumes", [])}


@pytest.mark.parametrize("service", SERVICES)
def test_ports_are_published_on_this_machine_only(service: str) -> None:
    for port in SERVICES[service].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", str(port))
    assert SERVICES[service].get("network_mode", "none") == "none"


def test_no_two_services_publish_one_port() -> None:
    published = [str(port).split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == len(set(published))


@pytest.mark.parametrize("service", SERVICES)
def test_every_image_is_pinned_or_built_here(service: str) -> None:
    name, _, tag = SERVICES[service]["image"].rpartition(":")
    assert name
    assert tag == "local" if name == "leadtrace" else re.search(r"\d+\.\d+\.\d+$", tag)


def test_the_collectors_version_is_the_one_that_the_tests_build() -> None:
    locked = yaml.safe_load((LOCKS / "otelcol" / "builder.yaml").read_text())["dist"]["version"]
    assert SERVICES["collector"]["image"] == f"otel/opentelemetry-collector-contrib:{locked}"


def test_jaegers_version_is_the_one_that_the_tests_build() -> None:
    """Jaeger's Go module counts its releases as v1: v1.76.0 is the release 2.13.0, published under both numbers."""
    locked = re.search(r"github\.com/jaegertracing/jaeger v1\.(\d+)\.(\d+)", (LOCKS / "jaeger" / "go.mod").read_text())
    assert locked
    assert SERVICES["jaeger"]["image"] == f"jaegertracing/jaeger:2.{int(locked[1]) - 63}.{locked[2]}"


def test_prometheuss_version_is_the_one_that_the_tests_build() -> None:
    """Its Go module counts v3.5.0 as v0.305.0."""
    text = (LOCKS / "prometheus" / "go.mod").read_text()
    locked = re.search(r"github\.com/prometheus/prometheus v0\.(\d)(\d\d)\.(\d+)", text)
    assert locked
    tag = f"v{locked[1]}.{int(locked[2])}.{locked[3]}"
    assert SERVICES["prometheus"]["image"] == f"prom/prometheus:{tag}"


def test_alertmanagers_version_is_the_one_that_the_tests_build() -> None:
    locked = re.search(
        r"github\.com/prometheus/alertmanager (v[\d.]+)", (LOCKS / "alertmanager" / "go.mod").read_text()
    )
    assert locked
    assert SERVICES["alertmanager"]["image"] == f"prom/alertmanager:{locked[1]}"


def test_the_collector_has_every_component_that_its_configuration_names() -> None:
    """…in the build that the tests run; the contrib image has them all."""
    config = yaml.safe_load((ROOT / "collector-config.yaml").read_text())
    modules = (LOCKS / "otelcol" / "builder.yaml").read_text()
    named = {
        f"{name.partition('/')[0].replace('_', '')}{kind[:-1]}"
        for kind in ("receivers", "processors", "exporters", "connectors")
        for name in config[kind]
    }
    renamed = {"otlpgrpcexporter": "otlpexporter"}
    for component in named:
        assert f"/{renamed.get(component, component)} " in modules, component


@pytest.mark.parametrize(
    ("service", "inside", "file"),
    [
        ("collector", "/etc/otelcol/collector-config.yaml", "collector-config.yaml"),
        ("jaeger", "/etc/jaeger/jaeger.yaml", "deploy/jaeger.yaml"),
        ("prometheus", "/etc/prometheus/prometheus.yml", "deploy/prometheus.yml"),
        ("prometheus", "/etc/prometheus/targets.yml", "deploy/targets.yml"),
        ("prometheus", "/etc/prometheus/alertmanagers.yml", "deploy/alertmanagers.yml"),
        ("alertmanager", "/etc/alertmanager/alertmanager.yml", "deploy/alertmanager.yml"),
    ],
)
def test_the_files_that_the_end_to_end_tests_run_are_mounted_and_used(service: str, inside: str, file: str) -> None:
    assert mounts(service)[inside] == f"./{file}"
    assert (ROOT / file).is_file()
    assert f"{inside}:ro" in str(SERVICES[service]["volumes"])
    in_command = any(inside in part for part in SERVICES[service]["command"])
    assert in_command or Path(inside).name in (ROOT / "deploy" / "prometheus.yml").read_text()


@pytest.mark.parametrize(
    ("service", "file"), [("collector", "collector-config.yaml"), ("jaeger", "deploy/jaeger.yaml")]
)
def test_the_environment_has_no_name_that_the_configuration_does_not_read(service: str, file: str) -> None:
    read = {match[1] for match in VARIABLE.finditer((ROOT / file).read_text())}
    assert set(SERVICES[service]["environment"]) <= read


@pytest.mark.parametrize("file", ["collector-config.yaml", "deploy/jaeger.yaml"])
def test_every_variable_has_a_default_and_every_address_is_loopback_by_default(file: str) -> None:
    text = (ROOT / file).read_text()
    for match in VARIABLE.finditer(text):
        assert match[2], f"{match[1]} has no default"
        if match[1].endswith("_HOST"):
            assert match[2] == ":-127.0.0.1"
    assert "0.0.0.0" not in text
    for endpoint in re.findall(r"^\s*(?:endpoint|host): (.*)$", text, re.MULTILINE):
        assert "127.0.0.1" in endpoint


def test_inside_services_find_each_other_at_the_ports_on_which_they_listen() -> None:
    collector = SERVICES["collector"]["environment"]
    jaeger = (ROOT / "deploy" / "jaeger.yaml").read_text()
    host, port = collector["JAEGER_OTLP_ENDPOINT"].split(":")
    assert host == "jaeger"
    assert f"JAEGER_OTLP_GRPC_PORT:-{port}" in jaeger
    assert collector["LEADTRACE_SERVE_URL"] == "http://leadtrace:4318"
    config = (ROOT / "collector-config.yaml").read_text()
    for target in yaml.safe_load((ROOT / "deploy" / "targets.yml").read_text())[0]["targets"]:
        host, port = target.split(":")
        assert host == "collector"
        assert f"_PORT:-{port}" in config
    for service in ("collector", "jaeger"):
        for port in SERVICES[service]["ports"]:
            text = config if service == "collector" else jaeger
            assert f"_PORT:-{port.split(':')[2]}" in text


def test_the_defaults_of_collector_and_jaeger_fit_a_machine_without_containers() -> None:
    """Jaeger's and leadtrace's OTLP ports stay out of the Collector's way, and it finds Jaeger where Jaeger listens."""
    config = (ROOT / "collector-config.yaml").read_text()
    assert "JAEGER_OTLP_ENDPOINT:-127.0.0.1:4337" in config
    assert "LEADTRACE_SERVE_URL:-http://127.0.0.1:4328" in config
    assert "127.0.0.1:4328:4318" in SERVICES["leadtrace"]["ports"]


def test_the_token_is_a_secret_that_must_be_set_and_that_both_sides_get() -> None:
    assert COMPOSE["secrets"] == {"leadtrace_token": {"environment": "LEADTRACE_TOKEN"}}
    assert SERVICES["collector"]["environment"]["LEADTRACE_TOKEN"].startswith("${LEADTRACE_TOKEN:?")
    secret = SERVICES["leadtrace"]["secrets"][0]
    assert (secret["source"], secret["uid"]) == ("leadtrace_token", "10001")
    assert "/run/secrets/leadtrace_token" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("service", sorted(set(SERVICES) - ENDS_BY_ITSELF - {"collector"}))
def test_every_service_has_a_health_check(service: str) -> None:
    check = SERVICES[service]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)


def test_the_collectors_health_is_asked_from_beside_it() -> None:
    """Its image has no program to ask with."""
    assert "healthcheck" not in SERVICES["collector"]
    assert "http://collector:13133/" in SERVICES["collector-health"]["healthcheck"]["test"][-1]


def test_what_is_kept_lies_in_named_volumes() -> None:
    assert set(COMPOSE["volumes"]) == {
        "alertmanager-data",
        "collector-queues",
        "jaeger-data",
        "leadtrace-store",
        "prometheus-data",
        "watch-state",
    }
    assert mounts("collector")[SERVICES["collector"]["environment"]["COLLECTOR_STORAGE"]] == "collector-queues"
    assert mounts("jaeger")[SERVICES["jaeger"]["environment"]["JAEGER_DATA"]] == "jaeger-data"
    assert mounts("leadtrace")["/var/lib/leadtrace"] == "leadtrace-store"
    assert mounts("prometheus")["/prometheus"] == "prometheus-data"
    assert mounts("alertmanager")["/alertmanager"] == "alertmanager-data"


def test_prometheus_finds_alertmanager_and_the_folder_of_rules() -> None:
    (where,) = yaml.safe_load((ROOT / "deploy" / "alertmanagers.yml").read_text())[0]["targets"]
    assert where == "alertmanager:9093"
    assert "127.0.0.1:9093:9093" in SERVICES["alertmanager"]["ports"]
    assert mounts("prometheus")["/etc/prometheus/rules"] == "./deploy/rules"
    assert yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())["rule_files"] == ["rules/*.yml"]


def test_the_watch_is_called_as_the_command_line_takes_it_and_its_rules_are_right() -> None:
    name, *arguments = SERVICES["watch"]["command"]
    command = main.get_command(click.Context(main), name)
    assert command is not None
    given = command.make_context(name, arguments).params
    rules = ROOT / mounts("watch")["/etc/leadtrace"] / given["rules_file"].name
    assert given["rules_file"].parent == Path("/etc/leadtrace")
    assert set(load(rules).rules) == {"health", "capacity"}
    assert given["from_"] == SERVICES["collector"]["environment"]["LEADTRACE_SERVE_URL"]
    assert str(given["state_file"].parent) in mounts("watch")
    assert f":{given['metrics_port']}/healthz" in SERVICES["watch"]["healthcheck"]["test"][-1]
    assert SERVICES["watch"]["environment"]["LEADTRACE_TOKEN"].startswith("${LEADTRACE_TOKEN:?")
    assert ".[serve,alerts]" in (ROOT / "Dockerfile").read_text()


def test_the_examples_in_the_rules_of_the_watch_are_right_once_they_are_taken_in() -> None:
    text = (ROOT / "deploy" / "watch" / "rules.toml").read_text()
    taken_in = re.sub(r"^# ?(?=\[|\w+ = |$)", "", text, flags=re.MULTILINE)
    found = loads(taken_in)
    assert (set(found.groups), set(found.rules), [one.name for one in channels_of(found)]) == (
        {"Brand Search"},
        {"health", "capacity", "silence"},
        ["team"],
    )


def test_one_shot_services_are_waited_for_by_a_running_one() -> None:
    for one in ENDS_BY_ITSELF:
        conditions = [service.get("depends_on", {}).get(one) for service in SERVICES.values()]
        assert {"condition": "service_completed_successfully"} in conditions


def test_the_image_runs_as_nobody_of_importance_and_copies_what_its_build_needs() -> None:
    text = (ROOT / "Dockerfile").read_text()
    stages = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
    assert all(stage.startswith("python:3.") for stage in stages)
    assert re.search(r"^USER 10001$", stages[-1], re.MULTILINE)
    assert "HEALTHCHECK" in stages[-1]
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert source.removeprefix("./") in kept, source
    for table in re.findall(r'^"(\S+)" = "leadtrace/', (ROOT / "pyproject.toml").read_text(), re.MULTILINE):
        assert table in kept, f"the wheel includes {table}, and the image's build does not see it"
