"""How the server's process allocates memory: from one heap that keeps what it has.

Every write brings a few megabytes of columns that live until they are persisted. Arrow's default pool (mimalloc)
takes 5 ms of every third allocation of that kind, and glibc maps anything above 128 KiB anew, page by page. With
glibc's heap for Arrow as well, and neither mapping nor trimming at every turn, requests of 5,000 lines of 344 bytes
go in at 1.34 instead of 1.08 million lines/s (4 clients, 2 cores). What is free is given back after a persist, by
:mod:`headrace.storage.free_memory`.
"""

from __future__ import annotations

import ctypes
from typing import Final

import pyarrow as pa

# malloc.h; glibc takes no larger threshold than half of a thread's heap.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_LARGEST_MMAP_THRESHOLD: Final = 32 << 20
_TRIM_THRESHOLD: Final = 1 << 30


def keep_memory() -> None:
    """Set this process up like that; call it before anything large is allocated. Without glibc it does less."""
    pa.set_memory_pool(pa.system_memory_pool())
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)
