"""The home of `leadtrace.configure`: settings, sink, transport and tracer provider put together."""

from leadtrace.setup.composition import Setup, configure

__all__ = ["Setup", "configure"]
