from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from headrace.processing.responses import response_parts


class FlaskLike:
    """What InfluxDB 3 takes for a Flask response."""

    status_code = 418
    headers = {"X-Pot": "tea"}  # noqa: RUF012

    def __flask_response__(self) -> bool:
        return True

    def get_data(self) -> str:
        return "short and stout"


class GenuineFlask:
    """What a ``flask.Response`` looks like from outside."""

    status_code = 201
    headers = {"Content-Type": "text/csv"}  # noqa: RUF012

    def get_data(self) -> bytes:
        return b"a,b\n"


def _generator() -> Iterator[Any]:
    yield "text "
    yield b"bytes"
    yield 7


@pytest.mark.parametrize(
    ("returned", "status", "content_type", "body"),
    [
        ("<b>hi</b>", 200, "text/html", b"<b>hi</b>"),
        ("é", 200, "text/html", "é".encode()),
        ({"a": [1, None]}, 200, "application/json", b'{"a": [1, null]}'),
        ([1, 2], 200, "application/json", b"[1, 2]"),
        (b"\x00\xff", 200, "application/octet-stream", b"\x00\xff"),
        (_generator(), 200, "text/html", b"text bytes"),
        (("text",), 200, "text/html", b"text"),
        (("text", 404), 404, "text/html", b"text"),
        (({"error": "no"}, 400), 400, "application/json", b'{"error": "no"}'),
        (("a,b", {"Content-Type": "text/csv"}), 200, "text/csv", b"a,b"),
        (("a,b", 202, {"content-type": "text/csv"}), 202, "text/csv", b"a,b"),
        ((3.5, 200), 200, "text/plain", b"3.5"),
        ((None, 204), 204, "text/plain", b"None"),
        (("text", 99), 500, "text/html", b"text"),
        (("text", 1_000_000), 500, "text/html", b"text"),
        (GenuineFlask(), 201, "text/csv", b"a,b\n"),
    ],
)
def test_every_form_of_answer(returned: Any, status: int, content_type: str, body: bytes) -> None:
    got_status, headers, got_body = response_parts(returned)
    assert (got_status, {name.lower(): value for name, value in headers.items()}, got_body) == (
        status,
        {"content-type": content_type},
        body,
    )


def test_an_object_that_says_it_is_a_flask_response_is_one() -> None:
    assert response_parts(FlaskLike()) == (418, {"X-Pot": "tea"}, b"short and stout")


def test_headers_are_added_to_the_content_type() -> None:
    status, headers, body = response_parts(({"id": 7}, 201, {"Location": "/things/7", "X-Count": 7}))
    assert status == 201
    assert headers == {"Content-Type": "application/json", "Location": "/things/7", "X-Count": "7"}
    assert json.loads(body) == {"id": 7}


@pytest.mark.parametrize("returned", [None, 42, 3.5, object()])
def test_what_is_no_answer_is_refused_as_at_the_peer(returned: Any) -> None:
    with pytest.raises(TypeError, match="Unsupported return type from Python function"):
        response_parts(returned)


def test_the_third_part_of_a_tuple_is_a_dictionary() -> None:
    with pytest.raises(TypeError, match="expected a dictionary in header item"):
        response_parts(("text", 200, ["X-A: b"]))


@pytest.mark.parametrize(
    "headers", [{"X-A": "b\r\nSet-Cookie: c"}, {"X A": "b"}, {"": "b"}, {"X-A": "日"}, {"A:b": "c"}]
)
def test_a_header_that_would_break_the_response_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="header"):
        response_parts(("text", 200, headers))


def test_what_json_cannot_hold_is_the_plugins_own_error() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        response_parts({"a": object()})
