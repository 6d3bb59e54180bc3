"""What every end-to-end test can ask for: a server that is shared, and a database of its own in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.harness import ServerProcess

_names = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server without auth that all tests of one worker share. Who stops it or needs other settings starts its own."""
    directory = tmp_path_factory.mktemp("server")
    with ServerProcess(directory, "--plugin-dir", str(directory / "plugins")) as process:
        yield process


@pytest.fixture
def database() -> str:
    """The name of a database that nobody else uses."""
    return f"db{next(_names)}"
