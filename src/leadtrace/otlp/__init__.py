"""The one encoding, both ways: a record's identity, clock, redaction and bytes, and the records read back from bytes."""
