"""``gh:`` plugins come from any HTTP base, and from nowhere else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from headrace.processing.errors import PluginFetchFailed, RepositoryPathRefused
from headrace.processing.repository import DEFAULT_REPOSITORY, MAX_SOURCE_BYTES, fetch_plugin, plugin_url

SOURCE = "def process_request(local, query, headers, body, args=None):\n    return 'è'\n"


class _Repository(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        pages = {
            "/base/team/plugin.py": SOURCE.encode(),
            "/base/with%20space.py": b"pass",
            "/base/binary.py": b"\xff\xfe",
            "/base/huge.py": b"#" * (MAX_SOURCE_BYTES + 1),
        }
        body = pages.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def repository() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Repository)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/base"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_path_after_gh_is_appended_to_the_repository(repository: str, slash: str) -> None:
    assert fetch_plugin("gh:team/plugin.py", repository + slash) == SOURCE


def test_a_path_with_a_space_is_quoted(repository: str) -> None:
    assert fetch_plugin("gh:with space.py", repository) == "pass"


def test_a_missing_plugin_is_refused_with_status_and_address(repository: str) -> None:
    with pytest.raises(PluginFetchFailed) as refusal:
        fetch_plugin("gh:nothing.py", repository)
    assert refusal.value.message == f"error fetching plugin from repository: 404 Not Found {repository}/nothing.py"


def test_a_repository_that_does_not_answer_is_named() -> None:
    with pytest.raises(PluginFetchFailed, match=r"http://127\.0\.0\.1:1/plugin\.py"):
        fetch_plugin("gh:plugin.py", "http://127.0.0.1:1")


def test_a_plugin_that_is_too_large_or_not_text_is_refused(repository: str) -> None:
    with pytest.raises(PluginFetchFailed, match="larger than 4 MiB"):
        fetch_plugin("gh:huge.py", repository)
    with pytest.raises(PluginFetchFailed, match="not UTF-8"):
        fetch_plugin("gh:binary.py", repository)


@pytest.mark.parametrize("path", ["gh:", "gh:/etc/passwd", "gh:../other.py", "gh:a/../../b.py", "gh:a\nb.py"])
def test_a_path_that_leaves_the_repository_is_refused_before_anything_is_sent(path: str) -> None:
    with pytest.raises(RepositoryPathRefused, match="not a path inside") as refusal:
        plugin_url(path, "http://127.0.0.1:1")
    assert refusal.value.status == 400


def test_only_http_repositories_are_read() -> None:
    with pytest.raises(PluginFetchFailed, match="not an http"):
        plugin_url("gh:passwd", "file:///etc")


def test_the_default_repository_is_the_public_library() -> None:
    assert plugin_url("gh:a/b.py", None) == DEFAULT_REPOSITORY + "a/b.py"
