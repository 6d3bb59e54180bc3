"""After the warm-up no write, snapshot or persist compiles anything."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import tempfile, threading
from pathlib import Path
import numpy as np
import pyarrow as pa
from headrace.storage import merge, row_keys, series, sort, tag_codes
from headrace.storage.store import Store
from headrace.storage.store_settings import StoreSettings
from headrace.storage.table_buffer import TableBuffer
from headrace.storage.warm_up import warm_up
from headrace.wal.schema import TAG_TYPE, TIME_TYPE

kernels = [
    kernel for module in (merge, row_keys, series, sort, tag_codes) for kernel in vars(module).values()
    if hasattr(kernel, "signatures")
]
assert len(kernels) >= 9
warm_up()
assert all(len(kernel.signatures) == 1 for kernel in kernels), [k for k in kernels if len(k.signatures) != 1]
with Store.open(StoreSettings(data_dir=Path(tempfile.mkdtemp()), gen1_ns=10)) as store:
    for lines in (b"t,a=x f=1 1", b"t,a=x,b=y g=1i 1", b"t f=2 5", b"t,a=x g=2i 1", b"u f=1 3", b"t,a=ab f=9 3"):
        store.write("db", lines)
        store.snapshot("db").tables["t"].memory
    codes = pa.py_buffer(np.array([0, 0], np.int32))
    writable = pa.DictionaryArray.from_arrays(pa.Array.from_buffers(pa.int32(), 2, [None, codes]), pa.array(["v"]))
    buffer = TableBuffer(0, threading.RLock(), lambda _: None)
    buffer.append(pa.record_batch({"a": writable, "time": pa.array([1, 1]).cast(TIME_TYPE)}), 1)
    buffer.absorb()
    store.persist()
assert all(len(kernel.signatures) == 1 for kernel in kernels), [k for k in kernels if len(k.signatures) != 1]
"""


def test_after_the_warm_up_nothing_is_compiled() -> None:
    subprocess.run([sys.executable, "-c", _PROGRAM], check=True, timeout=120)
