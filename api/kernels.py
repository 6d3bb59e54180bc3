"""The compiled kernels: there before anything is served, and without the compiler's memory.

The first start after an installation or an update compiles them, which takes some twenty seconds and leaves the
compiler behind: a few hundred megabytes that nothing needs any more. So that start begins again once the kernels
are in their cache; the process keeps its number, its arguments and its descriptors for input and output.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Final

logger = logging.getLogger(__name__)

_BEGUN_AGAIN: Final = "HEADRACE_KERNELS_COMPILED"
_COMPILING: Final = "numba:compile"


def prepare_kernels() -> None:
    """Load every kernel from its cache. Where some had to be compiled, starts the process again, once."""
    # Set by the process that this one was before; where no cache can be written, that must be enough.
    begun_again = os.environ.pop(_BEGUN_AGAIN, None)
    from numba.core import event

    with event.install_recorder(_COMPILING) as compilations:
        from headrace.storage import warm_up as storage
        from headrace.wal import line_protocol

        line_protocol.warm_up()
        storage.warm_up()
    if compilations.buffer and begun_again is None:
        logger.info("compiled what the server needs, once for this machine; starting")
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, _BEGUN_AGAIN: str(os.getpid())})
