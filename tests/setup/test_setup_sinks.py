"""Which receivers there are, and by what name each is known in files and commands."""

from __future__ import annotations

import pytest

from leadtrace.setup.sinks import DEFAULT, name_of


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://store:4318", "store-4318"),
        ("https://store.example/otlp/", "store.example-otlp"),
        ("http://someone:secret@store:4318", "store-4318"),
        ("http://store:4318/a@b", "store-4318-a-b"),
        (f"http://{DEFAULT}", f"receiver-{DEFAULT}"),
        ("http://kept", "receiver-kept"),
        ("//", "receiver"),
    ],
)
def test_a_receivers_name_is_its_address_without_who_signs_in_and_never_one_of_ours(url, name):
    """A host called `default` must not take the place of the first receiver."""
    assert name_of(url) == name
