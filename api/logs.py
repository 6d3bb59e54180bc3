"""The server's log: one line an event, on stdout or stderr.

::

    2026-11-26T05:42:00.123Z  INFO headrace.storage: persisted 12 files in 0.8 s
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Final

from headrace.api.setting import InvalidSetting

_LEVELS: Final = {
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
    "off": logging.CRITICAL + 10,
}
_COMPONENTS: Final = ("wal", "storage", "query", "processing", "api")
_CHATTY: Final = ("uvicorn", "uvicorn.error", "httpx", "httpcore", "asyncio", "numba")
"""Libraries whose informational messages say nothing about this server."""


class _LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        level = "WARN" if record.levelno == logging.WARNING else record.levelname
        # A message of a client must not be able to forge a line of its own.
        message = record.getMessage().replace("\n", "\n    ")
        line = f"{stamp}.{int(record.msecs):03d}Z {level:>5} {_component(record.name)}: {message}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def parse_filter(text: str) -> dict[str, int]:
    """Levels by logger name; the empty name is everything else.

    ``info,wal=debug`` and, as InfluxDB 3 names its components, ``info,influxdb3_wal=debug``. Raises
    InvalidSetting for an unknown level.
    """
    levels = {"": logging.INFO}
    for directive in filter(None, (part.strip() for part in text.split(","))):
        component, equals, level = directive.rpartition("=")
        if level.lower() not in _LEVELS:
            raise InvalidSetting(
                f"invalid value {text!r} for --log-filter: {level!r} is not a level; use error, warn, info or debug"
            )
        name = component.strip().removeprefix("influxdb3_").removeprefix("headrace.")
        logger_name = f"headrace.{name}" if name.partition(".")[0] in _COMPONENTS else name
        levels[logger_name if equals else ""] = _LEVELS[level.lower()]
    return levels


def configure_logging(filter_text: str, destination: str) -> None:
    """Send everything that passes the filter to ``destination``, "stdout" or "stderr"."""
    levels = parse_filter(filter_text)
    handler = logging.StreamHandler(sys.stderr if destination == "stderr" else sys.stdout)
    handler.setFormatter(_LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(levels.pop(""))
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def _component(name: str) -> str:
    return ".".join(name.split(".")[:2]) if name.startswith("headrace.") else name
