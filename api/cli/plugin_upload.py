"""Reading plugins from the local disk, to be sent to a server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from headrace.api.cli.errors import CommandFailed


def read_source(path: Path) -> str:
    """The text of one plugin file. Raises :class:`CommandFailed` with the path."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"cannot read {path}: {error}") from error


def python_files(directory: Path) -> Iterator[tuple[str, str]]:
    """Relative path and text of every ``.py`` file of a plugin directory, in order, links not followed.

    Raises :class:`CommandFailed` where ``__init__.py`` is missing.
    """
    if not (directory / "__init__.py").is_file():
        raise CommandFailed(f"Multi-file plugin directory must contain __init__.py: {directory}")
    for folder, folders, files in os.walk(directory):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(files):
            path = Path(folder, name)
            if path.suffix == ".py" and not path.is_symlink():
                yield path.relative_to(directory).as_posix(), read_source(path)
