"""The plugin environment: a virtual environment that belongs to the plugins, never to the server.

Workers run on this environment's interpreter once it exists; until a package is installed there is
nothing to gain from one, so none is made and workers run on the server's own interpreter. The worker
itself needs pyarrow: a worker of the plugin environment finds it in the server's site-packages,
which come last on its path, so that whatever the plugins install wins.

Installing is done by ``pip`` or ``uv`` in a child process, one at a time. Each success moves
``generation`` on; a worker that was started under an older generation is replaced before its next run.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from headrace.processing.errors import EngineDisabled, InvalidRequirement, PackageInstallFailed, PackagesDisabled

logger = logging.getLogger(__name__)

_INSTALL_TIMEOUT: Final = 600.0
_MAX_PACKAGES: Final = 256
_OUTPUT_TAIL: Final = 4_000
_REQUIREMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[^\]]*\])?\s*([<>=!~@(].*)?", re.DOTALL)
"""A requirement starts with a distribution's name (PEP 508), so it can never be an option of the installer."""


class PackageManager(StrEnum):
    """Who installs packages. ``discover`` takes uv if it is on the path and pip otherwise."""

    DISCOVER = "discover"
    PIP = "pip"
    UV = "uv"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What starts a worker: the executable, and the directories to append to its module path."""

    executable: Path
    fallback_paths: tuple[str, ...]
    generation: int


class PluginEnvironment:
    """The virtual environment at ``location``, made when the first package is installed.

    ``location`` defaults to ``.venv`` in the plugin directory. The server's own environment is never
    taken for it, even when ``location`` (often the ``VIRTUAL_ENV`` of the shell) points there.
    """

    def __init__(self, plugin_dir: Path | None, location: Path | None, manager: PackageManager) -> None:
        self._plugin_dir = plugin_dir
        self._manager = manager
        if location is not None and location.exists() and location.resolve() == Path(sys.prefix).resolve():
            logger.info("the plugin environment is not the server's own: using one in the plugin directory")
            location = None
        self._location = location or (plugin_dir / ".venv" if plugin_dir is not None else None)
        self._install_lock = threading.Lock()
        self._generation = 0

    @property
    def location(self) -> Path | None:
        """Where the environment is or would be; None without a plugin directory."""
        return self._location

    def interpreter(self) -> Interpreter:
        """The interpreter for the next worker."""
        if self._location is not None:
            executable = _python_of(self._location)
            if executable.exists():
                return Interpreter(executable, _server_site_packages(), self._generation)
        return Interpreter(Path(sys.executable), (), self._generation)

    def install_packages(self, packages: Sequence[str]) -> None:
        """Install requirements such as ``pandas`` or ``scipy>=1.11``.

        Raises:
            PackagesDisabled, EngineDisabled: this server installs nothing.
            InvalidRequirement: nothing is named, too much, or a requirement is malformed.
            PackageInstallFailed: the installer failed; the message ends with its own last words.
        """
        if not packages:
            raise InvalidRequirement("no package was named")
        if len(packages) > _MAX_PACKAGES:
            raise InvalidRequirement(f"{len(packages)} packages are too many for one call; the most is {_MAX_PACKAGES}")
        for package in packages:
            if not _REQUIREMENT.fullmatch(package) or "\0" in package:
                raise InvalidRequirement(f"{package!r} is not a package requirement; write NAME or NAME==VERSION")
        self._install(["--", *packages] if self._uses_pip() else list(packages))

    def install_requirements(self, requirements: Path) -> None:
        """Install what a requirements file on the server's disk lists; errors as ``install_packages``."""
        if not requirements.is_file():
            raise InvalidRequirement(f"requirements file {str(requirements)!r} was not found on the server")
        self._install(["-r", str(requirements)])

    def packages(self) -> list[tuple[str, str]]:
        """Names and versions of what is installed in the environment, sorted by name."""
        if self._location is None or not _python_of(self._location).exists():
            return []
        script = (
            "import importlib.metadata as m, json;"
            "print(json.dumps(sorted({(d.metadata['Name'], d.version) for d in m.distributions()})))"
        )
        done = subprocess.run(
            [str(_python_of(self._location)), "-I", "-c", script],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if done.returncode:
            return []
        return [(str(name), str(version)) for name, version in json.loads(done.stdout)]

    def _install(self, arguments: list[str]) -> None:
        if self._manager is PackageManager.DISABLED:
            raise PackagesDisabled
        if self._location is None:
            raise EngineDisabled
        with self._install_lock:
            self._ensure()
            python = str(_python_of(self._location))
            if self._uses_pip():
                command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *arguments]
            else:
                command = [str(shutil.which("uv")), "pip", "install", "--python", python, *arguments]
            self._run(command)
            self._generation += 1

    def _ensure(self) -> None:
        assert self._location is not None
        if _python_of(self._location).exists():
            return
        logger.info("making the plugin environment in %s", self._location)
        if self._uses_pip():
            self._run([sys.executable, "-m", "venv", str(self._location)])
        else:
            self._run([str(shutil.which("uv")), "venv", "--python", sys.executable, str(self._location)])

    def _uses_pip(self) -> bool:
        if self._manager is PackageManager.PIP:
            return True
        if shutil.which("uv") is not None:
            return False
        if self._manager is PackageManager.UV:
            raise PackageInstallFailed("--package-manager uv: the uv command is not on the server's path")
        return True

    def _run(self, command: list[str]) -> None:
        # The installer must not see the server's environment as its own.
        hidden = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_USER")
        environment = {key: value for key, value in os.environ.items() if key not in hidden}
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
                timeout=_INSTALL_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise PackageInstallFailed(f"the package manager took longer than {_INSTALL_TIMEOUT:.0f} s") from error
        except OSError as error:
            raise PackageInstallFailed(f"the package manager could not be started: {error}") from error
        if done.returncode:
            output = done.stdout.decode(errors="replace").strip()
            raise PackageInstallFailed(f"the package manager failed: {output[-_OUTPUT_TAIL:]}")


def _python_of(location: Path) -> Path:
    return location / "bin" / "python"


def _server_site_packages() -> tuple[str, ...]:
    """Where the server's own packages are, for a worker whose environment has no pyarrow."""
    paths = (sysconfig.get_path("platlib"), sysconfig.get_path("purelib"))
    return tuple(dict.fromkeys(path for path in paths if path))
