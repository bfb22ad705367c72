"""Getting records to their receivers: kept in memory or in a journal on the disk, sent behind the work over HTTP and gRPC."""
