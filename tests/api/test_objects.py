"""The words of the domain as objects: one way through the product, whichever door one takes."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import opentimelineio as otio
import pytest
from distributed import Client
from made_small import SMALL

import montage_dask
from montage_dask import (
    Cancelled,
    Cluster,
    ClusterError,
    Footage,
    Job,
    Music,
    NothingToDoError,
    Style,
    Timeline,
    UsageError,
    start_all,
)
from montage_dask.progress_file import read_progress
from montage_dask.render.verify import frames_hash


def test_footage_is_a_sequence_of_clips_with_shots(footage, small):
    assert sorted(c.name for c in footage) == sorted(p.name for p in small.footage.iterdir())
    assert len(footage.shots) == sum(len(c.shots) for c in footage) >= 3
    clip = footage.clip("stars")
    assert clip.duration_seconds == pytest.approx(2.5, abs=0.05)
    thumbnails = clip.thumbnails([0, 1, 2])
    assert [t.shape for t in thumbnails] == [(27, 48, 3)] * 3
    assert thumbnails[0].std() > 20
    with pytest.raises(KeyError):
        footage.clip("moon")
    with pytest.raises(UsageError, match="analyse"):
        len(Footage(small.footage))
    assert len(Footage(small.footage).files()) == 3


def test_music_knows_its_beats_and_bars(small, cluster, tmp_path):
    music = Music(small.music)
    with pytest.raises(UsageError, match="analyse"):
        _ = music.tempo_bpm
    music = asyncio.run(music.analyse_async(store=tmp_path))
    assert music.tempo_bpm == pytest.approx(120, abs=2)
    assert len(music.beats_seconds) == pytest.approx(len(small.beats), abs=2)
    assert [b for bar in music.bars for b in bar][: len(music.bars[0])] == list(music.bars[0])
    assert music.bars[1][0] == music.downbeats_seconds[1]
    assert len(music.waveform) == 900
    with pytest.raises(NothingToDoError):
        Music(tmp_path / "nothing.mp3").analyse(store=tmp_path)


def test_a_run_that_fails_has_a_report_that_says_why(small, cluster, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/a.mp4").write_text("no video at all")
    bad = Job(tmp_path / "bad", small.music, output=tmp_path / "o.mp4", store=tmp_path / "s")
    bad.run_dir.mkdir()
    (bad.run_dir / "report.html").write_text("of an earlier run")
    with pytest.raises(NothingToDoError):
        bad.run()
    page = (bad.run_dir / "report.html").read_text()
    assert "failed" in page
    assert "no usable footage" in page


def test_edited_and_rendered_is_what_run_makes(job, cluster, tmp_path):
    plan = job.plan()
    assert plan["cluster"]["workers"] == 2
    timeline = job.edit()
    assert timeline.duration_seconds == 3
    rendered = timeline.render(tmp_path / "rendered.mp4")
    ran = job.run()
    # The same segments: the second found them all.
    (encode,) = (o for o in ran.summary["operations"] if o["name"] == "encode")
    assert (encode["count"], encode["reused"] > 0) == (0, True)
    assert frames_hash(ran.path) == frames_hash(rendered.path)
    assert ran.timeline == timeline == rendered.timeline
    assert ran.cuts == timeline.cuts
    assert max(abs(c["error_ms"]) for c in ran.cuts) <= 20
    assert ran.report.is_file()
    # And the function of the same name.
    again = montage_dask.run(
        [str(p) for p in job.spec.footage], music=job.spec.music, output=job.output, store=job.spec.store, **SMALL,
    )  # fmt: skip
    assert again["cuts"] == ran.cuts
    assert sum(o["count"] for o in again["operations"]) == 0


def test_by_hand_and_through_a_file(job, footage, cluster, tmp_path):
    timeline = job.edit()
    gone = timeline.clip_of(0)
    tuned = timeline.exclude(gone.replace("<", "[<]")).pin("life@0.4", at_seconds=0)
    assert all(tuned.clip_of(k) != gone for k in range(len(tuned)))
    assert tuned.clip_of(0) == "life.mkv"
    assert tuned[0].in_seconds == pytest.approx(0.4)
    assert [c["time_seconds"] for c in tuned.cuts] == [c["time_seconds"] for c in timeline.cuts]
    assert timeline.clip_of(0) == gone  # edits leave it as it was
    path = tuned.save(tmp_path / "mine.otio")
    back = Timeline.load(path, footage)
    assert back == tuned
    assert back.exclude("life*").clip_of(0) != "life.mkv"  # its shots are known again
    document = otio.adapters.read_from_file(str(path))
    assert len(list(document.video_tracks()[0])) == len(tuned)
    montage = back.graded("noir").render(tmp_path / "tuned.mp4", quality="preview")
    assert montage.timeline.record.grade == "noir"
    assert montage.summary["command"].count("--from-timeline") == 1
    with pytest.raises(UsageError, match=r"\.otio"):
        tuned.save(tmp_path / "mine.txt")
    with pytest.raises(UsageError, match="no clip is called"):
        tuned.replace(0, "moon.mp4")
    with pytest.raises(UsageError, match="no clip is called"):
        tuned.exclude("moon.mp4")


def test_variants_and_styles(job, cluster, tmp_path):
    first, second = job.edits(2)
    assert first == job.edit()
    assert first != second
    calm = Style("travel").but("calm", beats_per_cut={"high": 16}, grade="noir")
    assert calm.record.beats_per_cut["low"] == Style("travel").record.beats_per_cut["low"]
    edited = job.but(style=calm).edit()
    assert (edited.record.style, edited.record.grade) == ("calm", "noir")
    # It stands in a file, so that the job can be run again by a command.
    assert Style(job.run_dir / "calm.yaml").record == calm.record
    assert Style(calm.save(tmp_path / "calm.yaml")) == calm
    with pytest.raises(UsageError, match="grade"):
        Style("travel").but(grade="purple")
    with pytest.raises(UsageError, match="no style"):
        Style("trvel")


def test_several_at_once_on_one_cluster(job, small, cluster, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.mp4").write_text("no video")
    jobs = [job.but(output=tmp_path / f"{n}.mp4", grade=g) for n, g in enumerate(("none", "noir"))]
    jobs.append(job.but(footage=broken, output=tmp_path / "broken.mp4"))
    runs = start_all(jobs, at_once=3)
    made = runs.wait()
    assert [m.path.name for m in made] == ["0.mp4", "1.mp4"], runs.errors
    assert "no usable footage" in str(runs.errors["broken.mp4"])
    assert frames_hash(made[0].path) != frames_hash(made[1].path)
    # Each has a log of its own.
    assert "no usable footage" in (jobs[2].run_dir / "montage.log").read_text()
    assert not (jobs[0].run_dir / "montage.log").exists()
    with pytest.raises(UsageError, match="output of its own"):
        start_all([job, job])


def test_a_run_is_called_off_and_goes_on_later(job, cluster, tmp_path):
    slow = job.but(output=tmp_path / "slow.mp4", quality="high", size="640x360", segment_frames=10)
    run = slow.start()
    while run.progress["stage"] != "encode" and not run.done:
        time.sleep(0.05)
    run.cancel()
    with pytest.raises(Cancelled):
        run.wait(60)
    assert run.state == "cancelled"
    assert not slow.output.exists()
    assert read_progress(slow.run_dir)["state"] == "interrupted"
    montage = asyncio.run(slow.run_async())
    assert montage.path.exists()


def test_a_client_of_any_kind_is_a_cluster(job, cluster):
    async def main():
        address, security = cluster.client.scheduler.address, cluster.client.security
        async with Client(address, security=security, asynchronous=True) as client:
            beats = 0

            async def beat():
                nonlocal beats
                while True:
                    beats += 1
                    await asyncio.sleep(0.01)

            beating = asyncio.create_task(beat())
            timeline = await job.but(cluster=client).edit_async()
            beating.cancel()
            return timeline, beats

    timeline, beats = asyncio.run(main())
    assert timeline == job.but(cluster=cluster.client).edit()
    assert beats > 3
    with pytest.raises(UsageError, match="is no cluster"):
        job.but(cluster=3).plan()


def test_a_cluster_is_used_until_it_is_closed(cluster, tmp_path):
    assert Cluster.current() is cluster

    async def main():  # fmt: skip
        async with Cluster(cluster.client, asynchronous=True) as other:
            return Cluster.current() is other, repr(other)

    inner, told = asyncio.run(main())
    assert inner
    assert "2 workers, CPU=2" in told
    assert Cluster.current() is cluster
    assert cluster.client.status == "running"  # a cluster that stood before stays
    with pytest.raises(ClusterError, match="not `local`"):
        Cluster("nowhere.json")
    with pytest.raises(UsageError, match="n-workers"):
        Cluster(n_workers=0)
    assert "not open" in repr(Cluster(asynchronous=True))


def test_batch_verbs(footage, small, cluster, tmp_path):
    one = Footage(small.footage / "stars.mp4")
    graded = one.grade(tmp_path / "graded", "noir", quality="preview")
    assert [f.name for f in graded.files] == ["stars.mp4"]
    assert graded["outputs"][0]["frames"] == graded.made[0]["frames"]
    stills = asyncio.run(one.frames_async(tmp_path / "stills", every=1, max_width=64))
    assert [f.suffix for f in stills.files] == [".jpg"] * 3
    assert json.dumps(dict(stills))


def test_a_job_is_checked_before_anything_starts(small, tmp_path):
    with pytest.raises(UsageError, match="fps"):
        Job(small.footage, small.music, fps="fast")
    with pytest.raises(UsageError, match="no music"):
        Job(small.footage)
    with pytest.raises(UsageError, match="no footage"):
        Footage()
    file = tmp_path / "job.yaml"
    (tmp_path / "a.wav").write_bytes(Path(small.music).read_bytes())
    file.write_text("footage: .\nmusic: a.wav\nduration: 3\n")
    assert Job(file, style="trailer").spec["style"] == "trailer"
