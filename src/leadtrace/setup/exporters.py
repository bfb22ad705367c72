"""The journal behind the standard entry points: exporters for traces and logs, a log processor, a configurator.

    OTEL_TRACES_EXPORTER=leadtrace  OTEL_LOGS_EXPORTER=leadtrace     durable from the exporter on
    OTEL_PYTHON_CONFIGURATOR=leadtrace                               durable from the start of a span, nothing queued before

Records of leadtrace's own scope are not taken here: the words have journaled them where they happened.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._configuration import _OTelSDKConfigurator
from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from leadtrace.journal import disk, memory
from leadtrace.otlp import encode
from leadtrace.setup import composition
from leadtrace.setup.spans import SpanSender

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry._logs import LogRecord
    from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from leadtrace.otlp.redact import Redactor
    from leadtrace.otlp.sink import Signal, Sink

__all__ = ["LeadtraceConfigurator", "LeadtraceLogExporter", "LeadtraceSpanExporter", "LogSender"]

_log = logging.getLogger("leadtrace")
_LOADED_FIRST = (disk, memory)
"""Before the SDK's providers are made: what was loaded first ends last at exit, and the providers flush into it."""
_making = threading.Lock()


def _setup() -> composition.Setup:
    """The setup in place; where `configure()` has not run, one of the variables that sends no spans by itself."""
    found = composition.current()
    if found is None:
        with _making:
            found = composition.current() or composition.configure(send_spans=False)
    return found


def _target(setup: composition.Setup) -> tuple[Sink, Redactor] | None:
    sink, redactor = setup.sink, setup.redactor
    return (sink, redactor) if sink is not None and redactor is not None else None


class LeadtraceSpanExporter(SpanExporter):
    """Exports spans into the journal: what it answers `SUCCESS` to is on disk, and sent until it is acknowledged."""

    def __init__(self) -> None:
        self._sender = SpanSender()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        setup = _setup()
        if setup.spans == "leadtrace":  # a processor of ours has them since they began
            return SpanExportResult.SUCCESS
        target = _target(setup)
        if target is None:
            return SpanExportResult.FAILURE
        self._sender.aim(*target)
        before = setup.stats.dropped
        for span in spans:
            self._sender.on_end(span)
        return SpanExportResult.SUCCESS if setup.stats.dropped == before else SpanExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return _setup().flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        self._sender.aim(None, None)


class LogSender(LogRecordProcessor):
    """Hands each log record that is emitted to the journal, at once and on the thread that emits it."""

    def __init__(self) -> None:
        self._signals: dict[object, Signal] = {}
        self._failed = False

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        self.take(log_record)

    def take(self, log_record: ReadWriteLogRecord | ReadableLogRecord) -> bool:
        """Whether it is in the sink now, or needed not be."""
        scope = log_record.instrumentation_scope
        if scope is not None and scope.name == "leadtrace":
            return True
        target = _target(_setup())
        if target is None:
            return False
        sink, redactor = target
        try:
            answer = sink.append(self._signal(scope), encoded(log_record.log_record, redactor))
        except Exception as why:  # noqa: BLE001 - a record that cannot be encoded is not the host's trouble
            if not self._failed:
                self._failed = True
                _log.warning("leadtrace: a log record could not be encoded: %r; others alike are not told", why)
            return False
        return answer.saved or answer.why == "in memory"

    def _signal(self, scope: InstrumentationScope | None) -> Signal:
        key = (scope.name, scope.version, scope.schema_url) if scope is not None else None
        found = self._signals.get(key)
        if found is None:
            from dataclasses import replace

            if len(self._signals) >= 1_000:
                self._signals.clear()
            made = (
                encode.signal("logs", scope.name, scope.version or "", scope.schema_url or "", scope.attributes or None)
                if scope is not None
                else encode.signal("logs", "")
            )
            found = self._signals[key] = replace(made, foreign=True)
        return found

    def shutdown(self) -> None:
        """The sink outlives the provider."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return _setup().flush(timeout_millis / 1000)


def encoded(record: LogRecord, redactor: Redactor) -> bytes:
    """A log record of the SDK, redacted: attributes as those of any other library, the body as free text."""
    attributes = redactor.span_attributes(record.attributes or {}, None)
    body: Any = record.body
    if isinstance(body, str):
        body = redactor.text(body, (), None)
    elif body is not None:
        body = redactor.span_attributes({"body": body}, None).get("body")
    severity = record.severity_number
    return encode.log_record(
        record.event_name or "",
        record.timestamp or record.observed_timestamp or 0,
        attributes,
        trace_id=record.trace_id or 0,
        span_id=record.span_id or 0,
        trace_flags=int(record.trace_flags or 0),
        severity_number=severity.value if severity is not None else 0,
        severity_text=record.severity_text or "",
        observed_ns=record.observed_timestamp or 0,
        body=body,
    )


class LeadtraceLogExporter(LogRecordExporter):
    """Exports log records into the journal."""

    def __init__(self) -> None:
        self._sender = LogSender()

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        taken = [self._sender.take(one) for one in batch]
        return LogRecordExportResult.SUCCESS if all(taken) else LogRecordExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return _setup().flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """The sink outlives the exporter."""


class LeadtraceConfigurator(_OTelSDKConfigurator):
    """Sets the SDK up by its standard variables, with the journal where the batch processors would be.

    Only where OTEL_PYTHON_CONFIGURATOR names it: the agent takes any configurator that is installed where none is named, and
    to have leadtrace installed is no wish for it. Then it is the SDK's own.
    """

    def _configure(self, **kwargs: Any) -> None:
        if os.environ.get("OTEL_PYTHON_CONFIGURATOR", "").strip() != "leadtrace":
            super()._configure(**kwargs)  # type: ignore[no-untyped-call]  # the SDK's
            return
        logs = _takes("LOGS")
        processors = [*(kwargs.pop("log_record_processors", None) or ()), *([LogSender()] if logs else ())]
        with _without_otlp("TRACES"), _without_otlp("LOGS"):
            super()._configure(**kwargs, log_record_processors=processors)  # type: ignore[no-untyped-call]  # the SDK's
        composition.configure()


_OURS = ("otlp", "leadtrace")


def _takes(kind: str) -> bool:
    """Whether the variables would have records of that kind sent over OTLP."""
    named = os.environ.get(f"OTEL_{kind}_EXPORTER", "").strip().lower()
    return not named or any(one.strip().startswith(_OURS) for one in named.split(","))


@contextmanager
def _without_otlp(kind: str) -> Iterator[None]:
    """For the SDK the exporters that are not ours: what goes over OTLP goes through the journal."""
    name = f"OTEL_{kind}_EXPORTER"
    before = os.environ.get(name)
    others = [one for one in (before or "").split(",") if one.strip() and not one.strip().lower().startswith(_OURS)]
    os.environ[name] = ",".join(others) or "none"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before
