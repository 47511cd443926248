"""`python -m benchmarks NAME [arguments]`."""

from __future__ import annotations

import importlib
import sys

NAMES = {
    "montage": "the whole job against decoding all footage and encoding the result once",
    "scenes": "shot detection against PySceneDetect",
    "transitions": "how well transitions are found, against TransNetV2, on made and on uncut footage",
    "beats": "beat tracking against librosa",
    "transcode": "windowed transcoding against one ffmpeg",
    "memory": "memory of workers and client as the source grows",
    "picture": "junk, subjects and edits against footage whose truth is known, and what looking costs",
    "guard": "false alarms, wrong pictures that are told, and what it costs to look",
    "effects": "CPU time of stabilising and grading, per frame",
    "gpu": "what a GPU does for scenes, beats, upscaling, encoding and montages",
    "cgpu": "calls and megabytes a second of the line to a Colab runtime",
    "watching": "what the page and the metrics cost the scheduler",
    "faults": "the same video whatever dies, hangs or is damaged in mid-job",
    "coordinator": "what the queue of jobs withstands, and what load does to it",
    "kubernetes": "starting on Kubernetes, and recovering from what breaks there",
    "graph": "tasks, scheduler and client time for many clips",
    "scale": "how busy the driver keeps 200 workers whose operations sleep",
}


def main(arguments: list[str]) -> int:
    """Run the benchmark that the first argument names."""
    name = arguments[0] if arguments else "list"
    if name in NAMES:
        return int(importlib.import_module(f"benchmarks.{name}").main(arguments[1:]) or 0)
    lines = (f"  {n:<11} {what}\n" for n, what in NAMES.items())
    known = name in ("list", "-h", "--help")
    stream = sys.stdout if known else sys.stderr
    stream.write("usage: python -m benchmarks NAME [arguments]\n" + "".join(lines))
    return 0 if known else 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
