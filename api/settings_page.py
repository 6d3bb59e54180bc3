"""``docs/configuration.md``, made from the declarations of the settings.

``python -m headrace.api.settings_page > docs/configuration.md`` writes it; a test compares the two.
"""

from __future__ import annotations

from itertools import groupby
from typing import Final

from headrace.api.foreign_settings import IGNORED, REFUSED, ForeignSetting
from headrace.api.setting import Setting
from headrace.api.settings import SETTINGS

_INTRODUCTION: Final = """\
# Configuration

Every setting is an option of `headrace serve` and an environment variable. The option wins over the variable,
the variable over the default. Names and values are those of InfluxDB 3 Core where it has the setting.

- A **duration** is a number and a unit, or several: `500ms`, `10s`, `1h30m`, `30d`.
- A **size** is a number and `b`, `kb`, `mb`, `gb` or `tb`, or a percentage of the memory the process may use: `64mb`,
  `20%`.
- A **flag** needs no value as an option; as a variable it is `true` or `false`.

This page is generated from the declarations in `api/settings.py`.
"""

_FOREIGN: Final = """\
## Settings of InfluxDB 3 that do nothing here

They are accepted, so that a start script works as it is; the log says that they do nothing.
"""

_REFUSED: Final = """\
## Settings of InfluxDB 3 that are refused

The server does not start with one of these, because it would have to pretend.
"""


def settings_page() -> str:
    """The page, as Markdown."""
    parts = [_INTRODUCTION]
    for section, settings in groupby(SETTINGS, key=lambda setting: setting.section):
        parts.append(f"## {section}\n")
        parts.extend(_entry(setting) for setting in settings)
    parts.append(_FOREIGN)
    parts.append(_table(IGNORED))
    parts.append(_REFUSED)
    parts.append(_table(REFUSED))
    return "\n".join(parts)


def _entry(setting: Setting) -> str:
    shown = setting.option if setting.flag else f"{setting.option} {setting.metavar}"
    lines = [f"### `{shown}`\n", setting.help, ""]
    if setting.choices:
        lines.append(f"- Values: {', '.join(f'`{choice}`' for choice in setting.choices)}")
    if setting.default:
        lines.append(f"- Default: `{setting.default}`")
    if setting.optional_value:
        lines.append(f"- Without a value: `{setting.optional_value}`")
    lines.append(f"- Environment: {', '.join(f'`{variable}`' for variable in setting.env)}")
    if setting.aliases:
        lines.append(f"- Also: {', '.join(f'`--{alias}`' for alias in setting.aliases)}")
    return "\n".join(lines) + "\n"


def _table(settings: tuple[ForeignSetting, ...]) -> str:
    rows = [f"| `--{foreign.name}` | {foreign.reason} |" for foreign in settings]
    return "\n".join(["| Option | Why |", "|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    print(settings_page(), end="")
