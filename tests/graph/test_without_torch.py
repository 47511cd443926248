"""A worker that looks for transitions with the network of our own never starts torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from montage_dask.media.ffmpeg import run_ffmpeg

SCRIPT = """
import sys
from pathlib import Path
from montage_dask.config import resolve
from montage_dask.graph.operation import perform
from montage_dask.graph.survey import Clip, Settings, probe_request
from montage_dask.graph.requests import shots_request, strip_requests
from montage_dask.records import Source, from_json
from montage_dask.store import Store

store, settings = Store(Path(sys.argv[2])), Settings.of(resolve({"detector": "auto"}))
request = probe_request(sys.argv[1])
source = from_json(Source, perform(request, store)["source"])
clip = Clip(source, store.file("probe", request.key, ".npz"))
for one in (*strip_requests(clip, settings), shots_request(clip, settings, None)):
    record = perform(one, store)
print([s["start_frame"] for s in record["shots"]], "torch" in sys.modules)
"""


def test_shots_of_the_network_need_no_torch(tmp_path: Path):
    clip = tmp_path / "clip.mp4"
    parts = "testsrc2=size=160x90:rate=25:duration=2[a];smptebars=size=160x90:rate=25:duration=2[b]"
    run_ffmpeg(
        [
            "-filter_complex", f"{parts};[a][b]concat=n=2", "-c:v", "libx264", "-preset", "ultrafast",
            "-pix_fmt", "yuv420p", str(clip),
        ],
        about=clip,
    )  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(clip), str(tmp_path / "store")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "[0, 50] False"
