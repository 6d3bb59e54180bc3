"""One setting of the server: its names, how its text is read, what it means.

A setting is a field of :class:`headrace.api.settings.ServerSettings`; :func:`setting` makes the metadata
that holds everything there is to know about it. The command line's options,
the environment, the validation and the documentation page are all made from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass
from typing import Any, ClassVar, Final

from headrace.wal.errors import HeadraceError

_METADATA: Final = "headrace.setting"
_TRUE: Final = ("1", "t", "true", "y", "yes", "on")
_FALSE: Final = ("", "0", "f", "false", "n", "no", "off")


class InvalidSetting(HeadraceError):
    """A setting that cannot be used as given; the message names the option or variable and says why."""

    status: ClassVar[int] = 400


@dataclass(frozen=True, slots=True)
class Setting:
    """What there is to know about one setting.

    ``default`` is text, as a user would write it; None means "not set". ``optional_value`` is what the
    option stands for when given without a value.
    """

    name: str
    section: str
    help: str
    parse: Callable[[str], Any]
    default: str | None
    env: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    metavar: str = "VALUE"
    flag: bool = False
    choices: tuple[str, ...] = ()
    optional_value: str | None = None

    @property
    def option(self) -> str:
        return f"--{self.name}"

    @property
    def options(self) -> tuple[str, ...]:
        """Every spelling the command line takes, the preferred one first."""
        return (self.option, *(f"--{alias}" for alias in self.aliases))

    @property
    def attribute(self) -> str:
        """The name of the field of ``ServerSettings``."""
        return self.name.replace("-", "_")

    def read(self, text: str, source: str) -> Any:
        """The value of ``text``; raises InvalidSetting naming ``source`` (an option or a variable)."""
        if self.choices and text not in self.choices:
            raise InvalidSetting(f"invalid value {text!r} for {source}: choose one of {', '.join(self.choices)}")
        try:
            return self.parse(text)
        except ValueError as error:
            raise InvalidSetting(f"invalid value for {source}: {error}") from None

    def from_environment(self, environment: Mapping[str, str]) -> tuple[str, str] | None:
        """The variable that is set and its text. An empty variable counts as not set."""
        for variable in self.env:
            if text := environment.get(variable):
                return variable, text
        return None


def setting(
    section: str,
    help: str,
    *,
    parse: Callable[[str], Any] = str,
    default: str | None = None,
    metavar: str = "VALUE",
    env: tuple[str, ...] = (),
    only_env: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    choices: tuple[str, ...] = (),
    flag: bool = False,
    optional_value: str | None = None,
) -> Mapping[str, Any]:
    """Metadata that makes a field of ``ServerSettings`` a setting.

    Its option is the field's name with dashes and its variable ``INFLUXDB3_`` plus the name in
    capitals. ``env`` adds variables that are read when that one is not set, ``only_env`` replaces it.
    """
    described = Setting(
        name="",
        section=section,
        help=" ".join(help.split()),
        parse=parse_flag if flag else parse,
        default="false" if flag else default,
        env=only_env or env,
        aliases=aliases,
        metavar=metavar,
        flag=flag,
        choices=choices,
        optional_value=optional_value,
    )
    return {_METADATA: (described, not only_env)}


def setting_of(declared: Field[Any]) -> Setting:
    """The :class:`Setting` of a field declared by :func:`setting`."""
    described, add_variable = declared.metadata[_METADATA]
    name = declared.name.replace("_", "-")
    own = (f"INFLUXDB3_{declared.name.upper()}",) if add_variable else ()
    return Setting(
        name=name,
        section=described.section,
        help=described.help,
        parse=described.parse,
        default=described.default,
        env=(*own, *described.env),
        aliases=described.aliases,
        metavar=described.metavar,
        flag=described.flag,
        choices=described.choices,
        optional_value=described.optional_value,
    )


def parse_flag(text: str) -> bool:
    """Read ``true`` or ``false`` in any of the usual spellings."""
    word = text.strip().lower()
    if word not in _TRUE and word not in _FALSE:
        raise ValueError(f"{text!r} is neither true nor false")
    return word in _TRUE
