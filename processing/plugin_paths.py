"""Where plugins may live: inside the plugin directory, whatever a path says.

Every path that a user hands in (a trigger's plugin, an upload) goes through :func:`contained_path`. It refuses
absolute paths, ``..``, NULs and control characters by looking at the text, and symbolic links that lead out by
resolving what exists on disk.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Final

from headrace.processing.errors import PluginNotFound, PluginPathRefused

ENTRY_FILE: Final = "__init__.py"
MAX_PATH_LENGTH: Final = 1_024
MAX_SOURCE_FILES: Final = 5_000

SourceState = tuple[tuple[str, int, int, int], ...]
"""Path, inode, size and modification time (ns) of every source file of a plugin, sorted by path."""


def contained_path(plugin_dir: Path, name: str) -> Path:
    """The absolute, symlink-free path of ``name`` under ``plugin_dir``; it need not exist yet.

    Raises:
        PluginPathRefused: the path is empty, absolute or malformed, or leads out of the directory.
    """
    if not name.strip():
        raise PluginPathRefused(name, "it is empty")
    if len(name) > MAX_PATH_LENGTH:
        raise PluginPathRefused(f"{name[:40]}…", f"it is longer than {MAX_PATH_LENGTH} characters")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in name):
        raise PluginPathRefused(name, "it holds a NUL or another control character")
    if "\\" in name:
        raise PluginPathRefused(name, "it holds a backslash")
    relative = PurePosixPath(name)
    if relative.is_absolute():
        raise PluginPathRefused(name, "it is absolute")
    if ".." in relative.parts:
        raise PluginPathRefused(name, "it holds '..'")
    root = plugin_dir.resolve()
    try:
        path = (root / relative).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise PluginPathRefused(name, f"it cannot be resolved: {error}") from None
    if path == root:
        raise PluginPathRefused(name, "it is the plugin directory itself")
    if not path.is_relative_to(root):
        raise PluginPathRefused(name, "a symbolic link leads out")
    return path


def plugin_file(plugin_dir: Path, name: str) -> Path:
    """The file to load for the plugin ``name``: itself, or the ``__init__.py`` of the directory it names.

    Raises:
        PluginPathRefused: as :func:`contained_path`; also for an ``__init__.py`` that links out.
        PluginNotFound: there is no such file, or the directory has no ``__init__.py``.
    """
    path = contained_path(plugin_dir, name)
    if path.is_dir():
        entry = contained_path(plugin_dir, f"{name.rstrip('/')}/{ENTRY_FILE}")
        if not entry.is_file():
            raise PluginNotFound(f"plugin directory '{name}' has no {ENTRY_FILE}")
        return entry
    if not path.is_file():
        raise PluginNotFound(f"plugin '{name}' was not found in the plugin directory")
    return path


def source_state(plugin_dir: Path, entry: Path) -> SourceState:
    """What has to stay the same for a loaded plugin to be current: its file, or every ``*.py`` of its directory.

    Hidden folders, byte code and virtual environments inside the directory do not count.

    Raises:
        PluginPathRefused: a symbolic link inside the directory leads out of the plugin directory.
        PluginNotFound: the plugin is gone.
    """
    found: list[tuple[str, int, int, int]] = []
    root = str(plugin_dir.resolve())
    if entry.name == ENTRY_FILE and str(entry.parent) != root:
        _collect(str(entry.parent), root, found)
    else:
        _add(str(entry), found)
    if not found:
        raise PluginNotFound(f"plugin '{entry.relative_to(root)}' was not found in the plugin directory")
    return tuple(sorted(found))


def _collect(folder: str, root: str, found: list[tuple[str, int, int, int]]) -> None:
    try:
        with os.scandir(folder) as entries:
            listing = list(entries)
    except OSError:
        return  # it was removed meanwhile: the state differs, and the next load says what is wrong
    if any(item.name == "pyvenv.cfg" for item in listing):
        return
    for item in listing:
        if item.name.startswith(".") or item.name == "__pycache__":
            continue
        is_folder = item.is_dir()
        if not is_folder and not item.name.endswith(".py"):
            continue
        if item.is_symlink() and not os.path.realpath(item.path).startswith(root + os.sep):
            raise PluginPathRefused(os.path.relpath(item.path, root), "a symbolic link leads out")
        if is_folder and not item.is_symlink():
            _collect(item.path, root, found)
        elif not is_folder:
            _add(item.path, found)
        if len(found) > MAX_SOURCE_FILES:
            raise PluginPathRefused(os.path.relpath(folder, root), f"it has more than {MAX_SOURCE_FILES} source files")


def _add(path: str, found: list[tuple[str, int, int, int]]) -> None:
    try:
        status = os.stat(path)
    except OSError:
        return  # as above
    found.append((path, status.st_ino, status.st_size, status.st_mtime_ns))
