"""What the user names becomes a list of files: complete, ordered, each once, and every omission named."""

from __future__ import annotations

import os
import sys

import pytest

from montage_dask.media.discover import discover, natural


def touch(folder, *names):
    for name in names:
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(found, folder):
    return [str(c.path.relative_to(folder)) for c in found]


def test_a_folder_is_searched_in_natural_order_without_what_is_no_media(tmp_path):
    touch(tmp_path, "clip10.mp4", "clip2.MP4", "clip1.mov", "notes.txt", "noext", ".hidden.mp4")
    touch(tmp_path, "sub/a.webm", ".git/b.mp4", "sub/deep/c.mkv")
    found, skipped = discover([str(tmp_path)])
    assert names(found, tmp_path) == ["clip1.mov", "clip2.MP4", "clip10.mp4", "sub/a.webm", "sub/deep/c.mkv"]  # fmt: skip
    assert not any(c.explicit for c in found)
    assert not skipped


def test_a_named_file_is_explicit_whatever_it_is_called(tmp_path):
    touch(tmp_path, "notes.txt", ".hidden.mp4")
    found, _ = discover([str(tmp_path / "notes.txt"), str(tmp_path / ".hidden.mp4")])
    assert names(found, tmp_path) == ["notes.txt", ".hidden.mp4"]
    assert all(c.explicit for c in found)


def test_every_real_file_once_also_through_links_and_again(tmp_path):
    touch(tmp_path, "real/a.mp4", "real/b.mp4")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "real/a.mp4")
    (tmp_path / "real/loop").symlink_to(tmp_path / "real")
    (tmp_path / "real/up").symlink_to(tmp_path)
    found, _ = discover([str(tmp_path / "link.mp4"), str(tmp_path / "real"), str(tmp_path)])
    assert names(found, tmp_path) == ["link.mp4", "real/b.mp4"]


def test_globs_and_names_that_look_like_globs(tmp_path, monkeypatch):
    touch(tmp_path, "a[1].mp4", "a1.mp4", "b2.mp4", "b10.mp4", "d/e.mp4")
    monkeypatch.chdir(tmp_path)
    assert names(discover(["a[1].mp4"])[0], tmp_path) == ["a[1].mp4"]
    assert names(discover(["b*.mp4"])[0], tmp_path) == ["b2.mp4", "b10.mp4"]
    assert names(discover(["**/e.mp4"])[0], tmp_path) == ["d/e.mp4"]
    (tmp_path / "a[1].mp4").unlink()
    assert names(discover(["a[1].mp4"])[0], tmp_path) == ["a1.mp4"]


def test_omissions_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "only").mkdir()
    (tmp_path / "only/clip.mp4").mkdir()
    found, skipped = discover(
        [str(tmp_path / n) for n in ("none.mp4", "x*.mp4", "empty", "only", "a\0b")]
    )
    assert not found
    reasons = {os.path.basename(s.path): s.reason for s in skipped}
    assert reasons["none.mp4"] == "does not exist"
    assert reasons["x*.mp4"] == "matches nothing"
    assert reasons["empty"] == "is a folder without media files"
    assert reasons["clip.mp4"] == "is an empty folder, not a video"
    assert reasons["a\0b"] == "does not exist"


def test_a_folder_beside_one_with_its_name_as_a_beginning(tmp_path):
    """What was left out of `day10` says nothing of `day1`."""
    (tmp_path / "day10/clip.mp4").mkdir(parents=True)
    (tmp_path / "day1").mkdir()
    _, skipped = discover([str(tmp_path / "day10"), str(tmp_path / "day1")])
    assert {os.path.basename(s.path) for s in skipped} == {"clip.mp4", "day1"}


def test_the_music_and_artefacts_of_earlier_runs_are_no_footage(tmp_path):
    touch(tmp_path, "a.mp4", "track.mp3", "out.montage/files/x.mp4", "out.montage/summary.json")
    touch(tmp_path, "holiday.montage/b.mp4")
    (tmp_path / "song.mp3").symlink_to(tmp_path / "track.mp3")
    found, _ = discover([str(tmp_path)], exclude=[tmp_path / "song.mp3"])
    assert names(found, tmp_path) == ["a.mp4", "holiday.montage/b.mp4"]


def test_playlists_and_stills_are_candidates_so_that_their_refusal_is_told(tmp_path):
    touch(tmp_path, "a.m3u8", "b.jpg", "c.mp3")
    assert len(discover([str(tmp_path)])[0]) == 3


@pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8 there")
def test_names_that_are_not_utf8(tmp_path):
    touch(tmp_path, b"caf\xe9 2.mp4", "caf\u00e9 1.mp4", "\u0662.mp4", "new\nline.mp4")
    found, _ = discover([str(tmp_path)])
    assert len(found) == 4


def test_natural_order_of_odd_digits():
    assert sorted(["x٢", "x10", "x9", "x²"], key=natural)[:2] == ["x9", "x10"]


def test_a_dangling_link_and_a_pipe_do_not_hang(tmp_path):
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    found, _ = discover([str(tmp_path), str(tmp_path / "gone.mp4")])
    assert sorted(names(found, tmp_path)) == ["gone.mp4", "pipe.mp4"]


def test_links_do_not_lead_out_of_a_folder_that_was_named(tmp_path):
    """Only who sent the folder knows of them."""
    touch(tmp_path, "home/private.mp4", "home/videos/b.mp4", "clips/own.mp4", "clips/deep/c.mp4")
    clips = tmp_path / "clips"
    (clips / "link.mp4").symlink_to("../home/private.mp4")
    (clips / "folder").symlink_to("../home/videos")
    (clips / "lick").symlink_to("../home/videos")
    (clips / "again").symlink_to("deep")
    found, skipped = discover([str(clips)])
    assert names(found, clips) == ["again/c.mp4", "own.mp4"]
    assert {os.path.basename(s.path) for s in skipped} == {"link.mp4", "folder", "lick"}
    assert all("leads out of its folder" in s.reason for s in skipped)
    for wild in ("l*k/*.mp4", "*/b.mp4", "l*.mp4", "**/*b.mp4", "fold*"):
        found, skipped = discover([str(clips / wild)])
        assert not found, wild
        assert skipped, wild
        assert all("leads out" in s.reason for s in skipped), wild


def test_links_lead_where_they_were_named_or_allowed(tmp_path):
    touch(tmp_path, "home/private.mp4", "home/videos/b.mp4")
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "link.mp4").symlink_to("../home/private.mp4")
    (clips / "folder").symlink_to("../home/videos")
    named = [str(clips / "link.mp4"), str(clips / "folder"), str(clips / "folder/*.mp4")]
    found, skipped = discover(named)
    assert names(found, clips) == ["link.mp4", "folder/b.mp4"]
    assert not skipped
    found, skipped = discover([str(clips)], link_roots=[tmp_path / "home"])
    assert names(found, clips) == ["folder/b.mp4", "link.mp4"]
    assert not skipped
