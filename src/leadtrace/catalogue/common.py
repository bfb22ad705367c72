"""The attributes that any event may carry, declared once, and the sets of fields that several families share."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from leadtrace.catalogue.model import Event, FieldSpec, Kind, field

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CATEGORIES", "COMMON", "ENHANCEMENT_CATEGORIES", "SEVERITIES", "SUBCATEGORIES", "FailureTaxonomy", "Raised"]

SEVERITIES = ("low", "medium", "high", "critical")

CATEGORIES = ("technical", "processing", "system")
"""The first level of the failure taxonomy, for errors of every kind but an enhancement's."""

ENHANCEMENT_CATEGORIES = ("technical", "data")
"""The first level of the failure taxonomy, for enhancements."""

SUBCATEGORIES = (
    "timeout",
    "authentication",
    "connection",
    "invalid_input",
    "no_match",
    "quality",
    "parsing",
    "logic",
    "data",
    "resource",
    "service",
    "integration",
)
"""The second level; which of them stands under which category is `leadtrace.catalogue.taxonomy.LEVELS`."""


def _common(
    attribute: str,
    doc: str,
    type_: str = "string",
    *,
    keyword: str = "",
    unit: str = "",
    by: str = "word",
    dimension: bool = False,
    values: tuple[str, ...] = (),
) -> FieldSpec:
    return FieldSpec(
        keyword or attribute.replace(".", "_"),
        attribute,
        type_,  # type: ignore[arg-type]
        doc,
        unit,
        "recommended",
        by,  # type: ignore[arg-type]
        "",
        dimension,
        values,
        (),
        bool(unit) and type_ in ("int", "double"),
    )


COMMON: Mapping[str, FieldSpec] = MappingProxyType(
    {
        one.attribute: one
        for one in (
            _common("lead.id", "The lead that the event belongs to."),
            _common("tenant_key", "The tenant, where there are several.", by="user"),
            _common(
                "log.record.uid",
                "The event's identity, equal on the log record and on its copy on the span: 16 hex digits of the "
                "process's boot id and 12 of its counter.",
            ),
            _common(
                "leadtrace.kind",
                "What the event means for counting.",
                dimension=True,
                values=tuple(one.value for one in Kind),
            ),
            _common("leadtrace.word", "The word that made the event (`flow`, `step`, `delivery` …).", dimension=True),
            _common("leadtrace.name", "The name that the word was given, or its function's.", dimension=True),
            _common("leadtrace.run_id", "The run: one passage of a lead, in one trace or several."),
            _common("leadtrace.parent_run_id", "The run inside which this one began."),
            _common(
                "leadtrace.parent_span_id", "The span above, so that the tree stands without spans; a root has none."
            ),
            _common("leadtrace.lead_ids", "The leads of a call that serves several at once.", "string[]"),
            _common("leadtrace.marks", "What is odd about the event, a word each.", "string[]"),
            _common("leadtrace.handover_id", "The handover (`carry`) that the work arrived by, or left by."),
            _common(
                "leadtrace.expected", "The type of the expected exception that the word ended with.", dimension=True
            ),
            _common("leadtrace.amends", "The uid of the event that this one completes."),
            _common("items", "How many items a generator gave.", "int", unit="{item}"),
            _common(
                "active_ms",
                "How long a generator ran itself, without the time that its consumer took.",
                "double",
                unit="ms",
            ),
        )
    }
)
"""By attribute name. An event's own declaration of the same attribute says the same, more closely."""


class Raised(Event):
    """What an exception leaves on an event: its type and message, and the HTTP status where an answer came."""

    error_type: str | None = field(
        "error.type",
        default=None,
        by="word",
        dimension=True,
        doc="The exception's type, or the status that counts as a failure.",
    )
    error_message: str | None = field(
        "error.message", default=None, by="word", doc="The exception's message, scrubbed."
    )
    http_response_status_code: int | None = field(
        "http.response.status_code",
        default=None,
        by="word",
        dimension=True,
        doc="The status of the answer, where one came.",
    )


class FailureTaxonomy(Raised):
    """A failed operation's place in the error taxonomy."""

    error_category: str | None = field(
        "error.category",
        default=None,
        by="word",
        dimension=True,
        values=CATEGORIES,
        doc="First level of the failure taxonomy.",
    )
    error_subcategory: str | None = field(
        "error.subcategory",
        default=None,
        by="word",
        dimension=True,
        values=SUBCATEGORIES,
        doc="Second level of the failure taxonomy.",
    )
    error_cause: str | None = field(
        "error.cause",
        default=None,
        by="word",
        dimension=True,
        doc="Third level of the failure taxonomy (`dns_failure` …).",
    )
    error_code: str | None = field(
        "error.code",
        default=None,
        by="word",
        dimension=True,
        doc="A code for programs (`TIMEOUT_ERROR`); always a string.",
    )
