from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processing.engine_lab import EngineLab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[EngineLab]:
    """An engine with a database ``db`` that has one row in table ``seen``."""
    lab = EngineLab(tmp_path)
    lab.write("seen v=0 1")
    yield lab
    lab.close()
