"""`configure(taxonomy=…)`: a user's own rows of the failure taxonomy."""

from __future__ import annotations

import pytest

import leadtrace as lt
from leadtrace.catalogue import taxonomy
from leadtrace.errors import SettingsError


class BuyerDown(Exception):
    pass


@pytest.fixture(autouse=True)
def table(monkeypatch, tmp_path):
    """The table is the process's: what a test adds is gone after it."""
    monkeypatch.setattr(taxonomy, "_own_exceptions", {})
    monkeypatch.setattr(taxonomy, "_own_statuses", {})
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
    monkeypatch.setenv("LEADTRACE_KEY", str(tmp_path / "key"))
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")


def test_rows_of_a_users_own_come_before_the_tables() -> None:
    with lt.configure(taxonomy={BuyerDown: ("technical", "connection", "maintenance"), 460: ("data", "no_match")}):
        assert taxonomy.classify(BuyerDown())[:3] == ("technical", "connection", "maintenance")
        assert taxonomy.failed_status(460) is False


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({BuyerDown: ("weather",)}, "failure category 'weather' is not one of"),
        ({BuyerDown: "technical"}, "needs (category, subcategory, cause)"),
        ({BuyerDown: ()}, "needs (category, subcategory, cause)"),
    ],
)
def test_a_row_that_cannot_be_says_so(rows, said) -> None:
    with pytest.raises(SettingsError) as told:
        lt.configure(taxonomy=rows)
    assert said in str(told.value)
