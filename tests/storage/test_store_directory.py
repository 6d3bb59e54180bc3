from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from headrace.storage.errors import StoreLocked
from headrace.storage.store_directory import StoreDirectory, remove_abandoned
from headrace.storage.store_settings import ObjectStoreKind, StoreSettings

MEMORY = StoreSettings(object_store=ObjectStoreKind.MEMORY)


def test_a_directory_is_one_stores_at_a_time(tmp_path: Path) -> None:
    settings = StoreSettings(data_dir=tmp_path)
    first = StoreDirectory(settings)
    with pytest.raises(StoreLocked, match="in use"):
        StoreDirectory(settings)
    other = StoreDirectory(StoreSettings(data_dir=tmp_path, node_id="other"))
    first.close()
    StoreDirectory(settings).close()
    other.close()


def test_a_directory_in_memory_goes_with_the_store() -> None:
    directory = StoreDirectory(MEMORY)
    remove_abandoned()
    assert directory.node.is_dir(), "it is in use"
    directory.close()
    assert not directory.root.exists()


@pytest.mark.parametrize("end", ["sys.exit()", "os.kill(os.getpid(), 9)"])
def test_a_directory_in_memory_goes_with_the_process_or_with_the_next_one(end: str) -> None:
    program = f"""
import os, sys
from headrace.storage.store_directory import StoreDirectory
from headrace.storage.store_settings import ObjectStoreKind, StoreSettings
directory = StoreDirectory(StoreSettings(object_store=ObjectStoreKind.MEMORY))
print(directory.root, flush=True)
{end}
"""
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, timeout=60)
    remove_abandoned()
    assert not Path(done.stdout.strip()).exists()
