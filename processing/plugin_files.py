"""Uploading plugins and listing them.

Files are replaced atomically: a worker that loads one meanwhile sees the old or the new text, never a part.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa
from headrace.processing.errors import PluginNotFound, PluginPathRefused, PluginTooLarge
from headrace.processing.plugin_paths import ENTRY_FILE, contained_path
from headrace.processing.row_table import row_table
from headrace.processing.trigger import Trigger

MAX_FILE_BYTES: Final = 4 << 20
MAX_FILES: Final = 1_000

FILE_SCHEMA: Final = pa.schema(
    [
        pa.field("plugin_name", pa.utf8(), nullable=False),
        pa.field("file_name", pa.utf8(), nullable=False),
        pa.field("file_path", pa.utf8(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("last_modified", pa.int64(), nullable=False),
    ]
)


def put_file(plugin_dir: Path, name: str, content: str) -> None:
    """Write one file under the plugin directory, making the folders it lies in.

    Raises PluginPathRefused for a path that leads out, PluginTooLarge.
    """
    path = contained_path(plugin_dir, name)
    if path.is_dir():
        raise PluginPathRefused(name, "it is a directory")
    _check_size(name, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, content)


def update_plugin(plugin_dir: Path, plugin_path: str, content: str) -> None:
    """Replace the text of a plugin that a trigger uses; of a directory, that of its ``__init__.py``."""
    path = contained_path(plugin_dir, plugin_path)
    if not path.exists():
        raise PluginNotFound(f"plugin '{plugin_path}' was not found in the plugin directory")
    put_file(plugin_dir, f"{plugin_path.rstrip('/')}/{ENTRY_FILE}" if path.is_dir() else plugin_path, content)


def replace_directory(plugin_dir: Path, plugin_path: str, files: Mapping[str, str]) -> None:
    """Make ``files`` (relative path to text) the whole content of a plugin directory, or leave it as it was."""
    target = contained_path(plugin_dir, plugin_path)
    if target.is_file():
        raise PluginPathRefused(plugin_path, "it is a file")
    if len(files) > MAX_FILES:
        raise PluginTooLarge(f"{len(files)} files are too many for one plugin; the most is {MAX_FILES}")
    # Beside the target, so that the renames stay within one file system; hidden, so that nobody takes it for a plugin.
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".upload-", dir=target.parent))
    try:
        fresh = staging / "new"
        fresh.mkdir()
        for name, content in files.items():
            _check_size(name, content)
            path = contained_path(fresh, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        if target.exists():
            target.rename(staging / "old")
        try:
            fresh.rename(target)
        except OSError:
            if (staging / "old").exists():
                (staging / "old").rename(target)
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def file_table(plugin_dir: Path, triggers: Iterable[Trigger]) -> pa.Table:
    """Every Python file of the plugins that ``triggers`` use; ``last_modified`` in milliseconds since the epoch."""
    rows: list[tuple[object, ...]] = []
    for trigger in triggers:
        for name, path in _files_of(plugin_dir, trigger.definition.plugin_path):
            try:
                stat = path.stat()
            except OSError:
                continue
            rows.append((trigger.name, name, str(path), stat.st_size, stat.st_mtime_ns // 1_000_000))
    return row_table(FILE_SCHEMA, rows)


def _files_of(plugin_dir: Path, plugin_path: str) -> Iterator[tuple[str, Path]]:
    try:
        path = contained_path(plugin_dir, plugin_path)
    except PluginPathRefused:
        return
    if path.is_file():
        yield plugin_path, path
    elif path.is_dir():
        for found in sorted(path.rglob("*.py")):
            if "__pycache__" not in found.parts and found.is_file() and not found.is_symlink():
                yield str(found.relative_to(path)), found


def _check_size(name: str, content: str) -> None:
    if len(content.encode()) > MAX_FILE_BYTES:
        raise PluginTooLarge(f"plugin file '{name}' is larger than {MAX_FILE_BYTES >> 20} MiB")


def _replace(path: Path, content: str) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=".upload-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
