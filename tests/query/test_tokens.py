from __future__ import annotations

import pytest
from headrace.query.tokens import TokenKind, tokenize
from hypothesis import given
from hypothesis import strategies as st


def _texts(statement: str) -> list[str]:
    return [token.text for token in tokenize(statement)]


def test_words_strings_names_and_placeholders_are_told_apart() -> None:
    kinds = [token.kind for token in tokenize("""SELECT "a b", 'x', $p FROM t WHERE n >= 1.5""")]
    assert kinds == [
        TokenKind.WORD,
        TokenKind.QUOTED_NAME,
        TokenKind.SYMBOL,
        TokenKind.STRING,
        TokenKind.SYMBOL,
        TokenKind.PLACEHOLDER,
        TokenKind.WORD,
        TokenKind.WORD,
        TokenKind.WORD,
        TokenKind.WORD,
        TokenKind.SYMBOL,
        TokenKind.NUMBER,
    ]


@pytest.mark.parametrize(
    ("statement", "texts"),
    [
        ("'it''s'", ["'it''s'"]),
        ('"a""b" c', ['"a""b"', "c"]),
        ("`a``b` c", ["`a``b`", "c"]),
        ("a -- b ' \n c", ["a", "c"]),
        ("a /* b /* c */ ' */ d", ["a", "d"]),
        ("a /* never closed", ["a"]),
        ("$$ it's $x $$ b", ["$$ it's $x $$", "b"]),
        ("$tag$ $$ ' $tag$ b", ["$tag$ $$ ' $tag$", "b"]),
        (r"E'a\'b' c", [r"E'a\'b'", "c"]),
        (r"'a\' b", [r"'a\'", "b"]),
        ("N'x' X'ff' U&'d' y", ["N'x'", "X'ff'", "U&'d'", "y"]),
        ("a 'never closed", ["a", "'never closed"]),
        ("a::int<=b||c", ["a", "::", "int", "<=", "b", "||", "c"]),
        ("größe", ["größe"]),
    ],
)
def test_strings_names_and_comments_end_where_they_end(statement: str, texts: list[str]) -> None:
    assert _texts(statement) == texts


@given(st.text(alphabet="ab1 '\"`$-/*\\\nE;(", max_size=40))
def test_any_text_is_cut_without_overlap(statement: str) -> None:
    at = 0
    for token in tokenize(statement):
        assert token.start >= at
        assert statement[token.start : token.end] == token.text
        at = token.end
