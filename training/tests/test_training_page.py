"""The report of a training: one file with its loss, its figures and its data; written again from what lies beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from test_html import EVIL, Read, failed

from montage_dask.errors import UsageError
from montage_dask.report.html import rebuild, run_folders
from montage_dask_training.report_page import write_report

CARD = """# A network

| | tracks | beats F |
|---|---:|---:|
| rock | 3 | 0.912 |
| **all** | 3 | 0.934 |

## Limits
"""
TOLD = {
    "recipe": "beats", "recipe_version": 2, "seed": 7, "size": "default", "start_weights": "own.npz", "steps": 600,
    "size_bytes": 250_400, "losses": [1.5, 0.25], "parts": {"training": 8, "validation": 1, "test": 2},
    "data": [{"name": f"{EVIL}.wav", "kind": "sound", "identity": "0"}],
    "skipped": [{"path": f"/data/{EVIL}", "reason": "is no sound"}],
    "legs": [
        {"target": "gpu", "cpu_seconds": 30.0},
        {"target": "cpu", "cpu_seconds": 50.5},
        {"target": "cpu", "cpu_seconds": 9.5},
    ],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (770, 385), "#123456").save(tmp_path / "loss.png")
    (tmp_path / "card.md").write_text(CARD)
    (tmp_path / "training.json").write_text(json.dumps(TOLD))
    failed(tmp_path, 1000.0, "finished")
    return tmp_path


def test_it_tells_what_was_learnt_where_and_from_what(folder):
    text = write_report(TOLD, folder).read_text()
    read = Read(text)
    for told in (
        "600 steps", "in 3 legs, size default, seed 7, begun with own.npz", "1.5 CPU minutes", "250 kB", "1.5 at first, 0.25",
        "8 for training, 1 for validation", "is no sound", "1 file skipped", EVIL,
    ):  # fmt: skip
        assert told in read.text, told
    for row in (
        '<td>all</td><td class="n">3</td><td class="n">0.934</td>',
        '<td>cpu</td><td class="n">2</td><td class="n">60.0</td>',
        '<td>gpu</td><td class="n">1</td><td class="n">30.0</td>',
    ):
        assert f"<tr>{row}</tr>" in text
    assert "---" not in read.text
    # One file that fetches nothing, with no script but its own.
    assert [i["src"][:22] for i in read.of("img")] == ["data:image/png;base64,"]
    assert [a["href"] for a in read.of("a")] == ["card.md", "training.json"]
    assert len(read.of("script")) == 1


def test_it_is_written_again_from_whatever_names_the_training(folder):
    text = write_report(TOLD, folder).read_text()
    for name in (folder, folder / "training.json"):
        assert run_folders(name) == [folder]
    assert rebuild(folder).read_text() == text
    (folder / "progress.json").unlink()  # of a folder that was copied
    assert run_folders(folder) == [folder]
    failed(folder, 1e11)
    text = rebuild(folder).read_text()
    assert text.index("The last run into this folder failed") < text.index("Where it learnt")


def test_what_is_not_there_is_told(folder):
    for name in ("loss.png", "card.md"):
        (folder / name).unlink()
    short = {k: v for k, v in TOLD.items() if k != "skipped"} | {"losses": []}
    read = Read(write_report(short, folder).read_text())
    assert "too few steps to tell" in read.text
    assert "is not there any more" in read.text
    assert read.of("img") == []
    assert "skipped" not in read.text


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"legs": 3}'])
def test_a_training_that_is_none(folder, text):
    (folder / "training.json").write_text(text)
    with pytest.raises(UsageError, match=r"training\.json: is not the summary of a run"):
        rebuild(folder)
