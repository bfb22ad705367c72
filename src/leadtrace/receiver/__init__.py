"""OTLP taken in by `leadtrace serve`, over gRPC and HTTP, and stored before it is acknowledged."""
