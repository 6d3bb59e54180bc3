"""``influxdb3_local``: what a plugin is given to work with.

One object a run. Logging, writing and querying go over the link to the server; written lines and columns wait in
:class:`~headrace.processing.writes.Writes` until the plugin has returned. When the run is over the object is
closed: a thread that the plugin left behind may still log, but gets a RuntimeError instead of writing into somebody
else's run.

Imported by workers: standard library only, and pyarrow once something needs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from headrace.processing.protocol import Kind
from headrace.processing.worker_cache import WorkerCache
from headrace.processing.worker_link import Link
from headrace.processing.worker_log import RunLog
from headrace.processing.writes import Writes

if TYPE_CHECKING:
    import pyarrow as pa

_PARAMETER_TYPES = (str, int, float, bool, type(None))


class QueryError(Exception):
    """A query failed; the message says why."""


class Buildable(Protocol):
    """A ``LineBuilder``, or anything else with a ``build`` that returns one or more lines of line protocol."""

    def build(self) -> str: ...


class InfluxDB3Local:
    """The plugin API of one run."""

    def __init__(self, link: Link, database: str, log: RunLog, cache: WorkerCache, output_limit: int) -> None:
        self._link = link
        self._database = database
        self._log = log
        self._cache = cache
        self._output_limit = output_limit
        self._closed = False
        self._writes = Writes(output_limit)

    def info(self, *args: object) -> None:
        """Log the arguments, joined with spaces, as INFO."""
        self._say("INFO", args)

    def warn(self, *args: object) -> None:
        """Log the arguments, joined with spaces, as WARN."""
        self._say("WARN", args)

    def error(self, *args: object) -> None:
        """Log the arguments, joined with spaces, as ERROR."""
        self._say("ERROR", args)

    def query(
        self, query: str, args: Mapping[str, Any] | None = None, database: str | None = None
    ) -> list[dict[str, Any]]:
        """The rows that a SQL query answers with: tags as str, times as int nanoseconds, None for NULL.

        ``args`` are the values of the query's ``$name`` parameters. Raises QueryError.
        """
        from headrace.processing.rows import result_rows

        rows: list[dict[str, Any]] = []
        for batch in self._batches(query, args, database)[1]:
            rows += result_rows(batch)
        return rows

    def query_arrow(self, query: str, args: Mapping[str, Any] | None = None, database: str | None = None) -> pa.Table:
        """The answer of a SQL query as a ``pyarrow.Table``. Raises QueryError."""
        import pyarrow as pa

        schema, batches = self._batches(query, args, database)
        return pa.Table.from_batches(batches, schema)

    def write(self, line: Buildable) -> None:
        """Queue a line for the trigger's database. All queued writes are committed when the plugin returns."""
        self.write_to_db(self._database, line)

    def write_to_db(self, db_name: str, line: Buildable) -> None:
        """Queue a line for another database."""
        self._check()
        self._writes.add_line(_database(db_name), _built(line))

    def write_sync(self, line: Buildable, no_sync: bool = False) -> None:
        """Write a line to the trigger's database now, whatever becomes of the run.

        With ``no_sync`` the call returns before the line is on disk. Raises Exception if it is refused.
        """
        self.write_sync_to_db(self._database, line, no_sync)

    def write_sync_to_db(self, db_name: str, line: Buildable, no_sync: bool = False) -> None:
        """Write a line to another database now; see ``write_sync``."""
        self._check()
        writes = Writes(self._output_limit)
        writes.add_line(_database(db_name), _built(line))
        parts, payload = writes.encode()
        reply = self._link.ask(Kind.WRITE, {"parts": parts, "no_sync": bool(no_sync)}, payload)
        if "error" in reply.header:
            raise Exception(f"error writing line protocol to {db_name}: {reply.header['error']}")

    def write_table(
        self, table_name: str, data: pa.Table, tags: Sequence[str] = (), database: str | None = None
    ) -> None:
        """Queue the rows of a ``pyarrow.Table`` or ``RecordBatch``, column by column.

        The columns named in ``tags`` become tags, ``time`` is the time (without it, that of the write), all
        others become fields. Raises ValueError for a column that no table can hold.
        """
        import pyarrow as pa

        self._check()
        if isinstance(data, pa.RecordBatch):
            data = pa.Table.from_batches([data])
        if not isinstance(data, pa.Table):
            hint = "; see pyarrow.Table.from_pandas" if type(data).__name__ == "DataFrame" else ""
            raise TypeError(f"write_table() takes a pyarrow.Table, not {type(data).__name__}{hint}")
        if isinstance(tags, str):
            raise TypeError(f"tags is a list of column names, not a str; write tags=[{tags!r}]")
        if not isinstance(table_name, str) or not table_name:
            raise TypeError("table_name is a str and not empty")
        missing = [name for name in tags if name not in data.column_names]
        if missing:
            raise ValueError(f"tag '{missing[0]}' is not a column of the table; it has {data.column_names}")
        self._writes.add_columns(_database(database or self._database), table_name, data, list(tags))

    @property
    def cache(self) -> WorkerCache:
        """Values that survive the run: ``get``, ``put`` and ``delete``."""
        return self._cache

    def _finish(self) -> Writes:
        """Close the object; what the run has queued is returned."""
        self._closed = True
        return self._writes

    def _say(self, level: str, args: tuple[object, ...]) -> None:
        text = " ".join(map(str, args))
        if self._closed:
            self._log.add_late(level, text)
        else:
            self._check()
            self._log.add(level, text)

    def _check(self) -> None:
        if self._closed:
            raise RuntimeError("this run of the plugin is over; use the influxdb3_local of the current one")
        self._link.cancellation.check()

    def _batches(
        self, query: str, args: Mapping[str, Any] | None, database: str | None
    ) -> tuple[pa.Schema, list[pa.RecordBatch]]:
        import pyarrow as pa

        self._check()
        if not isinstance(query, str):
            raise TypeError(f"a query is a str, not {type(query).__name__}")
        name = self._database if database is None else _database(database)
        schemas: list[pa.Schema] = []
        batches: list[pa.RecordBatch] = []

        def take(payload: memoryview) -> None:
            with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
                schemas.append(reader.schema)
                batches.extend(reader)

        header = {"sql": query, "params": _parameters(args), "database": name}
        end = self._link.ask_for_many(Kind.QUERY, header, take)
        if "error" in end:
            raise QueryError(f"error: {end['error']} executing query on {name}: {query}")
        return schemas[0], batches


def _built(line: Buildable) -> str:
    build = getattr(line, "build", None)
    if not callable(build):
        raise TypeError(f"write() takes a LineBuilder, not {type(line).__name__}")
    text = build()
    if not isinstance(text, str):
        raise TypeError(f"build() returned {type(text).__name__}, not a str")
    return text


def _database(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise TypeError(f"a database name is a str and not empty, not {name!r}")
    return name


def _parameters(args: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if args is None:
        return None
    for name, value in args.items():
        if not isinstance(name, str):
            raise TypeError(f"the name of a query parameter is a str, not {name!r}")
        if not isinstance(value, _PARAMETER_TYPES):
            raise TypeError(f"query parameter '{name}' is a str, number, bool or None, not {type(value).__name__}")
    return dict(args)
