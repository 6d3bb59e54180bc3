"""What can go wrong in a command, each with a message fit for the person who typed it."""

from __future__ import annotations


class CommandFailed(Exception):
    """A command could not do its work. ``main`` prints ``NAME command failed: MESSAGE`` and exits with 1."""


class ServerUnreachable(CommandFailed):
    """No answer came back; the message names the method, the URL and the reason."""


class ServerRefused(CommandFailed):
    """The server answered with an error status.

    ``status`` is the HTTP status and ``message`` the server's own words.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"server responded with error [{status} {reason}]: {message}")
        self.status = status
        self.message = message


class UsageError(Exception):
    """The command line itself is wrong; ``str()`` is the whole text for standard error."""
