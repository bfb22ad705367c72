"""What Jaeger and ClickHouse must be asked to delete: they keep copies that no command of ours reaches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Elsewhere", "asked_of_others"]


@dataclass(slots=True)
class Elsewhere:
    """One keeper of copies: what is to be known, and what to run there."""

    keeper: str
    says: str
    commands: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {"keeper": self.keeper, "says": self.says, "commands": self.commands}


def asked_of_others(lead_ids: Sequence[str], tenant: str | None, traces: Sequence[str]) -> list[Elsewhere]:
    """For Jaeger by trace, for ClickHouse in the tables of the Collector's exporter."""
    return [_jaeger(lead_ids, traces), _clickhouse(lead_ids, tenant, traces)]


def _jaeger(lead_ids: Sequence[str], traces: Sequence[str]) -> Elsewhere:
    tags = " or ".join(f"lead.id={one}" for one in lead_ids)
    if not traces:
        says = f"has no command that deletes; look there for traces with the tag {tags}, and delete them in its storage"
        return Elsewhere("Jaeger", says)
    quoted = ", ".join(f'"{one}"' for one in traces)
    return Elsewhere(
        "Jaeger",
        f"has no command that deletes; these {len(traces)} traces, and others with the tag {tags}, are deleted in its storage. "
        "In memory and in badger they go with the time that it keeps traces for",
        [
            f'Elasticsearch, OpenSearch: POST /jaeger-span-*/_delete_by_query {{"query": {{"terms": {{"traceID": [{quoted}]}}}}}}',
            *(f"Cassandra: DELETE FROM traces WHERE trace_id = 0x{one};" for one in traces),  # noqa: S608 - text for a person
        ],
    )


def _clickhouse(lead_ids: Sequence[str], tenant: str | None, traces: Sequence[str]) -> Elsewhere:
    ids = ", ".join(map(_quoted, lead_ids))

    def whose(column: str) -> str:
        among = f" AND {column}['tenant_key'] = {_quoted(tenant)}" if tenant is not None else ""
        return f"({column}['lead.id'] IN ({ids}){among})"

    beneath = (
        f" OR (TraceId IN ({', '.join(map(_quoted, traces))}) AND SpanAttributes['lead.id'] = '')" if traces else ""
    )

    def several(column: str) -> str:
        return " OR ".join(f"position({column}['leadtrace.lead_ids'], {_quoted(_json(one))}) > 0" for one in lead_ids)

    logs, spans = whose("LogAttributes"), whose("SpanAttributes") + beneath
    return Elsewhere(
        "ClickHouse",
        "in the tables of the Collector's exporter; ALTER ... DELETE rewrites the parts, where DELETE FROM only hides rows. The "
        "last two find what names several leads, which is to be looked at by hand",
        [
            f"ALTER TABLE otel_logs DELETE WHERE {logs} SETTINGS mutations_sync = 2;",
            f"ALTER TABLE otel_traces DELETE WHERE {spans} SETTINGS mutations_sync = 2;",
            f"SELECT * FROM otel_logs WHERE {several('LogAttributes')};",  # noqa: S608 - text for a person
            f"SELECT * FROM otel_traces WHERE {several('SpanAttributes')};",  # noqa: S608 - as above
        ],
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _json(text: str) -> str:
    """As it stands in a list that the exporter writes as JSON."""
    import json

    return json.dumps(text, ensure_ascii=False)
