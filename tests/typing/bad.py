"""Misuses of the public surface: each line marked `# bad` must be refused by both type checkers."""

from __future__ import annotations

import leadtrace as lt


@lt.step
def bare(n: int) -> str:
    return str(n)


@lt.enhancement("E", cost=0.02)
async def called(n: int) -> int:
    return n


class Certificate(lt.Event, name="lead.certificate.checked", kind="milestone"):
    """A certificate was checked."""

    certificate_id: str


async def misuses() -> None:
    bare("one")  # bad
    bare()  # bad
    bare(1).nothing()  # bad
    await called("x")  # bad
    (await called(1)).upper()  # bad
    lt.step(3)  # bad
    lt.step("s")(3)  # bad
    lt.flow("F", ends="there")  # bad
    lt.flow("F", new_trace="yes")  # bad
    lt.step("s", expected="LookupError")  # bad
    lt.step("s", attributes=["a"])  # bad
    lt.emit(3)  # bad
    lt.emit("lead.received").uid + 1  # bad
    lt.accepted(revenue="much")  # bad
    lt.rejected(3)  # bad
    lt.timeout("two")  # bad
    lt.resume({}, ends_flow="yes")  # bad
    lt.bind(bare)("x")  # bad
    Certificate(certificate_id=3)  # bad
    with lt.step("s") as step:
        step.accepted(revenue="much")  # bad
        step.flow("F", ends="there")  # bad
        step.no_such_word("x")  # bad
        step.move_to("x", final="yes")  # bad
        step.resume({}, ends_flow="yes")  # bad
    lt.lead_event({"value": 1})  # bad
    lt.lead_event({"value": 1}, destination=3)  # bad
    lt.lead_event({"value": 1}, destination="m", schema=3)  # bad
    lt.sender("m", refused="400")  # bad
    lt.sender(3)  # bad
    lt.send_waiting(limit="3")  # bad
    lt.payload_schema("Lead", 5)  # bad
