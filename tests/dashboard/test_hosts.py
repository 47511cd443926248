"""Schedulers and workers answer to their own names only: real requests with the names of others, on every route there is."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator

import dask.config
import pytest
from distributed import Client
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from montage_dask.cluster.connect import connect
from montage_dask.config import resolve

ROUTES = (
    "/", "/status", "/metrics", "/health", "/info/main/workers.html", "/json/counts.json", "/json/identity.json",
    "/sitemap.json", "/montage", "/montage/state", "/montage/montage.js", "/individual-plots.json",
    "/statics/css/base.css", "/static/js/bokeh.min.js", "/no-such-page", "/proxy/8787/127.0.0.1/status",
)  # fmt: skip
FOREIGN = (
    "evil.example", "evil.example:8787", "127.0.0.1.evil.example", "localhost.evil.example", "scheduler", "0x7f.1",
    "evil.example@127.0.0.1", "127.0.0.1, evil.example", "127.0.0.1/evil.example", "[::1", "evil.example#127.0.0.1", "",
)  # fmt: skip


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    allowed = {"montage.dashboard-hosts": ["Montage.Example.org"]}
    with (
        dask.config.set(allowed),
        connect(resolve({"n-workers": 1, "cgpu-enabled": "true"})) as made,
    ):
        made.wait_for_workers(2, timeout=60)
        # A job brings the page.
        from montage_dask.dashboard.plugin import MontagePlugin

        made.register_plugin(MontagePlugin())
        yield made


def port_of(client: Client) -> int:
    return int(client.dashboard_link.rpartition(":")[2].partition("/")[0])


def ask(port: int, path: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest("GET", path, skip_host=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read().decode("utf-8", "replace")


@pytest.mark.parametrize("path", ROUTES)
def test_no_route_answers_to_a_foreign_name(client, path):
    port = port_of(client)
    # Distributed's own list of routes fails on those of Bokeh.
    assert ask(port, path, Host=f"127.0.0.1:{port}")[0] in (200, 301, 302, 404, 500)
    status, text = ask(port, path, Host="evil.example")
    assert status == 403
    assert "dashboard-hosts" in text
    assert len(text) < 400


@pytest.mark.parametrize("host", FOREIGN)
def test_what_only_looks_like_an_own_name(client, host):
    assert ask(port_of(client), "/montage/state", Host=host)[0] in (400, 403)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost:8787", "[::1]:8787", "10.1.2.3:8787", "LOCALHOST", "localhost.", "a.localhost",
        socket.gethostname(), "montage.example.org", "montage.example.ORG:443"],
)  # fmt: skip
def test_own_names(client, host):
    status, text = ask(port_of(client), "/montage/state", Host=host)
    assert status == 200
    assert "epoch" in json.loads(text)


def test_no_page_of_another_origin_may_ask(client):
    port = port_of(client)
    own = f"127.0.0.1:{port}"
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", "http://localhost", "x"):
        assert ask(port, "/montage/state", Host=own, Origin=origin)[0] == 403, origin
    for origin in (f"http://{own}", "https://montage.example.org"):
        assert ask(port, "/montage/state", Host=own, Origin=origin)[0] == 200, origin


@pytest.mark.parametrize("path", ["/status/ws", "/individual-workers/ws", "/workers/ws"])
def test_websockets_are_open_to_the_own_page_only(client, path):
    port = port_of(client)

    def opened(origin: str, host: str) -> bool:
        async def open_and_close() -> None:
            request = HTTPRequest(
                f"ws://127.0.0.1:{port}{path}", headers={"Origin": origin, "Host": host}
            )
            made = await websocket_connect(request, subprotocols=["bokeh", "token"])
            made.close()

        try:
            client.sync(open_and_close)
        except HTTPClientError as error:
            return error.code != 403
        return True

    own = f"127.0.0.1:{port}"
    assert opened(f"http://{own}", own)
    assert not opened("http://evil.example", own)
    assert not opened("http://evil.example", "evil.example")
    assert not opened("null", own)


def test_workers_are_guarded_from_their_start(client):
    found = client.run(lambda dask_worker: dask_worker.http_server.port)
    assert len(found) == 2
    for port in found.values():
        for path in ("/metrics", "/health", "/info/main/workers.html", "/sitemap.json"):
            assert ask(port, path, Host="evil.example")[0] == 403, path
        assert ask(port, "/health", Host="127.0.0.1")[0] == 200
    listening = client.run(lambda dask_worker: dask_worker.http_server.address)
    assert set(listening.values()) == {"127.0.0.1"}
