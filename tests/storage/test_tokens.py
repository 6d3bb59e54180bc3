from __future__ import annotations

import hashlib
import re

from headrace.storage.tokens import new_token, token_hash


def test_a_token_looks_as_influxdb_3_makes_them() -> None:
    assert re.fullmatch(r"apiv3_[A-Za-z0-9_-]{86}", new_token().text)


def test_no_two_tokens_are_alike() -> None:
    assert len({new_token().text for _ in range(100)}) == 100


def test_the_hash_is_the_hex_sha_512_of_the_whole_token() -> None:
    token = new_token()
    assert token.hash == hashlib.sha512(token.text.encode()).hexdigest() == token_hash(token.text.encode())


def test_a_new_token_does_not_show_itself_in_logs() -> None:
    token = new_token()
    assert token.text not in repr(token)
