from __future__ import annotations

import logging

import pytest
from headrace.api.logs import parse_filter
from headrace.api.setting import InvalidSetting


def test_a_filter_is_a_level_and_levels_of_components() -> None:
    assert parse_filter("warn, wal=debug, influxdb3_storage=error, uvicorn=info") == {
        "": logging.WARNING,
        "headrace.wal": logging.DEBUG,
        "headrace.storage": logging.ERROR,
        "uvicorn": logging.INFO,
    }


def test_info_is_the_level_unless_another_is_named() -> None:
    assert parse_filter("query=debug")[""] == logging.INFO


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="'loud' is not a level"):
        parse_filter("info,wal=loud")
