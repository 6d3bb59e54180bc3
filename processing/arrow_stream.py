"""Record batches as one Arrow IPC stream, for the way to a worker."""

from __future__ import annotations

import pyarrow as pa


def arrow_stream(schema: pa.Schema, *batches: pa.RecordBatch) -> pa.Buffer:
    """The bytes of a stream with the schema and the batches; its length is a multiple of eight."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue()
