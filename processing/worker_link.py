"""The worker's side of the socket: thread-safe sending, questions and answers, and cancellation.

A plugin may use ``influxdb3_local`` from several threads. Messages are sent one at a time, and a question holds
the link until its answer is complete, so that answers cannot be mixed up.

The server cancels a run with SIGINT, which raises KeyboardInterrupt in the plugin, though never in the middle of
a message: while the link is in use the exception waits until it is free again. From then on every call of the
plugin API raises it too, so that a plugin which swallowed it still comes to an end.

Imported by workers: standard library only.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from headrace.processing.protocol import Buffer, Channel, Kind, Message

CANCELLED = "influxdb3 is shutting down; aborting plugin execution"


class Cancellation:
    """Turns SIGINT into KeyboardInterrupt, at moments when that does no harm. Made on the main thread."""

    def __init__(self) -> None:
        self.requested = False
        self._listening = False
        self._held = 0
        self._due = False
        self._main = threading.get_ident()
        signal.signal(signal.SIGINT, self._on_signal)

    def check(self) -> None:
        """Raise KeyboardInterrupt if the run was cancelled."""
        if self.requested:
            raise KeyboardInterrupt(CANCELLED)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Plugin code runs in here; outside of it a cancellation is only noted."""
        self.requested = self._due = False
        self._listening = True
        try:
            yield
        finally:
            self._listening = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """No KeyboardInterrupt in here; one that was asked for meanwhile comes at the end."""
        if threading.get_ident() != self._main:
            yield  # signals are only ever delivered to the main thread
            return
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if self._due and not self._held:
            self._due = False
            self.check()

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.requested = True
        if not self._listening:
            return
        if self._held:
            self._due = True
        else:
            self.check()


class Link:
    """Sends and asks over the channel."""

    def __init__(self, channel: Channel, cancellation: Cancellation) -> None:
        self.cancellation = cancellation
        self._channel = channel
        self._sending = threading.RLock()
        self._asking = threading.RLock()

    def send(self, kind: Kind, header: dict[str, Any], payload: Sequence[Buffer] = ()) -> None:
        """Send a message that has no answer."""
        with self.cancellation.held(), self._sending:
            self._channel.send(kind, header, payload)

    def ask(self, kind: Kind, header: dict[str, Any], payload: Sequence[Buffer] = ()) -> Message:
        """Send a question and wait for its REPLY."""
        with self.cancellation.held(), self._asking:
            self.send(kind, header, payload)
            return self._channel.receive()

    def ask_for_many(self, kind: Kind, header: dict[str, Any], each: Callable[[memoryview], None]) -> dict[str, Any]:
        """Send a question and hand every RESULT's payload to ``each``; the RESULT_END's header is returned."""
        with self.cancellation.held(), self._asking:
            self.send(kind, header)
            while (message := self._channel.receive()).kind is Kind.RESULT:
                each(message.payload)
            return message.header

    def receive(self) -> Message:
        """Wait for what the server wants next; only between runs."""
        return self._channel.receive()
