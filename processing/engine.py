"""The processing engine: triggers in the catalog on one side, their runners on the other.

The catalog is the truth. Every change of it goes through here, and :meth:`ProcessingEngine.refresh` brings the
runners in line with it: one for each enabled trigger, none for any other.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
from headrace.processing import plugin_files
from headrace.processing.cache import CacheScope, PluginCache
from headrace.processing.environment import PluginEnvironment
from headrace.processing.errors import (
    EngineDisabled,
    PluginInstallationDisabled,
    PluginNotFound,
    RequestPathTaken,
    RequestTriggerNotFound,
)
from headrace.processing.journal import Journal
from headrace.processing.plugin_paths import plugin_file
from headrace.processing.plugin_test import PluginTester, TestSubject
from headrace.processing.repository import PREFIX, fetch_plugin
from headrace.processing.request_runner import RequestRunner
from headrace.processing.run import FetchedSource, PluginFile, PluginResponse, RequestCall, RunRequest, WorkerSpec
from headrace.processing.runner import Runner, RunnerContext
from headrace.processing.schedule_runner import ScheduleRunner
from headrace.processing.services import LiveServices
from headrace.processing.settings import EngineSettings, TriggerSettings
from headrace.processing.specs import RequestSpec, ScheduleSpec, TriggerKind, parse_spec
from headrace.processing.tables import system_tables
from headrace.processing.trigger import Trigger, TriggerStatus
from headrace.processing.wal_runner import WalRunner
from headrace.processing.worker_pool import WorkerPool
from headrace.query.engine import QueryEngine
from headrace.storage import admin
from headrace.storage.catalog import TriggerDefinition
from headrace.storage.store import Store
from headrace.wal.errors import HeadraceError

logger = logging.getLogger(__name__)


class ProcessingEngine:
    """See the module's docstring. All methods may be called from any thread, and may block."""

    def __init__(self, store: Store, queries: QueryEngine, settings: EngineSettings) -> None:
        self._store = store
        self._queries = queries
        self._settings = settings
        self.cache = PluginCache()
        self.journal = Journal(settings.log_lines, settings.runs)
        self.environment = PluginEnvironment(settings.plugin_dir, settings.virtual_env, settings.package_manager)
        self.tester = PluginTester(store, queries, self.cache, self._test_spec)
        self._context = RunnerContext(store, self.journal, settings, self._disable_later)
        # Guards the runners; held while they start and stop, so that a trigger never runs twice.
        self._lock = threading.RLock()
        self._runners: dict[int, Runner] = {}
        self._paths: dict[str, RequestRunner] = {}
        self._running = False
        self._disabler = ThreadPoolExecutor(1, thread_name_prefix="headrace-disable")
        tables = system_tables(self.journal, self.triggers, self._statuses_by_id, self._file_table)
        for name, (schema, provider) in tables.items():
            queries.register_system_table(name, schema, provider)

    @property
    def enabled(self) -> bool:
        """Whether the server has a plugin directory."""
        return self._settings.plugin_dir is not None

    def start(self) -> None:
        """Start every enabled trigger of the catalog. One that cannot start is logged and left stopped."""
        if not self.enabled:
            return
        self._plugin_dir().mkdir(parents=True, exist_ok=True)
        with self._lock:
            self._running = True
        self.refresh()

    def stop(self) -> None:
        """End all runs and workers. Runs under way are cancelled; WAL triggers go on with them after a restart."""
        with self._lock:
            self._running = False
            runners = list(self._runners.values())
            self._runners.clear()
            self._paths.clear()
        _stop_all(runners)
        self._disabler.shutdown(wait=True)

    def refresh(self) -> None:
        """Start and stop runners as the catalog says now."""
        with self._lock:
            if not self._running:
                return
            wanted = {
                definition.id: definition
                for database in self._store.catalog.databases()
                for definition in database.triggers.values()
                if not definition.disabled
            }
            gone = [number for number in self._runners if number not in wanted]
            _stop_all([self._forget(number) for number in gone])
            for definition in wanted.values():
                if definition.id not in self._runners:
                    self._start_runner(definition)

    # Triggers

    def triggers(self, database: str) -> list[Trigger]:
        """The triggers of a database, enabled or not."""
        found = self._store.catalog.database(database).triggers.values()
        return [Trigger.from_definition(definition) for definition in found]

    def statuses(self) -> list[TriggerStatus]:
        """How the enabled triggers of all databases are doing."""
        # Without the lock: a run that reads a system table must not wait for whoever waits for the run to end.
        return [runner.status() for runner in list(self._runners.values())]

    def create_trigger(
        self,
        database: str,
        name: str,
        plugin_path: str,
        spec: str,
        arguments: Mapping[str, str] | None = None,
        settings: TriggerSettings | None = None,
        *,
        disabled: bool = False,
    ) -> Trigger:
        """Create a trigger and, unless ``disabled``, start it.

        Raises InvalidTriggerSpec, PluginNotFound, PluginPathRefused, PluginFetchFailed, RepositoryPathRefused,
        RequestPathTaken, and the catalog's errors (a database that is missing, a name that is taken or not allowed).
        """
        parsed = parse_spec(spec)
        self._check_plugin(plugin_path)
        with self._lock:
            if not disabled and isinstance(parsed, RequestSpec):
                self._check_path(parsed.path, None)
            definition = admin.create_trigger(
                self._store.ingest,
                database,
                name=name,
                plugin_path=plugin_path,
                spec=str(parsed),
                arguments=dict(arguments) if arguments else None,
                settings=(settings or TriggerSettings()).as_json(),
                disabled=disabled,
            )
            self.refresh()
        return Trigger.from_definition(definition)

    def enable_trigger(self, database: str, name: str, *, from_now: bool = False) -> None:
        """Enable a trigger; a WAL trigger goes on at its cursor, or with ``from_now`` behind the newest row."""
        self._plugin_dir()
        with self._lock:
            definition = self._store.catalog.database(database).triggers.get(name)
            if definition is not None and definition.disabled:
                spec = parse_spec(definition.spec)
                if isinstance(spec, RequestSpec):
                    self._check_path(spec.path, definition.id)
            admin.set_trigger_disabled(self._store.ingest, database, name, False, from_now=from_now)
            self.refresh()

    def disable_trigger(self, database: str, name: str) -> None:
        """Disable a trigger; a run under way is cancelled."""
        self._plugin_dir()
        with self._lock:
            admin.set_trigger_disabled(self._store.ingest, database, name, True)
            self.refresh()

    def delete_trigger(self, database: str, name: str, *, force: bool = False) -> None:
        """Delete a trigger; an enabled one only with ``force``."""
        self._plugin_dir()
        with self._lock:
            definition = self._store.catalog.database(database).triggers.get(name)
            admin.delete_trigger(self._store.ingest, database, name, force=force)
            self.refresh()
        if definition is not None:
            self.cache.drop_local(CacheScope.for_trigger(definition.id))

    def handle_request(
        self, path: str, query_parameters: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> PluginResponse:
        """Answer a request to ``/api/v3/engine/PATH``.

        Raises EngineDisabled, RequestTriggerNotFound, TriggerBusy, RunFailed.
        """
        self._plugin_dir()
        runner = self._paths.get(path)
        if runner is None:
            raise RequestTriggerNotFound(path)
        return runner.handle(RequestCall(query_parameters, headers, body))

    # Plugins

    def put_file(self, name: str, content: str) -> None:
        """Upload a plugin file; errors as ``plugin_files.put_file``."""
        plugin_files.put_file(self._writable_plugin_dir(), name, content)

    def update_file(self, trigger_name: str, content: str) -> str:
        """Replace the plugin of the trigger with this name (in any database); returns the database's name."""
        plugin_dir = self._writable_plugin_dir()
        definition = self._trigger_named(trigger_name)
        plugin_files.update_plugin(plugin_dir, definition.plugin_path, content)
        return definition.database

    def replace_directory(self, trigger_name: str, files: Mapping[str, str]) -> str:
        """Replace the plugin directory of the trigger with this name; returns the database's name."""
        plugin_dir = self._writable_plugin_dir()
        definition = self._trigger_named(trigger_name)
        plugin_files.replace_directory(plugin_dir, definition.plugin_path, files)
        return definition.database

    def install_packages(self, packages: Sequence[str]) -> None:
        """Install packages into the plugin environment; workers restart into it before their next run."""
        self.environment.install_packages(packages)

    def install_requirements(self, location: str) -> None:
        """Install a requirements file; a relative path counts from the plugin directory."""
        self.environment.install_requirements(self._plugin_dir() / location)

    # Inside

    def _plugin_dir(self) -> Path:
        if self._settings.plugin_dir is None:
            raise EngineDisabled
        return self._settings.plugin_dir

    def _writable_plugin_dir(self) -> Path:
        plugin_dir = self._plugin_dir()
        if self._settings.plugin_dir_only:
            raise PluginInstallationDisabled
        return plugin_dir

    def _check_plugin(self, plugin_path: str) -> None:
        plugin_dir = self._plugin_dir()
        if plugin_path.startswith(PREFIX):
            self._fetch(plugin_path)
        else:
            plugin_file(plugin_dir, plugin_path)

    def _fetch(self, plugin_path: str) -> str:
        self._writable_plugin_dir()
        return fetch_plugin(plugin_path, self._settings.plugin_repo)

    def _check_path(self, path: str, trigger_id: int | None) -> None:
        runner = self._paths.get(path)
        if runner is not None and runner.trigger.id != trigger_id:
            taken = runner.trigger
            raise RequestPathTaken(
                f"request path '{path}' is taken by trigger '{taken.name}' of database '{taken.database}'"
            )

    def _trigger_named(self, name: str) -> TriggerDefinition:
        for database in self._store.catalog.databases():
            if name in database.triggers:
                return database.triggers[name]
        raise PluginNotFound(f"Plugin not found: {name}")

    def _source(self, plugin_path: str) -> PluginFile | FetchedSource:
        if plugin_path.startswith(PREFIX):
            return FetchedSource(plugin_path, self._fetch(plugin_path))
        return PluginFile(plugin_path)

    def _spec(self, trigger: Trigger) -> WorkerSpec:
        return WorkerSpec(
            trigger=trigger.name,
            database=trigger.database,
            kind=trigger.spec.kind,
            plugin=self._source(trigger.definition.plugin_path),
            plugin_dir=self._plugin_dir(),
            interpreter=self.environment.interpreter,
            cache=CacheScope.for_trigger(trigger.id),
            limits=trigger.settings.limits(self._settings.limits),
        )

    def _test_spec(self, subject: TestSubject, request: RunRequest) -> WorkerSpec:
        self._check_plugin(subject.filename)
        return WorkerSpec(
            trigger=f"test of {subject.filename}",
            database=subject.database,
            kind=request.kind,
            plugin=self._source(subject.filename),
            plugin_dir=self._plugin_dir(),
            interpreter=self.environment.interpreter,
            cache=subject.cache,
            limits=self._settings.limits,
        )

    def _start_runner(self, definition: TriggerDefinition) -> None:
        try:
            runner = self._make_runner(Trigger.from_definition(definition))
        except HeadraceError as error:
            logger.error("trigger %s of database %s cannot start: %s", definition.name, definition.database, error)
            return
        self._runners[definition.id] = runner
        if isinstance(runner, RequestRunner) and isinstance(runner.trigger.spec, RequestSpec):
            self._paths.setdefault(runner.trigger.spec.path, runner)
        runner.start()
        logger.info("started trigger %s of database %s (%s)", definition.name, definition.database, definition.spec)

    def _make_runner(self, trigger: Trigger) -> Runner:
        concurrency = self._settings.concurrency if trigger.settings.run_async else 1
        services = LiveServices(self._store, self._queries, self.cache, self.journal, trigger.database, trigger.name)
        pool = WorkerPool(lambda: self._spec(trigger), services, concurrency)
        if isinstance(trigger.spec, ScheduleSpec):
            return ScheduleRunner(trigger, pool, self._context, trigger.spec)
        if trigger.spec.kind is TriggerKind.WAL:
            return WalRunner(trigger, pool, self._context)
        return RequestRunner(trigger, pool, self._context)

    def _forget(self, number: int) -> Runner:
        runner = self._runners.pop(number)
        for path in [path for path, other in self._paths.items() if other is runner]:
            del self._paths[path]
        return runner

    def _disable_later(self, trigger: Trigger, reason: str) -> None:
        # On a thread of its own: stopping a runner waits for the thread that asks for it here.
        def disable() -> None:
            logger.warning("disabling trigger %s of database %s: %s", trigger.name, trigger.database, reason)
            try:
                self.disable_trigger(trigger.database, trigger.name)
            except HeadraceError as error:
                logger.error("trigger %s could not be disabled: %s", trigger.name, error)

        try:
            self._disabler.submit(disable)
        except RuntimeError:
            logger.info("trigger %s is not disabled: the server is stopping", trigger.name)

    def _statuses_by_id(self) -> dict[int, TriggerStatus]:
        return {status.trigger.id: status for status in self.statuses()}

    def _file_table(self) -> pa.Table:
        if self._settings.plugin_dir is None:
            return plugin_files.FILE_SCHEMA.empty_table()
        names = [database.name for database in self._store.catalog.databases()]
        triggers = [trigger for name in names for trigger in self.triggers(name)]
        return plugin_files.file_table(self._settings.plugin_dir, triggers)


def _stop_all(runners: Sequence[Runner]) -> None:
    """Stop at once rather than one after the other: each may take its grace period."""
    threads = [threading.Thread(target=runner.stop, name="headrace-stop") for runner in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
