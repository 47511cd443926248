"""`styles`: a draft and a strip for each style, from one analysis."""

from __future__ import annotations

from pathlib import Path

from jobs import Material, montage
from PIL import Image

from montage_dask.media.probe import probe


def test_styles_of_the_package_and_of_ones_own(material: Material, tmp_path: Path):
    own = tmp_path / "mine.yaml"
    folder = Path(__file__).parents[2] / "montage_dask/styles"
    own.write_text((folder / "noir.yaml").read_text().replace("8,", "2,"))
    arguments = ("styles", material.footage, "--music", material.music, "-o", tmp_path / "out")
    arguments += ("--size", "96x54", "--duration", 4, "--n-workers", 1, "--json")
    done = montage(*arguments, "--style", "action", "--style", own)
    assert done.code == 0, done.stderr
    made = done.json["styles"]
    assert [m["name"] for m in made] == ["action", "mine"]
    assert [m["grade"] for m in made] == ["high-contrast", "noir"]
    assert len(made[0]["cuts"]) > len(made[1]["cuts"])
    for one in made:
        source, _ = probe(one["output"])
        assert (source.width, source.height, source.frames) == (96, 54, 120)
        with Image.open(one["strip"]) as strip:
            assert strip.size == (1200, 90)
    assert sum(o["count"] for o in done.json["operations"] if o["name"] == "strip") == 5
    wrong = montage(*arguments, "--style", "action", "--style", "action")
    assert wrong.code == 2
    assert "named twice" in wrong.stderr
