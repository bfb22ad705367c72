"""The catalogue holds what the sources name, by its own rules."""

from __future__ import annotations

import keyword
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadtrace import catalogue
from leadtrace.catalogue.common import COMMON
from leadtrace.catalogue.document import own_events
from leadtrace.catalogue.model import Event, EventSpec, field, lookup
from leadtrace.catalogue.naming import accept_verbs, exceptions, problem_beside, problem_with
from leadtrace.errors import CatalogueError

SPECS = own_events()

NAMED_BY_THE_SOURCES = """
enhancement.success enhancement.failed flow.completed error.occurred
lead.event.received lead.event.saved lead.event.sent lead.event.failed lead.event.quarantined
alert.fired alert.resolved alert.acknowledged alert.checked
operation.started operation.completed operation.failed ai.initialization ai.model.selected ai.model.switched
ai.model.upgraded ai.response.generated ai.completion.ready ai.error.occurred customer.query.received
customer.query.processed customer.query.completed user.login.attempted user.login.succeeded user.login.failed
error.recovered low.confidence.detected system.cache.hit system.cache.miss system.retry.attempted api.call.attempted
api.call.succeeded api.call.failed
dispatch.adapter_pinned dispatch.pool_exhausted dispatch.sent policy.adapter_resting policy.ramp_cap policy.sub_cap
policy.min_gap health.state_changed health.external_signal ingest.inbound_message ingest.ooo_rescheduled
enrollment.paused_pin_unavailable enrollment.sender_reassigned template.spintax_error template.spintax_warning
""".split()  # noqa: SIM905 - a list of eighty names reads better as words
IMPLIED = """
flow.started flow.failed flow.cancelled flow.handed_over flow.interrupted operation.cancelled enhancement.started
enhancement.cancelled delivery.started delivery.accepted delivery.rejected delivery.pending delivery.failed delivery.unconfirmed
delivery.cancelled api.call.cancelled validation.passed validation.failed rule.satisfied rule.rejected fallback.used
bid.requested bid.received bid.declined bid.expired lead.received lead.accepted lead.declined lead.purchased
lead.returned lead.state.changed lead.event.released lead.event.discarded
system.retry.scheduled record.quarantined leadtrace.handler.failed
leadtrace.records.dropped circuit.opened circuit.half_opened circuit.closed
system.health.changed system.capacity.sampled
""".split()  # noqa: SIM905 - as above

KINDS = {
    "alert": "alert.fired alert.resolved alert.acknowledged alert.checked",
    "start": "flow.started operation.started enhancement.started delivery.started api.call.attempted user.login.attempted",
    "success": "enhancement.success operation.completed delivery.accepted api.call.succeeded validation.passed "
    "rule.satisfied user.login.succeeded",
    "failure": "flow.failed flow.interrupted operation.failed enhancement.failed delivery.failed delivery.unconfirmed "
    "user.login.failed dispatch.pool_exhausted template.spintax_error lead.event.quarantined record.quarantined "
    "leadtrace.handler.failed leadtrace.records.dropped",
    "rejection": "delivery.rejected validation.failed rule.rejected bid.declined lead.declined lead.returned",
    "attempt_failure": "api.call.failed lead.event.failed",
    "error": "error.occurred ai.error.occurred",
    "cancelled": "flow.cancelled operation.cancelled enhancement.cancelled delivery.cancelled api.call.cancelled",
    "transition": "lead.state.changed health.state_changed ai.model.switched ai.model.upgraded circuit.opened "
    "circuit.half_opened circuit.closed system.health.changed",
}

NO_LEAD = """
dispatch.pool_exhausted policy.adapter_resting policy.ramp_cap policy.sub_cap policy.min_gap health.state_changed
health.external_signal record.quarantined leadtrace.handler.failed leadtrace.records.dropped circuit.opened
circuit.half_opened circuit.closed alert.fired alert.resolved alert.acknowledged alert.checked
system.health.changed system.capacity.sampled
""".split()  # noqa: SIM905 - as above

ATTRIBUTES = {
    "alert.fired": "alert.id alert.rule alert.group alert.began_at alert.observed alert.expected alert.runbook "
    "alert.money_at_risk",
    "alert.resolved": "alert.id alert.rule alert.group alert.began_at alert.ended_at alert.duration_ms alert.observed "
    "alert.expected alert.runbook alert.money_at_risk",
    "alert.acknowledged": "alert.id alert.rule alert.group alert.by alert.note",
    "alert.checked": "alert.id alert.rule alert.group alert.item alert.result alert.side",
    "enhancement.success": "enhancement.step_id enhancement.name enhancement.service enhancement.position "
    "enhancement.outcome enhancement.duration_ms enhancement.data_appended.* enhancement.cost enhancement.cost_avoided "
    "enhancement.currency enhancement.cache_hit enhancement.metadata.api_version enhancement.metadata.response_size "
    "enhancement.metadata.data_freshness",
    "enhancement.failed": "enhancement.step_id enhancement.name enhancement.service enhancement.position "
    "enhancement.outcome enhancement.duration_ms enhancement.cost enhancement.cache_hit enhancement.failure.reason "
    "enhancement.failure.category enhancement.failure.subcategory enhancement.failure.cause "
    "enhancement.failure.error_code enhancement.failure.details enhancement.impact.data_missing "
    "enhancement.impact.flow_continued enhancement.impact.used_defaults enhancement.retry.attempted "
    "enhancement.retry.count enhancement.retry.will_retry",
    "flow.completed": "flow.id flow.name flow.version flow.summary.total_duration_ms flow.summary.steps_executed "
    "flow.summary.enhancements_applied flow.summary.deliveries_attempted flow.summary.validations_passed "
    "flow.summary.rules_satisfied flow.summary.final_outcome flow.summary.scope flow.summary.handed_over "
    "flow.summary.open flow.journey.source flow.journey.campaign flow.journey.campaign_group flow.journey.accepted "
    "flow.journey.enhanced flow.journey.delivered_to flow.journey.total_revenue flow.journey.total_cost "
    "flow.journey.margin flow.journey.currency flow.performance.processing_time flow.performance.cpu_ms "
    "flow.performance.peak_memory_bytes flow.performance.bottlenecks flow.performance.cache_hits "
    "flow.performance.steps_per_second flow.performance.concurrent_flows",
    "error.occurred": "error.type error.category error.subcategory error.cause error.severity error.message error.code "
    "error.context.step error.context.operation error.context.input error.context.expected error.impact.lead_affected "
    "error.impact.flow_stopped error.impact.data_lost error.impact.recovery_action error.retry_count error.retry_after "
    "error.fingerprint troubleshooting.suggestion troubleshooting.related_errors troubleshooting.pattern_detected",
    "delivery.failed": "delivery.id delivery.buyer delivery.attempts delivery.reason delivery.code delivery.reference "
    "delivery.duration_ms delivery.failure.category delivery.failure.subcategory delivery.failure.cause",
    "delivery.accepted": "delivery.revenue delivery.currency",
    "bid.received": "bid.price",
    "lead.purchased": "lead.price",
    "lead.returned": "lead.return.amount lead.return.reason delivery.buyer",
    "lead.state.changed": "lead.state.from lead.state.to lead.state.reason lead.state.final",
    "record.quarantined": "record.source record.line record.reason",
    "lead.event.sent": "lead.event.id lead.event.type lead.event.destination lead.event.account_id "
    "lead.event.campaign_group lead.event.campaign_id lead.event.ad_id lead.event.resend",
    "operation.started": "input.size input.type",
    "operation.completed": "output.size success duration_ms",
    "operation.failed": "error.type error.message duration_ms error.category error.subcategory error.cause",
    "ai.initialization": "model temperature",
    "ai.model.selected": "model reason fallback_used context.query_type context.customer_tier context.complexity_score",
    "ai.model.switched": "from.model to.model reason query.complexity_score fallback.triggered",
    "ai.model.upgraded": "from.model to.model reason query.complexity_score fallback.triggered",
    "ai.response.generated": "tokens_used finish_reason response_time_ms result.quality_score",
    "ai.completion.ready": "final.model tokens.estimated",
    "customer.query.received": "query.length query.sentiment customer.tier",
    "customer.query.processed": "processing_time_ms confidence_score response.quality",
    "user.login.attempted": "user.id login.method",
    "error.recovered": "recovery.action recovery.success total_retry_time_ms",
    "low.confidence.detected": "confidence.score threshold action.taken",
    "api.call.attempted": "attempt max_attempts",
    "api.call.succeeded": "attempt duration_ms",
    "api.call.failed": "attempt error.type error.message will_retry wait_ms error.category",
    "system.retry.attempted": "attempt waited_ms",
    "system.retry.scheduled": "attempt wait_ms max_attempts",
    **{
        name: " ".join("tenant_key" if key == "tenant_key" else f"outbound.{key}" for key in f"count {keys}".split())
        for name, keys in {
            "dispatch.adapter_pinned": "enrollment_id sequence_version_id adapter_id tenant_key",
            "dispatch.pool_exhausted": "pool_id sequence_version_id evicted_adapter_ids tenant_key",
            "dispatch.sent": "enrollment_id step_execution_id sequence_key step_key channel adapter_provider "
            "provider_message_id out_message_id tenant_key",
            "policy.adapter_resting": "adapter_id step_execution_id tenant_key defer_until",
            "policy.ramp_cap": "rate adapter_id step_execution_id tenant_key sent_count cap",
            "policy.sub_cap": "rate adapter_id sequence_version_id step_execution_id tenant_key sent_count cap max_share_pct",
            "policy.min_gap": "adapter_id step_execution_id tenant_key defer_until min_gap_seconds",
            "health.state_changed": "adapter_id tenant_key from to reason source",
            "health.external_signal": "adapter_id tenant_key health_state health_score source",
            "ingest.inbound_message": "provider provider_message_id provider_event_id step_execution_id tenant_key intent",
            "ingest.ooo_rescheduled": "enrollment_id return_at scheduled_for tenant_key",
            "enrollment.paused_pin_unavailable": "enrollment_id adapter_id tenant_key",
            "enrollment.sender_reassigned": "enrollment_id old_adapter_id new_adapter_id reason tenant_key",
            "template.spintax_error": "reason text step_execution_id attempt_window",
            "template.spintax_warning": "reason token step_execution_id attempt_window",
        }.items()
    },
}

EXCEPTIONS = """
enhancement.success ai.initialization ai.completion.ready system.cache.hit system.cache.miss policy.ramp_cap
policy.sub_cap policy.min_gap policy.adapter_resting health.external_signal ingest.inbound_message
template.spintax_error template.spintax_warning enrollment.paused_pin_unavailable delivery.pending
""".split()  # noqa: SIM905 - as above


def test_every_event_of_the_sources_and_every_one_that_they_imply_is_declared_and_no_other() -> None:
    """Those of the journal come with the part that emits them."""
    assert sorted(SPECS) == sorted(NAMED_BY_THE_SOURCES + IMPLIED)


@pytest.mark.parametrize("name", sorted(ATTRIBUTES))
def test_every_field_that_the_sources_show_is_declared(name: str) -> None:
    assert set(ATTRIBUTES[name].split()) - set(SPECS[name].attributes) == set()


def test_each_event_has_its_kind() -> None:
    expected = dict.fromkeys(SPECS, "milestone")
    expected |= {name: kind for kind, names in KINDS.items() for name in names.split()}
    assert {name: spec.kind.value for name, spec in SPECS.items()} == expected


def test_events_of_no_lead_say_so() -> None:
    assert sorted(name for name, spec in SPECS.items() if not spec.lead) == sorted(NO_LEAD)


@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
def test_an_event_has_a_sentence_a_source_and_a_sentence_for_each_field(spec: EventSpec) -> None:
    assert spec.doc.endswith(".")
    assert spec.source in ("000", "001", "002", "003", "leadtrace")
    for one in [*spec.fields.values(), *COMMON.values()]:
        assert one.doc.endswith("."), one
        assert one.doc[0].isupper() or one.doc[0] == "`", one


@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
def test_a_keyword_is_the_attribute_without_the_events_namespace(spec: EventSpec) -> None:
    """Dots become underscores, Python's own words get one behind; a delivery engine's keys lose their common prefix."""
    for one in spec.fields.values():
        expected = one.attribute.removesuffix(".*").removeprefix(f"{spec.namespace}.").removeprefix("outbound.")
        expected = expected.replace(".", "_")
        if keyword.iskeyword(expected):
            expected += "_"
        assert one.keyword == expected


def test_an_attribute_has_one_type_one_unit_and_one_personal_mark_in_the_whole_catalogue() -> None:
    meanings: dict[str, set[tuple[str, str, str, tuple[str, ...]]]] = {}
    for fields in (COMMON, *(spec.attributes for spec in SPECS.values())):
        for name, one in fields.items():
            meanings.setdefault(name, set()).add((one.type, one.unit, one.personal, one.values))
    assert {name: said for name, said in meanings.items() if len(said) > 1} == {}


def test_no_attribute_is_both_a_leaf_and_a_namespace() -> None:
    names = {name for spec in SPECS.values() for name in spec.attributes} | set(COMMON)
    assert [(one, other) for one in names for other in names if other.startswith(f"{one}.")] == []


def test_units_tell_durations_and_moments_apart() -> None:
    for spec in SPECS.values():
        for name, one in spec.attributes.items():
            if name.endswith("_ms"):
                assert (one.type, one.unit) == ("double", "ms"), name
            if one.unit == "ns":
                assert one.type == "int", name


def test_money_has_its_currency_beside_it() -> None:
    for spec in SPECS.values():
        for name, one in spec.attributes.items():
            if one.unit == "{currency}":
                assert f"{name.rpartition('.')[0]}.currency" in spec.attributes, f"{spec.name}: {name}"


def test_names_keep_to_the_rule_but_for_declared_exceptions() -> None:
    assert sorted(exceptions()) == sorted(EXCEPTIONS)
    assert all(len(reason) > 20 for reason in exceptions().values())
    assert {name: problem for name in SPECS if name not in EXCEPTIONS and (problem := problem_with(name))} == {}
    assert [name for name in EXCEPTIONS if not problem_with(name)] == []
    assert {
        name: problem for name in SPECS if (problem := problem_beside(name, [one for one in SPECS if one != name]))
    } == {}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("user.logged_in", "'logged_in' tells a state; a name ends with what happened, in the past tense"),
        ("ai.response_ready", "'response_ready' tells a state"),
        ("ai.model_is_gpt4", "'model_is_gpt4' tells a state"),
        ("lead.consent.verify", "'verify' does not end with a verb in the past tense"),
        ("Lead.received", "segment 'Lead' is not snake_case"),
        ("lead.Received", "segment 'Received' is not snake_case"),
        ("lead..received", "segment '' is not snake_case"),
        ("lead.re__ceived", "segment 're__ceived' is not snake_case"),
        ("received", "it is one segment"),
        ("lead.lead_7K9mHpQR3x2B5N8j.received", "segment 'lead_7K9mHpQR3x2B5N8j' is not snake_case"),
        ("lead.3f9a2b1c.received", "segment '3f9a2b1c' holds an identifier"),
        ("order.20240115.received", "segment '20240115' holds an identifier"),
        ("", "it is empty"),
    ],
)
def test_a_name_that_breaks_the_rule_is_told_why(name: str, problem: str) -> None:
    assert problem_with(name).startswith(problem)


@pytest.mark.parametrize("name", ["lead.consent.verified", "circuit.half_opened", "buyer.call.timed_out", "ping.sent"])
def test_a_name_that_keeps_the_rule_is_fine(name: str) -> None:
    assert problem_with(name) == ""


@given(st.text(max_size=40))
def test_any_text_gets_an_answer(name: str) -> None:
    assert isinstance(problem_with(name), str)


def test_users_bring_verbs_that_the_list_lacks() -> None:
    assert problem_with("lead.frobnicated")
    accept_verbs("frobnicated")
    assert problem_with("lead.frobnicated") == ""


def test_a_users_event_prefixes_its_fields_and_stands_in_the_catalogue() -> None:
    class CertificateVerified(Event, name="lead.certificate.verified", kind="milestone"):
        """The consumer's consent certificate was checked."""

        certificate_id: str
        age_ms: float | None = field(default=None, unit="ms", doc="How old it was.")
        by: str | None = None

    spec = catalogue.get("lead.certificate.verified")
    assert spec is not None
    assert (spec.event_class, spec.needs_lead, spec.source) == (CertificateVerified, True, "user")
    assert {one.attribute: (one.type, one.requirement) for one in spec.fields.values()} == {
        "lead.certificate.certificate_id": ("string", "required"),
        "lead.certificate.age_ms": ("double", "recommended"),
        "lead.certificate.by": ("string", "recommended"),
    }
    event = CertificateVerified(certificate_id="c1", age_ms=3.5)
    assert event.event_name == "lead.certificate.verified"
    assert event.attributes == {"lead.certificate.certificate_id": "c1", "lead.certificate.age_ms": 3.5}
    read = CertificateVerified.read({**event.attributes, "lead.id": "l1"})
    assert (read.certificate_id, read.age_ms, read.by) == ("c1", 3.5, None)
    assert read.attributes == {**event.attributes, "lead.id": "l1"}


def test_an_event_that_is_read_keeps_the_free_keys_of_a_map() -> None:
    spec = SPECS["enhancement.success"]
    attributes = {"enhancement.data_appended.carrier": "Verizon", "enhancement.data_appended.a.b": 1, "other": True}
    event = spec.event_class.read(attributes)
    assert event.data_appended == {"carrier": "Verizon", "a.b": 1}  # type: ignore[attr-defined]
    assert event.attributes == attributes
    assert spec.field_of("enhancement.data_appended.a.b") is spec.attributes["enhancement.data_appended.*"]
    assert spec.field_of("enhancement.colour") is None


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("lead.consent.verify", {}, "does not end with a verb in the past tense"),
        ("lead.event", {}, "it is the namespace of 'lead.event.received' already"),
        ("lead.received.twice_sent", {}, "'lead.received', its namespace, is an event already"),
        ("delivery.accepted", {}, "is declared already, by leadtrace.catalogue.delivery.DeliveryAccepted"),
        ("lead.hashed", {"price": "set[str]"}, "has type set\\[str\\]; an event's field is one of"),
        ("lead.price.hashed", {"event_name": "str"}, "'event_name' is what every event has"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused_where_it_is_written(
    name: str, fields: dict[str, str], message: str
) -> None:
    with pytest.raises(CatalogueError, match=message):
        type(Event)("Wrong", (Event,), {"__annotations__": fields, "__module__": __name__}, name=name)
    assert lookup(name) is None or lookup(name) is SPECS.get(name)


def test_an_attribute_with_a_second_type_is_refused() -> None:
    with pytest.raises(CatalogueError, match=r"lead\.price as string \[\], but lead\.purchased has it as double"):

        class PriceHashed(Event, name="lead.hashed"):
            price: str


def test_an_instance_refuses_fields_that_its_event_does_not_have_and_misses_those_that_it_needs() -> None:
    changed = SPECS["lead.state.changed"].event_class
    with pytest.raises(CatalogueError, match=r"lead\.state\.changed has no field 'state'; its fields are: from_, to"):
        changed(state="x")
    with pytest.raises(CatalogueError, match=r"lead\.state\.changed needs to"):
        changed()


@pytest.mark.parametrize(
    ("name", "attributes", "expected"),
    [
        (
            "flow.completed",
            {"flow.version": 12, "flow.journey.margin": 55, "flow.summary.final_outcome": "delivered"},
            [],
        ),
        ("flow.completed", {"flow.version": "12"}, ["flow.completed: flow.version is declared as int, and str came"]),
        ("flow.completed", {"flow.version": True}, ["flow.completed: flow.version is declared as int, and bool came"]),
        ("flow.completed", {"flow.id": 3}, ["flow.completed: flow.id is declared as string, and int came"]),
        (
            "flow.completed",
            {"flow.journey.delivered_to": ["Acme", 3]},
            ["flow.completed: flow.journey.delivered_to is declared as string[], and list of int, str came"],
        ),
        ("flow.completed", {"flow.performance.bottlenecks": ()}, []),
        (
            "flow.completed",
            {"flow.summary.final_outcome": "done"},
            [
                (
                    "flow.completed: flow.summary.final_outcome is 'done'; it is one of: delivered, partially_delivered, "
                    "rejected, deferred, undelivered, failed, cancelled, interrupted"
                )
            ],
        ),
        ("flow.completed", {"flow.mine": object()}, []),
        ("enhancement.success", {"enhancement.data_appended.age": 3}, []),
        ("lead.state.changed", {}, ["lead.state.changed needs lead.state.to"]),
        ("flow.complete", {}, ["event 'flow.complete' is not declared; the nearest that is: 'flow.completed'"]),
        ("zzz.zzz", {}, ["event 'zzz.zzz' is not declared"]),
        ("lead.received", {"lead.id": 7}, ["lead.received: lead.id is declared as string, and int came"]),
    ],
)
def test_problems_of_an_event_are_told_in_sentences(
    name: str, attributes: dict[str, object], expected: list[str]
) -> None:
    assert catalogue.problems(name, attributes) == expected


def test_the_nearest_name_forgives_case_and_hyphens() -> None:
    assert catalogue.nearest("Enhancement.Success") == "enhancement.success"
    assert catalogue.nearest("lead.state-changed") == "lead.state.changed"
    assert catalogue.nearest("completely different") == ""


def test_a_keyword_with_a_slip_finds_the_declared_one() -> None:
    fields = SPECS["delivery.accepted"].fields
    assert catalogue.keyword_like("revenu", fields) == "revenue"
    assert catalogue.keyword_like("revenue", fields) == ""
    assert catalogue.keyword_like("chosen", fields) == ""


def test_many_threads_may_ask_first() -> None:
    """In a fresh process, eight threads that ask at once all get the whole catalogue."""
    code = """
import threading
from leadtrace import catalogue
start, found = threading.Barrier(8), []
def ask():
    start.wait()
    found.append((catalogue.get("leadtrace.records.dropped") is not None, len(catalogue.events())))
threads = [threading.Thread(target=ask) for _ in range(8)]
[one.start() for one in threads]
[one.join() for one in threads]
print(found)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([(True, len(SPECS))] * 8)
    assert threading.active_count() < 50


def test_loading_the_catalogue_imports_nothing_heavy() -> None:
    code = """
import sys
from leadtrace import catalogue
catalogue.problems("flow.completed", {})
heavy = ("asyncio", "wrapt", "opentelemetry.sdk", "click", "json", "logging", "inspect.signature", "apsw", "difflib")
print([name for name in heavy if name in sys.modules and name not in BEFORE])
""".replace("BEFORE", repr(()))
    source = str(Path(catalogue.__file__).parents[2])  # -S leaves out the site, and so an editable install
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([source, *sys.path])},
    )
    assert done.stdout.strip() == "[]", done.stderr
