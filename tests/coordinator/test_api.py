"""The API without a job: who may come in, what is kept, health, events, the commands."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from here import Here, serving

from montage_dask.cli import cli
from montage_dask.cluster import preflight
from montage_dask.coordinator import app
from montage_dask.coordinator.accounts import MOST_SESSIONS
from montage_dask.coordinator.client import CoordinatorError
from montage_dask.coordinator.guarding import COOKIE
from montage_dask.coordinator.jobs import STATES
from montage_dask.edit.choose import LABELS
from montage_dask.errors import ClusterError, UsageError

DOC = Path(__file__).parents[2] / "docs/coordinator.md"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with serving(tmp_path / "folder") as made:
        yield made


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """A request whose files exist, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "footage").mkdir()
    (tmp_path / "footage/a.mp4").write_bytes(b"a")
    (tmp_path / "track.mp3").write_bytes(b"t")
    return {"footage": [str(tmp_path / "footage")], "music": str(tmp_path / "track.mp3")}


def test_a_browser_logs_in_and_nobody_forges_its_words(here, work):
    assert here.ask("POST", "/api/login", {"token": "wrong"})[0] == 401
    assert here.ask("GET", "/api/jobs", headers={"Cookie": f"{COOKIE}=x.y.z"})[0] == 401
    status, _, headers = here.ask("POST", "/api/login", {"token": here.token})
    assert status == 200
    told = headers["set-cookie"]
    assert "HttpOnly" in told
    assert "samesite=strict" in told.lower()
    cookie = {"Cookie": told.partition(";")[0]}
    who = here.ask("GET", "/api/me", headers=cookie)[1]
    assert who["user"] == "local"
    assert here.ask("POST", "/api/jobs", work, cookie)[0] == 403
    assert here.ask("POST", "/api/jobs", work, {**cookie, "X-CSRF-Token": "0" * 64})[0] == 403
    assert here.ask("POST", "/api/jobs", work, {**cookie, "X-CSRF-Token": who["csrf"]})[0] == 202
    here.accounts.revoke(here.accounts.tokens()[0]["id"])
    assert here.ask("GET", "/api/me", headers=cookie)[1] == {"user": None}
    assert here.ask("GET", "/api/jobs", headers=cookie)[0] == 401


def test_a_session_ends_after_a_week_or_by_logging_out(here, monkeypatch):
    def cookie() -> dict[str, str]:
        said = here.ask("POST", "/api/login", {"token": here.token})[2]["set-cookie"]
        return {"Cookie": said.partition(";")[0]}

    one, other = cookie(), cookie()
    csrf = here.ask("GET", "/api/me", headers=one)[1]["csrf"]
    assert here.ask("POST", "/api/logout", headers={**one, "X-CSRF-Token": csrf})[0] == 200
    assert here.ask("GET", "/api/jobs", headers=one)[0] == 401, "also for who kept the cookie"
    assert here.ask("GET", "/api/jobs", headers=other)[0] == 200
    assert len(here.accounts.tokens()) == 1, "sessions are no tokens of anybody's list"
    later = time.time() + 8 * 86_400
    monkeypatch.setattr(time, "time", lambda: later)
    assert here.ask("GET", "/api/jobs", headers=other)[0] == 401
    assert here.client.call("GET", "/api/jobs")["jobs"] == []


def test_a_session_begins_no_other_one_and_there_are_few(here):
    def login(token: str) -> tuple[int, str]:
        status, _, headers = here.ask("POST", "/api/login", {"token": token})
        return status, headers.get("set-cookie", "").partition(";")[0].partition("=")[2]

    sessions = [login(here.token)[1] for _ in range(MOST_SESSIONS + 3)]
    assert login(sessions[-1])[0] == 401
    alive = [here.accounts.holder(s) is not None for s in sessions]
    assert alive == [False] * 3 + [True] * MOST_SESSIONS
    here.accounts.end_session(here.token)
    assert here.accounts.holder(here.token) is not None, "logging out takes no token"


def test_without_tokens_other_sites_still_do_nothing(tmp_path, work):
    with serving(tmp_path / "open", open_to_all=True) as here:
        assert here.ask("GET", "/api/me")[1]["user"] == "local"
        assert here.ask("POST", "/api/jobs", work)[0] == 202, "a program of this machine"
        site = {"Origin": here.url}
        assert here.ask("POST", "/api/jobs", work, site)[0] == 403
        csrf = here.ask("GET", "/api/me")[1]["csrf"]
        assert here.ask("POST", "/api/jobs", work, {**site, "X-CSRF-Token": csrf})[0] == 202
        foreign = {"Origin": "http://evil.example", "X-CSRF-Token": csrf}
        assert here.ask("POST", "/api/jobs", work, foreign)[0] == 403


def test_quota(tmp_path, work):
    with serving(tmp_path / "folder", quota_bytes=1000) as here:
        begin = {"Upload-Length": "900"}
        here.client.call("POST", "/api/uploads", None, begin)
        with pytest.raises(CoordinatorError, match="your quota of") as refused:
            here.client.call("POST", "/api/uploads", None, begin)
        assert refused.value.status == 413


def test_what_to_expect_before_anything_is_sent(tmp_path):
    def asked(here: Here, **more) -> dict:
        clips = [{"seconds": 60, "width": 1920, "height": 1080}] * 3
        return here.client.call(
            "POST", "/api/estimate", {"clips": clips, "music_seconds": 60, **more}
        )

    with serving(tmp_path / "folder", quota_bytes=50_000_000) as here:
        whole, short = asked(here), asked(here, options={"duration": 10, "quality": "preview"})
        assert 5 < short["seconds"] < whole["seconds"] < 3600
        here.client.call("POST", "/api/uploads", None, {"Upload-Length": "1000"})
        assert asked(here)["room_bytes"] <= 50_000_000 - 1000
        with pytest.raises(CoordinatorError, match="quality"):
            asked(here, options={"quality": "x"})
    with serving(tmp_path / "far", cluster="tls://scheduler:8786") as here:
        assert asked(here)["seconds"] is None


def test_the_page_has_each_word_once_and_in_both_languages():
    page = Path(app.__file__).parent / "page"
    texts = {p.name: p.read_text(encoding="utf-8") for p in page.iterdir()}
    table = texts["words.js"].partition("const WORDS = {")[2].partition("\n};")[0]
    words = re.findall(r"^  (\w+): \[", table, re.M)
    assert len(words) == len(set(words)) == len(re.findall(r"^ +.*?\],$", table, re.M))
    used = re.findall(r'data-[tpl]="(\w+)"', texts["index.html"])
    for name, text in texts.items():
        used += re.findall(r'(?:say|button)\("(\w+)"', text) if name.endswith(".js") else []
    used += [*STATES, *(f"part_{label}" for label in LABELS)]
    assert set(used) <= set(words)


def test_retention_spares_what_a_waiting_job_names(here, work):
    here.keeper.keep_days = 1.0
    account = here.accounts.account("local")
    old, named = (here.client.submit(work)["id"] for _ in range(2))
    for job_id in (old, named):
        account.job_folder(job_id).mkdir(parents=True)
        (account.job_folder(job_id) / "timeline.otio").write_text("{}")
        here.client.call("POST", f"/api/jobs/{job_id}/cancel")
    here.client.submit(
        {"from-timeline": str(account.job_folder(named) / "timeline.otio"), "parent": named}
    )
    here.keeper.chore()
    assert len(here.client.call("GET", "/api/jobs")["jobs"]) == 3, "not so soon"
    here.keeper.keep_days = 0.0
    here.keeper.chore()
    assert not account.job_folder(old).exists()
    assert (account.job_folder(named) / "timeline.otio").exists()
    assert old not in {j["id"] for j in here.client.call("GET", "/api/jobs")["jobs"]}


def test_health_readiness_and_metrics(here, work):
    assert here.ask("GET", "/healthz")[1]["status"] == "alive"
    assert here.ask("GET", "/readyz")[0] == 503, "nobody works on the queue"
    here.queue.drain("local", "test")
    here.runner.start()
    end = time.monotonic() + 20
    while here.ask("GET", "/readyz")[0] != 200:
        assert time.monotonic() < end
        time.sleep(0.05)
    here.client.submit(work)
    assert here.ask("GET", "/metrics")[0] == 401
    told = here.client.text("/metrics")
    assert 'montage_coordinator_jobs{state="waiting"} 1\n' in told
    assert "montage_coordinator_drained 1\n" in told
    assert "local" not in told
    assert "footage" not in told
    here.runner.stop()
    assert here.ask("GET", "/readyz")[0] == 503
    _, other = here.accounts.add("other")
    for method, path in (("GET", "/metrics"), ("PUT", "/api/drain")):
        assert here.ask(method, path, headers={"Authorization": f"Bearer {other}"})[0] == 403


def test_events_go_on_where_the_line_was_cut(here, work):
    job = here.client.submit(work)["id"]
    for verb in ("pause", "resume", "pause", "cancel"):
        here.client.call("POST", f"/api/jobs/{job}/{verb}")

    def since(number: int) -> tuple[int, list[int], bool]:
        named = {"Authorization": f"Bearer {here.token}", "Last-Event-ID": str(number)}
        status, text, _ = here.ask("GET", f"/api/jobs/{job}/events", headers=named)
        said = text.decode() if isinstance(text, bytes) else ""
        numbers = [int(n) for n in re.findall(r"^id: (\d+)$", said, re.M)]
        return status, numbers, said.endswith("event: end\ndata: {}\n\n")

    status, whole, ended = since(0)
    assert status == 200
    assert ended
    assert whole == list(range(1, len(whole) + 1))
    for cut in range(1, len(whole)):
        assert since(cut) == (200, whole[cut:], True)
    assert since(whole[-1])[0] == 204, "browsers ask no more"


def test_the_commands_of_the_page(here, work, monkeypatch, tmp_path):
    """docs/coordinator.md from top to bottom, as it stands, but for what serves."""
    monkeypatch.setenv("COORDINATOR_URL", here.url)
    monkeypatch.setenv("COORDINATOR_TOKEN", here.token)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    text = DOC.read_text(encoding="utf-8")
    found = [c.removeprefix("python -m montage_dask ") for c in re.findall(r"^    (python -m .*)$", text, re.M)]  # fmt: skip
    job, token_id, seen = "", "", []
    for line in (c for c in found if not c.startswith("coordinator")):
        words = [{"JOB": job, "ID": token_id}.get(w, w) for w in shlex.split(line)]
        if words[1] == "get":
            account = here.accounts.account("local")
            account.job_folder(job).mkdir(parents=True, exist_ok=True)
            for name in ("montage.mp4", "log.txt"):
                (account.job_folder(job) / name).write_bytes(b"said")
        if words[1] == "follow":  # it would wait for the end
            here.client.call("POST", f"/api/jobs/{job}/cancel")
        done = CliRunner().invoke(cli, words, standalone_mode=False)
        assert done.exception is None, (line, done.exception, done.output)
        seen.append(words[:2])
        if words[0] == "submit" and not job:
            job = done.stdout.strip()
        elif words[1] == "follow":
            assert done.return_value == 130
            here.client.call("POST", f"/api/jobs/{job}/retry")
        elif words == ["token", "list"]:
            token_id = done.stdout.split()[0]
    assert (tmp_path / "film.mp4").read_bytes() == b"said"
    shown = here.client.call("GET", f"/api/jobs/{job}")
    assert (shown["state"], shown["priority"], shown["title"]) == ("waiting", "high", "footage")
    assert shown["request"]["style"] == "travel"
    verbs = {"list", "follow", "get", "log", "pause", "cancel", "retry", "drain"}
    assert {"submit", "token"} <= {s[0] for s in seen}
    assert verbs <= {s[1] for s in seen}


def test_submit_says_what_it_does_not_take(here, work, monkeypatch):
    monkeypatch.setenv("COORDINATOR_TOKEN", here.token)
    words = ["submit", "footage", "--music", "track.mp3", "--url", here.url]
    for more in (["--cluster", "tcp://x:1"], ["--store", "elsewhere"]):
        done = CliRunner().invoke(cli, [*words, *more], standalone_mode=False)
        assert isinstance(done.exception, UsageError), more
        assert "is a matter of the coordinator" in str(done.exception)
    sent = CliRunner().invoke(cli, [*words, "--upload", "--json"], standalone_mode=False)
    job = json.loads(sent.stdout)
    root = here.accounts.account("local").root
    assert all(f.startswith(f"{root}/uploads/") for f in job["request"]["footage"])
    assert here.client.call("GET", "/api/jobs")["jobs"][0]["id"] == job["id"]


def test_other_verbs_and_webhooks_from_the_command_line(here, work, monkeypatch):
    monkeypatch.setenv("COORDINATOR_TOKEN", here.token)
    words = ["submit", "footage", "--url", here.url, "--verb", "transcode", "--codec", "hevc"]
    words += ["--set", "container=.mov", "--webhook", "https://example.org/told"]
    monkeypatch.delenv("MONTAGE_WEBHOOK_SECRET", raising=False)
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    assert "set MONTAGE_WEBHOOK_SECRET" in str(done.exception)
    monkeypatch.setenv("MONTAGE_WEBHOOK_SECRET", "0123456789abcdef")
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    assert done.exception is None, done.exception
    shown = here.client.call("GET", f"/api/jobs/{done.stdout.strip()}")
    assert shown["request"] == {
        "verb": "transcode", "codec": "hevc", "container": ".mov", "footage": [str(Path.cwd() / "footage")],
    }  # fmt: skip
    assert "0123456789abcdef" not in json.dumps(shown), "it is told to nobody"
    assert here.queue.find(shown["id"]).webhook["url"] == "https://example.org/told"
    schema = here.client.call("GET", "/api/options?verb=transcode")["properties"]
    assert "container" in schema
    for wrong in ({"webhook": {"url": "file:///etc/passwd", "secret": "0" * 16}},
                  {"webhook": {"url": "https://x.org", "secret": "short"}}, {"verb": "worker"}):  # fmt: skip
        with pytest.raises(CoordinatorError) as refused:
            here.client.submit({**work, **wrong})
        assert refused.value.status == 422


def test_workers_ask_a_coordinator_for_its_scheduler(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("COORDINATOR_TOKEN", raising=False)
    with serving(tmp_path / "one", cluster="tls://scheduler:8786") as here:
        with pytest.raises(ClusterError, match="asks for a token: set COORDINATOR_TOKEN"):
            preflight.scheduler_of(here.url)
        monkeypatch.setenv("COORDINATOR_TOKEN", here.token)
        assert preflight.scheduler_of(here.url + "/") == "tls://scheduler:8786"
    with serving(tmp_path / "two") as here:
        monkeypatch.setenv("COORDINATOR_TOKEN", here.token)
        with pytest.raises(ClusterError, match="workers of its own"):
            preflight.scheduler_of(here.url)
