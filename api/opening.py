"""Opening what a server serves, in order, and closing it in the opposite one."""

from __future__ import annotations

import contextlib
import logging
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from headrace.api.metrics import ServerMetrics
from headrace.api.quantities import NANOSECONDS
from headrace.api.services import Pools, Services
from headrace.api.setting import InvalidSetting
from headrace.api.settings import ServerSettings
from headrace.api.state_metrics import StoreCollector, TriggerCollector
from headrace.processing.engine import ProcessingEngine
from headrace.processing.environment import PackageManager
from headrace.processing.settings import EngineSettings
from headrace.query.engine import QueryEngine
from headrace.query.settings import QuerySettings
from headrace.storage import admin
from headrace.storage.errors import AlreadyExists
from headrace.storage.limits import CatalogLimits
from headrace.storage.store import Store
from headrace.storage.store_settings import ObjectStoreKind, StoreSettings
from headrace.storage.tokens import PREFIX, token_hash
from headrace.wal.writer import WalSettings

logger = logging.getLogger(__name__)

_MILLISECOND_NS: Final = 1_000_000


@contextlib.contextmanager
def open_services(settings: ServerSettings) -> Iterator[Services]:
    """Everything a server needs, running; closed in the end, whatever happens in between.

    Raises HeadraceError (a locked or damaged data directory, a bad token file) and OSError.
    """
    with contextlib.ExitStack() as closing:
        store = Store.open(store_settings(settings))
        closing.callback(store.close)
        if settings.without_auth:
            logger.warning("started without auth: every request is answered, and no tokens can be made")
        elif settings.admin_token_file is not None:
            take_up_token(store, settings.admin_token_file)
        queries = QueryEngine(store, query_settings(settings, _spill_directory(settings)))
        closing.callback(queries.close)
        engine = ProcessingEngine(store, queries, engine_settings(settings))
        closing.callback(engine.stop)
        engine.start()
        pools = Pools.start(settings)
        closing.callback(pools.stop)
        metrics = ServerMetrics()
        metrics.registry.register(StoreCollector(store))
        metrics.registry.register(TriggerCollector(engine))
        yield Services(settings, store, queries, engine, metrics, pools)


def store_settings(settings: ServerSettings) -> StoreSettings:
    """What the settings mean to the store."""
    return StoreSettings(
        data_dir=settings.data_dir,
        node_id=settings.node_id,
        object_store=ObjectStoreKind(settings.object_store),
        wal=WalSettings(
            segment_bytes=settings.wal_segment_size,
            queue_bytes=settings.wal_queue_size,
            salvage=settings.wal_salvage,
        ),
        limits=CatalogLimits(
            databases=settings.num_database_limit,
            tables=settings.num_table_limit,
            columns_per_table=settings.num_total_columns_per_table_limit,
            tags_per_table=settings.num_tag_columns_per_table_limit,
            triggers=settings.num_trigger_limit,
            tokens=settings.num_token_limit,
        ),
        gen1_ns=round(settings.gen1_duration * NANOSECONDS),
        persist_wal_bytes=settings.wal_persist_size,
        persist_buffer_bytes=settings.force_snapshot_mem_size,
        persist_age=settings.persist_interval,
        buffer_limit_bytes=settings.write_buffer_limit,
        wal_retention_bytes=settings.wal_retention_size,
        disk_reserve_bytes=settings.disk_reserve,
        retention_interval=settings.retention_check_interval,
    )


def query_settings(settings: ServerSettings, spill_directory: Path | None = None) -> QuerySettings:
    """What the settings mean to the query engine."""
    return QuerySettings(
        spill_directory=spill_directory,
        statement_timeout_s=settings.query_timeout or None,
        memory_pool_bytes=settings.exec_mem_pool_size,
        target_partitions=settings.datafusion_num_threads or 0,
        concurrent_queries=settings.max_concurrent_queries,
        logged_queries=settings.query_log_max_entries,
    )


def _spill_directory(settings: ServerSettings) -> Path | None:
    """An empty directory on the data's disk for queries that outgrow their memory; a killed server left its files."""
    if settings.object_store != "file":
        return None
    directory = settings.data_dir / ".spill" / settings.node_id
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def engine_settings(settings: ServerSettings) -> EngineSettings:
    """What the settings mean to the processing engine."""
    return EngineSettings(
        plugin_dir=settings.plugin_dir,
        virtual_env=settings.virtual_env_location,
        package_manager=PackageManager(settings.package_manager),
        plugin_repo=settings.plugin_repo,
        plugin_dir_only=settings.plugin_dir_only,
        flush_interval_s=settings.wal_flush_interval,
    )


class _TokenFile(msgspec.Struct):
    """What ``create token --admin --offline`` writes."""

    token: str
    name: str
    expiry_millis: int | None = None


def take_up_token(store: Store, path: Path) -> None:
    """Make the token in an offline token file valid, unless there is one of its name.

    Raises InvalidSetting if the file cannot be read or holds no token.
    """
    try:
        content = msgspec.json.decode(path.read_bytes(), type=_TokenFile)
        mode = path.stat().st_mode
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidSetting(f"--admin-token-file {path}: {error}") from None
    if not content.token.startswith(PREFIX):
        raise InvalidSetting(f"--admin-token-file {path}: a token starts with {PREFIX!r}")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        logger.warning("the admin token file %s can be read by others; chmod 600 it", path)
    expires_ns = None if content.expiry_millis is None else content.expiry_millis * _MILLISECOND_NS
    if expires_ns is not None and expires_ns <= time.time_ns():
        raise InvalidSetting(f"--admin-token-file {path}: the token has expired")
    try:
        admin.store_token_hash(store.ingest, content.name, token_hash(content.token), expires_ns=expires_ns)
    except AlreadyExists:
        logger.info("the admin token %r of %s is known already", content.name, path)
    else:
        logger.info("took up the admin token %r of %s", content.name, path)
