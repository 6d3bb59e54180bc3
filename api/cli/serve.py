"""``serve``: the server. Its options are the settings of :mod:`headrace.api.settings`."""

from __future__ import annotations

import argparse
import os

from headrace.api.cli.help import Option
from headrace.api.cli.parser import CommandParser
from headrace.api.foreign_settings import IGNORED, REFUSED, ForeignSetting
from headrace.api.setting import InvalidSetting, Setting
from headrace.api.settings import SETTINGS, ServerSettings

COMMON = frozenset(
    (
        "node-id",
        "object-store",
        "data-dir",
        "http-bind",
        "max-http-request-size",
        "without-auth",
        "disable-authz",
        "admin-token-file",
        "tls-cert",
        "tls-key",
        "log-filter",
        "wal-flush-interval",
        "query-timeout",
        "plugin-dir",
        "virtual-env-location",
        "package-manager",
        "plugin-repo",
    )
)
"""The settings that ``--help`` lists; ``--help-all`` lists every one."""

LOG_FILTERS = ("info", "info", "debug")
"""The log filter for no ``-v``, ``-v`` and ``-vv``, where ``--log-filter`` is not given."""


def configure(parser: CommandParser) -> None:
    for setting in SETTINGS:
        add_setting(parser, setting)
    for foreign in (*IGNORED, *REFUSED):
        add_foreign(parser, foreign)
    parser.section("Logs")
    verbose = Option(("-v", "--verbose"), None, "Log more; twice for everything", None, None, False, (), "Logs")
    parser.declare(verbose, dest="verbose", action="count", default=0)
    parser.set_defaults(run=run, usage_error=parser.error)


def add_setting(parser: CommandParser, setting: Setting) -> None:
    """Declare the option of ``setting``. Its value stays text, and absent unless given: reading both the
    environment and the text is the work of :class:`ServerSettings`."""
    option = Option(
        flags=setting.options,
        metavar=None if setting.flag else setting.metavar,
        help=setting.help,
        env=", ".join(setting.env) or None,
        default=None if setting.flag else setting.default or None,
        required=False,
        choices=setting.choices,
        section=setting.section,
        shown="always" if setting.name in COMMON else "all",
    )
    if setting.flag:
        parser.declare(option, dest=setting.name, action="store_const", const="true", default=argparse.SUPPRESS)
    elif setting.optional_value is not None:
        parser.declare(option, dest=setting.name, nargs="?", const=setting.optional_value, default=argparse.SUPPRESS)
    else:
        parser.declare(option, dest=setting.name, default=argparse.SUPPRESS)


def add_foreign(parser: CommandParser, foreign: ForeignSetting) -> None:
    option = Option(
        (f"--{foreign.name}",), "VALUE", foreign.reason, None, None, False, (), "Not used here", shown="never"
    )
    if foreign.flag:
        parser.declare(option, dest=foreign.name, action="store_const", const="true", default=argparse.SUPPRESS)
    else:
        parser.declare(option, dest=foreign.name, default=argparse.SUPPRESS)


def settings_of(args: argparse.Namespace) -> ServerSettings:
    """The settings that ``args``, the environment and the defaults make. A wrong one is a usage error."""
    names = {setting.name for setting in SETTINGS} | {foreign.name for foreign in (*IGNORED, *REFUSED)}
    options = {name: text for name, text in vars(args).items() if name in names}
    if args.verbose:
        options.setdefault("log-filter", LOG_FILTERS[min(args.verbose, len(LOG_FILTERS) - 1)])
    try:
        return ServerSettings.load(options, os.environ)
    except InvalidSetting as error:
        args.usage_error(str(error))
        raise


def run(args: argparse.Namespace) -> int:
    settings = settings_of(args)
    from headrace.api.server import run as run_server

    return run_server(settings)
