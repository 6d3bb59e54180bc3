"""Databases and tables: list, create, change, delete."""

from __future__ import annotations

from typing import Annotated, Final

import pyarrow as pa
from fastapi import APIRouter, Header, Query, Response
from headrace.api.errors import InvalidRequest
from headrace.api.models import CreateDatabaseBody, CreateTableBody, ErrorBody, UpdateDatabaseBody
from headrace.api.quantities import NANOSECONDS
from headrace.api.result_format import chosen_format
from headrace.api.services import Services
from headrace.processing.specs import parse_duration
from headrace.query.formats import encode_batches
from headrace.storage import admin
from headrace.storage.hard_deletion import parse_hard_deletion

_DATABASE: Final = "/api/v3/configure/database"
_TABLE: Final = "/api/v3/configure/table"
_RETENTION: Final = f"{_DATABASE}/retention_period"

Database = Annotated[str, Query(alias="db", description="Database.")]
HardDeleteAt = Annotated[
    str, Query(description="When the files go: now, never, default (72h unless set otherwise) or an RFC 3339 time.")
]


def configure_routes(services: Services) -> APIRouter:
    """Routes that change the catalog. Each answers when the change is on disk."""
    router = APIRouter(tags=["databases and tables"])
    ingest, catalog = services.store.ingest, services.store.catalog
    deletion_delay_ns = round(services.settings.hard_delete_default_duration * NANOSECONDS)

    @router.get(_DATABASE, response_class=Response, summary="List databases")
    def show_databases(
        format: Annotated[str | None, Query(description="json, jsonl, csv, pretty or parquet.")] = None,
        show_deleted: bool = False,
        accept: Annotated[str | None, Header(include_in_schema=False)] = None,
    ) -> Response:
        chosen = chosen_format(format, accept)
        databases = catalog.databases(include_deleted=show_deleted)
        databases.sort(key=lambda database: (database.deleted, database.name))
        columns: dict[str, pa.Array] = {"iox::database": pa.array([database.name for database in databases], pa.utf8())}
        if show_deleted:
            columns["deleted"] = pa.array([database.deleted for database in databases], pa.bool_())
        table = pa.table(columns)
        body = b"".join(encode_batches(table.to_batches(), table.schema, chosen))
        return Response(body, media_type=chosen.content_type)

    @router.post(
        _DATABASE, response_class=Response, summary="Create a database", responses={409: {}, 422: {"model": ErrorBody}}
    )
    def create_database(body: CreateDatabaseBody) -> Response:
        admin.create_database(ingest, body.db, _retention(body.retention_period))
        return Response()

    @router.put(_DATABASE, response_class=Response, summary="Set or clear a database's retention period")
    def update_database(body: UpdateDatabaseBody) -> Response:
        admin.set_database_retention(ingest, body.db, _retention(body.retention_period))
        return Response()

    @router.delete(_DATABASE, response_class=Response, summary="Delete a database", responses={404: {}})
    def delete_database(db: Database, hard_delete_at: HardDeleteAt = "default") -> Response:
        when = parse_hard_deletion(hard_delete_at)
        admin.delete_database(ingest, db, when, default_delay_ns=deletion_delay_ns)
        services.engine.refresh()
        return Response()

    @router.post(_RETENTION, status_code=204, response_class=Response, summary="Set a database's retention period")
    def set_retention_period(db: Database, duration: Annotated[str, Query(examples=["30d"])]) -> Response:
        admin.set_database_retention(ingest, db, _retention(duration))
        return Response(status_code=204)

    @router.delete(_RETENTION, status_code=204, response_class=Response, summary="Keep a database's rows for ever")
    def clear_retention_period(db: Database) -> Response:
        admin.set_database_retention(ingest, db, None)
        return Response(status_code=204)

    @router.post(_TABLE, response_class=Response, summary="Create a table", responses={409: {}})
    def create_table(body: CreateTableBody) -> Response:
        admin.create_table(ingest, body.db, body.table, body.tags, [(field.name, field.type) for field in body.fields])
        return Response()

    @router.delete(_TABLE, response_class=Response, summary="Delete a table", responses={404: {}})
    def delete_table(
        db: Database, table: Annotated[str, Query(description="Table.")], hard_delete_at: HardDeleteAt = "default"
    ) -> Response:
        when = parse_hard_deletion(hard_delete_at)
        admin.delete_table(ingest, db, table, when, default_delay_ns=deletion_delay_ns)
        return Response()

    return router


def _retention(text: str | None) -> int | None:
    """Nanoseconds of a retention period; raises InvalidRequest."""
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise InvalidRequest(f"Cannot parse the given human time: {error}") from None
