"""What a job is found to lack before anything is started; what `plan` says; where verbs run without being told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import dask.config
import numpy as np
import pytest
import soundfile
from distributed import Client, LocalCluster
from makers import film

import montage_dask
from montage_dask.api import working
from montage_dask.api.job import Job
from montage_dask.errors import ClusterError, NothingToDoError, UsageError
from montage_dask.graph import analysing, checking, planning
from montage_dask.graph.telling import Silent

SMALL = {"size": "96x54", "fps": "25", "quality": "preview", "performance_report": False}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("media")
    for number, name in enumerate(("sea", "hill", "town")):
        film(folder / f"{name}.mp4", frames=75, filters=f"hue=h={number * 90}")
    seconds = np.arange(6 * 22_050) / 22_050
    clicks = np.sin(2 * np.pi * 90 * seconds) * np.exp(-(seconds % 0.5) * 30)
    soundfile.write(folder / "track.wav", clicks, 22_050)
    return SimpleNamespace(folder=folder, music=folder / "track.wav")


@pytest.fixture(scope="module")
def plain():
    """A cluster as Dask's tutorials make it: threads of this process, no tags."""
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def nothing_starts(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a cluster was asked for")

    monkeypatch.setattr(working, "connect", refuse)


@pytest.mark.parametrize(
    "options", [{"tracker": "librosa"}, {"tracker": "beat-this"}, {"detector": "accurate"}]
)
def test_what_is_not_installed_is_missed_before_any_work(
    media, nothing_starts, monkeypatch, options
):
    monkeypatch.setattr(checking, "_importable", lambda module: False)
    job = Job(media.folder, media.music, output=media.folder / "out.mp4", **SMALL, **options)
    with pytest.raises(UsageError, match=rf"montage-dask\[{next(iter(options.values()))}\]"):
        job.run()


@pytest.mark.parametrize(
    ("options", "telling"),
    [
        ({"style": "actoin"}, "did you mean action"),
        ({"style": "/nowhere/mine.yaml"}, "No such file"),
        ({"grade": "cimematic"}, "no grade 'cimematic'"),
        ({"grade": "/nowhere/look.cube"}, r"look\.cube"),
        ({"upscale_model": "fidelty"}, "did you mean fidelity"),
        ({"upscale_model": "/nowhere/net.pth"}, "does not exist"),
        ({"scenes_weights": "/nowhere/w.npz"}, "scenes-weights: .*does not exist"),
        ({"beats_file": "/nowhere/beats.txt"}, "beats-file: .*does not exist"),
        ({"include": [" "]}, "selector is empty"),
        ({"pin": [""]}, "selector is empty"),
    ],
)
@pytest.mark.parametrize("verb", ["plan", "run"])
def test_wrong_names_are_told_before_anything_starts(
    media, tmp_path, nothing_starts, verb, options, telling
):
    with pytest.raises(UsageError, match=telling):
        getattr(montage_dask, verb)(
            media.folder, music=media.music, output=tmp_path / "x" / "o.mp4", **options
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_footage_and_music_that_are_not_there_are_told_before(
    media, tmp_path, nothing_starts, verb
):
    call, output = getattr(montage_dask, verb), tmp_path / "o.mp4"
    with pytest.raises(NothingToDoError, match=r"seaa\.mp4: does not exist, did you mean sea\.mp4"):
        call(media.folder / "seaa.mp4", music=media.music, output=output)
    with pytest.raises(NothingToDoError, match=r"\*\.avi: matches nothing"):
        call(str(media.folder / "*.avi"), music=media.music, output=output)
    with pytest.raises(NothingToDoError, match=r"track\.mp3: does not exist, did you mean track"):
        call(media.folder, music=media.folder / "track.mp3", output=output)
    with pytest.raises(UsageError, match=r"edit\.otio"):
        call(from_timeline=media.folder / "edit.otio", output=output)


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_what_the_head_of_the_music_tells_is_told_before(media, tmp_path, nothing_starts, verb):
    def call(music: Path, **options: object) -> None:
        getattr(montage_dask, verb)(media.folder, music=music, output=tmp_path / "o.mp4", **options)

    for name in ("long.flac", "long.ogg", "long.wav"):
        soundfile.write(tmp_path / name, np.zeros(8000 * 60), 8000)
        with (
            dask.config.set({"montage.music-limit-hours": 0.01}),
            pytest.raises(NothingToDoError, match=rf"{name}: has more than 0\.01 hours of sound"),
        ):
            call(tmp_path / name)
    both = tmp_path / "both.wav"
    both.write_bytes(media.music.read_bytes() * 2)
    with pytest.raises(NothingToDoError, match=r"both\.wav: .*joined end to end"):
        call(both)
    mute = film(tmp_path / "mute.mp4", frames=10)
    with pytest.raises(NothingToDoError, match=r"mute\.mp4: has no audio stream"):
        call(mute)
    with pytest.raises(UsageError, match="start 7 s lies outside the music"):
        call(media.music, start="7")


def names(plan: dict) -> set[str]:
    return {Path(c["path"]).stem for c in plan["clips"]}


def test_plan_honours_selections_and_timelines_and_says_whom_it_asked(media, tmp_path, plain):
    given = {"music": media.music, "output": tmp_path / "o.mp4", "cluster": plain, **SMALL}
    whole = montage_dask.plan(media.folder, **given)
    assert names(whole) == {"sea", "hill", "town"}
    assert whole["cluster"]["address"] == whole["cluster"]["where"] == plain.scheduler.address
    assert whole["cluster"]["resources"] == {"CPU": 2}
    assert names(montage_dask.plan(media.folder, exclude=["hill"], **given)) == {"sea", "town"}
    assert names(montage_dask.plan(media.folder, include=["hill"], **given)) == {"hill"}
    with pytest.raises(UsageError, match="no clip is called"):
        montage_dask.plan(media.folder, exclude=["vale"], **given)

    timeline = Job(media.folder, include=["sea", "town"], **given).edit()
    file = timeline.save(tmp_path / "edit.otio")
    rows = {o["operation"] for o in whole["operations"]}
    of_file = montage_dask.plan(from_timeline=file or tmp_path / "edit.otio", **given)
    assert names(of_file) <= {"sea", "town"}
    assert of_file["montage"]["frames"] == timeline.record.frames
    assert {o["operation"] for o in of_file["operations"]} == rows - {"strip", "shots"}


class Totals(Silent):
    """Counts the steps of each stage against its total."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self.steps: Counter[str] = Counter()

    def stage(self, name: str, total: int, unit: str = "") -> None:
        self.totals[name], self.steps[name] = total, 0

    def step(self, name: str, label: str, media_seconds: float = 0.0) -> None:
        self.steps[name] += 1


def test_plan_and_run_work_out_the_same_and_every_bar_ends(media, tmp_path, plain, monkeypatch):
    """Also when some clips are known already: their windows are not counted."""
    given = {
        "music": media.music, "output": tmp_path / "o.mp4", "cluster": plain, "window_frames": 50,
        **SMALL,
    }  # fmt: skip
    montage_dask.analyse([media.folder / "sea.mp4"], store=tmp_path / ".montage", cluster=plain, window_frames=50)  # fmt: skip
    figures: dict[str, dict[str, object]] = {"plan": {}, "run": {}}
    for module, who in ((planning, "plan"), (analysing, "run")):
        place_on = module.place_on

        def kept(driver, name, targets, work, place_on=place_on, who=who):
            figures[who][name] = work
            return place_on(driver, name, targets, work)

        monkeypatch.setattr(module, "place_on", kept)
    montage_dask.plan(media.folder, **given)
    told = Totals()
    montage_dask.run(media.folder, progress=told, **given)
    for name in ("strip", "shots", "beats"):
        assert figures["plan"][name] == figures["run"][name], name
    assert told.steps == told.totals
    assert told.totals["strip"] == 4  # of two clips of two windows


def test_a_verb_in_a_task_runs_on_the_cluster_of_the_task(media, tmp_path):
    """One worker of one thread: it takes the verb's tasks while the verb waits for them."""
    folder, music, output = str(media.folder), str(media.music), str(tmp_path / "o.mp4")

    def verb(**options: object) -> dict:
        import montage_dask

        return montage_dask.plan(folder, music=music, output=output, **options)

    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        plan = client.submit(verb, pure=False).result(timeout=120)
        assert plan["cluster"]["address"] == client.scheduler.address
        assert names(plan) == {"sea", "hill", "town"}
        with pytest.raises(ClusterError, match="is a worker of a Dask cluster"):
            client.submit(verb, cluster="local", pure=False).result(timeout=120)
