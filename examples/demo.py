"""Start a server, load the sample, let a plugin react to it, ask a question, and keep serving.

`make serve` runs it on ./data and port 8181; `make demo` runs it once, on a temporary directory and a free
port. Everything it does, it does with the commands that it prints, so each of them can be repeated by hand.
Run again, it goes on with the data that is there.
"""

import argparse
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXAMPLES = Path(__file__).parent
HEADRACE = Path(sys.executable).with_name("headrace")
START_TIMEOUT_S = 120  # the first start compiles the parser
PLUGIN_TIMEOUT_S = 60

ROOMS = """
SELECT room, count(*) AS rows, round(avg(temp), 2) AS mean_temp, max(temp) AS max_temp
FROM home WHERE time >= '2026-01-01T12:00:00Z' AND time < '2026-01-01T20:00:00Z' GROUP BY room ORDER BY room
"""
ALERTS = "SELECT * FROM threshold_alerts ORDER BY time"
HAS_ALERTS = "SELECT table_name FROM information_schema.tables WHERE table_name = 'threshold_alerts'"
LOGS = "SELECT trigger_name, log_level, log_text FROM system.processing_engine_logs ORDER BY event_time DESC LIMIT 5"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="where the server keeps its files")
    parser.add_argument("--port", type=int, default=8181, help="the port to serve on")
    parser.add_argument("--once", action="store_true", help="use a temporary directory and a free port, and stop")
    args = parser.parse_args()
    if not args.once:
        return serve(args.data, args.port, once=False)
    with tempfile.TemporaryDirectory(prefix="headrace-demo-") as directory:
        return serve(Path(directory), 0, once=True)


def serve(data: Path, port: int, *, once: bool) -> int:
    plugins = data / "plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    if not (plugins / "threshold.py").exists():
        shutil.copy(EXAMPLES / "plugins" / "threshold.py", plugins)
    token_file = data / "admin-token.json"
    if not token_file.exists():
        make_token = [str(HEADRACE), "create", "token", "--admin", "--offline", "--output-file", str(token_file)]
        subprocess.run(make_token, stdout=subprocess.DEVNULL, check=True)
    token = json.loads(token_file.read_text())["token"]
    bare_token = data / "token"
    bare_token.touch(mode=0o600)
    bare_token.write_text(token)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    server, url = start(data, port, token_file)
    try:
        os.environ.update(INFLUXDB3_HOST_URL=url, INFLUXDB3_AUTH_TOKEN=token, INFLUXDB3_DATABASE_NAME="home")
        load(data)
        print(f"\nServing on {url}; the log is {data / 'server.log'}. In another terminal:\n")
        print(f"  export INFLUXDB3_HOST_URL={url} INFLUXDB3_AUTH_TOKEN=$(cat {bare_token})")
        print(f"  {HEADRACE} query --database home 'SELECT * FROM home ORDER BY time DESC LIMIT 5'\n")
        if once:
            return 0
        print("Ctrl-C stops it.", flush=True)
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        stop(server)


def start(data: Path, port: int, token_file: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start the server and wait until it listens; returns it and its URL."""
    listener = data / "address"
    listener.unlink(missing_ok=True)
    command = [
        *(str(HEADRACE), "serve", "--node-id", "demo", "--object-store", "file", "--data-dir", str(data / "store")),
        *("--plugin-dir", str(data / "plugins"), "--http-bind", f"127.0.0.1:{port}"),
        *("--admin-token-file", str(token_file)),
    ]
    print(f"$ {shlex.join(['headrace', *command[1:]])}", flush=True)
    with (data / "server.log").open("ab") as log:
        offset = log.tell()
        server = subprocess.Popen(
            [*command, "--tcp-listener-file-path", str(listener)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C goes to this script, which stops the server in order
        )
    begin = time.monotonic()
    patient = False
    while not (address := answering(listener)):
        waited = time.monotonic() - begin
        if waited > 3 and not patient:
            patient = True
            print("  the first start on a machine compiles the parser, which takes half a minute", flush=True)
        if server.poll() is not None or waited > START_TIMEOUT_S:
            stop(server)
            tail = (data / "server.log").read_bytes()[offset:].decode(errors="replace")
            sys.exit(f"the server did not start:\n{tail}")
        time.sleep(0.05)
    return server, f"http://{address}"


def answering(listener: Path) -> str:
    """The address in the file ``listener`` once something accepts connections there, else an empty string."""
    address = listener.read_text().strip() if listener.exists() else ""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError):
        return ""
    return address


def stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
        server.wait()


def load(data: Path) -> None:
    """Create what is not there yet, write the sample, and wait for the plugin's alerts."""
    if {"iox::database": "home"} not in ask("show", "databases"):
        run("create", "database", "home")
    if "too_warm" not in {row["trigger_name"] for row in ask("show", "triggers")}:
        run(
            *("create", "trigger", "--path", "threshold.py", "--trigger-spec", "table:home"),
            *("--trigger-arguments", "field=temp,above=25,hysteresis=0.5,tags=room", "too_warm"),
        )
    sample = data / "sample.lp"
    with sample.open("wb") as file:
        subprocess.run([sys.executable, str(EXAMPLES / "sample.py")], stdout=file, check=True)
    run("write", "--precision", "s", "--file", str(sample))
    run("query", " ".join(ROOMS.split()))

    deadline = time.monotonic() + PLUGIN_TIMEOUT_S
    while not ask("query", HAS_ALERTS):
        if time.monotonic() > deadline:
            run("query", LOGS)
            sys.exit("the plugin wrote no alert")
        time.sleep(0.2)
    run("query", ALERTS)
    run("query", LOGS)


def run(*words: str) -> None:
    """Print a command of the CLI and run it."""
    print(f"\n$ headrace {' '.join(map(quoted, words))}", flush=True)
    if subprocess.run([str(HEADRACE), *words], check=False).returncode:
        sys.exit("the demo stops here")


def quoted(word: str) -> str:
    """``word`` as a shell takes it; SQL with quotes of its own reads better in double ones."""
    return f'"{word}"' if "'" in word and not set('"$`\\') & set(word) else shlex.quote(word)


def ask(*words: str) -> list[dict[str, object]]:
    """The rows that a command of the CLI answers with."""
    done = subprocess.run([str(HEADRACE), *words, "--format", "json"], stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit("the demo stops here")
    return list(json.loads(done.stdout))


if __name__ == "__main__":
    sys.exit(main())
