"""The settings: variables, arguments, defaults, and what is said of a value that cannot be."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from leadtrace.errors import SettingsError
from leadtrace.settings import TABLE, Settings, folder

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("STATE", "DATA", "CONFIG"):
        monkeypatch.delenv(f"XDG_{name}_HOME", raising=False)
    monkeypatch.setattr("sys.platform", "linux")


def test_without_variables_each_setting_has_its_default(tmp_path):
    """The defaults are those of the table, in the user's own folders."""
    found = Settings.from_env({})
    assert found == Settings(
        journal=tmp_path / ".local/state/leadtrace/journal",
        fsync="interval",
        events="both",
        store=tmp_path / ".local/share/leadtrace/store.db",
        from_="",
        key=tmp_path / ".config/leadtrace/key",
        tenant="",
        currency="USD",
        token="",
        strict=False,
        config=Path("leadtrace.toml"),
    )


def test_an_argument_goes_before_a_variable_and_a_variable_before_the_default():
    """The nearer one wins; a variable that is set to nothing is not set."""
    environ = {"LEADTRACE_TENANT": "acme", "LEADTRACE_CURRENCY": " eur ", "LEADTRACE_EVENTS": ""}
    found = Settings.from_env(environ, tenant="globex")
    assert (found.tenant, found.currency, found.events) == ("globex", "EUR", "both")
    assert Settings.from_env(environ, tenant=None).tenant == "acme"


def test_every_variable_of_the_table_is_read():
    """No row of the table is there for show."""
    environ = {
        "LEADTRACE_JOURNAL": "/j",
        "LEADTRACE_FSYNC": "always",
        "LEADTRACE_EVENTS": "logs",
        "LEADTRACE_STORE": "/s.db",
        "LEADTRACE_FROM": "http://127.0.0.1:4318",
        "LEADTRACE_KEY": "~/k",
        "LEADTRACE_TENANT": "t",
        "LEADTRACE_CURRENCY": "CHF",
        "LEADTRACE_TOKEN": "secret",
        "LEADTRACE_STRICT": "1",
        "LEADTRACE_CONFIG": "/c.toml",
        "LEADTRACE_HEALTH": "least=5",
        "LEADTRACE_JOURNAL_MAX": "2 GiB",
        "LEADTRACE_JOURNAL_AGE": "30min",
        "LEADTRACE_ALSO_TO": "http://a:4318, optional:http://b:4318",
    }
    assert set(environ) == {row.variable for row in TABLE}
    default, found = Settings.from_env({}), Settings.from_env(environ)
    assert [row.name for row in TABLE if getattr(default, row.name) == getattr(found, row.name)] == []
    assert found.key == folder("config").parents[0] / "k"
    assert (found.journal_max, found.journal_age) == (2 << 30, 1800.0)
    assert found.also_to == ("http://a:4318", "optional:http://b:4318")


@pytest.mark.parametrize("off", ["off", "OFF", False])
def test_the_journal_is_off_when_told_so(off):
    """`off` is no folder's name."""
    assert Settings.from_env({}, journal=off).journal is None


@pytest.mark.parametrize(
    ("environ", "overrides", "sentence"),
    [
        ({"LEADTRACE_EVENTS": "spans"}, {}, "LEADTRACE_EVENTS is one of both, logs, span (got: 'spans')"),
        ({"LEADTRACE_STRICT": "maybe"}, {}, "LEADTRACE_STRICT is 1 or 0 (got: 'maybe')"),
        (
            {},
            {"currency": "dollars"},
            "the argument currency= is a currency's three letters, such as USD (got: 'dollars')",
        ),
        ({}, {"journal": True}, "the argument journal= is a path or off (got: True)"),
        ({}, {"tenant": 7}, "the argument tenant= is text (got: 7)"),
        ({"LEADTRACE_JOURNAL_MAX": "much"}, {}, "LEADTRACE_JOURNAL_MAX is a size such as 512MiB or 2GiB (got: 'much')"),
        (
            {},
            {"journal_max": 10},
            "the argument journal_max= is a size such as 512MiB or 2GiB, at least 1048576 (got: 10)",
        ),
        (
            {"LEADTRACE_JOURNAL_AGE": "1 month"},
            {},
            "LEADTRACE_JOURNAL_AGE is a time such as 30min, 1h or 2d (got: '1 month')",
        ),
        ({}, {"also_to": 4}, "the argument also_to= is addresses by commas, or a list of them (got: 4)"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_what_was_expected_and_what_came(environ, overrides, sentence):
    """One line for a person."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(environ, **overrides)
    assert str(caught.value) == sentence


def test_a_setting_that_is_not_there_is_refused():
    """The error lists those that are."""
    with pytest.raises(SettingsError, match="there is no setting 'journl'; the settings are: also_to, config"):
        Settings.from_env({}, journl="off")


def test_the_xdg_variables_go_before_the_home_folder_and_relative_ones_are_ignored(monkeypatch, tmp_path):
    """The XDG rules."""
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert (folder("data"), folder("config")) == (Path("/data"), tmp_path / ".config")


def test_a_mac_keeps_all_of_it_in_application_support(monkeypatch, tmp_path):
    """As the system has it."""
    monkeypatch.setattr("sys.platform", "darwin")
    assert {folder("state"), folder("data"), folder("config")} == {tmp_path / "Library/Application Support"}


def test_a_user_without_a_home_gets_the_systems_folders(monkeypatch):
    """A daemon's user."""
    monkeypatch.setenv("HOME", "/nonexistent")
    assert (folder("state"), folder("config")) == (Path("/var/lib"), Path("/etc"))


def test_a_token_is_not_shown():
    """Settings may be logged."""
    assert "secret" not in repr(Settings.from_env({"LEADTRACE_TOKEN": "secret"}))


def test_each_setting_is_an_argument_of_configure():
    """Whatever a variable can say, code can."""
    from leadtrace.setup import configure

    assert {row.name for row in TABLE} <= set(inspect.signature(configure).parameters)


def test_the_documentation_holds_the_table_as_it_is():
    """Docs cannot drift."""
    rows = [
        f"| `{row.variable}` | `{row.name}` | {' · '.join(f'`{one}`' for one in row.choices) or row.type} | "
        f"{f'`{row.default}`' if row.default else 'none'} | {row.doc} |"
        for row in TABLE
    ]
    table = [line for line in DOCS.read_text().splitlines() if line.startswith("| `LEADTRACE_")]
    assert table == rows
