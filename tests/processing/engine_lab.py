"""A store, a query engine and a processing engine in this process, for tests of the engine's behaviour."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from headrace.processing.engine import ProcessingEngine
from headrace.processing.rows import result_rows
from headrace.processing.settings import EngineSettings, TriggerSettings
from headrace.query.engine import QueryEngine
from headrace.query.settings import QuerySettings
from headrace.storage.store import Store
from headrace.storage.store_settings import StoreSettings
from headrace.wal.line_protocol import Precision


class EngineLab:
    """The three parts on a directory; ``restart`` is an orderly stop and a new start on the same data."""

    def __init__(self, directory: Path, settings: EngineSettings | None = None) -> None:
        self.plugin_dir = directory / "plugins"
        self.plugin_dir.mkdir(parents=True, exist_ok=True)
        self._data_dir = directory / "data"
        self._settings = replace(settings or EngineSettings(), plugin_dir=self.plugin_dir, flush_interval_s=0.05)
        self._open()

    def _open(self) -> None:
        self.store = Store.open(StoreSettings(data_dir=self._data_dir, node_id="lab"))
        self.queries = QueryEngine(self.store, QuerySettings())
        self.engine = ProcessingEngine(self.store, self.queries, self._settings)
        self.engine.start()

    def close(self) -> None:
        self.engine.stop()
        self.store.close()

    def restart(self) -> None:
        self.close()
        self._open()

    def plugin(self, name: str, source: str) -> str:
        """Save a plugin; returns its name."""
        path = self.plugin_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return name

    def write(self, lines: str, database: str = "db") -> None:
        pending = self.store.write(database, lines.encode(), precision=Precision.NANOSECOND)
        assert not pending.errors, pending.errors

    def rows(self, sql: str, database: str = "db") -> list[dict[str, Any]]:
        """A query's rows, with times as integers of nanoseconds."""
        answer = self.queries.sql(database, sql).read_all()
        return [row for batch in answer.to_batches() for row in result_rows(batch)]

    def trigger(self, plugin: str, spec: str, arguments: dict[str, str] | None = None, **settings: Any) -> str:
        """Create an enabled trigger; returns its name."""
        name = f"t{len(self.engine.triggers('db'))}"
        self.engine.create_trigger("db", name, plugin, spec, arguments, TriggerSettings.from_json(settings))
        return name

    def logs(self) -> list[str]:
        return [f"{line.level}: {line.text}" for line in self.engine.journal.lines("db")]

    def until(self, true: Callable[[], Any], seconds: float = 30.0) -> Any:
        """Poll until ``true()`` is truthy; fails with what the triggers logged."""
        deadline = time.monotonic() + seconds
        while not (value := true()):
            assert time.monotonic() < deadline, "\n".join(self.logs())
            time.sleep(0.01)
        return value

    def count(self, table: str) -> int:
        """Rows of a table, 0 if it does not exist."""
        if table not in self.store.catalog.database("db").tables:
            return 0
        return int(self.rows(f'SELECT count(*) AS n FROM "{table}"')[0]["n"])
