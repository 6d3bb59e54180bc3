"""The processing engine: users' Python plugins, run by triggers in worker processes.

In come committed rows (WAL triggers), clock ticks (scheduled triggers) and HTTP requests (request
triggers); out go the plugin's writes, committed together with the trigger's cursor, its log lines and,
for requests, its response. The server itself never executes user code.

The invariant that lives here: a trigger's effects on the database happen exactly once per sequence, in order.
"""
