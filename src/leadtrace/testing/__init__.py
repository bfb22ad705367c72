"""What a user needs to test a pipeline: `capture()`, and the pytest plugin that offers it as a fixture."""

from leadtrace.testing.captured import Captured, capture

__all__ = ["Captured", "capture"]
