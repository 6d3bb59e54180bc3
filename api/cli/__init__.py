"""The command line: ``headrace``, installed as ``influxdb3`` too, with InfluxDB 3 Core's commands.

In come arguments, environment variables and standard input; out go HTTP requests to a server, or,
for ``serve``, the server itself. One module a command; only the module of the command that was
typed is imported, and client commands import nothing beyond the standard library, so that a
command costs tens of milliseconds.
"""
