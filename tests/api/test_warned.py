"""What is odd about a clip that is used all the same is said by every verb alike."""

from __future__ import annotations

import pytest
from jobs import make_track
from makers import film

import montage_dask
from montage_dask.graph.telling import Silent

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "12", "-pix_fmt", "yuv420p")


class Heard(Silent):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    """A recording that lacks bytes in its middle, under five names."""
    made = tmp_path_factory.mktemp("holed")
    data = film(made / "whole.ts", *H264, frames=75, size="320x180").read_bytes()
    begin, end = (int(len(data) * part) // 188 * 188 for part in (0.4, 0.6))
    for number in range(5):
        (made / f"{number}.ts").write_bytes(data[:begin] + data[end:])
    return made


def test_every_verb_says_it_in_one_line(folder, cluster, tmp_path):
    make_track(tmp_path / "track.wav", 3)
    options = {"store": tmp_path / "store", "cluster": cluster}
    said = []
    for verb in ("analyse", "transcode", "run", "plan"):
        heard = Heard()
        files = [str(folder / f"{n}.ts") for n in range(5)]
        output = tmp_path / verb
        if verb == "analyse":
            found = montage_dask.analyse(files, output=output, progress=heard, **options)
            assert all(len(clip["shots"]) > 1 for clip in found["footage"])
        elif verb == "transcode":
            made = montage_dask.transcode(
                files, output, quality="preview", progress=heard, **options
            )
            assert [w["path"] for w in made["warnings"]] == files
            assert not made["skipped"]
        else:
            job = montage_dask.Job(
                montage_dask.Footage(*files), tmp_path / "track.wav", output=output.with_suffix(".mp4"),
                allow="all", duration=2, size="160x90", store=tmp_path / "store",
            )  # fmt: skip
            getattr(job, verb)(progress=heard)
        said.append([n for n in heard.notes if "pictures are missing" in n])
    assert said == [said[0]] * 4
    (line,) = said[0]
    assert line.startswith("0.ts, 1.ts, 2.ts and 2 more: damaged: pictures are missing at 1.")
