"""``create``, ``delete``, ``update``, ``enable``, ``disable``, ``show`` and ``install``: requests and messages."""

import json

import pytest

TRIGGERS = "/api/v3/configure/processing_engine_trigger"

SIMPLE = [
    pytest.param(
        ["create", "database", "foo"],
        ("POST", "/api/v3/configure/database", {}, {"db": "foo", "retention_period": None}),
        'Database "foo" created successfully',
        id="create database",
    ),
    pytest.param(
        ["create", "database", "foo", "--retention-period", "30d"],
        ("POST", "/api/v3/configure/database", {}, {"db": "foo", "retention_period": "30d"}),
        'Database "foo" created successfully',
        id="create database with retention",
    ),
    pytest.param(
        ["create", "table", "--tags", "room,id", "--fields", "temp:float64,n:int64", "-d", "foo", "home"],
        (
            "POST",
            "/api/v3/configure/table",
            {},
            {
                "db": "foo",
                "table": "home",
                "tags": ["room", "id"],
                "fields": [{"name": "temp", "type": "float64"}, {"name": "n", "type": "int64"}],
            },
        ),
        'Table "foo"."home" created successfully',
        id="create table",
    ),
    pytest.param(
        ["delete", "database", "foo", "--yes"],
        ("DELETE", "/api/v3/configure/database", {"db": "foo"}, None),
        'Database "foo" deleted successfully',
        id="delete database",
    ),
    pytest.param(
        ["delete", "database", "foo", "-y", "--hard-delete", "NOW"],
        ("DELETE", "/api/v3/configure/database", {"db": "foo", "hard_delete_at": "now"}, None),
        'Database "foo" deleted successfully',
        id="delete database for good",
    ),
    pytest.param(
        ["delete", "table", "-d", "foo", "home", "-y", "--hard-delete", "2030-06-18T10:30:00Z"],
        (
            "DELETE",
            "/api/v3/configure/table",
            {"db": "foo", "table": "home", "hard_delete_at": "2030-06-18T10:30:00Z"},
            None,
        ),
        'Table "foo"."home" deleted successfully',
        id="delete table at a time",
    ),
    pytest.param(
        ["delete", "token", "--token-name", "t", "-y"],
        ("DELETE", "/api/v3/configure/token", {"token_name": "t"}, None),
        'Token "t" deleted successfully',
        id="delete token",
    ),
    pytest.param(
        ["delete", "trigger", "-d", "foo", "--force", "t"],
        ("DELETE", TRIGGERS, {}, {"db": "foo", "trigger_name": "t", "force": True}),
        "Trigger t deleted successfully",
        id="delete trigger",
    ),
    pytest.param(
        ["update", "database", "-d", "foo", "--retention-period", "7d"],
        ("PUT", "/api/v3/configure/database", {}, {"db": "foo", "retention_period": "7d"}),
        'Database "foo" updated successfully',
        id="update database",
    ),
    pytest.param(
        ["update", "database", "-d", "foo", "-r", "None"],
        ("PUT", "/api/v3/configure/database", {}, {"db": "foo", "retention_period": None}),
        'Database "foo" updated successfully',
        id="update database to keep rows",
    ),
    pytest.param(
        ["enable", "trigger", "-d", "foo", "t"],
        ("POST", f"{TRIGGERS}/enable", {"db": "foo", "trigger_name": "t"}, None),
        "Trigger t enabled successfully",
        id="enable trigger",
    ),
    pytest.param(
        ["enable", "trigger", "-d", "foo", "--from", "now", "t"],
        ("POST", f"{TRIGGERS}/enable", {"db": "foo", "trigger_name": "t", "from": "now"}, None),
        "Trigger t enabled successfully",
        id="enable trigger from now",
    ),
    pytest.param(
        ["disable", "trigger", "-d", "foo", "t"],
        ("POST", f"{TRIGGERS}/disable", {"db": "foo", "trigger_name": "t"}, None),
        "Trigger t disabled successfully",
        id="disable trigger",
    ),
    pytest.param(
        ["install", "package", "pint", "pandas"],
        ("POST", "/api/v3/configure/plugin_environment/install_packages", {}, {"packages": ["pint", "pandas"]}),
        "",
        id="install packages",
    ),
    pytest.param(
        ["install", "package", "-r", "requirements.txt", "--package-manager", "uv"],
        (
            "POST",
            "/api/v3/configure/plugin_environment/install_requirements",
            {},
            {"requirements_location": "requirements.txt"},
        ),
        "",
        id="install requirements",
    ),
]


@pytest.mark.parametrize(("words", "request_", "message"), SIMPLE)
def test_a_command_is_one_request_and_one_message(ask, server, words, request_, message):
    outcome = ask(*words)
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{message}\n" if message else "", "")
    sent = server.only
    assert (sent.method, sent.path, sent.query, sent.json if sent.body else None) == request_


@pytest.mark.parametrize(("words", "request_", "message"), SIMPLE)
def test_a_refusal_is_an_error_with_the_servers_words(ask, server, words, request_, message):
    server.answers.append((409, "attempted to create a resource that already exists"))
    outcome = ask(*words)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == (
        f"{words[0].capitalize()} command failed: server responded with error [409 Conflict]: "
        "attempted to create a resource that already exists\n"
    )


@pytest.mark.parametrize(
    ("words", "subject"),
    [
        (["delete", "database", "foo"], '"foo"'),
        (["delete", "table", "-d", "foo", "home"], '"foo"."home"'),
        (["delete", "token", "--token-name", "t"], '"t"'),
    ],
)
@pytest.mark.parametrize(("answer", "deleted"), [("yes", True), ("Y", True), ("no", False), ("", False)])
def test_deleting_asks_first(ask, server, words, subject, answer, deleted):
    outcome = ask(*words, stdin=f"{answer}\n")
    assert f"Are you sure you want to delete {subject}? Enter 'yes' or 'y' to confirm" in outcome.err
    assert bool(server.requests) is deleted
    if not deleted:
        assert outcome.code == 1
        assert "Delete command failed: Cannot proceed without confirmation" in outcome.err


def test_the_operator_token_cannot_be_deleted(ask, server):
    outcome = ask("delete", "token", "--token-name", "_admin")
    assert outcome.out.startswith('The operator token "_admin" is required and cannot be deleted.')
    assert server.requests == []


def test_a_database_to_create_may_come_from_the_environment(ask, server, monkeypatch):
    monkeypatch.setenv("INFLUXDB3_DATABASE_NAME", "foo")
    assert ask("create", "database").code == 0
    assert server.only.json["db"] == "foo"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("temp", 'must be formatted as "name:type"'),
        ("temp:float", "float is not a valid data type, values are int64, uint64, float64, utf8, and bool"),
        ("temp:flaot64", "a similar value exists: 'float64'"),
    ],
)
def test_fields_that_cannot_be_read_are_refused(run, fields, message):
    outcome = run("create", "table", "-d", "foo", "--fields", fields, "home")
    assert outcome.code == 2
    assert message in outcome.err


def test_a_field_name_may_hold_colons(ask, server):
    ask("create", "table", "-d", "foo", "--fields", "a:b:bool", "home")
    assert server.only.json["fields"] == [{"name": "a:b", "type": "bool"}]


@pytest.mark.parametrize("period", ["x", "30", "5q"])
def test_a_retention_period_must_be_a_duration(run, period):
    outcome = run("create", "database", "foo", "--retention-period", period)
    assert outcome.code == 2
    assert f"invalid value '{period}' for '--retention-period <DURATION>'" in outcome.err


def test_update_database_needs_something_to_update(run):
    outcome = run("update", "database", "-d", "foo")
    assert (outcome.code, outcome.err) == (
        1,
        "Update command failed: --retention-period is required for update database\n",
    )


def test_install_needs_something_to_install(run):
    outcome = run("install", "package")
    assert outcome.code == 2
    assert "<PACKAGES>..." in outcome.err


class TestShow:
    def test_databases(self, ask, server):
        server.answers.append((200, "a table"))
        assert ask("show", "databases", "--show-deleted", "--format", "csv").out == "a table\n"
        assert (server.only.method, server.only.path) == ("GET", "/api/v3/configure/database")
        assert server.only.query == {"format": "csv", "show_deleted": "true"}

    @pytest.mark.parametrize(
        ("words", "database", "table"),
        [
            (["tokens"], "_internal", "system.tokens"),
            (["plugins"], "_internal", "system.plugin_files"),
            (["triggers", "-d", "foo"], "foo", "system.processing_engine_triggers"),
            (["retention"], "_internal", "system.databases"),
        ],
    )
    def test_system_tables_are_asked_by_query(self, ask, server, words, database, table):
        server.answers.append((200, "[]"))
        assert ask("show", *words, "--format", "json").out == "[]\n"
        assert server.only.json["db"] == database
        assert table in server.only.json["q"]
        assert server.only.json["format"] == "json"

    def test_a_database_name_is_quoted_in_the_query(self, ask, server):
        ask("show", "retention", "--database", "o'neil")
        assert "WHERE database_name = 'o''neil'" in server.only.json["q"]

    def test_output_goes_to_a_file(self, ask, server, tmp_path):
        server.answers.append((200, "PAR1"))
        ask("show", "tokens", "--format", "parquet", "--output", str(tmp_path / "tokens.parquet"))
        assert (tmp_path / "tokens.parquet").read_text() == "PAR1"

    @pytest.mark.parametrize("words", [["-d", "foo", "table-list"], ["table-list", "-d", "foo"]])
    def test_system_options_stand_on_either_side(self, ask, server, words):
        assert ask("show", "system", *words).code == 0
        assert server.only.json["db"] == "foo"
        assert "table_schema = 'system'" in server.only.json["q"]

    def test_one_system_table(self, ask, server):
        ask(
            *("show", "system", "-d", "foo", "table", "queries", "--select", "id,phase"),
            *("--order-by", "issue_time", "--limit", "5"),
        )
        assert server.only.json["q"] == 'SELECT id,phase FROM system."queries" ORDER BY issue_time LIMIT 5'

    def test_one_system_table_without_a_limit(self, ask, server):
        ask("show", "system", "-d", "foo", "table", "queries", "-l", "0")
        assert server.only.json["q"] == 'SELECT * FROM system."queries"'

    def test_a_system_table_that_is_not_there_is_answered_with_those_that_are(self, ask, server):
        server.answers += [
            (400, "table 'system.querys' not found"),
            (200, json.dumps([{"table_name": "queries", "column_names": []}, {"table_name": "tokens"}])),
        ]
        outcome = ask("show", "system", "-d", "foo", "table", "querys")
        assert outcome.code == 1
        assert outcome.err == (
            "Show command failed: system table 'querys' not found: did you mean 'queries'? "
            'please use a valid system table name: ["queries", "tokens"]\n'
        )

    def test_the_summary_shows_every_system_table(self, ask, server):
        server.answers += [
            (200, json.dumps([{"table_name": "queries"}, {"table_name": "tokens"}])),
            (200, "++"),
            (200, "++"),
        ]
        assert ask("show", "system", "-d", "foo", "summary").out == "queries summary:\n++\ntokens summary:\n++\n"
        assert [request.json["q"] for request in server.requests[1:]] == [
            'SELECT * FROM system."queries" LIMIT 10',
            'SELECT * FROM system."tokens" LIMIT 10',
        ]
