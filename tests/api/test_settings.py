from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from headrace.api.foreign_settings import IGNORED, REFUSED
from headrace.api.opening import engine_settings, store_settings
from headrace.api.quantities import Address
from headrace.api.setting import InvalidSetting
from headrace.api.settings import SETTINGS, ServerSettings
from headrace.api.settings_page import settings_page
from headrace.processing.settings import EngineSettings
from headrace.storage.limits import CatalogLimits
from headrace.storage.store_settings import StoreSettings
from headrace.wal.writer import WalSettings

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_documentation_page_is_what_the_declarations_say() -> None:
    assert PAGE.read_text() == settings_page(), "run: python -m headrace.api.settings_page > docs/configuration.md"


def test_every_default_can_be_read() -> None:
    settings = ServerSettings.load({}, {})
    assert settings.http_bind == Address("0.0.0.0", 8181)
    assert settings.data_dir == Path.home() / ".headrace"
    assert settings.max_http_request_size == 10 << 20
    assert settings.plugin_dir is None
    assert not settings.without_auth
    assert settings.remarks == ()


def test_the_defaults_are_those_of_the_layers_below() -> None:
    settings = ServerSettings.load({}, {})
    assert dataclasses.replace(store_settings(settings), data_dir=None) == StoreSettings(
        wal=WalSettings(), limits=CatalogLimits(), retention_interval=60.0
    )
    assert engine_settings(settings) == EngineSettings()


def test_names_are_spelled_like_options_and_are_unique() -> None:
    names = [name for setting in SETTINGS for name in (setting.name, *setting.aliases)]
    names += [foreign.name for foreign in (*IGNORED, *REFUSED)]
    assert len(names) == len(set(names))
    assert all(name == name.lower() and "_" not in name for name in names)


def test_every_limit_of_the_catalog_has_its_setting() -> None:
    options = {setting.option for setting in SETTINGS}
    assert {field.metadata["option"] for field in dataclasses.fields(CatalogLimits)} <= options


def test_an_option_wins_over_the_environment_and_that_over_the_default() -> None:
    environment = {"INFLUXDB3_NODE_ID": "from-env", "INFLUXDB3_QUERY_TIMEOUT": "7s"}
    settings = ServerSettings.load({"node-id": "from-option"}, environment)
    assert settings.node_id == "from-option"
    assert settings.query_timeout == 7


def test_older_names_of_variables_and_options_are_taken_and_newer_ones_win() -> None:
    assert ServerSettings.load({}, {"INFLUXDB3_NODE_IDENTIFIER_PREFIX": "old"}).node_id == "old"
    both = {"INFLUXDB3_NODE_IDENTIFIER_PREFIX": "old", "INFLUXDB3_NODE_ID": "new"}
    assert ServerSettings.load({}, both).node_id == "new"
    assert ServerSettings.load({"exec-mem-pool-bytes": "100"}, {}).exec_mem_pool_size == 100 << 20


def test_an_empty_variable_counts_as_not_set() -> None:
    assert ServerSettings.load({}, {"INFLUXDB3_NODE_ID": ""}).node_id == "node0"


@pytest.mark.parametrize(("text", "expected"), [("true", True), ("1", True), ("false", False), ("0", False)])
def test_a_flag_is_true_or_false_in_the_environment(text: str, expected: bool) -> None:
    assert ServerSettings.load({}, {"INFLUXDB3_START_WITHOUT_AUTH": text}).without_auth is expected


@pytest.mark.parametrize(
    ("options", "environment", "message"),
    [
        ({"wal-flush-interval": "soon"}, {}, "--wal-flush-interval: 'soon' is not a duration"),
        ({"wal-flush-interval": "0s"}, {}, "--wal-flush-interval: '0s' must be longer than zero"),
        ({}, {"INFLUXDB3_HTTP_BIND_ADDR": "here"}, "INFLUXDB3_HTTP_BIND_ADDR: 'here' is not an address"),
        ({"object-store": "s3"}, {}, "invalid value 's3' for --object-store: choose one of file, memory"),
        ({"disable-authz": "health,writes"}, {}, "'writes' is unknown; the values are health, ping, metrics, ready"),
        ({"node-id": "../x"}, {}, "--node-id: '../x' is not a node id"),
        ({"gen1-duration": "7m"}, {}, "'7m' is not supported; use 1m, 5m or 10m"),
        ({"num-table-limit": "0"}, {}, "'0' is not a number of 1 or more"),
        ({"tls-cert": "cert.pem"}, {}, "--tls-cert and --tls-key go together"),
        ({"max-http-request-size": "1gb"}, {}, "must not be larger than --http-body-memory"),
        ({"without-auth": "maybe"}, {}, "'maybe' is neither true nor false"),
        ({"node-id-from-env": "NOWHERE"}, {}, "the environment variable NOWHERE is not set"),
        ({"cluster-id": "c"}, {}, "--cluster-id cannot be used: this server is a single node"),
        ({"no-such-thing": "c"}, {}, "--no-such-thing is not an option"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(
    options: dict[str, str], environment: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidSetting) as refused:
        ServerSettings.load(options, environment)
    assert message in refused.value.message


def test_the_node_id_can_come_from_a_variable_of_any_name() -> None:
    settings = ServerSettings.load({"node-id-from-env": "HOSTNAME"}, {"HOSTNAME": "box-7"})
    assert settings.node_id == "box-7"


def test_settings_that_do_nothing_are_taken_and_remarked_on() -> None:
    settings = ServerSettings.load({"disable-telemetry-upload": "true"}, {"INFLUXDB3_WAL_SNAPSHOT_SIZE": "600"})
    assert [remark.split(" ")[0] for remark in settings.remarks] == [
        "--disable-telemetry-upload",
        "INFLUXDB3_WAL_SNAPSHOT_SIZE",
    ]
