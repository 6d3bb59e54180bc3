"""``create token``: what is sent, what is printed once, and what is saved."""

import json
import stat
import time

ADMIN = "/api/v3/configure/token/admin"
ANSWER = json.dumps({"id": 0, "name": "_admin", "token": "apiv3_abc", "hash": "00", "created_at": "", "expiry": None})


def test_the_operator_token_is_printed_once(ask, server):
    server.answers.append((201, ANSWER))
    outcome = ask("create", "token", "--admin")
    assert (server.only.method, server.only.path, server.only.body) == ("POST", ADMIN, b"")
    assert outcome.out == (
        "\nNew token created successfully!\n\n"
        "Token: apiv3_abc\n"
        "HTTP Requests Header: Authorization: Bearer apiv3_abc\n\n"
        "IMPORTANT: Store this token securely, as it will not be shown again.\n\n"
    )


def test_a_named_token_carries_its_name_and_expiry(ask, server):
    server.answers.append((201, ANSWER))
    ask("create", "token", "--admin", "--name", "ci", "--expiry", "10d", "--token", "apiv3_operator")
    assert server.only.path == "/api/v3/configure/token/named_admin"
    assert server.only.json == {"token_name": "ci", "expiry_secs": 864000}
    assert server.only.headers["authorization"] == "Bearer apiv3_operator"


def test_json_holds_the_token_and_what_to_do_with_it(ask, server):
    server.answers.append((201, ANSWER))
    answer = json.loads(ask("create", "token", "--admin", "--format", "json").out)
    assert answer["token"] == "apiv3_abc"
    assert 'Authorization: Bearer apiv3_abc"' in answer["help_msg"]


def test_regenerating_asks_first(ask, server):
    server.answers.append((201, ANSWER))
    outcome = ask("create", "token", "--admin", "--regenerate", stdin="yes\n")
    assert "Are you sure you want to regenerate admin token? Enter 'yes' to confirm" in outcome.err
    assert server.only.path == f"{ADMIN}/regenerate"
    assert "apiv3_abc" in outcome.out


def test_regenerating_without_consent_does_nothing(ask, server):
    outcome = ask("create", "token", "--admin", "--regenerate", stdin="y\n")
    assert outcome.code == 1
    assert "Cannot regenerate token without confirmation" in outcome.err
    assert server.requests == []


def test_a_refusal_is_an_error(ask, server):
    server.answers.append((409, "token name already exists, _admin"))
    outcome = ask("create", "token", "--admin")
    assert outcome.code == 1
    assert outcome.out == ""
    assert outcome.err.startswith(
        "Create command failed: Failed to create token, error: server responded with error [409"
    )


def test_usage_errors_are_named(run):
    for words, message in (
        ([], "Missing required subcommand. Use: headrace create token --admin [OPTIONS]"),
        (["--admin", "--regenerate", "--name", "x"], "--regenerate cannot be used with --name"),
        (["--admin", "--offline"], "--output-file <FILE>"),
    ):
        outcome = run("create", "token", *words)
        assert outcome.code == 2
        assert message in outcome.err


def test_an_offline_token_is_saved_for_its_owner_alone(run, tmp_path):
    path = tmp_path / "token.json"
    outcome = run("create", "token", "--admin", "--offline", "--output-file", str(path))
    assert outcome.code == 0
    assert f"Token saved to: {path}" in outcome.out
    saved = json.loads(path.read_text())
    assert saved["name"] == "_admin"
    assert set(saved) == {"token", "name"}
    assert saved["token"].startswith("apiv3_")
    assert len(saved["token"]) > 80
    assert saved["token"] in outcome.out
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["token.json"]


def test_an_offline_token_may_have_a_name_and_an_expiry(run, tmp_path):
    path = tmp_path / "token.json"
    run(
        *("create", "token", "--admin", "--offline", "--output-file", str(path)),
        *("--name", "ci", "--expiry", "1h", "--format", "json"),
    )
    saved = json.loads(path.read_text())
    assert saved["name"] == "ci"
    assert abs(saved["expiry_millis"] / 1000 - time.time() - 3600) < 60


def test_two_offline_tokens_differ(run, tmp_path):
    tokens = set()
    for name in ("a", "b"):
        run("create", "token", "--admin", "--offline", "--output-file", str(tmp_path / name))
        tokens.add(json.loads((tmp_path / name).read_text())["token"])
    assert len(tokens) == 2


def test_a_place_that_cannot_be_written_is_named(run, tmp_path):
    outcome = run("create", "token", "--admin", "--offline", "--output-file", str(tmp_path / "no" / "token.json"))
    assert outcome.code == 1
    assert "no/token.json: No such file or directory" in outcome.err
