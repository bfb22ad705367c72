"""Getting records to their receivers: the sink in memory, its background sender, OTLP over HTTP and gRPC."""
