"""Servers and shells for the pages' examples."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.docs.shell import Shell, free_port


@pytest.fixture
def shell(tmp_path) -> Iterator[Shell]:
    """A shell in an empty directory that has ``.venv`` and ``examples`` as a clone does."""
    opened = Shell(tmp_path, free_port())
    try:
        yield opened
    finally:
        opened.close()
