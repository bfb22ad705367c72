"""A columnar copy of the embedded store beside it, for reports over weeks: Parquet files, read by DuckDB with the same SQL.

The rows of SQLite are the truth. The copy is derived, may lag behind, and may be deleted at any time: an answer reads the
files for what was copied and has not changed since, and the rows for the rest, so that it is always the rows' answer.
"""
