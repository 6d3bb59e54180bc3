from __future__ import annotations

import orjson
import pytest
from headrace.api.errors import EmptyWrite, LinesRefused, NotFound, TooBusy, Unauthenticated, render, render_v2
from headrace.storage.errors import AlreadyExists, LimitExceeded
from headrace.wal.errors import WalFull
from headrace.wal.line_protocol import LineError

BAD = LineError(2, "cpu usage=", "no value")


def test_a_partial_write_lists_every_line() -> None:
    answer = render(LinesRefused((BAD,), 1, partial=True))
    assert answer.status == 400
    assert orjson.loads(answer.body) == {
        "error": "partial write of line protocol occurred",
        "data": [{"error_message": "no value", "line_number": 2, "original_line": "cpu usage="}],
    }


def test_errors_beyond_those_kept_are_counted() -> None:
    data = orjson.loads(render(LinesRefused((BAD,), 5, partial=True)).body)["data"]
    assert data[1] == {"error_message": "and 4 more", "line_number": 0, "original_line": ""}


def test_a_write_refused_as_a_whole_names_its_first_bad_line() -> None:
    body = orjson.loads(render(LinesRefused((BAD, BAD), 2, partial=False)).body)
    assert body["error"] == "parsing failed for write_lp endpoint"
    assert body["data"]["line_number"] == 2


@pytest.mark.parametrize(
    "message",
    [
        "Update to schema would exceed number of columns per table limit of 5 columns",
        "Adding a new database would exceed limit of 5 databases",
    ],
)
def test_a_limit_of_the_catalog_has_a_status_of_its_own(message: str) -> None:
    assert render(LinesRefused((LineError(1, "x", message),), 1, partial=True)).status == 422


def test_the_v2_endpoint_answers_a_code_and_a_message() -> None:
    answer = render_v2(LinesRefused((BAD,), 1, partial=False))
    assert (answer.status, orjson.loads(answer.body)["code"]) == (400, "invalid")
    assert "line 2: no value" in orjson.loads(answer.body)["message"]
    assert orjson.loads(render_v2(WalFull("behind")).body) == {"code": "unavailable", "message": "behind"}
    assert orjson.loads(render_v2(EmptyWrite()).body)["message"] == "write buffer error: incoming write was empty"


def test_a_missing_token_is_answered_alike_everywhere() -> None:
    for answer in (render(Unauthenticated()), render_v2(Unauthenticated())):
        assert (answer.status, answer.body) == (401, b'{"error":"the request was not authenticated"}')


def test_errors_are_text_or_json_as_the_clients_know_them() -> None:
    assert render(NotFound()).body == b"Not found"
    assert render(AlreadyExists("it exists")).body == b"it exists"
    assert render(LimitExceeded("too many")).body == b'{"error":"too many"}'
    assert render(AlreadyExists("it exists"), as_json=True).body == b'{"error":"it exists"}'


@pytest.mark.parametrize("error", [WalFull("behind"), TooBusy("full")])
def test_what_may_be_tried_again_says_when(error: WalFull | TooBusy) -> None:
    assert (b"retry-after", b"1") in render(error).headers
