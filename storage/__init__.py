"""What the database knows and keeps: catalog, buffer, Parquet files, manifest.

In come committed frames from the write-ahead log. Out goes, for any table, one consistent snapshot:
the Parquet files that are live and the record batches not yet in any file. Persisting moves rows from
the second to the first and commits the move with one atomic put of the manifest.

The invariant that lives here: at every instant a row is in exactly one of the two, whatever crashes.
"""
