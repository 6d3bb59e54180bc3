"""``gh:`` plugins: single files fetched over HTTP from the plugin repository.

Despite its name the prefix is not tied to one host: what follows it is appended to ``--plugin-repo``,
any HTTP base that serves raw files. A plugin is fetched when its trigger is created (to see that it is
there) and each time the trigger starts; between those it does not change under a running trigger.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlsplit

import httpx
from headrace.processing.errors import PluginFetchFailed, RepositoryPathRefused

PREFIX: Final = "gh:"
DEFAULT_REPOSITORY: Final = "https://raw.githubusercontent.com/influxdata/influxdb3_plugins/main/"
MAX_SOURCE_BYTES: Final = 4 << 20
_TIMEOUT: Final = httpx.Timeout(10.0, read=20.0)


def plugin_url(path: str, repository: str | None) -> str:
    """The address of ``gh:path``.

    Raises RepositoryPathRefused if the path tries to leave the repository, PluginFetchFailed if that is not HTTP.
    """
    base = repository or DEFAULT_REPOSITORY
    if urlsplit(base).scheme not in ("http", "https"):
        raise PluginFetchFailed(f"the plugin repository {base!r} is not an http or https address")
    name = path.removeprefix(PREFIX)
    parts = name.split("/")
    if not name or name.startswith("/") or ".." in parts or any(ord(letter) < 32 for letter in name):
        raise RepositoryPathRefused(f"{path!r} is not a path inside the plugin repository")
    return f"{base.rstrip('/')}/{quote(name)}"


def fetch_plugin(path: str, repository: str | None) -> str:
    """The source of ``gh:path``. Raises PluginFetchFailed, with address and what went wrong, RepositoryPathRefused."""
    url = plugin_url(path, repository)
    body = bytearray()
    try:
        with httpx.stream("GET", url, timeout=_TIMEOUT, follow_redirects=True) as response:
            if not response.is_success:
                status = f"{response.status_code} {response.reason_phrase}".strip()
                raise PluginFetchFailed(f"error fetching plugin from repository: {status} {url}")
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_SOURCE_BYTES:
                    raise PluginFetchFailed(f"the plugin at {url} is larger than {MAX_SOURCE_BYTES >> 20} MiB")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PluginFetchFailed(
            f"error getting plugin from repository: {url}: {error or type(error).__name__}"
        ) from error
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise PluginFetchFailed(f"the plugin at {url} is not UTF-8 text") from error
