"""SQL over snapshots.

In comes a statement, its parameters and a database name; out goes a stream of Arrow record batches,
or one of the result formats made from it. A query pins one snapshot of the storage and never sees two.

The invariants that live here: statements only read, and only the database's own tables.
"""
