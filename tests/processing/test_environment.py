"""Packages land in the plugins' own environment and never in the server's."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from headrace.processing.environment import PackageManager, PluginEnvironment
from headrace.processing.errors import EngineDisabled, InvalidRequirement, PackageInstallFailed, PackagesDisabled


def make_wheel(directory: Path, name: str, version: str = "1.0") -> Path:
    """A wheel made by hand, so that installing it needs no index."""
    path = directory / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


def test_without_packages_workers_run_on_the_servers_interpreter(tmp_path: Path) -> None:
    environment = PluginEnvironment(tmp_path, None, PackageManager.DISCOVER)
    assert environment.interpreter().executable == Path(sys.executable)
    assert environment.packages() == []
    assert list(tmp_path.iterdir()) == []


def test_an_installed_package_is_in_the_plugin_environment_only_and_pyarrow_still_works(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    wheel = make_wheel(tmp_path, "headrace_example_package")
    environment = PluginEnvironment(plugins, None, PackageManager.PIP)
    before = environment.interpreter().generation

    environment.install_packages([f"headrace_example_package @ {wheel.as_uri()}"])

    interpreter = environment.interpreter()
    assert interpreter.generation == before + 1
    assert interpreter.executable == plugins / ".venv" / "bin" / "python"
    assert ("headrace_example_package", "1.0") in environment.packages()
    script = (
        f"import sys; sys.path += {list(interpreter.fallback_paths)!r}\n"
        "import headrace_example_package, pyarrow; print(headrace_example_package.VERSION)"
    )
    assert subprocess.check_output([str(interpreter.executable), "-I", "-c", script], text=True).strip() == "1.0"
    with pytest.raises(ImportError):
        __import__("headrace_example_package")

    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"other_example_package @ {make_wheel(tmp_path, 'other_example_package').as_uri()}\n")
    environment.install_requirements(requirements)
    assert "other_example_package" in dict(environment.packages())

    with pytest.raises(PackageInstallFailed, match="no_such_wheel"):
        environment.install_packages([f"no_such_wheel @ {(tmp_path / 'no_such_wheel-1-py3-none-any.whl').as_uri()}"])


def test_the_servers_environment_is_never_the_plugins(tmp_path: Path) -> None:
    environment = PluginEnvironment(tmp_path, Path(sys.prefix), PackageManager.DISCOVER)
    assert environment.location == tmp_path / ".venv"


def test_a_disabled_manager_installs_nothing(tmp_path: Path) -> None:
    environment = PluginEnvironment(tmp_path, None, PackageManager.DISABLED)
    with pytest.raises(PackagesDisabled):
        environment.install_packages(["six"])
    with pytest.raises(EngineDisabled):
        PluginEnvironment(None, None, PackageManager.PIP).install_packages(["six"])


@pytest.mark.parametrize("package", ["--target=/tmp", "-e .", "", " ", "../evil", "/tmp/x.whl", "a b\0"])
def test_what_is_not_a_requirement_never_reaches_the_installer(tmp_path: Path, package: str) -> None:
    with pytest.raises(InvalidRequirement, match="not a package requirement"):
        PluginEnvironment(tmp_path, None, PackageManager.PIP).install_packages([package])
    assert list(tmp_path.iterdir()) == []


def test_a_missing_requirements_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequirement, match=r"missing\.txt"):
        PluginEnvironment(tmp_path, None, PackageManager.PIP).install_requirements(tmp_path / "missing.txt")


def test_bad_requirements_are_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequirement, match="no package was named") as refusal:
        PluginEnvironment(tmp_path, None, PackageManager.PIP).install_packages([])
    assert refusal.value.status == 400
