"""How the kernels of storage are compiled: without the interpreter's lock, and kept on disk for the next start."""

from __future__ import annotations

from typing import Any

import numba


def kernel(function: Any) -> Any:
    """Compile ``function`` when it is first called; ``storage.warm_up`` calls them all."""
    return numba.njit(nogil=True, cache=True)(function)
