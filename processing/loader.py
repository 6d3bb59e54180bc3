"""Loading a plugin inside its worker: a single file, a directory with ``__init__.py``, or fetched source.

A single file is a module of its own. A directory is a package under its own name, so that relative imports
(``from .rules import …``) and absolute ones (``from my_plugin.rules import …``) both work. Plugin modules are
always compiled from their source: byte code caches go by a file's size and whole seconds, which is not good
enough for edits that follow each other quickly.

Imported by workers: standard library only.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import linecache
import os
import re
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

EntryPoint = Callable[..., Any]

_WRITES = "process_writes"
_BATCHES = "process_batches"
_CALLS: dict[str, tuple[str, ...]] = {
    "wal": (_BATCHES, _WRITES),
    "schedule": ("process_scheduled_call",),
    "request": ("process_request",),
}
_SIGNATURES = {
    "wal": "process_writes(influxdb3_local, table_batches, args=None)",
    "schedule": "process_scheduled_call(influxdb3_local, call_time, args=None)",
    "request": (
        "process_request(influxdb3_local, query_parameters, request_headers, request_body, args=None) -> "
        "Tuple[str, Optional[Dict[str, str]]]"
    ),
}


class EntryPointMissing(Exception):
    """The plugin was loaded and does not define what its trigger calls."""


def load_file(path: str, root: str) -> types.ModuleType:
    """Load the single file, or the package whose ``__init__.py`` it is; both absolute, ``path`` under ``root``.

    Raises whatever the plugin's own code raises, OSError if the file is gone.
    """
    if os.path.basename(path) == "__init__.py" and os.path.dirname(path) != root.rstrip(os.sep):
        return _load_package(os.path.dirname(path), root)
    with open(path, "rb") as file:
        source = file.read()
    return _run(source, path, os.path.splitext(os.path.basename(path))[0])


def load_source(source: str, name: str) -> types.ModuleType:
    """Load fetched source; ``name`` stands for its file in tracebacks."""
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    return _run(source.encode(), name, os.path.splitext(os.path.basename(name))[0])


def entry_point(module: types.ModuleType, kind: str) -> tuple[str, EntryPoint]:
    """The function that a trigger of this kind calls, and its name. Raises EntryPointMissing.

    ``process_batches`` is preferred to ``process_writes`` where a plugin has both.
    """
    for name in _CALLS[kind]:
        function = getattr(module, name, None)
        if callable(function):
            return name, function
    raise EntryPointMissing(
        f"the {_CALLS[kind][-1]} function is not present in the plugin. Should be defined as: {_SIGNATURES[kind]}"
    )


def takes_batches(name: str) -> bool:
    """Whether an entry point wants Arrow batches rather than rows."""
    return name == _BATCHES


def _run(source: bytes, path: str, stem: str) -> types.ModuleType:
    # In sys.modules, so that dataclasses and pickle find the classes that the plugin defines. The prefix
    # keeps a plugin called json.py from being what everybody else imports.
    name = "plugin_" + re.sub(r"\W", "_", stem)
    module = types.ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module
    exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    return module


def _load_package(directory: str, root: str) -> types.ModuleType:
    name = re.sub(r"\W", "_", os.path.basename(directory))
    if name in sys.modules or name in sys.stdlib_module_names:
        name = "plugin_" + name
    sys.meta_path.insert(0, _PluginFinder(name, root))
    entry = os.path.join(directory, "__init__.py")
    spec = importlib.util.spec_from_file_location(
        name, entry, loader=_FreshLoader(name, entry, root), submodule_search_locations=[directory]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # Packages beside the plugin can be imported while it loads, after everything that is installed.
    parent = os.path.dirname(directory)
    sys.path.append(parent)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(parent)
    return module


class _FreshLoader(importlib.machinery.SourceFileLoader):
    """Compiles from source every time, and reads nothing from outside the plugin directory."""

    def __init__(self, fullname: str, path: str, root: str) -> None:
        super().__init__(fullname, path)
        self._root = os.path.realpath(root) + os.sep

    def get_code(self, fullname: str) -> types.CodeType:
        path = self.get_filename(fullname)
        if not os.path.realpath(path).startswith(self._root):
            raise ImportError(f"{path} is a link that leads out of the plugin directory", name=fullname, path=path)
        code: types.CodeType = self.source_to_code(self.get_data(path), path)
        return code


class _PluginFinder:
    """Finds the submodules of one plugin package."""

    def __init__(self, package: str, root: str) -> None:
        self._prefix = package + "."
        self._root = root

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith(self._prefix) or path is None:
            return None
        for directory in path:
            spec = importlib.machinery.FileFinder(
                directory,
                (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
                (self._loader, importlib.machinery.SOURCE_SUFFIXES),  # type: ignore[arg-type]  # a factory will do
            ).find_spec(fullname)
            if spec is not None and spec.loader is not None:
                return spec
        return None

    def _loader(self, fullname: str, path: str) -> _FreshLoader:
        return _FreshLoader(fullname, path, self._root)
