from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from headrace.api.auth import Authenticator, token_from_headers
from headrace.api.errors import EndpointDisabled, MalformedAuthorization, Unauthenticated
from headrace.storage import admin
from headrace.storage.catalog import Catalog
from headrace.storage.ingest import Ingest
from headrace.wal.writer import Wal


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    with Wal.open(tmp_path, on_commit=lambda frames: None) as wal:
        yield Ingest(Catalog(), wal)


def scope(path: str = "/api/v3/query_sql", *, header: str | None = None, query: str = "") -> dict[str, Any]:
    headers = [(b"host", b"x")] if header is None else [(b"host", b"x"), (b"authorization", header.encode("latin-1"))]
    return {"path": path, "headers": headers, "query_string": query.encode()}


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("scheme", ["Bearer {}", "Token {}"])
def test_a_token_comes_by_header(ingest: Ingest, scheme: str) -> None:
    info, token = admin.create_token(ingest)
    check = Authenticator(ingest.catalog, required=True)
    assert check.check(scope(header=scheme.format(token))) == info


def test_a_token_comes_as_a_password(ingest: Ingest) -> None:
    info, token = admin.create_token(ingest)
    check = Authenticator(ingest.catalog, required=True)
    assert check.check(scope(header=basic(f"anybody:{token}"))) == info


def test_a_token_comes_as_a_parameter_on_the_v1_paths_only(ingest: Ingest) -> None:
    info, token = admin.create_token(ingest)
    check = Authenticator(ingest.catalog, required=True)
    assert check.check(scope("/write", query=f"db=x&u=me&p={token}")) == info
    assert check.check(scope("/query", query=f"p={token}")) == info
    with pytest.raises(Unauthenticated):
        check.check(scope("/api/v3/query_sql", query=f"p={token}"))
    with pytest.raises(Unauthenticated):
        check.check(scope("/write", query="p=wrong", header=f"Bearer {token}"))


@pytest.mark.parametrize("header", [None, "Bearer apiv3_wrong", "Token x"])
def test_no_token_or_an_unknown_one_is_refused(ingest: Ingest, header: str | None) -> None:
    admin.create_token(ingest)
    with pytest.raises(Unauthenticated, match="the request was not authenticated"):
        Authenticator(ingest.catalog, required=True).check(scope(header=header))


def test_before_any_token_exists_nobody_comes_in(ingest: Ingest) -> None:
    with pytest.raises(Unauthenticated):
        Authenticator(ingest.catalog, required=True).check(scope(header="Bearer x"))


def test_an_expired_token_is_refused(ingest: Ingest) -> None:
    _, token = admin.create_token(ingest, "short", expires_ns=1)
    with pytest.raises(Unauthenticated):
        Authenticator(ingest.catalog, required=True).check(scope(header=f"Bearer {token}"))


def test_a_deleted_or_regenerated_token_is_refused(ingest: Ingest) -> None:
    check = Authenticator(ingest.catalog, required=True)
    _, old = admin.create_token(ingest)
    _, named = admin.create_token(ingest, "named")
    _, new = admin.regenerate_token(ingest)
    admin.delete_token(ingest, "named")
    for token in (old, named):
        with pytest.raises(Unauthenticated):
            check.check(scope(header=f"Bearer {token}"))
    assert check.check(scope(header=f"Bearer {new}")) is not None


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "bearer token",
        "Bearer two tokens",
        "Digest token",
        "apiv3_token",
        "Basic !!!",
        basic("no colon"),
        basic("two:colons:here"),
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
    ],
)
def test_a_header_that_is_no_scheme_and_token_is_malformed(header: str) -> None:
    with pytest.raises(MalformedAuthorization, match="supported auth-schemes are Bearer, Token and Basic"):
        token_from_headers(scope(header=header)["headers"])


def test_open_paths_need_no_token(ingest: Ingest) -> None:
    check = Authenticator(ingest.catalog, required=True, open_paths=["/health"])
    assert check.check(scope("/health")) is None
    assert check.check(scope("/api/v3/configure/token/admin")) is None
    for path in ("/ping", "/health/", "/healthy", "/api/v3/configure/token/admin/regenerate"):
        with pytest.raises(Unauthenticated):
            check.check(scope(path))


def test_without_auth_everything_is_open_but_the_endpoints_for_tokens(ingest: Ingest) -> None:
    check = Authenticator(ingest.catalog, required=False)
    assert check.check(scope(header="nonsense")) is None
    with pytest.raises(EndpointDisabled, match="endpoint disabled, started without auth"):
        check.check(scope("/api/v3/configure/token/admin"))
