"""The JSON bodies of the HTTP API, as InfluxDB 3 names their fields. Unknown fields are ignored, as there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from headrace.storage.catalog import TokenInfo
from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

DatabaseName = Annotated[str, Field(description="Name of the database.", examples=["home"])]
FieldTypeName = Literal["utf8", "int64", "uint64", "float64", "bool"]
Duration = Annotated[str, Field(description="A duration such as 30d, 12h or 1h30m.", examples=["30d"])]


class ErrorBody(BaseModel):
    """An error that is answered as JSON."""

    error: str


class PingBody(BaseModel):
    """What the server is."""

    product_name: str
    version: str
    revision: str
    process_id: str


class RequestBody(BaseModel):
    """The body of a request, all of its texts valid Unicode: JSON can spell half of a surrogate pair."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_half_characters(cls, body: Any) -> Any:
        pending = [body]
        while pending:
            part = pending.pop()
            if isinstance(part, dict):
                pending.extend(part)
                pending.extend(part.values())
            elif isinstance(part, list):
                pending.extend(part)
            elif isinstance(part, str) and not part.isascii():
                try:
                    part.encode()
                except UnicodeEncodeError as error:
                    half = f"\\u{ord(part[error.start]):x}"
                    raise PydanticCustomError("half_character", "lone surrogate {half}", {"half": half}) from None
        return body


class QueryBody(RequestBody):
    """A query. ``params`` are bound to ``$name`` in the statement."""

    db: DatabaseName
    q: Annotated[str, Field(description="One SQL statement.", examples=["SELECT * FROM home WHERE room = $room"])]
    format: str | None = None
    params: dict[str, Any] | None = Field(default=None, examples=[{"room": "Kitchen"}])


class CreateDatabaseBody(RequestBody):
    """``POST /api/v3/configure/database``"""

    db: DatabaseName
    retention_period: Duration | None = None


class UpdateDatabaseBody(RequestBody):
    """``PUT /api/v3/configure/database``; without a retention period rows are kept for ever."""

    db: DatabaseName
    retention_period: Duration | None = None


class NewField(BaseModel):
    """A field column of a new table."""

    name: str
    type: FieldTypeName


class CreateTableBody(RequestBody):
    """``POST /api/v3/configure/table``"""

    db: DatabaseName
    table: str
    tags: list[str]
    fields: list[NewField] = Field(default_factory=list)


class CreateNamedTokenBody(RequestBody):
    """``POST /api/v3/configure/token/named_admin``"""

    token_name: str
    expiry_secs: int | None = Field(default=None, ge=1)


class TokenBody(BaseModel):
    """A token that was just made. This is the only time it is shown."""

    id: int
    name: str
    token: str
    hash: str
    created_at: str
    expiry: str | None

    @classmethod
    def of(cls, info: TokenInfo, token: str) -> TokenBody:
        expiry = None if info.expires_ns is None else _timestamp(info.expires_ns)
        return cls(
            id=info.id,
            name=info.name,
            token=token,
            hash=info.hash,
            created_at=_timestamp(info.created_ns),
            expiry=expiry,
        )


class TriggerSettingsBody(BaseModel):
    """How a trigger runs. The limits are this server's own; without them its defaults hold."""

    run_async: bool = False
    error_behavior: Literal["log", "retry", "disable"] = "log"
    memory_limit: int | None = Field(default=None, description="Bytes a run may use.")
    time_limit: float | None = Field(default=None, description="Seconds a run may take.")


class CreateTriggerBody(RequestBody):
    """``POST /api/v3/configure/processing_engine_trigger``"""

    db: DatabaseName
    plugin_filename: str
    trigger_name: str
    trigger_specification: str = Field(examples=["table:home", "every:10s", "request:hello"])
    trigger_settings: TriggerSettingsBody = Field(default_factory=TriggerSettingsBody)
    trigger_arguments: dict[str, str] | None = None
    disabled: bool = False


class DeleteTriggerBody(RequestBody):
    """``DELETE /api/v3/configure/processing_engine_trigger`` without a query string."""

    db: DatabaseName
    trigger_name: str
    force: bool = False


class InstallPackagesBody(RequestBody):
    """``POST /api/v3/configure/plugin_environment/install_packages``"""

    packages: list[str]


class InstallRequirementsBody(RequestBody):
    """``POST /api/v3/configure/plugin_environment/install_requirements``"""

    requirements_location: str


class PluginFileBody(RequestBody):
    """A plugin file to create (``POST``), or the new text of the plugin of a trigger (``PUT``)."""

    plugin_name: str
    content: str


class PluginDirectoryEntry(BaseModel):
    """One file of a plugin directory."""

    relative_path: str
    content: str


class PluginDirectoryBody(RequestBody):
    """``PUT /api/v3/plugins/directory``: everything the directory shall hold."""

    plugin_name: str
    files: list[PluginDirectoryEntry]


class WalTestBody(RequestBody):
    """``POST /api/v3/plugin_test/wal``; ``last`` (a duration) feeds rows of the database instead of ``input_lp``."""

    filename: str
    database: str
    input_lp: str = ""
    last: Duration | None = None
    cache_name: str | None = None
    input_arguments: dict[str, str] | None = None


class ScheduleTestBody(RequestBody):
    """``POST /api/v3/plugin_test/schedule``; ``schedule`` is a cron expression."""

    filename: str
    database: str
    schedule: str | None = None
    cache_name: str | None = None
    input_arguments: dict[str, str] | None = None


class RequestTestBody(RequestBody):
    """``POST /api/v3/plugin_test/request``"""

    filename: str
    database: str
    query_params: dict[str, str] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    body: str = ""
    cache_name: str | None = None
    input_arguments: dict[str, str] | None = None


class TestedResponse(BaseModel):
    """What a tested request plugin would have answered."""

    status: int
    headers: dict[str, str]
    body: str


class PluginTestBody(BaseModel):
    """What a test run did. The first four are InfluxDB 3's."""

    trigger_time: str | None = None
    log_lines: list[str]
    database_writes: dict[str, list[str]]
    errors: list[str]
    duration_ms: float
    peak_memory_bytes: int
    response: TestedResponse | None = None
    log_lines_dropped: int | None = None


def _timestamp(nanoseconds: int) -> str:
    moment = datetime.fromtimestamp(nanoseconds // 1_000_000 / 1_000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
