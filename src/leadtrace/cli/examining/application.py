"""An application as it is when it has been imported: what it sends twice, and where its words did not come to lie."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

import click

from leadtrace.cli.examining.finding import bad, ok, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadtrace.cli.examining.finding import Finding

__all__ = ["examine_application", "examine_instrumented", "examine_twice"]


def examine_application(module: str) -> Iterator[Finding]:
    """Import that module, as its process would, and look at what it set up."""
    sys.path.insert(0, os.getcwd())
    try:
        importlib.import_module(module)
    except Exception as problem:
        raise click.UsageError(f"--app {module} cannot be imported: {type(problem).__name__}: {problem}") from problem
    from leadtrace.setup.composition import current

    if current() is None:
        yield warn(
            "application",
            f"importing {module} does not call leadtrace.configure(): words only call through until somebody does",
            "name the module that calls it",
        )
    else:
        yield ok("application", f"{module} calls leadtrace.configure()")
    yield from examine_twice()
    yield from examine_instrumented()


def examine_twice() -> Iterator[Finding]:
    """Whether spans go to one receiver by the host's exporter and by leadtrace."""
    from leadtrace.setup import host
    from leadtrace.setup.composition import current

    made, provider = current(), host.current_provider()
    endpoint = made.endpoints.get("traces") if made is not None else None
    if made is None or endpoint is None or provider is None:
        return
    where = host.exporter_to(provider, endpoint)
    if where and made.spans == "leadtrace":
        yield bad(
            "sending",
            f"spans go to one receiver twice: by an exporter of the host's own ({where}) and by leadtrace ({endpoint.url})",
            "remove that exporter, set it up before configure(), or call configure(send_spans=False)",
        )
    elif where:
        yield warn(
            "sending", f"spans are left to the host's own exporter ({where}), which loses what its queue cannot hold"
        )
    else:
        yield ok("sending", f"spans go to {endpoint.url} once")


def examine_instrumented() -> Iterator[Finding]:
    """Words on code that one cannot change: those that are not in place, and those that came late."""
    from leadtrace.words.instrument import instrumented
    from leadtrace.words.instrument_holders import holders

    targets = instrumented()
    for one in targets:
        named = f"{one.source or 'lt.instrument'}: {one.target}"
        if one.state == "failed":
            yield bad("instrument", f"{named}: {one.why}", "correct the target, or remove the entry")
        elif one.state == "waiting":
            yield warn(
                "instrument", f"{named} waits: its module has not been imported" + (f" ({one.why})" if one.why else "")
            )
        elif one.late:
            held = holders(one)
            if held:
                yield bad(
                    "instrument",
                    f"{named} was captured before its word came, by {', '.join(held)}: called from there it tells nothing",
                    "call leadtrace.configure(), or lt.instrument, before that import",
                )
            else:
                replaced = f" in {', '.join(one.replaced)} too" if one.replaced else ""
                yield ok("instrument", f"{named} was imported before its word came, which is in place{replaced}")
    early = [one for one in targets if one.state == "in place" and not one.late]
    if early:
        yield ok("instrument", f"words are in place on {', '.join(one.target for one in early)}")
