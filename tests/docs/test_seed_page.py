"""InfluxDB 3's "Get started with the processing engine", followed to the letter with its own commands.

``seed/data_write_plugin.txt`` is the page's example plugin, unchanged.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import ServerProcess, wait_until

PLUGIN = Path(__file__).parent / "seed" / "data_write_plugin.txt"

TEST_COMMAND = r"""
influxdb3 test wal_plugin \
  --lp "my_measure,tag1=asdf f1=1.0 123" \
  --token AUTH_TOKEN \
  --database sensors \
  --input-arguments "arg1=hello,arg2=world" \
  test.py
"""

CREATE_COMMAND = r"""
influxdb3 create trigger \
  --token AUTH_TOKEN \
  --database sensors \
  --path test_plugin.py \
  --trigger-spec "table:foo" \
  --trigger-arguments "arg1=hello,arg2=world" \
  trigger1
"""

ENABLE_COMMAND = r"""
influxdb3 enable trigger \
  --token AUTH_TOKEN \
  --database sensors \
  trigger1 
"""  # noqa: W291


@pytest.fixture
def server(tmp_path):
    """The server with the plugin in its plugin directory, under both names that the page uses."""
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    for name in ("test.py", "test_plugin.py"):
        (plugins / name).write_text(PLUGIN.read_text())
    with ServerProcess(tmp_path, "--plugin-dir", str(plugins), auth=True) as running:
        # The page's plugin reads this table.
        running.write("sensors", "home,room=Kitchen temp=21.5 1000000000\nhome,room=Hall temp=19.0 1000000000")
        yield running


def run(server: ServerProcess, command: str) -> str:
    """Type a command of the page; its placeholder is the only thing that is replaced."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "INFLUXDB3_HOST_URL": server.url,
    }
    done = subprocess.run(
        ["bash", "-c", command.replace("AUTH_TOKEN", str(server.token))],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_testing_the_plugin_tells_what_it_would_do_and_stores_nothing(server):
    answer = json.loads(run(server, TEST_COMMAND))
    assert answer["errors"] == []
    logs = answer["log_lines"]
    assert logs[0] == "INFO: arg1: hello"
    assert logs[1].startswith("INFO: query result: [{")
    assert "'room': 'Kitchen'" in logs[1]
    assert "Hall" not in logs[1]
    assert logs[2] == "INFO: table: my_measure"
    assert logs[3].startswith("INFO: row: {")
    assert "'tag1': 'asdf'" in logs[3]
    assert "'f1': 1.0" in logs[3]
    assert logs[-1] == "INFO: done"
    assert answer["database_writes"]["sensors"] == [
        'some_table,tag1=tag1_value,tag2=tag2_value field1=1i,field2=2.0,field3="number three"'
    ]
    assert answer["database_writes"]["mytestdb"] == ["other_table other_field=1i,other_field2=3.14 1302"]
    assert "mytestdb" not in {row["iox::database"] for row in server.request("GET", databases()).json()}


def databases() -> str:
    return "/api/v3/configure/database?format=json"


def test_the_trigger_runs_the_plugin_as_rows_are_written(server):
    assert run(server, CREATE_COMMAND) == "Trigger trigger1 created successfully\n"
    assert run(server, ENABLE_COMMAND) == "Trigger trigger1 enabled successfully\n"
    server.write("sensors", "foo,tag1=asdf f1=1.0 123\nbar f1=1.0 123")

    wait_until(lambda: has_table(server, "sensors", "some_table"), what="the plugin's table")
    rows = server.query("sensors", "SELECT tag1, tag2, field1, field2, field3 FROM some_table")
    assert rows == [{"tag1": "tag1_value", "tag2": "tag2_value", "field1": 1, "field2": 2.0, "field3": "number three"}]
    other = server.query("mytestdb", "SELECT other_field, other_field2, time FROM other_table")
    assert [(row["other_field"], row["other_field2"]) for row in other] == [(1, 3.14)]
    assert other[0]["time"].startswith("1970-01-01T00:00:00.000001302")

    logs = server.query(
        "sensors",
        "SELECT log_level, log_text FROM system.processing_engine_logs WHERE trigger_name = 'trigger1' "
        "ORDER BY event_time",
    )
    texts = [row["log_text"] for row in logs]
    assert {row["log_level"] for row in logs} == {"INFO"}
    assert "arg1: hello" in texts
    assert "table: foo" in texts
    assert "table: bar" not in texts
    assert any(text.startswith("query result: [{") and "Kitchen" in text for text in texts)
    assert any(text.startswith("row: {") and "'f1': 1.0" in text for text in texts)
    assert texts[-1] == "done"


def has_table(server: ServerProcess, database: str, table: str) -> bool:
    found = server.query(
        database, "SELECT table_name FROM information_schema.tables WHERE table_name = $name", {"name": table}
    )
    return bool(found)
