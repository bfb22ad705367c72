"""`leadtrace.configure()`: the composition root of the writing side. It alone knows sink, transport and provider together."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from leadtrace import catalogue
from leadtrace.catalogue.taxonomy import extend
from leadtrace.errors import SettingsError
from leadtrace.journal.endpoints import Endpoint, Kind, Target, endpoints
from leadtrace.journal.losses import Statistics
from leadtrace.otlp.keyfile import load_key
from leadtrace.otlp.redact import Redactor
from leadtrace.settings import Settings
from leadtrace.setup import host
from leadtrace.setup.lead_events import end_lead_events, lead_events_of
from leadtrace.setup.losses import teller
from leadtrace.setup.resource import described
from leadtrace.setup.sinks import Destinations, LocalSink, destinations, make_sink
from leadtrace.words import runtime
from leadtrace.words.instrument_file import apply_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from leadtrace.journal.lead_events import KeptLeadEvents
    from leadtrace.otlp.allowed import Allow

__all__ = ["Setup", "configure", "current", "with_token"]

_log = logging.getLogger("leadtrace")
_lock = threading.Lock()
_current: Setup | None = None


class Setup:
    """What `configure()` put in place. As a context manager it shuts down at the end of the block."""

    def __init__(self, settings: Settings, running: runtime.Runtime, sink: LocalSink | None) -> None:
        self.settings = settings
        self.endpoints: dict[Kind, Endpoint] = {}
        """Where each kind of records goes; empty where nothing is sent."""
        self.destinations: Destinations = {}
        """Further receivers by name (`also_to`)."""
        self.spans = "off"
        """Who sends spans: `leadtrace`, `exporter` (leadtrace's own, by OTEL_TRACES_EXPORTER), `host` (an exporter of the
        host's own, to the same receiver), or `off`."""
        self.notes: list[str] = []
        """What is not as one might expect, in sentences."""
        self.lead_events: KeptLeadEvents | None = None
        """Where lead events are kept."""
        self._running = running
        self._sink = sink
        self._sender: Any = None

    @property
    def stats(self) -> Statistics:
        """What was sent, waits, was dropped or set aside in this process."""
        found = self._sink.stats if self._sink is not None else Statistics()
        return replace(found, malformed=self.lead_events.malformed) if self.lead_events is not None else found

    @property
    def sink(self) -> LocalSink | None:
        """Where records are appended; None where nothing is sent."""
        return self._sink

    @property
    def redactor(self) -> Redactor | None:
        return self._running.redactor

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until all that was recorded before has been acknowledged; false where it took longer than that."""
        return self._sink.flush(timeout_s) if self._sink is not None else True

    def shutdown(self, timeout_s: float = 5.0) -> None:
        """Stop recording, and send what waits, at most that long. The tracer provider stays as it is."""
        global _current
        with _lock:
            if runtime.current() is self._running:
                runtime.uninstall()
            if _current is self:
                _current = None
            self._stop_spans()
        if self._sink is not None:
            self._sink.close(timeout_s)
        if self.lead_events is not None:
            end_lead_events(self.lead_events)

    def _stop_spans(self) -> None:
        if self._sender is not None and self._sender.sink is self._sink:
            self._sender.aim(None, None)

    def _replace(self) -> None:
        """Another setup took this one's place: what waits is sent in the background, nothing new comes."""
        self._stop_spans()
        if self.lead_events is not None:
            end_lead_events(self.lead_events)
        if self._sink is not None:
            self._sink.retire()

    def __enter__(self) -> Setup:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.shutdown()


def configure(
    *,
    endpoint: str | None = None,
    protocol: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
    compression: str | None = None,
    certificate: str | None = None,
    client_certificate: str | None = None,
    client_key: str | None = None,
    insecure: bool | None = None,
    service_name: str | None = None,
    resource_attributes: Mapping[str, object] | None = None,
    tracer_provider: Any = None,
    send_spans: bool | None = None,
    allow: Allow = (),
    personal: Iterable[str] = (),
    expected: type[BaseException] | Iterable[type[BaseException]] = (),
    taxonomy: Mapping[type[BaseException] | str | int, Sequence[str]] | None = None,
    journal: str | os.PathLike[str] | bool | None = None,
    fsync: str | None = None,
    journal_max: str | int | None = None,
    journal_age: str | float | None = None,
    also_to: str | Sequence[str] | None = None,
    events: str | None = None,
    store: str | os.PathLike[str] | None = None,
    from_: str | None = None,
    key: str | os.PathLike[str] | bytes | None = None,
    tenant: str | None = None,
    currency: str | None = None,
    token: str | None = None,
    strict: bool | None = None,
    health: str | None = None,
    config: str | os.PathLike[str] | None = None,
) -> Setup:
    """Start recording in this process: where records go, as whom, and what may be in them.

    Without arguments the standard `OTEL_*` and the `LEADTRACE_*` variables decide. A tracer provider is set only where
    none is; on the host's own provider a span processor is put beside what is there. The logger provider is never set. A
    second call replaces what the first set up; what was recorded before is still sent.

    endpoint, protocol, headers, timeout_s, compression, certificate, client_certificate, client_key, insecure: as the
        `OTEL_EXPORTER_OTLP_*` variables, for spans and events alike; `endpoint` is the base, without `/v1/…`.
    service_name, resource_attributes: who is recording.
    tracer_provider: the provider to send spans of, and to set where none is set.
    send_spans: false to leave spans to the host's exporters; left out, they are sent unless the host already sends them
        to the same receiver.
    allow: fields recorded as they are, though they are or may hold personal data: see `docs/privacy.md`.
    personal: names of fields and parameters that are personal, beyond the list.
    expected: exceptions that are answers wherever they are raised.
    taxonomy: rows before the failure taxonomy's own: an exception class, its dotted name or an HTTP status, and its
        category, subcategory and cause; the table is the process's, and rows stay.
    key: a key file, or the key itself as bytes.
    The others: see `docs/settings.md`.

    Raises `SettingsError` for a value that cannot be; nothing is changed then.
    """
    settings = Settings.from_env(
        journal=journal,
        fsync=fsync,
        journal_max=journal_max,
        journal_age=journal_age,
        also_to=also_to,
        events=events,
        store=store,
        from_=from_,
        key=None if isinstance(key, bytes) else key,
        tenant=tenant,
        currency=currency,
        token=token,
        strict=strict,
        health=health,
        config=config,
    )
    target = Target(
        endpoint, protocol, headers, timeout_s, compression, certificate, client_certificate, client_key, insecure
    )
    target = with_token(target, settings.token)
    wanted = endpoints(target)
    further = destinations(settings, target)
    redactor = Redactor(
        key if isinstance(key, bytes) else load_key(settings.key),
        tenant=settings.tenant,
        allow=allow,
        personal=personal,
    )
    answers = _exceptions(expected)
    for what, places in (taxonomy or {}).items():
        extend(what, *_places(what, places))
    given = dict(resource_attributes or {})
    if service_name:
        given["service.name"] = service_name
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"

    global _current
    with _lock:
        provider = None if disabled else _provider(tracer_provider, given)
        sink: LocalSink | None = None
        notes: list[str] = []
        if wanted:
            sink, notes = make_sink(settings, wanted, further, *described(given, provider))
            sink.on_loss = teller(sink)
            _at_the_end_of_children(sink)
        running = runtime.Runtime(
            sink=sink if "logs" in wanted else None,
            redactor=redactor,
            events=settings.events,
            strict=settings.strict,
            tenant=settings.tenant,
            currency=settings.currency,
            expected=answers,
            allow=redactor.allowed.of("enhancement.success"),
            lead_events=(kept := lead_events_of(sink, settings, key)),
        )
        made = Setup(settings, running, sink)
        made.lead_events = kept
        made.endpoints = wanted
        made.destinations = further
        made.notes += notes
        _send_spans(made, provider, send_spans)
        before, _current = _current, made
        runtime.install(running)
        if before is not None:
            before._replace()
    catalogue.load()  # now, and not within the first flow
    apply_file(settings.config)
    _say(made)
    if sink is not None:
        sink.start()
    return made


def current() -> Setup | None:
    """What the last `configure()` put in place, None before it and after its shutdown."""
    return _current


def _places(what: object, places: Sequence[str]) -> Sequence[str]:
    if isinstance(places, str) or not 1 <= len(places) <= 3:
        raise SettingsError(
            f"taxonomy: {what!r} needs (category, subcategory, cause), the last two optional, not {places!r}"
        )
    return places


def with_token(target: Target, token: str) -> Target:
    """The token of `leadtrace serve` goes with what is sent, unless headers already say who sends."""
    if not token:
        return target
    named = {name.lower() for name in target.headers or {}}
    for form in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_LOGS_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
        named.update(pair.partition("=")[0].strip().lower() for pair in os.environ.get(form, "").split(","))
    if "authorization" in named:
        return target
    return replace(target, headers={**(target.headers or {}), "authorization": f"Bearer {token}"})


def _exceptions(expected: type[BaseException] | Iterable[type[BaseException]]) -> tuple[type[BaseException], ...]:
    found = (expected,) if isinstance(expected, type) else tuple(expected)
    for one in found:
        if not (isinstance(one, type) and issubclass(one, BaseException)):
            raise SettingsError("expected= takes exception classes", got=repr(one))
    return found


def _provider(given: Any, resource: Mapping[str, object]) -> Any:
    """The tracer provider whose spans are sent: the one given, the one that is set, or one that is made and set here."""
    from opentelemetry import trace

    there = host.current_provider()
    if given is not None:
        if there is None:
            trace.set_tracer_provider(given)
        return given
    if there is not None:
        return there
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
    except ImportError:
        return None  # events alone
    made = TracerProvider(resource=Resource.create(dict(resource)))  # type: ignore[arg-type]
    trace.set_tracer_provider(made)
    return made


def _send_spans(made: Setup, provider: Any, wanted: bool | None) -> None:
    endpoint = made.endpoints.get("traces")
    if provider is None or endpoint is None or wanted is False:
        return
    if wanted is None and (where := host.exporter_to(provider, endpoint)):
        made.spans = "host"
        made.notes.append(
            f"spans are left to the host's own exporter, which sends them to the same receiver ({where}); "
            "send_spans=True sends them twice"
        )
        return
    if host.exports_to_journal(provider):
        made.spans = "exporter"
        return
    sender = host.sender_on(provider)
    if sender is None:
        made.notes.append(f"spans are not sent: {type(provider).__name__} takes no span processors")
        return
    sender.aim(made._sink, made.redactor)
    made._sender = sender
    made.spans = "leadtrace"


def _say(made: Setup) -> None:
    """Tell once, where the setup is made, what may not be expected."""
    settings = made.settings
    if settings.events == "span":
        made.notes.append(
            "LEADTRACE_EVENTS=span: events live on spans alone, so sampling, span limits and queue sizes decide whether "
            "one exists"
        )
    for note in made.notes:
        if note not in _said:
            _said.add(note)
            warnings.warn(note, stacklevel=3)


_said: set[str] = set()


def _at_the_end_of_children(sink: LocalSink) -> None:
    """A child of `multiprocessing` leaves by os._exit, past atexit: its own finalizers are where it can still send."""
    from multiprocessing import parent_process, util

    def in_child(inherited: LocalSink) -> None:
        util.Finalize(inherited, inherited.close, args=(2.0,), kwargs={"patient": False}, exitpriority=1)

    util.register_after_fork(sink, in_child)
    if parent_process() is not None:  # this is such a child: its fork is over
        in_child(sink)
