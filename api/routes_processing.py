"""Triggers, plugin files, the plugin environment and test runs of plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from headrace.api.errors import InvalidRequest
from headrace.api.models import (
    CreateTriggerBody,
    DeleteTriggerBody,
    InstallPackagesBody,
    InstallRequirementsBody,
    PluginDirectoryBody,
    PluginFileBody,
    PluginTestBody,
    RequestTestBody,
    ScheduleTestBody,
    WalTestBody,
)
from headrace.api.services import Services, run_in
from headrace.processing.plugin_test import TestResult, TestSubject
from headrace.processing.run import RequestCall
from headrace.processing.settings import TriggerSettings
from headrace.processing.specs import TriggerKind, parse_spec

_TRIGGER: Final = "/api/v3/configure/processing_engine_trigger"
_ENVIRONMENT: Final = "/api/v3/configure/plugin_environment"
_TEST: Final = "/api/v3/plugin_test"

Database = Annotated[str, Query(alias="db", description="Database of the trigger.")]
TriggerName = Annotated[str, Query(alias="trigger_name")]


_PLUGIN_TYPES: Final[Mapping[TriggerKind, str]] = {
    TriggerKind.WAL: "WalRows",
    TriggerKind.SCHEDULE: "Schedule",
    TriggerKind.REQUEST: "Request",
}
"""As InfluxDB 3 names them in its refusals."""


def processing_routes(services: Services) -> APIRouter:
    """Routes of the processing engine. Without ``--plugin-dir`` each of them says so."""
    router = APIRouter(tags=["processing engine"])
    engine = services.engine
    allowed = services.settings.restrict_plugin_triggers_to

    @router.post(_TRIGGER, response_class=Response, summary="Create a trigger")
    def create_trigger(body: CreateTriggerBody) -> Response:
        kind = parse_spec(body.trigger_specification).kind
        if allowed and kind.value not in allowed:
            refused = _PLUGIN_TYPES[kind]
            raise InvalidRequest(f"invalid request: server is configured to reject {refused} plugin triggers")
        engine.create_trigger(
            body.db,
            body.trigger_name,
            body.plugin_filename,
            body.trigger_specification,
            body.trigger_arguments,
            TriggerSettings.from_json(body.trigger_settings.model_dump(exclude_none=True)),
            disabled=body.disabled,
        )
        return Response()

    @router.delete(_TRIGGER, response_class=Response, summary="Delete a trigger")
    def delete_trigger(deletion: Annotated[DeleteTriggerBody, Depends(_deletion)]) -> Response:
        engine.delete_trigger(deletion.db, deletion.trigger_name, force=deletion.force)
        return Response()

    @router.post(f"{_TRIGGER}/enable", response_class=Response, summary="Enable a trigger")
    def enable_trigger(
        db: Database,
        trigger_name: TriggerName,
        start: Annotated[
            Literal["cursor", "now"],
            Query(alias="from", description="Where a WAL trigger goes on: at the first row it has not seen, or now."),
        ] = "cursor",
    ) -> Response:
        engine.enable_trigger(db, trigger_name, from_now=start == "now")
        return Response()

    @router.post(f"{_TRIGGER}/disable", response_class=Response, summary="Disable a trigger")
    def disable_trigger(db: Database, trigger_name: TriggerName) -> Response:
        engine.disable_trigger(db, trigger_name)
        return Response()

    @router.post(f"{_ENVIRONMENT}/install_packages", response_class=Response, summary="Install packages for plugins")
    async def install_packages(body: InstallPackagesBody) -> Response:
        await run_in(services.pools.plugins, lambda: engine.install_packages(body.packages))
        return Response()

    @router.post(f"{_ENVIRONMENT}/install_requirements", response_class=Response, summary="Install a requirements file")
    async def install_requirements(body: InstallRequirementsBody) -> Response:
        await run_in(services.pools.plugins, lambda: engine.install_requirements(body.requirements_location))
        return Response()

    @router.post("/api/v3/plugins/files", response_class=Response, summary="Upload a plugin file")
    def create_plugin_file(body: PluginFileBody) -> Response:
        engine.put_file(body.plugin_name, body.content)
        return Response()

    @router.put("/api/v3/plugins/files", response_class=Response, summary="Replace the plugin of a trigger")
    def update_plugin_file(body: PluginFileBody) -> Response:
        engine.update_file(body.plugin_name, body.content)
        return Response()

    @router.put(
        "/api/v3/plugins/directory", response_class=Response, summary="Replace the plugin directory of a trigger"
    )
    def replace_plugin_directory(body: PluginDirectoryBody) -> Response:
        engine.replace_directory(body.plugin_name, {entry.relative_path: entry.content for entry in body.files})
        return Response()

    @router.post(f"{_TEST}/wal", response_model=PluginTestBody, response_model_exclude_none=True)
    async def test_wal(body: WalTestBody) -> dict[str, object]:
        """Call a plugin's `process_writes` with the rows of `input_lp`, or with the last rows of the database."""
        subject = _subject(body.filename, body.database, body.input_arguments, body.cache_name)
        return await _run(services, lambda: engine.tester.wal(subject, lines=body.input_lp, last=body.last))

    @router.post(f"{_TEST}/schedule", response_model=PluginTestBody, response_model_exclude_none=True)
    async def test_schedule(body: ScheduleTestBody) -> dict[str, object]:
        """Call a plugin's `process_scheduled_call` with the next time of a cron expression."""
        subject = _subject(body.filename, body.database, body.input_arguments, body.cache_name)
        return await _run(services, lambda: engine.tester.schedule(subject, body.schedule))

    @router.post(f"{_TEST}/request", response_model=PluginTestBody, response_model_exclude_none=True)
    async def test_request(body: RequestTestBody) -> dict[str, object]:
        """Call a plugin's `process_request` with the parts of a request."""
        subject = _subject(body.filename, body.database, body.input_arguments, body.cache_name)
        headers = {name.lower(): value for name, value in body.headers.items() if name.lower() != "authorization"}
        call = RequestCall(body.query_params, headers, body.body.encode())
        return await _run(services, lambda: engine.tester.request(subject, call))

    return router


async def _deletion(request: Request) -> DeleteTriggerBody:
    """Which trigger to delete: from the query string or, without one, from a JSON body."""
    if request.url.query:
        return DeleteTriggerBody.model_validate(dict(request.query_params))
    return DeleteTriggerBody.model_validate_json(await request.body())


def _subject(filename: str, database: str, arguments: Mapping[str, str] | None, cache_name: str | None) -> TestSubject:
    return TestSubject(filename, database, arguments, cache_name)


async def _run(services: Services, test: Callable[[], TestResult]) -> dict[str, object]:
    return (await run_in(services.pools.plugins, test)).as_json()
