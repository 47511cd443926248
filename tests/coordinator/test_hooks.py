"""Webhooks: signed, tried again, and never at an address that only this machine reaches."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from montage_dask.coordinator.hooks import FIRST_WAIT_SECONDS, MOST_TRIES, Hooks, is_public
from montage_dask.coordinator.jobs import Job
from montage_dask.coordinator.queue import Queue
from montage_dask.coordinator.sqlite_store import SqliteStore

SECRET = "a secret of sixteen"


@dataclass
class Told:
    """What a receiver heard, and what it answers."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    heard: list[tuple[str, str, bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Told]:
    told = Told()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.heard.append((self.path, self.headers["X-Montage-Signature"], body))
            self.send_response(told.answers.pop(0) if told.answers else 204)
            self.send_header("Location", told.url + "/elsewhere")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path, clock) -> Iterator[Queue]:
    store = SqliteStore(tmp_path, clock)
    yield Queue(store)
    store.close()


def ended(queue: Queue, url: str, name: str = "j") -> None:
    queue.submit(Job(name, "a", {}, "title", webhook={"url": url, "secret": SECRET}))
    queue.end(queue.claim("x", "here"), "finished")


def due(hooks: Hooks) -> int:
    """Tell all that is due; how many that were."""
    count = 0
    while (found := hooks.queue.next_hook(30.0)) is not None:
        hooks.tell(*found)
        count += 1
    return count


def test_it_is_signed_and_told_once(queue, receiver):
    hooks = Hooks(queue, private=True)
    queue.submit(Job("j", "a", {"x": 1}, "title", webhook={"url": receiver.url + "/p?q=1", "secret": SECRET}))  # fmt: skip
    assert due(hooks) == 0, "it has not ended"
    queue.end(queue.claim("x", "here"), "failed", "why")
    assert (due(hooks), due(hooks)) == (1, 0)
    ((path, signature, body),) = receiver.heard
    assert path == "/p?q=1"
    wanted = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert signature == f"sha256={wanted}"
    said = json.loads(body)
    assert (said["id"], said["state"], said["reason"]) == ("j", "failed", "why")
    assert SECRET not in body.decode()
    queue.retry("j")
    queue.end(queue.claim("x", "here"), "finished")
    assert due(hooks) == 1
    assert json.loads(receiver.heard[-1][2])["state"] == "finished"


def test_it_is_tried_again_with_growing_waits_and_given_up(queue, receiver, clock):
    hooks = Hooks(queue, private=True)
    receiver.answers = [500, 302, 404]
    ended(queue, receiver.url)
    for tries in range(3):
        assert due(hooks) == 1
        clock.now += FIRST_WAIT_SECONDS * 2**tries - 1
        assert due(hooks) == 0, "not so soon"
        clock.now += 2
    assert due(hooks) == 1
    clock.now += 1e6
    assert due(hooks) == 0
    assert [path for path, _, _ in receiver.heard] == ["/"] * 4, "it follows nowhere"
    receiver.answers = [503] * 100
    ended(queue, receiver.url, "other")
    count = 0
    while due(hooks):
        count += 1
        clock.now += 1e6
    assert count == MOST_TRIES


def test_slow_receivers_of_one_user_do_not_hold_up_those_of_others(queue, clock):
    for name in [f"{k:02d}" for k in range(9)] + ["z"]:
        user = "bob" if name == "z" else "eve"
        hook = {"url": "http://example.org/", "secret": SECRET}
        queue.submit(Job(name, user, {}, "title", webhook=hook))
        queue.end(queue.claim("x", "here"), "finished")
    told = []
    for _ in range(3):
        job, tries = queue.next_hook(30.0)
        told.append(job.user)
        clock.now += 20
        queue.told_hook(job.id, tries, 10.0)
    assert "bob" in told[:2]


def test_who_dies_in_telling_leaves_it_to_be_told(queue, receiver, clock):
    ended(queue, receiver.url)
    assert queue.next_hook(30.0) is not None, "and here it died"
    hooks = Hooks(queue, private=True)
    assert due(hooks) == 0
    clock.now += 31
    assert due(hooks) == 1
    assert len(receiver.heard) == 1


def test_an_end_while_the_one_before_is_told_is_told_too(queue, receiver):
    ended(queue, receiver.url)
    job, tries = queue.next_hook(30.0)
    queue.cancel("j")
    again = queue.store.transact(lambda tx: tx.tell(tx.find("j", None), state="waiting"))
    queue.end(queue.claim("x", "here"), "failed")
    Hooks(queue, private=True).tell(job, tries)
    assert again.state == "waiting"
    assert due(Hooks(queue, private=True)) == 1
    assert json.loads(receiver.heard[-1][2])["state"] == "failed"


PRIVATE = (
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
    "255.255.255.255", "192.0.2.2", "::1", "::", "fe80::1", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2001:0:1::1",
    "fec0::1", "::127.0.0.1", "::10.0.0.1", "::ffff:0:127.0.0.1", "192.88.99.1",
)  # fmt: skip


def test_only_public_addresses_are_told(queue, receiver, caplog):
    for address in PRIVATE:
        assert not is_public(address), address
    for address in ("1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"):
        assert is_public(address), address
    names = ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "0")
    for number, name in enumerate(names):
        ended(queue, receiver.url.replace("127.0.0.1", name), str(number))
    assert due(Hooks(queue)) == len(names)
    assert receiver.heard == []
    assert "is of a private network" in caplog.text
    assert queue.next_hook(1.0) is None, "it waits for the next try"
