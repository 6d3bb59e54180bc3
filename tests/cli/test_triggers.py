"""``create trigger`` with its uploads, ``update trigger`` and ``test``: what goes over the wire."""

import json

import pytest

TRIGGERS = "/api/v3/configure/processing_engine_trigger"
FILES = "/api/v3/plugins/files"


@pytest.fixture
def package(tmp_path):
    """A plugin of several files, with things beside them that are no part of it."""
    directory = tmp_path / "alerts"
    (directory / "models" / "__pycache__").mkdir(parents=True)
    (directory / "__init__.py").write_text("from . import rules\n")
    (directory / "rules.py").write_text("LIMIT = 1\n")
    (directory / "models" / "__init__.py").write_text("")
    (directory / "models" / "__pycache__" / "old.py").write_text("")
    (directory / "notes.txt").write_text("not python")
    (directory / "outside.py").symlink_to("/etc/passwd")
    return directory


def test_a_trigger_carries_all_its_settings(ask, server):
    outcome = ask(
        *("create", "trigger", "--database", "sensors", "--path", "test_plugin.py", "--trigger-spec", "table:foo"),
        *("--trigger-arguments", "arg1=hello,arg2=world", "--run-asynchronous", "--error-behavior", "retry"),
        *("--memory-limit", "512MB", "--time-limit", "1m30s", "--disabled", "trigger1"),
    )
    assert outcome.out == "Trigger trigger1 created successfully\n"
    assert (server.only.method, server.only.path) == ("POST", TRIGGERS)
    assert server.only.json == {
        "db": "sensors",
        "plugin_filename": "test_plugin.py",
        "trigger_name": "trigger1",
        "trigger_settings": {
            "run_async": True,
            "error_behavior": "retry",
            "memory_limit": 512 << 20,
            "time_limit": 90.0,
        },
        "trigger_specification": "table:foo",
        "trigger_arguments": {"arg1": "hello", "arg2": "world"},
        "disabled": True,
    }


def test_a_plain_trigger_says_no_more_than_influxdb_3_does(ask, server):
    ask("create", "trigger", "-d", "sensors", "--plugin-filename", "p.py", "--trigger-spec", "every:5m", "t")
    assert server.only.json == {
        "db": "sensors",
        "plugin_filename": "p.py",
        "trigger_name": "t",
        "trigger_settings": {"run_async": False, "error_behavior": "log"},
        "trigger_specification": "every:5m",
        "trigger_arguments": None,
        "disabled": False,
    }


@pytest.mark.parametrize(
    ("texts", "arguments"),
    [
        (["a=1"], {"a": "1"}),
        (["a=1,b=x=y"], {"a": "1", "b": "x=y"}),
        (["a="], {"a": ""}),
        (["a=one two,b=2"], {"a": "one two", "b": "2"}),
        (["a=1", "b=2"], {"a": "1", "b": "2"}),
        ([r"a=x\,y,b=2"], {"a": "x,y", "b": "2"}),
        ([r"path=C:\new"], {"path": r"C:\new"}),
        (['a="quoted"'], {"a": '"quoted"'}),
    ],
)
def test_arguments_split_at_commas_and_at_the_first_equals_sign(ask, server, texts, arguments):
    options = [word for text in texts for word in ("--trigger-arguments", text)]
    ask("create", "trigger", "-d", "s", "--path", "p.py", "--trigger-spec", "all_tables", *options, "t")
    assert server.only.json["trigger_arguments"] == arguments


@pytest.mark.parametrize("text", ["a", "a=1,b", "a=1,"])
def test_an_argument_without_an_equals_sign_is_refused(run, text):
    outcome = run(
        "create",
        "trigger",
        "-d",
        "s",
        "--path",
        "p.py",
        "--trigger-spec",
        "all_tables",
        "--trigger-arguments",
        text,
        "t",
    )
    assert outcome.code == 2
    assert 'must be formatted as "key=value"' in outcome.err


def test_a_trigger_needs_a_plugin_and_only_one(run):
    base = ["create", "trigger", "-d", "s", "--trigger-spec", "all_tables", "t"]
    assert run(*base).err == "Create command failed: Either --path or --plugin-filename must be provided\n"
    assert "cannot be used with" in run(*base, "--path", "a", "--plugin-filename", "b").err


def test_a_refused_trigger_is_an_error(ask, server):
    server.answers.append((400, "unknown trigger specification"))
    outcome = ask("create", "trigger", "-d", "s", "--path", "p.py", "--trigger-spec", "sometimes", "t")
    assert outcome.code == 1
    assert outcome.err == (
        "Create command failed: Failed to create trigger: "
        "server responded with error [400 Bad Request]: unknown trigger specification\n"
    )


def test_a_file_is_uploaded_before_its_trigger(ask, server, tmp_path):
    (tmp_path / "plugin.py").write_text("def process_writes(*args): pass\n")
    words = ["--path", str(tmp_path / "plugin.py"), "--upload", "--trigger-spec", "all_tables"]
    assert ask("create", "trigger", "-d", "s", *words, "t").code == 0
    upload, trigger = server.requests
    assert (upload.method, upload.path, upload.query) == ("POST", FILES, {"db": "s"})
    assert upload.json == {"plugin_name": "plugin.py", "content": "def process_writes(*args): pass\n"}
    assert trigger.json["plugin_filename"] == "plugin.py"


def test_a_directory_is_uploaded_file_by_file(ask, server, package):
    words = ["--path", f"{package}/", "--upload", "--trigger-spec", "all_tables"]
    assert ask("create", "trigger", "-d", "s", *words, "t").code == 0
    *uploads, trigger = server.requests
    assert [(upload.json["plugin_name"], upload.json["content"]) for upload in uploads] == [
        ("alerts/__init__.py", "from . import rules\n"),
        ("alerts/rules.py", "LIMIT = 1\n"),
        ("alerts/models/__init__.py", ""),
    ]
    assert trigger.json["plugin_filename"] == "alerts"


def test_uploads_that_cannot_be_are_named(ask, server, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe")
    for name, message in (
        ("missing.py", "File not found: "),
        ("empty", "Multi-file plugin directory must contain __init__.py: "),
        ("binary.py", "cannot read "),
    ):
        path = str(tmp_path / name)
        outcome = ask("create", "trigger", "-d", "s", "--path", path, "--upload", "--trigger-spec", "all_tables", "t")
        assert outcome.code == 1
        assert f"Create command failed: {message}{path}" in outcome.err
    assert server.requests == []


def test_update_replaces_a_file(ask, server, tmp_path):
    (tmp_path / "new.py").write_text("x = 1\n")
    outcome = ask("update", "trigger", "-d", "s", "--trigger-name", "t", "--path", str(tmp_path / "new.py"))
    assert outcome.out == "Trigger 't' updated successfully\n"
    assert (server.only.method, server.only.path, server.only.query) == ("PUT", FILES, {"db": "s"})
    assert server.only.json == {"plugin_name": "t", "content": "x = 1\n"}


def test_update_replaces_a_directory_as_a_whole(ask, server, package):
    outcome = ask("update", "trigger", "-d", "s", "-t", "t", "-p", str(package))
    assert outcome.out == "Trigger 't' updated successfully (atomic directory replacement)\n"
    assert (server.only.method, server.only.path) == ("PUT", "/api/v3/plugins/directory")
    assert server.only.json["plugin_name"] == "t"
    assert [entry["relative_path"] for entry in server.only.json["files"]] == [
        "__init__.py",
        "rules.py",
        "models/__init__.py",
    ]


def test_update_names_a_path_that_is_not_there(ask, tmp_path):
    outcome = ask("update", "trigger", "-d", "s", "-t", "t", "-p", str(tmp_path / "none"))
    assert outcome.err == f"Update command failed: Path does not exist: {tmp_path}/none\n"


class TestPluginTests:
    answer = json.dumps({"log_lines": ["INFO: Käse"], "database_writes": {}, "errors": []})

    def test_written_rows(self, ask, server):
        server.answers.append((200, self.answer))
        outcome = ask(
            *("test", "wal_plugin", "--lp", "my_measure,tag1=asdf f1=1.0 123", "--token", "apiv3_0xxx0o0XxXxx00Xxxx=="),
            *("--database", "sensors", "--input-arguments", "arg1=hello,arg2=world", "test.py"),
        )
        assert (server.only.method, server.only.path) == ("POST", "/api/v3/plugin_test/wal")
        assert server.only.json == {
            "filename": "test.py",
            "database": "sensors",
            "input_lp": "my_measure,tag1=asdf f1=1.0 123",
            "cache_name": None,
            "input_arguments": {"arg1": "hello", "arg2": "world"},
        }
        assert json.loads(outcome.out) == json.loads(self.answer)
        assert '  "log_lines": [\n    "INFO: Käse"' in outcome.out

    def test_written_rows_from_a_file_or_from_the_database(self, ask, server, tmp_path):
        (tmp_path / "rows.lp").write_text("m f=1")
        server.answers += [(200, self.answer)] * 2
        ask("test", "wal_plugin", "-d", "s", "--file", str(tmp_path / "rows.lp"), "test.py")
        ask("test", "wal_plugin", "-d", "s", "--last", "10m", "--cache-name", "c", "test.py")
        from_file, from_database = (request.json for request in server.requests)
        assert from_file["input_lp"] == "m f=1"
        assert (from_database["last"], from_database["cache_name"]) == ("10m", "c")

    def test_written_rows_must_come_from_somewhere(self, ask, tmp_path):
        assert "either --lp or --file must be provided" in ask("test", "wal_plugin", "-d", "s", "test.py").err
        path = str(tmp_path / "none.lp")
        assert "unable to read input file" in ask("test", "wal_plugin", "-d", "s", "--file", path, "test.py").err

    def test_a_schedule(self, ask, server):
        server.answers.append((200, self.answer))
        ask("test", "schedule_plugin", "-d", "s", "--schedule", "0 0 * * * *", "test.py")
        assert server.only.path == "/api/v3/plugin_test/schedule"
        assert server.only.json["schedule"] == "0 0 * * * *"

    def test_a_request(self, ask, server):
        server.answers.append((200, self.answer))
        ask(
            *("test", "request_plugin", "-d", "s", "--method", "put", "--path", "a/b", "--body", "text"),
            *("--headers", "x-one=1", "--query-params", "q=2", "test.py"),
        )
        assert server.only.path == "/api/v3/plugin_test/request"
        sent = server.only.json
        assert (sent["method"], sent["path"], sent["body"]) == ("PUT", "a/b", "text")
        assert (sent["headers"], sent["query_params"]) == ({"x-one": "1"}, {"q": "2"})
