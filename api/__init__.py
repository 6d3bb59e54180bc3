"""The outside: the HTTP server (v1, v2 and v3 paths), authentication and the command line.

In come requests; out go calls to the layers below and their answers in the wire formats of
InfluxDB 3 Core. The event loop only moves bytes: parsing, committing and querying run in threads.
"""
