"""A lead taken out of an encoded record: what is left decodes as before without it, and is as long as it was."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from leadtrace.otlp.decode import decode_logs, decode_traces
from leadtrace.otlp.edit import named_in, names_somebody, replace_text, without_leads

ANN, BOB = "lead_ann", "lead_bob"


def _value(one: object) -> AnyValue:
    if isinstance(one, list):
        return AnyValue(array_value=ArrayValue(values=[_value(inner) for inner in one]))
    if isinstance(one, dict):
        return AnyValue(kvlist_value=KeyValueList(values=_pairs(one)))
    return AnyValue(int_value=one) if isinstance(one, int) else AnyValue(string_value=str(one))


def _pairs(attributes: dict[str, object]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(one)) for key, one in attributes.items()]


def _log(attributes: dict[str, object], **more: object) -> bytes:
    record = LogRecord(time_unix_nano=7, attributes=_pairs(attributes), trace_id=b"t" * 16, span_id=b"s" * 8, **more)
    return ScopeLogs(log_records=[record]).SerializeToString()


def _span(attributes: dict[str, object], **more: object) -> bytes:
    span = Span(trace_id=b"t" * 16, span_id=b"s" * 8, name="bulk", attributes=_pairs(attributes), **more)
    return ScopeSpans(spans=[span]).SerializeToString()


def _decoded_log(record: bytes):
    request = ExportLogsServiceRequest(resource_logs=[ResourceLogs(scope_logs=[ScopeLogs.FromString(record)])])
    [found] = decode_logs(request.SerializeToString())
    return found


def _decoded_span(record: bytes):
    request = ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans.FromString(record)])])
    [found] = decode_traces(request.SerializeToString())
    return found


def _is_ann(tenant: str, lead_id: str) -> bool:
    return lead_id == ANN and tenant == ""


def test_a_record_of_that_lead_alone_is_none():
    """It goes as a whole, whichever way it names the lead."""
    assert without_leads(_log({"lead.id": ANN, "x": 1}), "logs", _is_ann) is None
    assert without_leads(_log({"leadtrace.lead_ids": [ANN]}), "logs", _is_ann) is None
    assert without_leads(_span({"lead.id": ANN}), "traces", _is_ann) is None


def test_a_record_of_others_or_of_another_tenant_is_itself():
    """Not a copy: nothing has to be written."""
    for record in (_log({"lead.id": BOB}), _log({}), _log({"lead.id": ANN, "tenant_key": "north"})):
        assert without_leads(record, "logs", _is_ann) is record
    assert without_leads(b"no record", "logs", _is_ann) == b"no record"


@settings(max_examples=50)
@given(
    st.lists(st.text(max_size=300), max_size=4),
    st.integers(0, 4),
    st.dictionaries(st.text(min_size=1, max_size=8), st.integers(0, 2**40) | st.text(max_size=300), max_size=5),
)
def test_of_several_leads_the_others_stay_with_everything_else_in_the_same_room(others, at, more):
    """Of every length, wherever the lead stands among them."""
    several = ["a" * 9, *others]
    several.insert(min(at, len(several)), "x")
    said = {**{key: one for key, one in more.items() if not key.startswith("lead")}, "leadtrace.lead_ids": several}

    def is_x(_: str, lead_id: str) -> bool:
        return lead_id == "x"

    left = {**said, "leadtrace.lead_ids": [one for one in several if one != "x"]}
    record, span = _log(said), _span(said)
    edited, edited_span = without_leads(record, "logs", is_x), without_leads(span, "traces", is_x)
    assert (len(edited), len(edited_span)) == (len(record), len(span))
    assert _decoded_log(edited) == _decoded_log(_log(left))
    assert _decoded_span(edited_span) == _decoded_span(_span(left))


def test_an_event_of_the_lead_on_a_span_of_others_goes():
    """And the span stays."""
    events = [
        Span.Event(name="for ann", attributes=_pairs({"lead.id": ANN})),
        Span.Event(name="for bob", attributes=_pairs({"lead.id": BOB})),
    ]
    record = _span({"leadtrace.lead_ids": [ANN, BOB]}, events=events)
    edited = without_leads(record, "traces", _is_ann)
    assert len(edited) == len(record)
    found = _decoded_span(edited)
    assert [one.name for one in found.events] == ["for bob"]
    assert found.attributes == {"leadtrace.lead_ids": [BOB]}
    assert ANN.encode() not in edited


def test_text_anywhere_in_a_record_is_replaced_by_as_many_letters():
    """In values, lists, maps, bodies, names, events, links and messages; never in a longer word."""
    pattern = re.compile(rb"(?<![\w-])lead_ann(?![\w-])")
    said = {
        "url": "/leads/lead_ann",
        "list": ["lead_ann", {"in": "lead_ann!"}],
        "longer": "lead_ann2",
        "own": "xlead_ann",
    }
    log = _log(said, body=_value("about lead_ann"), event_name="lead_ann", severity_text="INFO")
    span = _span(
        said,
        events=[Span.Event(name="lead_ann", attributes=_pairs({"a": "lead_ann"}))],
        links=[Span.Link(trace_id=b"t" * 16, span_id=b"s" * 8, attributes=_pairs({"a": "lead_ann"}))],
        status=Status(message="no lead_ann"),
    )
    for record, kind, count in ((log, "logs", 5), (span, "traces", 7)):
        edited = replace_text(record, kind, pattern)
        assert len(edited) == len(record)
        assert edited.count(b"erased..") == count
        assert edited.replace(b"erased..", b"lead_ann") == record
        assert edited.count(b"lead_ann") == 2
    untouched = _log({"x": "y"})
    assert replace_text(untouched, "logs", pattern) is untouched


def test_whom_a_record_names_is_read_with_where_it_stands():
    """Tenant, leads, trace, span and uid."""
    found = named_in(
        _log({"lead.id": ANN, "leadtrace.lead_ids": [BOB], "tenant_key": "north", "log.record.uid": "u"}), "logs"
    )
    assert (found.tenant, found.leads, found.uid) == ("north", (ANN, BOB), "u")
    assert found.trace_id == int.from_bytes(b"t" * 16)
    assert names_somebody(_log({"lead.id": ANN}))
    assert names_somebody(_log({"leadtrace.lead_ids": [ANN]}))
    assert not names_somebody(_log({"other": ANN}))


@settings(max_examples=50)
@given(st.binary(max_size=80))
def test_what_is_no_record_is_never_a_mistake(content: bytes):
    """It comes back as it is, or without what looked like that lead."""
    for kind in ("logs", "traces"):
        found = without_leads(content, kind, _is_ann)
        assert found is None or len(found) == len(content)
        assert len(replace_text(content, kind, re.compile(b"lead"))) == len(content)


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_record_that_is_cut_short_keeps_its_length(cut: int):
    """Half a record names whom it can."""
    record = _log({"leadtrace.lead_ids": [ANN, BOB]})[:-cut]
    found = without_leads(record, "logs", _is_ann)
    assert found is None or len(found) == len(record)
