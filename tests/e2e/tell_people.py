"""Tells of the example's people as carelessly as one can: in fields, texts, exceptions, URLs, lists, and as ids."""

from __future__ import annotations

import contextlib
import json
import sys

from opentelemetry import trace

import leadtrace as lt


class Unknown(Exception):
    pass


@lt.step("look up")
def look_up(person: dict[str, str]) -> None:
    raise Unknown(f"no match for {person['first_name']} {person['last_name']} <{person['email']}>, {person['phone']}")


def tell(person: dict[str, str]) -> None:
    tracer = trace.get_tracer("another library")
    with lt.flow("Careless", lead_id=person["id"] or person["email"]):
        lt.emit("lead.received", email=person["email"], phone=person["phone"])
        with contextlib.suppress(Unknown):
            look_up(person)
        if " at " in person["email"] or "@" not in person["email"]:
            return  # nobody can tell by its form that this is an address, so it may not stand where only the form tells
        with lt.step("fetch") as step, tracer.start_as_current_span(f"GET /people/{person['email']}") as span:
            span.set_attribute(
                "url.full", f"https://crm.example/find?name={person['last_name']}&phone={person['phone']}"
            )
            span.set_attribute("db.statement", f"SELECT * FROM people WHERE last_name = '{person['last_name']}'")
            span.add_event("called", {"text": f"called {person['phone']}", "list": [person["email"], "x"]})
            step.note(
                first_name=person["first_name"], contact={"email": person["email"], "last_name": person["last_name"]}
            )
        lt.move_to("rejected", reason=f"wrote to {person['email']}")


def main() -> None:
    with lt.configure(service_name="careless") as telemetry:
        for line in sys.stdin:
            tell(json.loads(line))
        telemetry.flush(20 if sys.argv[1:] == ["wait"] else 0.1)


if __name__ == "__main__":
    main()
