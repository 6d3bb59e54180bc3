"""How the client finds its server, proves who it is, and words what went wrong."""

import json
import socket
import ssl
import subprocess

import pytest
from headrace.api.cli.client import SHOWN_LINE_ERRORS, Client
from headrace.api.cli.errors import CommandFailed, ServerRefused, ServerUnreachable


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_token_goes_along_as_a_bearer_token(server):
    Client(server.url, token="apiv3_x").send("GET", "/health")
    assert server.only.headers["authorization"] == "Bearer apiv3_x"


def test_without_a_token_no_authorization_is_sent(server):
    Client(server.url).send("GET", "/health")
    assert "authorization" not in server.only.headers


def test_a_path_in_front_of_the_api_is_kept(server):
    Client(f"{server.url}/db/").send("GET", "/health")
    assert server.only.path == "/db/health"


def test_one_connection_serves_many_requests(server):
    with Client(server.url) as client:
        for _ in range(3):
            client.send("POST", "/x", data=b"abc")
    assert [request.body for request in server.requests] == [b"abc"] * 3


def test_a_refused_connection_names_the_url_and_what_to_check():
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ServerUnreachable) as caught:
        Client(url).send("POST", "/api/v3/query_sql", body={})
    assert str(caught.value) == (
        f"failed to send POST {url}/api/v3/query_sql request: Connection refused; is the server running at {url}?"
    )


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http:///path"])
def test_what_is_no_url_is_named(url):
    with pytest.raises(CommandFailed, match="is not a URL"):
        Client(url)


def test_a_bare_host_and_port_means_http(server):
    Client(server.url.removeprefix("http://")).send("GET", "/health")
    assert server.only.path == "/health"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("plain words", "plain words"),
        ('{"error": "words in JSON"}', "words in JSON"),
        ('{"error_code": "x", "message": "words with a code"}', "words with a code"),
        ('["a", "list"]', '["a", "list"]'),
        ('{"other": 1}', '{"other": 1}'),
        ("", ""),
    ],
)
def test_the_servers_own_words_are_shown(server, body, message):
    server.answers.append((409, body))
    with pytest.raises(ServerRefused) as caught:
        Client(server.url).send("GET", "/x")
    assert str(caught.value) == f"server responded with error [409 Conflict]: {message}"
    assert (caught.value.status, caught.value.message) == (409, message)


def refused_lines(count: int) -> list[dict[str, object]]:
    return [
        {"line_number": number, "original_line": f"m{number}", "error_message": "no fields"}
        for number in range(1, count + 1)
    ]


def test_refused_lines_of_a_write_are_listed(server):
    server.answers.append((400, json.dumps({"error": "partial write", "data": refused_lines(2)})))
    with pytest.raises(ServerRefused) as caught:
        Client(server.url).send("POST", "/api/v3/write_lp", data=b"")
    assert caught.value.message == "partial write\n  line 1: no fields: m1\n  line 2: no fields: m2"


def test_a_single_refused_line_may_come_as_an_object(server):
    server.answers.append((400, json.dumps({"error": "parsing failed", "data": refused_lines(1)[0]})))
    with pytest.raises(ServerRefused, match="parsing failed\n  line 1: no fields: m1"):
        Client(server.url).send("POST", "/api/v3/write_lp", data=b"")


def test_a_thousand_refused_lines_do_not_fill_the_screen(server):
    server.answers.append((400, json.dumps({"error": "partial write", "data": refused_lines(1000)})))
    with pytest.raises(ServerRefused) as caught:
        Client(server.url).send("POST", "/api/v3/write_lp", data=b"")
    assert caught.value.message.count("\n") == SHOWN_LINE_ERRORS + 1
    assert caught.value.message.endswith(f"and {1000 - SHOWN_LINE_ERRORS} more")


def test_an_answer_that_is_no_json_is_named(server):
    server.answers.append((200, "<html>"))
    with pytest.raises(CommandFailed, match="failed to parse JSON response of http"):
        Client(server.url).send_for_json("GET", "/x")


def test_an_answer_that_breaks_off_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = Client(url)
        client._connection.connect()
        peer, _ = listener.accept()
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        peer.close()
        with pytest.raises(ServerUnreachable, match="GET"):
            client.send("GET", "/x")


def test_an_unreadable_certificate_authority_is_named(tmp_path):
    with pytest.raises(CommandFailed, match=r"cannot use the certificate authority .*missing\.pem"):
        Client("https://127.0.0.1:1", ca_cert=tmp_path / "missing.pem")
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(CommandFailed, match=r"cannot use the certificate authority .*bad\.pem"):
        Client("https://127.0.0.1:1", ca_cert=tmp_path / "bad.pem")


def test_tls_verifies_against_the_given_authority_or_not_at_all(tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    openssl = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*openssl, *names, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with https_server(context) as url:
        with pytest.raises(ServerUnreachable, match="certificate verify failed"):
            Client(url).send("GET", "/x")
        assert Client(url, ca_cert=certificate).send("GET", "/x") == b"ok"
        assert Client(url, verify=False).send("GET", "/x") == b"ok"


def https_server(context: ssl.SSLContext):
    import threading
    from contextlib import contextmanager
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *args: object) -> None:
            """A client that does not trust the certificate hangs up; that is the point."""

    @contextmanager
    def running():
        server = Server(("127.0.0.1", 0), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    return running()
