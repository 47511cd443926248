"""The recipe of the beat network: what music is made, how long it learns, and how it is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from montage_dask.errors import UsageError
from montage_dask_training.beat_data import Track, load_tracks, save_tracks
from montage_dask_training.beat_soundfont import TEST_SOUNDFONT, TRAINING_SOUNDFONT, soundfont
from montage_dask_training.beat_styles import HELD_OUT_STYLES, TRAINING_STYLES
from montage_dask_training.recipe import Input, Part

SONG_SECONDS = {"default": 36.0, "tiny": 12.0}
TRAINING_PARTS = {"default": 32, "tiny": 1}
VALIDATION_PARTS = {"default": 4, "tiny": 1}
TEST_PARTS = {"default": 16, "tiny": 1}
"""Every other one is played by an engine that is heard nowhere else, where it is installed."""
STEPS_A_LEG = {"default": 200, "tiny": 3}
SEED_STEP = 10_000
"""Between the seeds of splits."""
LIFTS = (0.0, 0.5, 1.0, 1.5)
"""Tried for what is added to the logits of beats before decoding."""
OWN_SHARE = 0.5
"""Of what is heard in training, when the user gives music."""


class BeatRecipe:
    """See `recipe.Recipe`."""

    name = "beats"
    version = 3
    reads = ("sound",)
    legs: Mapping[str, int] = MappingProxyType({"default": 20, "tiny": 2})

    def parts(self, seed: int, size: str, inputs: Sequence[Input]) -> tuple[Part, ...]:
        """Half of the styles in each part, all of them for validation; the held-out styles for the test, a few times.

        The user's tracks are learnt; every fourth one is kept for the test.

        Raises:
            UsageError: a track of the user has no beats beside it.
        """
        font, other = soundfont(TRAINING_SOUNDFONT), soundfont(TEST_SOUNDFONT)
        styles = [style.name for style in TRAINING_STYLES]
        held_out = [style.name for style in HELD_OUT_STYLES]
        if size == "tiny":
            styles, held_out = styles[:4], held_out[:2]
        parts = [
            self._made("training", seed, size, number, styles[number % 2 :: 2], font)
            for number in range(TRAINING_PARTS[size])
        ]
        parts += [
            self._made("validation", seed, size, number, styles[number % 2 :: 2], font)
            for number in range(VALIDATION_PARTS[size])
        ]
        parts += [
            self._made("test", seed, size, number, held_out, font if number % 2 else other or font)
            for number in range(TEST_PARTS[size])
        ]
        made = SONG_SECONDS[size] * sum(
            len(p.parameters["styles"]) for p in parts if p.split == "training"
        )
        for number, track in enumerate(inputs):
            if not Path(track.path).with_suffix(".beats").is_file():
                wanted = Path(track.name).with_suffix(".beats")
                raise UsageError(
                    f"{track.name}: no {wanted} beside it (seconds of each beat and its place in the bar, a line each)"
                )
            split = "test" if number % 4 == 3 else "training"
            shared = {"own": track.identity, "made_seconds": made, "tracks": len(inputs)}
            parts.append(Part(split, shared, (track.identity,)))
        return tuple(parts)

    def _made(
        self, split: str, seed: int, size: str, number: int, styles: list[str], font: str | None
    ) -> Part:
        place = ("training", "validation", "test").index(split)
        return Part(
            split,
            {
                "seed": (seed * 3 + place) * SEED_STEP + number,
                "styles": styles,
                "seconds": SONG_SECONDS[size],
                "font": font,
            },
        )

    def synthesise(
        self, parameters: Mapping[str, Any], inputs: Mapping[str, str], output: Path
    ) -> dict[str, Any]:
        """Tracks of a part: see `beat_data`."""
        if "own" in parameters:
            tracks = [_own(inputs[parameters["own"]], parameters)]
        else:
            from montage_dask_training.beat_songs import heard, make_songs

            songs = make_songs(
                parameters["styles"],
                parameters["seed"],
                parameters["seconds"],
                parameters["font"],
            )
            tracks = [heard(song) for song in songs]
        save_tracks(tracks, output, str(parameters.get("font") or ""))
        return {
            "tracks": len(tracks),
            "beats": sum(len(t.beats) for t in tracks),
            "font": parameters.get("font"),
        }

    def check(self, weights: Path) -> None:
        """See `analysis.beat_network.load_weights`."""
        from montage_dask.analysis.beat_network import load_weights

        load_weights(weights)

    def train(
        self,
        parameters: Mapping[str, Any],
        parts: Sequence[Path],
        state: Path | None,
        output: Path,
        *,
        start: Path | None,
        device: str,
        threads: int,
    ) -> dict[str, Any]:
        """See `beat_network.train_leg`."""
        from montage_dask_training.beat_network import train_leg

        return train_leg(
            parameters,
            parts,
            state,
            output,
            steps=STEPS_A_LEG[parameters["size"]],
            start=start,
            device=device,
            threads=threads,
        )

    def export(self, state: Path, validation: Sequence[Path], output: Path) -> dict[str, Any]:
        """The averaged weights, norms folded in, in half precision, and the lift of best F on the validation split."""
        from montage_dask.analysis.beat_network import save_weights
        from montage_dask_training.beat_figures import figures
        from montage_dask_training.beat_network import folded, fonts_of

        weights, tracks = folded(state), load_tracks(validation)
        found = {}
        for lift in LIFTS:
            save_weights({**weights, "lift": np.array(lift, np.float32)}, output)
            found[lift] = figures(output, tracks)["all"]
        lift = max(LIFTS, key=lambda x: (found[x]["beats"], -x))
        save_weights({**weights, "lift": np.array(lift, np.float32)}, output)
        return {"lift": lift, "soundfonts": fonts_of(state), "validation": found[lift]}

    def evaluate(self, weights: Path, parts: Sequence[Path]) -> dict[str, Any]:
        """F-measures of beats and downbeats per style, octaves, offset."""
        from montage_dask_training.beat_figures import figures

        return figures(weights, load_tracks(parts))

    def card(self, training: Mapping[str, Any]) -> str:
        """See `beat_card.card`."""
        from montage_dask_training.beat_card import card

        return card(training)


def _own(path: str, parameters: Mapping[str, Any]) -> Track:
    """A track of the user with the beats of the file beside it."""
    from montage_dask.analysis.beatfile import read_beats
    from montage_dask.media.audio import decode_mono
    from montage_dask_training.beat_songs import OWN, features

    given = read_beats(Path(path).with_suffix(".beats"))
    samples = decode_mono(path)
    mel, strength = features(samples)
    downbeats = np.array(given.positions) == 1 if given.positions else np.zeros(0, bool)
    made, seconds = parameters["made_seconds"], len(samples) / 22050
    weight = OWN_SHARE / (1 - OWN_SHARE) * made / (seconds * parameters["tracks"])
    return Track(OWN, mel, strength, given.seconds, downbeats, weight)


RECIPE = BeatRecipe()
