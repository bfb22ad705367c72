"""The one place that holds the version: the package's, and the one that a scope carries on the wire."""

__version__ = "0.1.0"
