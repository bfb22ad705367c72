"""What OpenTelemetry SDKs of other languages send, recorded: decoded, stored and read as one timeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadtrace.otlp.decode import decode_logs, decode_traces
from leadtrace.otlp.decode_json import decode_logs_json, decode_traces_json
from leadtrace.query.timeline import timeline
from leadtrace.store.interface import EventFilter

DATA = Path(__file__).parents[1] / "data" / "otlp"
LANGUAGES = [("go", "pb"), ("java", "pb"), ("javascript", "pb"), ("javascript", "json")]
TYPES = {"pb": "application/x-protobuf", "json": "application/json"}
TREE = [
    (0, "span", "own root"),
    (1, "span", "score lead"),
    (2, "span", "load model"),
    (3, "event", "model.loaded"),
    (3, "event", "exception"),
    (2, "event", "score.computed"),
]


def _bodies(language: str, form: str) -> tuple[bytes, bytes]:
    return tuple((DATA / f"{language}.{signal}.{form}").read_bytes() for signal in ("traces", "logs"))


@pytest.mark.parametrize(("language", "form"), LANGUAGES)
def test_what_a_language_recorded_is_one_timeline_and_coming_again_changes_nothing(serve, language, form) -> None:
    """Only the root names the lead: what lies under it, spans, events and log records, is the lead's by its ancestor."""
    with serve() as served:
        for stored in (6, 6):
            for signal, body in zip(("traces", "logs"), _bodies(language, form), strict=True):
                assert served.request("POST", f"/v1/{signal}", body, Content_Type=TYPES[form]).status == 200
            assert served.metrics()["leadtrace_records_stored_total"] == stored
        source = served.source()
        (root,) = [one for one in decode(language, form)[0] if one.name == "own root"]
        lead_id = str(root.attributes["lead.id"])
        found = timeline(source, lead_id)
        assert [(one.depth, one.type, one.name) for one in found.entries] == TREE
        assert {one.service for one in found.entries} == {f"{'js' if language == 'javascript' else language}-scorer"}
        assert [one.status for one in found.entries if one.type == "span"] == ["unset", "unset", "error"]
        assert (found.marks, found.incomplete) == ([], [])
        (computed,) = source.events(EventFilter(names=("score.computed",)))
        assert (computed.origin, computed.severity_number, computed.body) == ("log", 9, "computed")


@pytest.mark.parametrize(("language", "form"), LANGUAGES)
def test_values_keep_their_types(language, form) -> None:
    """An integer beyond 53 bits is exact, an integer is none of the doubles, and a list is a list."""
    spans, (event,) = decode(language, form)
    (score,) = [one for one in spans if one.name == "score lead"]
    most = 2**53 - 1 if language == "javascript" else 2**63 - 1
    expected = {"score": 87, "confidence": 0.5, "fresh": True, "models": ["a", "b"], "big": most}
    got = {key: score.attributes[key] for key in expected}
    assert (got, [type(one) for one in got.values()]) == (expected, [type(one) for one in expected.values()])
    assert (score.kind, score.scope.name, score.scope.version, score.marks) == (2, "scorer", "1.2.3", ())
    assert (event.trace_id, event.span_id) == (score.trace_id, score.span_id)
    if language == "javascript":
        assert (event.attributes["detail"], event.attributes["raw"]) == ({"k": "v", "l": [1]}, b"\x00\xff")


def decode(language: str, form: str):
    traces, logs = _bodies(language, form)
    if form == "json":
        return decode_traces_json(traces), decode_logs_json(logs)
    return decode_traces(traces), decode_logs(logs)
