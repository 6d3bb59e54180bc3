"""``query``: where the statement comes from, what is sent, and where the answer goes."""

import pytest


def test_a_query_is_sent_as_json_and_its_answer_printed(ask, server):
    server.answers.append((200, "+---+\n| a |\n+---+"))
    outcome = ask("query", "--database", "home", "SELECT 1")
    assert (server.only.method, server.only.path) == ("POST", "/api/v3/query_sql")
    assert server.only.headers["content-type"] == "application/json"
    assert server.only.json == {"db": "home", "q": "SELECT 1", "format": "pretty"}
    assert (outcome.code, outcome.out, outcome.err) == (0, "+---+\n| a |\n+---+\n", "")


def test_no_second_newline_is_added(ask, server):
    server.answers.append((200, '{"a":1}\n{"a":2}\n'))
    assert ask("q", "-d", "home", "--format", "jsonl", "SELECT 1").out == '{"a":1}\n{"a":2}\n'


def test_the_statement_comes_from_a_file_or_from_standard_input(ask, server, tmp_path):
    path = tmp_path / "query.sql"
    path.write_text("SELECT 1")
    ask("query", "-d", "home", "--file", str(path))
    ask("query", "-d", "home", stdin="SELECT 1")
    assert [request.json["q"] for request in server.requests] == ["SELECT 1", "SELECT 1"]


@pytest.mark.parametrize("name", ["pretty", "json", "jsonl", "csv", "parquet"])
def test_every_format_is_asked_for_by_its_name(ask, server, name):
    ask("query", "-d", "home", "--format", name, "SELECT 1")
    assert server.only.json["format"] == name


def test_binary_answers_pass_as_they_are(ask, server, tmp_path):
    server.answers.append((200, "PAR1\r\n\x00PAR1"))
    target = tmp_path / "out.parquet"
    outcome = ask("query", "-d", "home", "--format", "parquet", "--output", str(target), "SELECT 1")
    assert outcome.out == ""
    assert target.read_bytes() == b"PAR1\r\n\x00PAR1"
    server.answers.append((200, "PAR1"))
    assert ask("query", "-d", "home", "--format", "parquet", "SELECT 1").out == "PAR1"


def test_parquet_is_not_poured_into_a_terminal(ask, server, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    outcome = ask("query", "-d", "home", "--format", "parquet", "SELECT 1")
    assert outcome.code == 1
    assert "cannot write parquet to a terminal, use `--output <file>` or pipe the output" in outcome.err
    assert server.requests == []


def test_parameters_have_the_types_they_look_like(ask, server):
    ask(
        *("query", "-d", "home", "--param", "room=Living Room", "--param", "limit=5", "--param", "above=20.5"),
        *("--param", "on=true", "--param", "none=null", "--param", '$text="5"', "--param", "list=[1]"),
        *("--params", '{"room": "Kitchen", "extra": 1}', "SELECT 1"),
    )
    assert server.only.json["params"] == {
        "room": "Living Room",
        "limit": 5,
        "above": 20.5,
        "on": True,
        "none": None,
        "text": "5",
        "list": "[1]",
        "extra": 1,
    }


@pytest.mark.parametrize("words", [["--param", "room"], ["--params", "[1]"], ["--params", "{"]])
def test_parameters_that_cannot_be_read_are_refused(run, words):
    outcome = run("query", "-d", "home", *words, "SELECT 1")
    assert outcome.code == 2
    assert f"invalid value '{words[1]}' for '{words[0]}" in outcome.err


def test_only_sql_is_spoken(run):
    outcome = run("query", "-d", "home", "--language", "influxql", "SELECT 1")
    assert outcome.code == 2
    assert "[possible values: sql]" in outcome.err


def test_an_error_of_the_server_is_printed_and_nothing_else(ask, server, tmp_path):
    server.answers.append((400, "column 'tmep' not found; did you mean 'temp'?"))
    outcome = ask("query", "-d", "home", "SELECT tmep FROM home")
    assert outcome.code == 1
    assert outcome.out == ""
    assert outcome.err == (
        "Query command failed: server responded with error [400 Bad Request]: "
        "column 'tmep' not found; did you mean 'temp'?\n"
    )


def test_an_output_file_that_cannot_be_written_is_named(ask, server, tmp_path):
    outcome = ask("query", "-d", "home", "--output", str(tmp_path / "no" / "out.txt"), "SELECT 1")
    assert outcome.code == 1
    assert "no/out.txt: No such file or directory" in outcome.err
