"""``write``: where the lines come from, how they are cut and sent, what is reported."""

import re

import pytest

LINE = "cpu,host=a usage=0.5 1"


def test_a_line_from_the_command_line_is_sent_as_it_is(ask, server):
    outcome = ask("write", "--database", "home", LINE)
    assert outcome.code == 0
    assert (server.only.method, server.only.path) == ("POST", "/api/v3/write_lp")
    assert server.only.query == {"db": "home"}
    assert server.only.text == LINE
    assert outcome.out == ""
    assert re.fullmatch(
        r"  \d+ms: 1 request \([\d.]+ requests/sec\), 1 lines \(\d+ lines/s\), 22 B \([\d.]+ \w+/s\)\n", outcome.err
    )


def test_lines_come_from_a_file_or_from_standard_input(ask, server, tmp_path):
    path = tmp_path / "data.lp"
    path.write_text(LINE)
    assert ask("write", "-d", "home", "--file", str(path)).code == 0
    assert ask("w", "-d", "home", stdin=LINE).code == 0
    assert [request.text for request in server.requests] == [LINE, LINE]


def test_the_database_may_come_from_the_environment(ask, server, monkeypatch):
    monkeypatch.setenv("INFLUXDB3_DATABASE_NAME", "home")
    monkeypatch.setenv("INFLUXDB3_AUTH_TOKEN", "apiv3_x")
    ask("write", LINE)
    assert server.only.query["db"] == "home"
    assert server.only.headers["authorization"] == "Bearer apiv3_x"


def test_host_and_write_host_may_come_from_the_environment(run, server, monkeypatch):
    monkeypatch.setenv("INFLUXDB3_HOST_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("INFLUXDB3_WRITE_HOST_URL", server.url)
    assert run("write", "-d", "home", LINE).code == 0


@pytest.mark.parametrize(
    ("words", "parameter"),
    [
        (["--precision", "s"], {"precision": "second"}),
        (["-p", "ms"], {"precision": "millisecond"}),
        (["-p", "us"], {"precision": "microsecond"}),
        (["-p", "ns"], {"precision": "nanosecond"}),
        (["-p", "auto"], {"precision": "auto"}),
        (["--accept-partial"], {"accept_partial": "true"}),
        (["--no-accept-partial"], {"accept_partial": "false"}),
        (["--no-sync"], {"no_sync": "true"}),
    ],
)
def test_options_become_parameters(ask, server, words, parameter):
    ask("write", "-d", "home", *words, LINE)
    assert server.only.query == {"db": "home", **parameter}


def test_an_unknown_precision_is_refused_here(run):
    outcome = run("write", "-d", "home", "--precision", "fake", LINE)
    assert outcome.code == 2
    assert "invalid value 'fake' for '--precision <PRECISION>'" in outcome.err


def test_gzip_compresses_the_body(ask, server):
    ask("write", "-d", "home", "--gzip", stdin=f"{LINE}\n" * 100)
    assert server.only.headers["content-encoding"] == "gzip"
    assert len(server.only.body) < 100
    assert server.only.text == f"{LINE}\n" * 100


@pytest.mark.parametrize("width", ["1", "4"])
def test_large_input_is_sent_in_several_requests(ask, server, width):
    lines = [f'log,n={number} text="line\nbreak" {number}\n' for number in range(500)]
    outcome = ask(
        *("write", "-d", "home", "--max-request-size", "1000", "--max-concurrent-requests", width),
        stdin="".join(lines),
    )
    assert outcome.code == 0
    bodies = [request.text for request in server.requests]
    assert len(bodies) > 10
    assert all(len(body) <= 1000 and body.endswith("\n") and body.startswith("log,n=") for body in bodies)
    if width == "1":
        assert "".join(bodies) == "".join(lines)
    assert sorted(re.split(r"(?<=\d)\n", "".join(bodies))) == sorted(re.split(r"(?<=\d)\n", "".join(lines)))
    assert f"{len(bodies)} requests" in outcome.err


@pytest.mark.parametrize("width", ["1", "3"])
def test_the_first_refusal_ends_the_write(ask, server, width):
    server.answers.append((400, '{"error": "partial write of line protocol occurred", "data": []}'))
    outcome = ask(
        *("write", "-d", "home", "--max-request-size", "100", "--max-concurrent-requests", width),
        stdin=f"{LINE}\n" * 1000,
    )
    assert outcome.code == 1
    assert outcome.err.startswith(
        "Write command failed: server responded with error [400 Bad Request]: partial write of line protocol occurred"
    )
    assert len(server.requests) <= 2 * int(width)


def test_quiet_prints_nothing(ask):
    outcome = ask("write", "-d", "home", "--quiet", LINE)
    assert (outcome.out, outcome.err) == ("", "")


def test_no_data_is_said(ask, server):
    assert ask("write", "-d", "home", stdin="").err == "  no data written\n"
    assert server.requests == []


def test_a_file_that_is_not_there_is_named(ask, server, tmp_path):
    outcome = ask("write", "-d", "home", "--file", str(tmp_path / "none.lp"))
    assert outcome.code == 1
    assert outcome.err == f"Write command failed: error reading file: {tmp_path}/none.lp: No such file or directory\n"


def test_a_second_argument_is_refused(run):
    outcome = run("write", "-d", "home", "cpu,host=a", "usage=0.5")
    assert outcome.code == 2
    assert "unexpected argument 'usage=0.5' found" in outcome.err


@pytest.mark.parametrize(("size", "wrong"), [("0", "at least 1"), ("-1", "a whole number"), ("ten", "a whole number")])
def test_a_request_size_is_a_number_of_at_least_one(run, size, wrong):
    outcome = run("write", "-d", "home", f"--max-request-size={size}", LINE)
    assert outcome.code == 2
    assert f"value must be {wrong}" in outcome.err
