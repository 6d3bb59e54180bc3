"""Admin tokens: make, regenerate, delete. A token is shown in the answer that makes it, and never again."""

from __future__ import annotations

import time
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from headrace.api.auth import ADMIN_TOKEN_PATH
from headrace.api.models import CreateNamedTokenBody, TokenBody
from headrace.api.quantities import NANOSECONDS
from headrace.api.services import Services
from headrace.storage import admin

_TOKEN: Final = "/api/v3/configure/token"
REGENERATE_PATH: Final = f"{ADMIN_TOKEN_PATH}/regenerate"


def token_routes(services: Services) -> APIRouter:
    """Routes for tokens; with ``--without-auth`` none of them is reached."""
    router = APIRouter(tags=["tokens"])
    ingest = services.store.ingest

    @router.post(
        ADMIN_TOKEN_PATH,
        status_code=201,
        response_model=TokenBody,
        summary="Make the first admin token",
        description="Needs no token, and works once: while there is an operator token it answers 409.",
        openapi_extra={"security": []},
    )
    def create_admin_token() -> TokenBody:
        info, token = admin.create_token(ingest)
        return TokenBody.of(info, token)

    @router.post(REGENERATE_PATH, status_code=201, response_model=TokenBody, summary="Replace the operator token")
    def regenerate_admin_token() -> TokenBody:
        info, token = admin.regenerate_token(ingest)
        return TokenBody.of(info, token)

    @router.post(f"{_TOKEN}/named_admin", status_code=201, response_model=TokenBody, summary="Make another admin token")
    def create_named_admin_token(body: CreateNamedTokenBody) -> TokenBody:
        expires_ns = None if body.expiry_secs is None else time.time_ns() + body.expiry_secs * NANOSECONDS
        info, token = admin.create_token(ingest, body.token_name, expires_ns=expires_ns)
        return TokenBody.of(info, token)

    @router.delete(_TOKEN, response_class=Response, summary="Delete a token")
    def delete_token(token_name: Annotated[str, Query(description="Name of the token.")]) -> Response:
        admin.delete_token(ingest, token_name)
        return Response()

    return router
