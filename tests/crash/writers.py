"""Clients that write numbered rows to a server from several threads, and book what was acknowledged."""

from __future__ import annotations

import random
import threading
from types import TracebackType

import httpx

from tests.crash.ledger import Ledger
from tests.crash.numbered_rows import DATABASE, lines
from tests.harness import ServerProcess

SIZES = (1, 1, 1, 2, 10, 100, 1000, 4000)


class Writers:
    """``with Writers(...)``: threads write until the block ends or the server is gone.

    A 2xx acknowledges a write. Anything else leaves it open: a refusal may have come after the frame was
    written, and a broken connection says nothing at all.
    """

    def __init__(self, server: ServerProcess, ledger: Ledger, chance: random.Random, *, threads: int = 4) -> None:
        self._server = server
        self._ledger = ledger
        self._stop = threading.Event()
        self.first_ack = threading.Event()
        self.refused: list[str] = []
        """Answers other than 2xx."""
        seeds = [chance.randrange(2**32) for _ in range(threads)]
        self._threads = [threading.Thread(target=self._write, args=(random.Random(seed),)) for seed in seeds]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, chance: random.Random) -> None:
        headers = {"Authorization": f"Bearer {self._server.token}"} if self._server.token else {}
        with httpx.Client(base_url=self._server.url, headers=headers, timeout=60.0, trust_env=False) as client:
            while not self._stop.is_set():
                write = self._ledger.begin(chance.choice(SIZES), hasty=chance.random() < 0.2)
                column = f"extra{chance.randrange(200)}" if chance.random() < 0.1 else None
                parameters = {"db": DATABASE, "precision": "nanosecond"}
                if write.hasty:
                    parameters["no_sync"] = "true"
                body = lines(write.numbers, column)
                try:
                    response = client.post("/api/v3/write_lp", params=parameters, content=body)
                except httpx.HTTPError:
                    return
                if response.is_success:
                    self._ledger.ack(write)
                    self.first_ack.set()
                else:
                    self.refused.append(f"{response.status_code} {response.text}")
