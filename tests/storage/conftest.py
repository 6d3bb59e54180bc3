from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.ingest_lab import IngestLab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[IngestLab]:
    """An empty catalog with a log."""
    lab = IngestLab(tmp_path / "wal")
    yield lab
    lab.close()
