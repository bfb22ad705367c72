"""What `leadtrace serve` answers over HTTP: the API that a reader of another process asks, and who may."""
