"""Where a worker process begins: run as a script, by path, on any interpreter.

The plugin environment has no headrace installed and shall not see the server's copy as a package of its own.
So this file makes the two packages that the worker's modules are imported from, with nothing in them but this
directory, and hands over.

Arguments: the socket's file descriptor, the server's process id, then directories to append to the module path.
"""

from __future__ import annotations

import os
import sys
import types


def _stand_alone() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    for name, path in (("headrace", []), ("headrace.processing", [here])):
        package = types.ModuleType(name)
        package.__path__ = path
        sys.modules[name] = package


if __name__ == "__main__":
    _stand_alone()
    sys.path.extend(sys.argv[3:])
    from headrace.processing.worker_main import main

    main(int(sys.argv[1]), int(sys.argv[2]))
