"""Jobs of other verbs than `run`: what they take is what the commands take, and nothing that is not theirs."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from montage_dask.cli import cli
from montage_dask.coordinator.accounts import Account
from montage_dask.coordinator.requests import JobRequest, job_content, options_model
from montage_dask.coordinator.verbs import FLAGS, OWN, VERBS, kinds, words
from montage_dask.errors import UsageError

VALUES = {
    "deinterlace": "auto", "codec": "hevc", "quality": "preview", "crf": 20, "audio": "none", "container": ".mov",
    "size": "64x36",
    "detector": "fast", "scale": 4, "upscale-model": "fidelity", "grade": "warm", "faces": False, "threshold": 3.5,
    "tracker": "flux", "bpm": 120, "beats-file": "beats.txt", "beats-per-bar": 4, "every": "2.5", "per-shot": 2,
    "contact-sheet": True, "format": "png", "width": 320, "duration": "0:10", "start": "auto", "fit": "cover", "seed": 3,
}  # fmt: skip


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account("a", tmp_path)


def content(account: Account, verb: str, **more):
    return job_content(JobRequest(verb=verb, **{"footage": ["clips"], **more}), account)


def test_the_api_knows_the_verbs_of_the_table():
    assert get_args(JobRequest.model_fields["verb"].annotation) == ("run", *VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_all_that_a_verb_takes_reaches_its_command(verb, account):
    scale = {"scale": "4"} if verb == "upscale" else {}
    options = {name: VALUES[name] for name in VERBS[verb]} | scale
    music = {"music": "track.mp3"} if verb in ("analyse", "styles") else {}
    said = words(content(account, verb, options=options, footage=["-rf", "clips"], **music))
    assert said[0] == verb
    command = cli.commands[verb]
    parsed = command.make_context(verb, said[1:]).params
    files = parsed.get("files", parsed.get("footage"))
    assert files == (f"{account.root}/-rf", f"{account.root}/clips"), "a name is no option"
    assert parsed["output"] == "made"
    given = {p.name for p in command.params if any(f"--{FLAGS.get(n, n)}" in p.opts for n in options)}  # fmt: skip
    assert len(given) == len(options)
    for name in given:
        assert parsed[name] not in (None, False, ()), name
    assert set(options_model(verb).model_json_schema(by_alias=True)["properties"]) == set(options)


@pytest.mark.parametrize(
    ("verb", "more"),
    [
        ("transcode", {"options": {"store": "/tmp/x"}}),
        ("transcode", {"options": {"style": "travel"}}),
        ("transcode", {"options": {"audio": "--cluster=tcp://evil"}}),
        ("transcode", {"options": {"crf": "1 --store /"}}),
        ("frames", {"options": {"width": 10**9}}),
        ("grade", {"options": {"grade": "/etc/x.cube"}}),
        ("upscale", {"options": {"upscale-model": "../x.pth"}}),
        ("analyse", {"options": {"beats-file": "/etc/passwd"}}),
        ("analyse", {"options": {"weights": "x"}}),
        ("transcode", {"music": "t.mp3"}),
        ("transcode", {"preview": True}),
        ("transcode", {"footage": []}),
        ("transcode", {"footage": ["/etc/passwd"]}),
        ("transcode", {"footage": ["s3://bucket/x"]}),
        ("run", {"music": "t", "options": {"container": ".mov"}}),
    ],
)
def test_what_is_not_its_own_is_refused(verb, more, account):
    with pytest.raises(UsageError):
        content(account, verb, **more)


def test_no_verb_sets_where_it_runs():
    for verb in ("run", *VERBS):
        for name, kind in kinds(verb).items():
            assert kind.in_job_files or name in OWN, name


@pytest.mark.parametrize("text", ["a\0b", "x" * 5000, "\ud800"])
def test_what_no_command_line_holds_is_refused(account, text):
    with pytest.raises(UsageError, match="grade: "):
        content(account, "grade", options={"grade": text})


def test_numbers_are_whole_where_they_must_be_and_a_grade_is_named(account):
    assert "--crf=18" in words(content(account, "transcode", options={"crf": 18.0}))
    with pytest.raises(UsageError, match="says which"):
        content(account, "grade", options={"codec": "hevc"})
