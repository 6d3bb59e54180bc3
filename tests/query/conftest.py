from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from headrace.query.engine import QueryEngine
from headrace.query.settings import QuerySettings

from tests.query.snapshot_lab import SnapshotLab


@pytest.fixture
def lab(tmp_path: Path) -> SnapshotLab:
    return SnapshotLab(tmp_path)


@pytest.fixture
def engine(lab: SnapshotLab) -> Iterator[QueryEngine]:
    engine = QueryEngine(lab, QuerySettings(memory_pool_bytes=256 << 20))
    yield engine
    engine.close()
