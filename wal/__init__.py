"""Line protocol in, durable frames out.

In comes the body of a write request: bytes of line protocol. Compiled kernels parse it straight
into Arrow columns, one record batch a table; the write-ahead log makes them durable in one framed,
checksummed, group-committed file sequence. Out go frames, each with its sequence number, to whoever
applies them (the buffer) or reads them again later (replay, triggers).

The invariant that lives here: when a commit's future resolves, its frame is on disk, and replay
gives back exactly the committed frames, once each, in sequence order.
"""
