"""``--admin-token-recovery-http-bind``: a second address that regenerates the operator token, once, for anybody.

For whoever has lost the token. It knows one request, and closes after it has succeeded.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from headrace.api.errors import NotFound, Rendered, render
from headrace.api.models import TokenBody
from headrace.api.routes_tokens import REGENERATE_PATH
from headrace.api.services import Services, run_in
from headrace.storage import admin
from headrace.wal.errors import HeadraceError

logger = logging.getLogger(__name__)


class TokenRecovery:
    """The ASGI application behind that address; ``done`` is called when it has served its purpose."""

    def __init__(self, services: Services, done: Callable[[], None]) -> None:
        self._ingest = services.store.ingest
        self._pool = services.pools.plugins
        self._done = done

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        try:
            if (scope["method"], scope["path"]) != ("POST", REGENERATE_PATH):
                raise NotFound
            info, token = await run_in(self._pool, lambda: admin.regenerate_token(self._ingest))
        except HeadraceError as error:
            answer = render(error)
        else:
            body = TokenBody.of(info, token).model_dump_json().encode()
            headers = ((b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)))
            answer = Rendered(201, headers, body)
            logger.warning("the operator token was regenerated through the recovery address, which closes now")
            self._done()
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})
